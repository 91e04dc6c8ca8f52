"""The lengths of time that a partition can have, and the keys of partitions. Pure.

A key is what local clocks say: ``2026-03-28``, ``2026-03-28T09``, ``2026-W13`` (ISO 8601), ``2026-03``. The hour that
clocks show twice when daylight saving time ends is ``2026-10-25T02`` the first time and ``2026-10-25T02b`` the second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

from ecs_feature.exceptions import SelectionError

Grain = Literal["hour", "day", "week", "month"]
GRAINS: Final[tuple[Grain, ...]] = ("hour", "day", "week", "month")
SECOND_TIME: Final = "b"
"""The ending of the key of an hour that local clocks show for the second time."""
SEPARATOR: Final = "|"
"""Between a partition and a shard in the partition key of an asset event."""
FOLDERS: Final[Mapping[str, str]] = {
    "hour": "hour={{ partition }}",
    "day": "ds={{ ds }}",
    "week": "week={{ partition }}",
    "month": "month={{ partition }}",
}
OWN_FOLDER: Final = "partition={{ partition }}"
EXAMPLES: Final[Mapping[str, str]] = {
    "hour": "2026-03-28T09",
    "day": "2026-03-28",
    "week": "2026-W13",
    "month": "2026-03",
}
_MOMENT: Final = re.compile(
    # As Airflow's StartOfWeekMapper and CronPartitionTimetable write them.
    r"(?P<day>\d{4}-\d{2}-\d{2})(?: \(W\d{2}\)|T(?P<hour>\d{2})(?P<again>b)?(?::(?P<rest>\d{2}(?::\d{2})?))?)?"
)
_WEEK: Final = re.compile(r"(?P<year>\d{4})-W(?P<week>\d{2})")
_MONTH: Final = re.compile(r"\d{4}-\d{2}")
_PARTITION: Final = re.compile(r"(?<!{){partition}(?!})")


@dataclass(frozen=True)
class Partition:
    """What a run computes.

    :param key: names it in paths, tags and the asset's events.
    :param day: its first local day, ``YYYY-MM-DD``; empty when it is no time.
    """

    key: str
    day: str


def partition_at(grain: str, moment: datetime) -> Partition:
    """The partition of that grain that has the moment.

    :param moment: in the local time zone; its ``fold`` says which of two hours it is.
    """
    first = _first_day(grain, moment.date()).isoformat()
    if grain == "hour":
        again = SECOND_TIME if _is_second(moment) else ""
        return Partition(f"{moment:%Y-%m-%dT%H}{again}", first)
    return Partition(_key_of_day(grain, moment.date()), first)


def read_key(grain: str, key: str) -> Partition | None:
    """The partition of that grain that a key names: ours, or one of the forms that Airflow's own mappers write.

    :returns: None when it is of no such form.
    :raises SelectionError: when it names a part of a partition, which the next part would overwrite.
    """
    if SEPARATOR in key:
        raise SelectionError(
            f"partition_key: {key!r} is of one shard, and a run computes a whole partition; schedule it on an asset "
            "whose events have the partition alone, or map the keys."
        )
    try:
        if grain == "week" and (week := _WEEK.fullmatch(key)):
            first = date.fromisocalendar(int(week["year"]), int(week["week"]), 1)
            return Partition(_key_of_day(grain, first), first.isoformat())
        if grain == "month" and _MONTH.fullmatch(key):
            return Partition(key, date.fromisoformat(f"{key}-01").isoformat())
        found = _MOMENT.fullmatch(key)
        if found is None or (grain == "hour" and found["hour"] is None):
            return None
        moment = datetime.fromisoformat(f"{found['day']}T{found['hour'] or '00'}:{found['rest'] or '00:00'}")
    except ValueError:
        return None
    partition = partition_at(grain, moment.replace(minute=0, second=0))
    again = found["again"] or ""
    starts_hour = moment.minute == moment.second == 0
    starts_day = moment.hour == 0 and not again and partition.day == found["day"]
    if not starts_hour or not (grain == "hour" or starts_day):
        raise SelectionError(
            f"partition_key: {key!r} is only a part of the {grain} {partition.key}, and the next part would overwrite "
            f"it; set partition= to what it is, or map the keys (airflow.sdk.StartOf{grain.capitalize()}Mapper)."
        )
    return replace(partition, key=partition.key + again)


def _key_of_day(grain: str, day: date) -> str:
    if grain == "week":
        year, week, _ = day.isocalendar()
        return f"{year:04d}-W{week:02d}"
    return f"{day:%Y-%m}" if grain == "month" else day.isoformat()


def _first_day(grain: str, day: date) -> date:
    if grain == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if grain == "month" else day


def _is_second(moment: datetime) -> bool:
    """Whether local clocks have shown this hour's time before."""
    return bool(moment.fold) and moment.replace(fold=0).utcoffset() != moment.utcoffset()


def keyed(value: Any) -> Any:
    """``value`` with ``{partition}`` in its strings as a template."""
    if isinstance(value, str):
        return _PARTITION.sub("{{ partition }}", value)
    if isinstance(value, Mapping):
        return {key: keyed(item) for key, item in value.items()}
    return type(value)(map(keyed, value)) if isinstance(value, list | tuple) else value
