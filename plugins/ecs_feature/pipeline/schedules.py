"""What a pipeline's schedule says of its partitions: their time zone, and whether the two go together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, pairwise
from typing import Any, Final

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.partitions.grains import GRAINS, partition_at
from ecs_feature.partitions.runs import Partitioning, zone, zone_name

TICKS: Final = 40
"""How many runs of a schedule are looked at; each takes 0.1 ms of the DAG processor."""
LOOKED_AT_FROM: Final = datetime(2026, 1, 1)
RAREST: Final = {"hour": timedelta(hours=22), "week": timedelta(days=21), "month": timedelta(days=350)}
"""A schedule whose runs are always further apart than this does not mean partitions of that length."""
_NEXT: Final = {"day": "hour", "week": "day", "month": "day"}


def check_partition(partition: str) -> None:
    """:raises ConfigurationError: when it is neither a length of time nor a template."""
    if not isinstance(partition, str) or not (partition in GRAINS or "{{" in partition):
        raise ConfigurationError(
            f"partition: {partition!r:.80} is not known; give {', '.join(GRAINS)}, or a template, "
            "\"{{ local_time.strftime('%Y') }}\"."
        )


def partitioning_of(dag: Any, partition: str, *, shared: bool) -> Partitioning:
    """How the runs of the DAG are named.

    :param shared: whether several runs may compute one partition.
    :raises ConfigurationError: when no run of the DAG's schedule, or only the last of several, can have a partition.
    """
    timetable = dag.timetable
    found = Partitioning(
        grain=partition,
        timezone=zone_name(_zone(timetable, dag.timezone)),
        typed_in=_default_timezone(),
        crons=tuple(_crons(timetable)),
        dated=type(timetable).__name__ == "CronPartitionTimetable",
    )
    if not found.is_own:
        _check_assets(timetable, partition)
        _check_ticks(found, _schedule(timetable), shared=shared)
    return found


def _default_timezone() -> str:
    from airflow.providers.common.compat.sdk import conf

    name: str = conf.get("core", "default_timezone", fallback="UTC")
    local = datetime.now().astimezone().tzinfo
    return zone_name(local) if name == "system" and local is not None else "UTC" if name == "utc" else name


def _own(timetable: Any, name: str) -> Any:
    """An attribute of a timetable, as the task SDK's or Airflow's own classes name it; None without it."""
    found = getattr(timetable, name, None)
    return getattr(timetable, f"_{name}", None) if found is None else found


def _zone(timetable: Any, default: tzinfo) -> tzinfo:
    """The time zone in which a timetable counts its days.

    :param default: the DAG's, which is that of its start date.
    """
    if isinstance(found := _own(timetable, "timezone"), str):
        return zone(found)
    if found is not None:
        mine: tzinfo = found
        return mine
    inner = _own(timetable, "timetables") or [_own(timetable, "timetable")]
    if inner[0] is not None:
        return _zone(inner[0], default)
    dates = _own(timetable, "event_dates")
    return dates[0].tzinfo if dates else default


def _crons(timetable: Any) -> Iterator[str]:
    if isinstance(cron := _own(timetable, "expression"), str):
        yield cron
    for inner in _own(timetable, "timetables") or filter(None, [_own(timetable, "timetable")]):
        yield from _crons(inner)


def _check_assets(timetable: Any, partition: str) -> None:
    """:raises ConfigurationError: for a schedule on assets whose events have no partition."""
    if not _own(timetable, "asset_condition") or type(timetable).__name__ == "PartitionedAssetTimetable":
        return
    if getattr(timetable, "partitioned", False):
        return  # somebody's own
    raise ConfigurationError(
        f"schedule: a run that assets start has no {partition} to compute; give "
        "PartitionedAssetTimetable(assets=...) of airflow.sdk, whose runs have the partition of the asset's event."
    )


def _schedule(timetable: Any) -> Iterator[datetime]:
    """The local times, without a time zone, of the partitions of a schedule's runs; none when they are not known."""
    expressions = list(_crons(timetable))
    if expressions:
        return _cron_ticks(expressions)
    delta = _own(timetable, "delta")
    return _delta_ticks(delta) if delta is not None else iter(())


def _cron_ticks(expressions: Sequence[str]) -> Iterator[datetime]:
    from croniter import CroniterError, croniter

    try:
        ticks = {
            tick
            for expression in expressions
            for tick in islice(croniter(expression, LOOKED_AT_FROM, ret_type=datetime), TICKS)
        }
    except CroniterError:
        return iter(())  # Airflow says what is wrong with it
    # What the rarest of several expressions reaches further than the others is not looked at.
    return iter(sorted(ticks)[:TICKS])


def _delta_ticks(delta: Any) -> Iterator[datetime]:
    tick = LOOKED_AT_FROM
    for _ in range(TICKS):
        yield tick
        tick += delta


def _check_ticks(partitioning: Partitioning, ticks: Iterator[datetime], *, shared: bool) -> None:
    """:raises ConfigurationError: when runs are nearer to each other than partitions, or much further."""
    grain, nearest = partitioning.grain, timedelta.max
    form = "%H:%M" if grain in ("hour", "day") else "%Y-%m-%d"
    for one, other in pairwise(ticks):
        nearest = min(nearest, other - one)
        first, second = (partition_at(grain, tick.replace(tzinfo=UTC)).key for tick in (one, other))
        if first == second and not shared:
            raise ConfigurationError(
                f'partition: "{grain}" has several runs of this schedule, and {other:{form}} would overwrite '
                f'{one:{form}}; set partition="{_finer(grain, nearest)}", or shared_partition=True if that is meant.'
            )
    if nearest != timedelta.max and nearest > RAREST.get(grain, timedelta.max):
        every = math.floor(nearest / timedelta(days=1)) or 1
        raise ConfigurationError(
            f'partition: "{grain}" is too short for a schedule that runs every {every} days; each run would compute '
            f'one {grain} only; set partition="{_coarser(nearest)}".'
        )


def _finer(grain: str, apart: timedelta) -> str:
    """The length of time of which each run has one of its own; a template when none is short enough."""
    if apart < timedelta(hours=1):
        return "{{ local_time.strftime('%Y-%m-%dT%H.%M') }}"
    return "hour" if apart < timedelta(hours=22) else _NEXT.get(grain, "hour")


def _coarser(apart: timedelta) -> str:
    if apart < timedelta(days=6):
        return "day"
    if apart < timedelta(days=27):
        return "week"
    return "month" if apart < RAREST["month"] else "{{ local_time.strftime('%Y') }}"
