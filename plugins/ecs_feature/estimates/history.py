"""What past runs of a pipeline took, from Airflow's metadata database: run times, and XComs of shards and services."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ecs_feature.estimates.facts import PipelineFacts
from ecs_feature.estimates.past_runs import PastRun, PastVariant
from ecs_feature.estimates.workload import LaunchSample, Services
from ecs_feature.shards import task_in
from ecs_feature.shards.records import shard_records
from ecs_feature.tasks.cost import NOTHING, Price, Usage

log = logging.getLogger(__name__)

_TASKS_A_QUERY = 500
PriceOf = Callable[[Mapping[str, Any]], Price]


@dataclass(frozen=True)
class _ShardTask:
    """A shard's task in Airflow."""

    state: str | None
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class _Lane:
    """The launches of one variant in one run, and their ends.

    :param tasks: of Airflow, one a shard.
    """

    records: Sequence[Mapping[str, Any]]
    created: datetime | None
    stopped: datetime | None
    tasks: Sequence[_ShardTask] = ()

    @property
    def handed_at(self) -> datetime | None:
        """When Airflow gave the first shard to the triggerer."""
        return min((task.start for task in self.tasks if task.start), default=None)

    @property
    def detection_lag_seconds(self) -> float:
        """From a launch's end to that of its task in Airflow, on average over those that succeeded."""
        ends = [task.end.timestamp() for task in self.tasks if task.end and task.state == "success"]
        stops = [datetime.fromisoformat(_last(record)).timestamp() for record in self.records if _last(record)]
        return max(0.0, sum(ends) - sum(stops)) / len(ends) if ends and len(ends) == len(stops) else 0.0

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]], tasks: Sequence[_ShardTask]) -> _Lane:
        launches = [launch for record in records for launch in record["launches"] if launch.get("created_at")]
        stopped = [launch["stopped_at"] for launch in launches if launch.get("stopped_at")]
        return cls(
            records,
            datetime.fromisoformat(min(launch["created_at"] for launch in launches)) if launches else None,
            datetime.fromisoformat(max(stopped)) if stopped else None,
            tasks,
        )


def _last(record: Mapping[str, Any]) -> str:
    """When a shard's last launch stopped; empty without."""
    return str(record["launches"][-1].get("stopped_at") or "")


def past_runs(
    facts: PipelineFacts, *, last: int, session: Any, price: PriceOf = lambda launch: NOTHING
) -> list[PastRun]:
    """The last ``last`` finished runs that left shards' records, newest first.

    What a run's stages took is read only from a run that succeeded and was never cleared; shards' durations from all.

    :param price: of a launch, from its record.
    """
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    query = (
        select(DagRun)
        .where(DagRun.dag_id == facts.dag_id, DagRun.state.in_(("success", "failed")), DagRun.end_date.is_not(None))
        .order_by(DagRun.start_date.desc())
        .limit(last)
    )
    runs = list(session.scalars(query))
    xcoms = _xcoms(facts, [run.run_id for run in runs], session)
    leased_at = _ends(facts, [run.run_id for run in runs], session)
    tasks = _shard_tasks(facts, [run.run_id for run in runs], session)
    found = [_past_run(facts, run, xcoms.get(run.run_id, {}), leased_at, tasks, price) for run in runs]
    return [run for run in found if any(work.shards for work in run.variants.values())]


