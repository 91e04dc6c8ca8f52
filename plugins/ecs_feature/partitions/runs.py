"""Which partition a run computes, and what its templates are given of it.

A run's time is its logical date, which for data intervals is their start. A run that a partitioned schedule made has a
partition key or date instead. Both are read in the schedule's own time zone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from ecs_feature.exceptions import SelectionError
from ecs_feature.partitions.grains import EXAMPLES, FOLDERS, OWN_FOLDER, Partition, partition_at, read_key

DAY: Final = "day"
MAX_KEY_CHARACTERS: Final = 140
"""Airflow stores partition keys of up to 250 characters (``airflow.models.base.ID_LEN``); a shard's name may follow."""
TYPED_RUNS: Final = frozenset({"manual", "operator_triggered"})
"""The types of runs whose logical date somebody wrote, by hand or for TriggerDagRunOperator."""
_KEY: Final = re.compile(rf"[A-Za-z0-9_.:=+-]{{1,{MAX_KEY_CHARACTERS}}}")
_OFFSET: Final = re.compile(r"(?P<sign>[+-])(?P<hours>\d{2}):(?P<minutes>\d{2})")


@dataclass(frozen=True)
class Partitioning:
    """How a pipeline's runs are named.

    :param grain: ``hour``, ``day``, ``week`` or ``month``, or a template of the key.
    :param timezone: of the schedule: a name of the IANA data base, or ``+09:00``.
    :param typed_in: Airflow's ``[core] default_timezone``, in which dates are meant that are typed without one.
    :param crons: of the schedule; empty when it has none.
    :param dated: whether the runs' partition dates are the schedule's own; else their keys come first.
    """

    grain: str = DAY
    timezone: str = "UTC"
    typed_in: str = "UTC"
    crons: Sequence[str] = field(default=())
    dated: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(**{**values, "crons": tuple(values.get("crons", ()))})

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe; only what is not the default."""
        default = asdict(Partitioning())
        mine = {**asdict(self), "crons": list(self.crons)}
        return {name: value for name, value in mine.items() if value != default[name] and value != []}

    @property
    def is_own(self) -> bool:
        """Whether the key is a template of the user's."""
        return self.grain not in FOLDERS

    @property
    def folder(self) -> str:
        """The folder of a partition's output, a template."""
        return FOLDERS.get(self.grain, OWN_FOLDER)


def partition_of(run: Any, partitioning: Partitioning) -> Partition:
    """The partition that a run computes; the key of a template of one's own is empty here.

    :param run: Airflow's ``dag_run``.
    :raises SelectionError: when it has none.
    """
    return _partition(
        partitioning,
        run.logical_date,
        str(getattr(getattr(run, "run_type", ""), "value", getattr(run, "run_type", ""))),
        getattr(run, "partition_key", None),
        getattr(run, "partition_date", None),
    )


def run_variables(context: Mapping[str, Any], partitioning: Partitioning, environment: Any) -> dict[str, Any]:
    """What the templates of a run get beside, or instead of, Airflow's own: ``partition``, ``ds``, ``ds_nodash``.

    :param environment: the Jinja environment that renders a template of one's own.
    :raises SelectionError: when the run has no partition, or its key cannot be in a path.
    """
    run = context["dag_run"]
    found = partition_of(run, partitioning)
    variables: dict[str, Any] = {"ds": found.day, "ds_nodash": found.day.replace("-", ""), "partition": found.key}
    if partitioning.is_own:
        moment = run.logical_date or getattr(run, "partition_date", None)
        variables["local_time"] = moment and _in(moment, zone(partitioning.timezone))
        key = str(environment.from_string(partitioning.grain).render({**context, **variables}))
        variables["partition"] = checked_key(key, partitioning.grain)
    return variables


def checked_key(key: str, template: str) -> str:
    """:raises SelectionError: when the key that a template gave cannot be in a path."""
    if not _KEY.fullmatch(key):
        raise SelectionError(
            f"partition: {template!r} gives {key!r:.200} in this run; a key is 1 to {MAX_KEY_CHARACTERS} of "
            "A-Z a-z 0-9 _ . : = + -."
        )
    return key


@cache
def zone(name: str) -> tzinfo:
    """The time zone of a name, or of an offset like ``+09:00``."""
    if offset := _OFFSET.fullmatch(name):
        distance = timedelta(hours=int(offset["hours"]), minutes=int(offset["minutes"]))
        return timezone(-distance if offset["sign"] == "-" else distance)
    return ZoneInfo(name)


def zone_name(zone_: tzinfo) -> str:
    """The name by which :func:`zone` finds it."""
    name = getattr(zone_, "key", None) or getattr(zone_, "name", None) or str(zone_)
    try:
        zone(name)
    except (ValueError, LookupError, OSError):
        seconds = int((zone_.utcoffset(datetime.now(UTC)) or timedelta()).total_seconds())
        sign, minutes = ("-" if seconds < 0 else "+"), abs(seconds) // 60
        return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    return str(name)


@lru_cache(maxsize=4096)
def _partition(
    partitioning: Partitioning,
    logical_date: datetime | None,
    run_type: str,
    key: str | None,
    partition_date: datetime | None,
) -> Partition:
    local = zone(partitioning.timezone)
    own = partitioning.is_own
    grain = DAY if own else partitioning.grain
    if partition_date is not None and (partitioning.dated or own):
        found = partition_at(grain, _in(partition_date, local))
    elif key and not own:
        found = _of_key(grain, key, partition_date, local)
    elif logical_date is not None:
        found = partition_at(grain, _meant(partitioning, logical_date, run_type))
    elif own:
        found = Partition("", "")
    else:
        raise SelectionError(
            f"logical_date: this run has none and no partition key, so there is no {grain} to compute; trigger it "
            "with a logical date, e.g. airflow dags trigger --logical-date 2013-01-01."
        )
    return Partition("", found.day) if own else found


def _of_key(grain: str, key: str, partition_date: datetime | None, local: tzinfo) -> Partition:
    found = read_key(grain, key)
    if found is None and partition_date is not None:
        found = partition_at(grain, _in(partition_date, local))
    if found is None:
        raise SelectionError(
            f"partition_key: {key!r} is no {grain}; give one like {EXAMPLES[grain]}, or set partition= to what it is."
        )
    return found


def _in(moment: datetime, zone_: tzinfo) -> datetime:
    """The moment as clocks of the time zone show it; a plain datetime, also of Airflow's own."""
    at = moment.astimezone(UTC)
    return datetime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, tzinfo=UTC).astimezone(
        zone_
    )


def _meant(partitioning: Partitioning, logical_date: datetime, run_type: str) -> datetime:
    """The local time that a run's logical date means.

    ``airflow dags trigger --logical-date 2013-01-01`` means the day 2013-01-01, whatever time zone Airflow reads it in;
    but a run for a moment that the schedule has is that of this moment.
    """
    local = _in(logical_date, zone(partitioning.timezone))
    typed = _in(logical_date, zone(partitioning.typed_in))
    midnight = time()
    if run_type not in TYPED_RUNS or typed.time() != midnight or local.time() == midnight:
        return local
    if any(_has(cron, local) for cron in partitioning.crons):
        return local
    return typed.replace(tzinfo=local.tzinfo, fold=0)


def _has(cron: str, local: datetime) -> bool:
    from croniter import croniter

    return bool(croniter.match(cron, local.replace(tzinfo=None)))
