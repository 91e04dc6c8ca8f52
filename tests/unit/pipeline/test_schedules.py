"""Which schedules and partitions go together: the sentences at parse time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    CronDataIntervalTimetable,
    CronPartitionTimetable,
    CronTriggerTimetable,
    EventsTimetable,
    MultipleCronTriggerTimetable,
    PartitionedAssetTimetable,
    PartitionedAtRuntime,
)
from pipelines import pipeline

from ecs_feature.exceptions import ConfigurationError

RAW = Asset("s3://b/raw")
DAILY = CronTriggerTimetable("0 6 * * *", timezone="UTC")


def refusal(schedule: Any, partition: str = "day", **more: Any) -> str:
    with pytest.raises(ConfigurationError) as error:
        pipeline(schedule=schedule, partition=partition, **more).dag()
    return str(error.value)


@pytest.mark.parametrize(
    "schedule",
    [
        "@hourly",
        "0 0,12 * * *",
        CronTriggerTimetable("0 * * * *", timezone="Asia/Tokyo"),
        CronDataIntervalTimetable("@hourly", timezone="UTC"),
        CronPartitionTimetable("@hourly", timezone="UTC"),
        MultipleCronTriggerTimetable("0 6 * * *", "0 18 * * *", timezone="UTC"),
        timedelta(hours=1),
    ],
)
def test_several_runs_of_a_day_would_overwrite_each_other(schedule: Any) -> None:
    sentence = refusal(schedule)
    assert sentence.startswith('partition: "day" has several runs of this schedule, and ')
    assert sentence.endswith('set partition="hour", or shared_partition=True if that is meant.')
    assert pipeline(schedule=schedule, shared_partition=True).dag()
    assert pipeline(schedule=schedule, partition="hour").dag()


@pytest.mark.parametrize(
    ("schedule", "partition", "said"),
    [
        ("@daily", "hour", '"hour" is too short for a schedule that runs every 1 days; each run would compute one hour '
         'only; set partition="day".'),
        ("@monthly", "week", 'set partition="month".'),
        ("@yearly", "month", "set partition=\"{{ local_time.strftime('%Y') }}\"."),
        (timedelta(days=1), "hour", 'set partition="day".'),
        ("@daily", "week", 'and 2026-01-03 would overwrite 2026-01-02; set partition="day", or'),
        ("@daily", "month", 'set partition="day", or'),
        ("@weekly", "month", 'set partition="day", or'),
        ("*/15 * * * *", "hour", "strftime"),
    ],
)  # fmt: skip
def test_a_length_that_does_not_go_with_the_schedule_is_refused(schedule: Any, partition: str, said: str) -> None:
    assert said in refusal(schedule, partition)


@pytest.mark.parametrize(
    "schedule",
    [
        [RAW],
        RAW,
        RAW | Asset("s3://b/other"),
        AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 6 * * *", timezone="UTC"), assets=[RAW]),
    ],
)
def test_a_schedule_on_assets_without_partitions_is_refused(schedule: Any) -> None:
    sentence = refusal(schedule)
    assert sentence.startswith(
        "schedule: a run that assets start has no day to compute; give PartitionedAssetTimetable"
    )
    assert pipeline(schedule=schedule, partition="{{ run_id }}").dag(), "the user's own key needs no day"


@pytest.mark.parametrize(
    ("schedule", "partition"),
    [
        (None, "day"),
        ("@once", "day"),
        ("@daily", "day"),
        ("0 6 * * 1-5", "day"),
        ("@weekly", "day"),
        ("@weekly", "week"),
        ("@monthly", "month"),
        ("0 0 * * 1", "week"),
        ("0 */6 * * *", "hour"),
        (timedelta(days=1), "day"),
        (CronDataIntervalTimetable("@daily", timezone="America/Havana"), "day"),
        (PartitionedAssetTimetable(assets=RAW), "day"),
        (PartitionedAssetTimetable(assets=RAW), "hour"),
        (PartitionedAtRuntime(), "day"),
        (EventsTimetable([]), "day"),
    ],
)
def test_what_goes_together_is_taken(schedule: Any, partition: str) -> None:
    dag = pipeline(schedule=schedule, partition=partition).dag()
    folder = {"day": "ds={{ ds }}", "hour": "hour={{ partition }}"}.get(partition, f"{partition}={{{{ partition }}}}")
    assert dag.get_task("control.publish").prefix == f"s3://b/features/variant=control/{folder}"


def test_a_partition_that_nobody_knows_is_refused() -> None:
    assert refusal("@daily", "quarter").startswith("partition: 'quarter' is not known; give hour, day, week, month, or")
    assert "asset_partitions: 'key' is not known" in refusal("@daily", asset_partitions="key")
    assert "PARTITION" in refusal("@daily", environment={"PARTITION": "x"})