def existing_runs(facts: PipelineFacts, from_date: datetime, to_date: datetime, session: Any) -> int:
    """How many runs of these logical dates, or partition dates, there are already."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    when = func.coalesce(DagRun.partition_date, DagRun.logical_date)
    query = select(func.count()).where(DagRun.dag_id == facts.dag_id, when.between(from_date, to_date))
    return int(session.scalar(query))


def _past_run(
    facts: PipelineFacts,
    run: Any,
    xcoms: Mapping[str, Sequence[Any]],
    leased_at: Mapping[tuple[str, str], datetime],
    shard_tasks: Mapping[tuple[str, str], Sequence[_ShardTask]],
    price: PriceOf = lambda launch: NOTHING,
) -> PastRun:
    lanes = {
        variant: _Lane.of(
            [record for task_id in tasks for record in shard_records(xcoms.get(task_id, ())) if _is_record(record)],
            shard_tasks.get((run.run_id, variant), ()),
        )
        for variant, tasks in facts.variants.items()
    }
    ends = [lane.stopped for lane in lanes.values() if lane.stopped]
    seen_ends = [
        lane.stopped + timedelta(seconds=lane.detection_lag_seconds) for lane in lanes.values() if lane.stopped
    ]
    whole = run.state == "success" and not run.clear_number and ends and max(ends) <= run.end_date
    variants = {}
    for name, lane in lanes.items():
        seen = lane.detection_lag_seconds if whole else 0.0
        shards = {str(record["shard"]): _samples(record, seen, price) for record in lane.records}
        before, handover, services = None, 0.0, Services()
        if whole and lane.created and lane.stopped and lane.created >= run.start_date:
            before = (lane.created - run.start_date).total_seconds()
            handover = min(before, (lane.created - (lane.handed_at or lane.created)).total_seconds())
            held = next(iter(xcoms.get(task_in(name, "scale_down"), ())), None)
            lead = lane.created - leased_at.get((run.run_id, task_in(name, "scale_up")), lane.created)
            services = _services(held, (lane.stopped - lane.created).total_seconds() + seen, lead.total_seconds())
        if lane.records:
            variants[name] = PastVariant(shards, before, services, max(0.0, handover), len(lane.tasks))
    return PastRun(
        run.run_id,
        variants,
        after_seconds=max(0.0, (run.end_date - max(seen_ends)).total_seconds()) if whole else None,
        start=run.start_date.timestamp(),
        seconds=(run.end_date - run.start_date).total_seconds(),
        partial=bool((run.conf or {}).get("shards")),
    )


def _is_record(value: Any) -> bool:
    """Whether it is of a shard that succeeded, and says how long that took."""
    return value.get("outcome") == "succeeded" and bool(_samples(value))


def _samples(
    record: Mapping[str, Any], detection_lag_seconds: float = 0.0, price: PriceOf = lambda launch: NOTHING
) -> tuple[LaunchSample, ...]:
    """The launches that ran; those without a time started nothing."""
    return tuple(
        _sample(launch, detection_lag_seconds, price(launch))
        for launch in record.get("launches", ())
        if launch.get("created_at") and launch.get("stopped_at")
    )


def _sample(launch: Mapping[str, Any], detection_lag_seconds: float, price: Price) -> LaunchSample:
    created, stopped = (datetime.fromisoformat(launch[key]) for key in ("created_at", "stopped_at"))
    started = datetime.fromisoformat(launch["started_at"]) if launch.get("started_at") else stopped
    used = Usage.from_dict(launch)
    return LaunchSample(
        start_seconds=max(0.0, (started - created).total_seconds()),
        run_seconds=max(0.0, (stopped - started).total_seconds()),
        vcpus=launch.get("cpu", 0) / 1024,
        used=replace(used, usd=price.of(used)),
        detection_lag_seconds=detection_lag_seconds,
    )


def _services(held: Any, shards_seconds: float, lead_seconds: float) -> Services:
    """From the XCom of scale_down: what was held, and how long before and after the shards."""
    rows = [row for row in (held or {}).get("held", ()) if row.get("seconds")]
    if not rows:
        return Services()
    lead = max(0.0, lead_seconds)
    return Services(
        vcpus=sum(_size(row["vcpu_seconds"] / row["seconds"]) for row in rows),
        gigabytes=sum(_size(row["gb_seconds"] / row["seconds"]) for row in rows),
        lead_seconds=lead,
        tail_seconds=max(0.0, max(row["seconds"] for row in rows) - lead - shards_seconds),
    )


def _size(quotient: float) -> float:
    """Fargate's sizes are multiples of a quarter vCPU and half a GB; the seconds in an XCom are rounded."""
    return round(4 * quotient) / 4


def _xcoms(facts: PipelineFacts, run_ids: Sequence[str], session: Any) -> dict[str, dict[str, list[Any]]]:
    """run id -> task id -> the values of its return_value, more than one when it is mapped."""
    from airflow.models.xcom import XComModel
    from airflow.sdk.execution_time.xcom import XCom
    from sqlalchemy import select

    wanted = [task_id for tasks in facts.variants.values() for task_id in tasks]
    wanted += [task_in(variant, "scale_down") for variant in facts.variants]
    values: dict[str, dict[str, list[Any]]] = {}
    for some in _batches(wanted):
        rows = session.execute(
            select(XComModel.run_id, XComModel.task_id, XComModel.value)
            .where(XComModel.dag_id == facts.dag_id, XComModel.key == "return_value")
            .where(XComModel.run_id.in_(run_ids), XComModel.task_id.in_(some))
            .order_by(XComModel.map_index)
        )
        for row in rows:
            try:
                value = XCom.deserialize_value(row)
            except Exception as error:  # whatever a custom XCom backend raises: one record less to learn from
                log.warning("The XCom of %s in %s cannot be read: %r", row.task_id, row.run_id, error)
                continue
            values.setdefault(row.run_id, {}).setdefault(row.task_id, []).append(value)
    return values


def _ends(facts: PipelineFacts, run_ids: Sequence[str], session: Any) -> dict[tuple[str, str], datetime]:
    """(run id, task id) -> when it ended, of the tasks that take the leases."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    rows = session.execute(
        select(TaskInstance.run_id, TaskInstance.task_id, TaskInstance.end_date).where(
            TaskInstance.dag_id == facts.dag_id,
            TaskInstance.run_id.in_(run_ids),
            TaskInstance.task_id.in_([task_in(variant, "scale_up") for variant in facts.variants]),
            TaskInstance.end_date.is_not(None),
        )
    )
    return {(row.run_id, row.task_id): row.end_date for row in rows}


def _shard_tasks(facts: PipelineFacts, run_ids: Sequence[str], session: Any) -> dict[tuple[str, str], list[_ShardTask]]:
    """(run id, variant) -> the tasks of its shards that have begun."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    found: dict[tuple[str, str], list[_ShardTask]] = {}
    for variant, task_ids in facts.variants.items():
        for some in _batches(task_ids):
            rows = session.execute(
                select(TaskInstance.run_id, TaskInstance.state, TaskInstance.start_date, TaskInstance.end_date).where(
                    TaskInstance.dag_id == facts.dag_id,
                    TaskInstance.run_id.in_(run_ids),
                    TaskInstance.task_id.in_(some),
                    TaskInstance.start_date.is_not(None),
                )
            )
            for row in rows:
                task = _ShardTask(row.state, row.start_date, row.end_date)
                found.setdefault((row.run_id, variant), []).append(task)
    return found


def _batches(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[start : start + _TASKS_A_QUERY] for start in range(0, len(names), _TASKS_A_QUERY))
