"""The partition that a run says is the one that its timetable means, in any time zone: against Airflow's timetables."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import available_timezones

import pendulum
import pytest
from airflow.sdk import CronDataIntervalTimetable, CronPartitionTimetable, CronTriggerTimetable
from airflow_runs import partitioning, scheduled_runs

from ecs_feature.partitions.grains import read_key
from ecs_feature.partitions.runs import partition_of

PAIRS, RUNS = 500, 2
ODD_ZONES = (
    "Asia/Tokyo",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of daylight saving time
    "America/Havana",  # clocks change at midnight
    "Asia/Beirut",  # midnight is missing once a year
    "America/Santiago",  # 24:00 becomes 23:00
    "Asia/Kathmandu",  # 5:45
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Africa/Casablanca",  # daylight saving time but for Ramadan
)
CHANGES = tuple(
    pendulum.datetime(year, month, day)
    for year in (2024, 2025, 2026)
    for month, day in ((3, 8), (3, 29), (4, 4), (9, 5), (10, 24), (11, 1), (12, 31))
)
"""Days about which clocks change somewhere, or the ISO year."""
SCHEDULES = {
    "hour": ("0 * * * *", "30 * * * *", "0 */3 * * *"),
    "day": ("0 0 * * *", "0 6 * * *", "30 2 * * *", "0 20 * * *", "0 23 * * 1-5"),
    "week": ("0 0 * * 1", "0 0 * * 0", "15 4 * * 3"),
    "month": ("0 0 1 * *", "0 2 15 * *"),
}


def timetables(cron: str, zone: str) -> list[Any]:
    return [
        CronDataIntervalTimetable(cron, timezone=zone),
        CronTriggerTimetable(cron, timezone=zone),
        CronTriggerTimetable(cron, timezone=zone, interval=timedelta(hours=1)),
        CronPartitionTimetable(cron, timezone=zone),
        CronPartitionTimetable(cron, timezone=zone, run_offset=-1, key_format="%d.%m.%Y %H"),
    ]


def meant(grain: str, moment: Any, zone: str) -> str:
    """Another way to the key: pendulum's clocks and formats."""
    local = pendulum.instance(moment).in_timezone(zone)
    if grain == "week":
        year, week, _ = local.date().isocalendar()
        return f"{year}-W{week:02d}"
    if grain == "hour":
        an_hour_ago = pendulum.instance(moment - timedelta(hours=1)).in_timezone(zone)
        twice = (an_hour_ago.date(), an_hour_ago.hour) == (local.date(), local.hour)
        return local.format("YYYY-MM-DDTHH") + ("b" if twice else "")
    return str(local.format({"day": "YYYY-MM-DD", "month": "YYYY-MM"}[grain]))


def test_500_random_pairs_of_time_zone_and_schedule() -> None:
    choose = random.Random(18)
    zones = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc"))
    seen = 0
    for _ in range(PAIRS):
        zone = choose.choice(ODD_ZONES if choose.random() < 0.5 else zones)
        grain = choose.choice(list(SCHEDULES))
        schedule = choose.choice(timetables(choose.choice(SCHEDULES[grain]), zone))
        named = partitioning(schedule, grain)
        start = choose.choice(CHANGES).add(hours=choose.randrange(-30, 30))
        for a_run in scheduled_runs(schedule, start, RUNS):
            moment = a_run.logical_date or a_run.partition_date
            found = partition_of(a_run, named)
            assert found.key == meant(grain, moment, zone), (zone, schedule, a_run)
            assert read_key(grain, found.key) == found
            assert found.day <= pendulum.instance(moment).in_timezone(zone).format("YYYY-MM-DD")
            seen += 1
    assert seen == RUNS * PAIRS


@pytest.mark.parametrize(
    ("zone", "change"),
    # Not where midnight or half an hour is missing: there Airflow's own intervals have gaps.
    [
        ("Asia/Tokyo", "2026-03-28"),
        ("Europe/Berlin", "2026-03-28"),
        ("Europe/Berlin", "2026-10-24"),
        ("America/New_York", "2026-10-31"),
        ("America/Havana", "2026-10-31"),
        ("Africa/Casablanca", "2026-02-14"),
    ],
)
def test_days_follow_each_other_and_no_hour_is_there_twice(zone: str, change: str) -> None:
    start = pendulum.parse(change, tz=zone)
    daily = CronDataIntervalTimetable("@daily", timezone=zone)
    days = [partition_of(a_run, partitioning(daily)).key for a_run in scheduled_runs(daily, start, 4)]
    assert days == [start.add(days=number).format("YYYY-MM-DD") for number in range(4)]
    hourly = CronDataIntervalTimetable("@hourly", timezone=zone)
    hours = [partition_of(a_run, partitioning(hourly, "hour")).key for a_run in scheduled_runs(hourly, start, 50)]
    assert hours == sorted(set(hours))
    assert all(one < other for one, other in pairwise(hours))


def test_a_day_of_23_hours_and_one_of_25() -> None:
    hourly = CronTriggerTimetable("@hourly", timezone="Europe/Berlin")
    named = partitioning(hourly, "hour")

    def hours(day: str) -> list[str]:
        runs = scheduled_runs(hourly, pendulum.parse(day, tz="Europe/Berlin"), 30)
        return [key for a_run in runs if (key := partition_of(a_run, named).key).startswith(day)]

    spring, autumn = hours("2026-03-29"), hours("2026-10-25")
    assert len(spring) == 23
    assert "2026-03-29T02" not in spring
    assert len(autumn) == 25
    assert autumn[1:5] == ["2026-10-25T01", "2026-10-25T02", "2026-10-25T02b", "2026-10-25T03"]
