"""Which partition a run computes: keys of events, dates that were typed, templates of one's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import jinja2
import pendulum
import pytest
from airflow.sdk import (
    Asset,
    CronDataIntervalTimetable,
    CronPartitionTimetable,
    CronTriggerTimetable,
    MultipleCronTriggerTimetable,
    PartitionedAssetTimetable,
)
from airflow_runs import key_of, partitioning, run

from ecs_feature.exceptions import SelectionError
from ecs_feature.partitions.grains import partition_at, read_key
from ecs_feature.partitions.runs import Partitioning, partition_of, run_variables, zone, zone_name

TOKYO = CronDataIntervalTimetable("@daily", timezone="Asia/Tokyo")
NEW_YORK = CronDataIntervalTimetable("0 20 * * *", timezone="America/New_York")
EVENTS = PartitionedAssetTimetable(assets=Asset("s3://b/raw"))


def at(text: str, tz: str = "UTC") -> Any:
    return pendulum.parse(text, tz=tz)


@pytest.mark.parametrize("run_type", ["manual", "scheduled", "backfill"])
@pytest.mark.parametrize(
    ("schedule", "moment", "day"),
    [
        (TOKYO, at("2026-03-28", "Asia/Tokyo"), "2026-03-28"),
        (NEW_YORK, at("2026-03-28T20:00", "America/New_York"), "2026-03-28"),
        (NEW_YORK, at("2026-12-28T20:00", "America/New_York"), "2026-12-28"),
        (CronTriggerTimetable("@daily", timezone="Europe/Berlin"), at("2026-03-29", "Europe/Berlin"), "2026-03-29"),
        (MultipleCronTriggerTimetable("0 6 * * *", timezone="Asia/Tokyo"), at("2026-03-27T21:00"), "2026-03-28"),
        (timedelta(days=1), at("2026-03-28"), "2026-03-28"),
        ("@daily", at("2026-03-28"), "2026-03-28"),
    ],
)
def test_a_run_is_of_the_day_of_its_schedules_time_zone(schedule: Any, moment: Any, day: str, run_type: str) -> None:
    assert key_of(schedule, run(moment, run_type)) == day


def test_a_schedule_in_text_has_the_time_zone_of_the_start_date() -> None:
    start = pendulum.datetime(2026, 3, 1, tz="Asia/Tokyo")
    assert key_of("@daily", run(at("2026-03-27T15:00"), "scheduled"), start=start) == "2026-03-28"
    assert partitioning("@daily", start=start).timezone == "Asia/Tokyo"
    assert partitioning(None, start=datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=9)))).timezone == "+09:00"


@pytest.mark.parametrize("typed_in", ["Asia/Tokyo", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
@pytest.mark.parametrize("schedule", [None, TOKYO, NEW_YORK, CronTriggerTimetable("@daily", timezone="UTC")])
def test_a_date_that_was_typed_means_that_day(typed_in: str, schedule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", typed_in)
    assert key_of(schedule, run(at("2013-01-01", typed_in))) == "2013-01-01"
    assert key_of(schedule, run(at("2013-01-01", typed_in), "operator_triggered")) == "2013-01-01"
    assert key_of(schedule, run(at("2013-01-01", typed_in)), "month") == "2013-01"


def test_the_schedules_own_moments_are_not_taken_for_typed_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    midnight = at("2026-03-29")  # in UTC, and 20:00 in New York
    assert key_of(NEW_YORK, run(midnight)) == "2026-03-28"
    assert key_of(NEW_YORK, run(midnight, "scheduled")) == "2026-03-28"
    assert key_of(TOKYO, run(at("2026-03-28T03:00:01"))) == "2026-03-28"


@pytest.mark.parametrize(
    ("grain", "key", "partition", "day"),
    [
        ("day", "2026-03-28", "2026-03-28", "2026-03-28"),
        ("day", "2026-03-28T00:00:00", "2026-03-28", "2026-03-28"),
        ("hour", "2026-03-28T09", "2026-03-28T09", "2026-03-28"),
        ("hour", "2026-03-28T09:00:00", "2026-03-28T09", "2026-03-28"),
        ("hour", "2026-10-25T02b", "2026-10-25T02b", "2026-10-25"),
        ("week", "2026-W13", "2026-W13", "2026-03-23"),
        ("week", "2026-03-23 (W13)", "2026-W13", "2026-03-23"),
        ("week", "2020-W53", "2020-W53", "2020-12-28"),
        ("month", "2026-03", "2026-03", "2026-03-01"),
        ("month", "2026-03-01", "2026-03", "2026-03-01"),
    ],
)
def test_the_key_of_an_event_names_the_partition(grain: str, key: str, partition: str, day: str) -> None:
    found = partition_of(run(key=key, run_type="asset_triggered"), partitioning(EVENTS, grain))
    assert (found.key, found.day) == (partition, day)


@pytest.mark.parametrize(
    ("grain", "key", "sentence"),
    [
        ("day", "2026-03-28T09", "only a part of the day 2026-03-28, and the next part would overwrite it"),
        ("day", "2026-10-25T00b", "only a part of the day"),
        ("hour", "2026-03-28T09:15:00", "only a part of the hour 2026-03-28T09"),
        ("week", "2026-03-28", "only a part of the week 2026-W13"),
        ("month", "2026-03-28", "only a part of the month 2026-03"),
        ("day", "2026-03", "'2026-03' is no day; give one like 2026-03-28, or set partition="),
        ("hour", "2026-03-28", "'2026-03-28' is no hour"),
        ("day", "2026-02-30", "'2026-02-30' is no day"),
        ("week", "2026-W54", "'2026-W54' is no week"),
        ("month", "2026-13", "'2026-13' is no month"),
        ("hour", "2026-03-28T24", "is no hour"),
        ("day", "us", "'us' is no day"),
        ("day", "2026-03-28|NY", "is of one shard"),
    ],
)
def test_a_key_that_names_no_whole_partition_is_refused(grain: str, key: str, sentence: str) -> None:
    with pytest.raises(SelectionError, match=r"^partition_key: ") as error:
        partition_of(run(key=key), partitioning(EVENTS, grain))
    assert sentence in str(error.value)


def test_a_run_of_a_partitioned_cron_is_of_its_partition_date_whatever_its_key_looks_like() -> None:
    schedule = CronPartitionTimetable("@daily", timezone="Asia/Tokyo", key_format="%d.%m.%Y")
    assert key_of(schedule, run(key="28.03.2026", date=at("2026-03-27T15:00"))) == "2026-03-28"
    assert key_of(EVENTS, run(key="28.03.2026", date=at("2026-03-28"))) == "2026-03-28"
    assert key_of(EVENTS, run(key="2026-03-28", date=at("2026-03-27T15:00"))) == "2026-03-28"


def test_a_run_without_any_time_is_refused_in_words() -> None:
    with pytest.raises(
        SelectionError, match="logical_date: this run has none and no partition key, so there is no week"
    ):
        partition_of(run(), Partitioning("week"))


def variables(grain: str, a_run: Any, **more: Any) -> dict[str, Any]:
    named = Partitioning(grain, "Asia/Tokyo")
    return run_variables({"dag_run": a_run, **more}, named, jinja2.Environment(undefined=jinja2.StrictUndefined))


def test_a_template_of_ones_own_makes_the_key() -> None:
    a_run = run(at("2026-03-27T15:00"), "scheduled")
    found = variables("{{ local_time.strftime('%Y') }}-{{ params.region }}", a_run, params={"region": "eu"})
    assert (found["partition"], found["ds"]) == ("2026-eu", "2026-03-28")
    found = variables("{{ dag_run.partition_key }}", run(key="us"))
    assert (found["partition"], found["ds"], found["local_time"]) == ("us", "", None)
    with pytest.raises(SelectionError, match=r"partition: '\{\{ dag_run.partition_key \}\}' gives 'a/b' in this run"):
        variables("{{ dag_run.partition_key }}", run(key="a/b"))


def test_the_templates_of_a_day_get_the_local_one() -> None:
    found = variables("day", run(at("2026-03-27T15:00"), "scheduled"))
    assert found == {"ds": "2026-03-28", "ds_nodash": "20260328", "partition": "2026-03-28"}
    assert variables("week", run(at("2026-03-27T15:00"), "scheduled"))["ds"] == "2026-03-23"


@pytest.mark.parametrize("name", ["UTC", "Asia/Tokyo", "+09:00", "-03:30"])
def test_a_time_zone_is_found_by_its_name(name: str) -> None:
    assert zone_name(zone(name)) == name
    assert partition_at("hour", datetime(2026, 3, 28, 9, tzinfo=UTC).astimezone(zone(name))).key.startswith(
        "2026-03-28T"
    )


def test_only_what_differs_from_a_day_in_utc_is_in_the_serialized_dag() -> None:
    assert Partitioning().to_dict() == {}
    named = partitioning(NEW_YORK)
    assert named.to_dict() == {"timezone": "America/New_York", "crons": ["0 20 * * *"]}
    assert Partitioning.from_dict(named.to_dict()) == named


def test_a_key_is_read_as_it_was_made() -> None:
    moment = datetime(2026, 1, 1, 9, tzinfo=UTC)
    for grain in ("hour", "day", "week", "month"):
        made = partition_at(grain, moment)
        assert read_key(grain, made.key) == made
