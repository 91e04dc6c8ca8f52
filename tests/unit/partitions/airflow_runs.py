"""Runs as Airflow's own timetables make them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pendulum
from airflow.sdk import DAG
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import TimeRestriction

from ecs_feature.partitions.runs import Partitioning, partition_of
from ecs_feature.pipeline.schedules import partitioning_of


def partitioning(schedule: Any, partition: str = "day", start: Any = None, *, shared: bool = False) -> Partitioning:
    """What a pipeline of this schedule says of its partitions."""
    start = start or pendulum.datetime(2013, 1, 1)
    return partitioning_of(DAG("d", schedule=schedule, start_date=start), partition, shared=shared)


def scheduled_runs(schedule: Any, after: datetime, count: int) -> Iterator[Any]:
    """The next runs of a timetable of the task SDK, as the scheduler would make them; each has its ``info``."""
    timetable = coerce_to_core_timetable(schedule)
    restriction = TimeRestriction(earliest=pendulum.instance(after), latest=None, catchup=True)

    def infos() -> Iterator[Any]:
        last: Any = None
        while True:
            last = timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=restriction)
            yield last

    for info in islice(infos(), count):
        yield run(info.logical_date, "scheduled", info.partition_key, info.partition_date, info=info)


def run(
    logical_date: Any = None, run_type: str = "manual", key: str | None = None, date: Any = None, **more: Any
) -> SimpleNamespace:
    return SimpleNamespace(
        logical_date=logical_date, run_type=run_type, partition_key=key, partition_date=date, start_date=None, **more
    )


def key_of(schedule: Any, a_run: Any, partition: str = "day", start: Any = None, *, shared: bool = True) -> str:
    return partition_of(a_run, partitioning(schedule, partition, start, shared=shared)).key
