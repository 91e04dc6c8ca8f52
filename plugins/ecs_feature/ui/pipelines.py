"""The pipelines of a DAG as the board shows them: lanes, their tasks and shards, from its newest serialized version."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from airflow.models.dag_version import DagVersion
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import func, select

from ecs_feature.estimates.facts import shard_tasks
from ecs_feature.partitions.runs import Partitioning
from ecs_feature.services.leases import SharingPolicy
from ecs_feature.shards import task_in
from ecs_feature.triggerer.references import is_reference, source_of

SHARDS: Final = ("EcsShardOperator", "WorkerShardOperator")
PLAN: Final = "FeaturePlanOperator"
PUBLISH: Final = "FeaturePublishOperator"
_MOST_KEPT: Final = 200_000
"""Tasks of the DAGs that are kept, some 0.3 KB each: hundreds of pipelines, and only a few of thousands of shards."""
_AT_ONCE: Final = 50
"""Serialized DAGs that are read by one query."""


@dataclass(frozen=True)
class Lane:
    """The shards of one variant of one pipeline.

    :param name: what the ids of its tasks begin with: group and variant, either, or nothing.
    :param tasks: shard -> task id, in the pipeline's order; empty when mapped.
    :param mapped: id of its mapped task; empty when its shards are named.
    :param found_by: the task that has found a mapped lane's shards.
    :param publish: id of the task that publishes; empty: nothing is published.
    :param output: template of where it publishes, ``s3://...``; empty: nothing is published.
    :param services: name -> how many of its tasks a run holds; ``policies``: name -> how its leases add up.
    """

    name: str
    group: str = ""
    tasks: Mapping[str, str] = field(default_factory=dict)
    mapped: str = ""
    found_by: str = ""
    publish: str = ""
    output: str = ""
    services: Mapping[str, int] = field(default_factory=dict)
    policies: Mapping[str, SharingPolicy] = field(default_factory=dict)

    @property
    def variant(self) -> str:
        return self.name.removeprefix(self.group).removeprefix(".")

    def task(self, name: str) -> str:
        """The id of one of its tasks, whether it has it or not."""
        return task_in(self.name, name)

    @property
    def receipt(self) -> str:
        return task_in(self.group, "receipt")


@dataclass(frozen=True)
class Pipelines:
    """Those of a DAG.

    :param lanes: in the DAG's order; none: the DAG has no pipeline.
    :param task_ids: of all tasks.
    """

    dag_id: str
    lanes: tuple[Lane, ...] = ()
    partitioning: Partitioning = field(default_factory=Partitioning)
    task_ids: frozenset[str] = frozenset()

    @property
    def shards(self) -> list[str]:
        """The names that the DAG's file has, in its order."""
        return list(dict.fromkeys(name for lane in self.lanes for name in lane.tasks))

    @property
    def lane_by_task(self) -> dict[str, str]:
        """Id of a shard's task -> name of its lane."""
        return {task_id: lane.name for lane in self.lanes for task_id in (lane.mapped, *lane.tasks.values()) if task_id}

    def lane_of(self, task_id: str) -> Lane | None:
        """The lane of a shard's task."""
        mine = (lane for lane in self.lanes if task_id == lane.mapped or task_id in lane.tasks.values())
        return next(mine, None)


class _Kept:
    """What was read from the newest versions of DAGs: the web server is asked for the same ones every few seconds."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Any, Pipelines]] = {}
        self._lock = threading.Lock()

    def get(self, dag_id: str, version: Any) -> Pipelines | None:
        """None: that version was not read, or is not kept any more."""
        with self._lock:
            kept = self._found.pop(dag_id, None)
            if kept is None or kept[0] != version:
                return None
            self._found[dag_id] = kept  # the last one in the order is the last to go
            return kept[1]

    def put(self, version: Any, pipelines: Pipelines) -> None:
        with self._lock:
            self._found.pop(pipelines.dag_id, None)
            self._found[pipelines.dag_id] = (version, pipelines)
            tasks = sum(1 + len(kept.task_ids) for _, kept in self._found.values())
            while tasks > _MOST_KEPT and len(self._found) > 1:
                _, oldest = self._found.pop(next(iter(self._found)))
                tasks -= 1 + len(oldest.task_ids)


_kept = _Kept()


def pipelines_of(dag_id: str, session: Any) -> Pipelines:
    """The DAG's pipelines; without lanes where it has none, or is not known. One small query where it is kept."""
    return pipelines_of_all([dag_id], session)[dag_id]


def pipelines_of_all(dag_ids: Collection[str], session: Any) -> dict[str, Pipelines]:
    """The pipelines of some DAGs, by their ids: one small query where all are kept."""
    found = {dag_id: Pipelines(dag_id) for dag_id in dag_ids}
    if not found:
        return found
    numbers = (
        select(DagVersion.dag_id, func.max(DagVersion.version_number).label("number"))
        .join(SerializedDagModel, SerializedDagModel.dag_version_id == DagVersion.id)
        .where(DagVersion.dag_id.in_(list(dag_ids)))
        .group_by(DagVersion.dag_id)
        .subquery()
    )
    newest = (
        select(SerializedDagModel.dag_id, SerializedDagModel.id, SerializedDagModel.dag_hash)
        .join(DagVersion, SerializedDagModel.dag_version_id == DagVersion.id)
        .join(numbers, (numbers.c.dag_id == DagVersion.dag_id) & (numbers.c.number == DagVersion.version_number))
    )
    missing: dict[Any, Any] = {}
    for row in session.execute(newest):
        version = (row.id, row.dag_hash)
        kept = _kept.get(row.dag_id, version)
        if kept is None:
            missing[row.id] = version
        else:
            found[row.dag_id] = kept
    ids = list(missing)
    for first in range(0, len(ids), _AT_ONCE):
        some = select(SerializedDagModel).where(SerializedDagModel.id.in_(ids[first : first + _AT_ONCE]))
        for serialized in session.scalars(some):
            made = found[serialized.dag_id] = read(serialized.dag)
            _kept.put(missing[serialized.id], made)
            session.expunge(serialized)  # its data is not needed any more
    return found


def read(dag: Any) -> Pipelines:
    """From a serialized DAG."""
    plans = [task.task_id for task in dag.task_dict.values() if task.task_type == PLAN]
    groups = sorted((task_id.removesuffix("plan").removesuffix(".") for task_id in plans), key=len, reverse=True)
    if not plans:
        return Pipelines(dag.dag_id)
    named: dict[str, dict[str, str]] = {}
    mapped: dict[str, tuple[str, str]] = {}
    services: dict[str, Mapping[str, int]] = {}
    policies: dict[str, Mapping[str, SharingPolicy]] = {}
    partitions = []
    for task, arguments in shard_tasks(dag):
        lane = str(arguments.get("record", {}).get("variant", ""))
        tasks, shard = named.setdefault(lane, {}), str(arguments["shard"])
        if task.is_mapped:
            mapped[lane] = (task.task_id, source_of(shard) if is_reference(shard) else "")
        else:
            tasks[shard] = task.task_id
        lease = arguments.get("run_lease") or {}
        services[lane] = lease.get("counts", {})
        policies[lane] = {
            service: policy
            for service, tag in lease.get("policies", {}).items()
            if (policy := SharingPolicy.from_tag(tag)) is not None
        }
        partitions.append(arguments.get("partition"))
    known = dag.task_dict
    lanes = []
    for name, tasks in named.items():
        publish = known.get(task_in(name, "publish"))
        if publish is not None and publish.task_type != PUBLISH:
            publish = None
        task_id, found_by = mapped.get(name, ("", ""))
        lanes.append(
            Lane(
                name,
                next((group for group in groups if _within(name, group)), ""),
                tasks,
                task_id,
                found_by,
                publish.task_id if publish is not None else "",
                str(getattr(publish, "prefix", "")),
                services[name],
                policies[name],
            )
        )
    given: Mapping[str, Any] = next((each for each in partitions if each is not None), {})
    return Pipelines(dag.dag_id, tuple(lanes), Partitioning.from_dict(given), frozenset(known))


def _within(lane: str, group: str) -> bool:
    return not group or lane == group or lane.startswith(f"{group}.")


def shard_of(task_id: str, display_name: str | None, names: Mapping[str, str]) -> str:
    """The name of a named shard's task, also of one that the DAG does not have any more.

    :param names: task id -> name, of those that it has.
    """
    known = names.get(task_id)
    if known is not None:
        return known
    return display_name if display_name and display_name != task_id else task_id.rpartition(".")[2]


def lane_name(task_id: str) -> str:
    """The lane of a shard's task that the DAG does not have any more: ``[lane.]shards.ID`` or ``[lane.]shard``."""
    head, _, last = task_id.rpartition(".")
    if last == "shard" and not head.endswith("shards"):
        return head
    return head.removesuffix("shards").removesuffix(".")


def names_of(lanes: Sequence[Lane]) -> dict[str, str]:
    """Task id -> shard."""
    return {task_id: name for lane in lanes for name, task_id in lane.tasks.items()}
