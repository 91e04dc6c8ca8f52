"""The shards of one run: their states and records from Airflow's metadata database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from ecs_feature.aws.resources import EcsTask
from ecs_feature.estimates.facts import ON_WORKER, dag_of, shard_tasks
from ecs_feature.exceptions import EcsFeatureError, SelectionError
from ecs_feature.shards.records import shard_record
from ecs_feature.tasks.launch import started_by
from ecs_feature.tasks.outcomes import Kind
from ecs_feature.triggerer.references import is_reference, look_up

ENDED_STATES: Final = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
FAILED_STATES: Final = frozenset({"failed", "up_for_retry"})
_GOOD: Final = frozenset({Kind.SUCCEEDED.value, Kind.SKIPPED.value})
_SHOWN_NAMES: Final = 20


@dataclass(frozen=True)
class RunShard:
    """One shard of a run.

    :param name: the shard's; ``variant``: empty where it has none.
    :param label: what its lines begin with: the name, and the variant where the DAG has several.
    :param state: of its Airflow task.
    :param started_by: RunTask's ``startedBy`` of the current try's tasks.
    :param definition: ARN or family of its task definition; empty when that is not known yet.
    :param launches: the ended ones, oldest first, as in its XCom.
    :param task_id: of its Airflow task; ``map_index``: -1 where it is not mapped.
    """

    name: str
    variant: str
    label: str
    state: str | None
    started_by: str
    cluster: str
    container: str
    definition: str
    outcome: str = ""
    launches: Sequence[Mapping[str, Any]] = ()
    task_id: str = ""
    map_index: int = -1

    @property
    def names(self) -> frozenset[str]:
        """What a user may call it."""
        return frozenset({self.name, self.label, f"{self.variant}/{self.name}"})

    @property
    def left_out(self) -> bool:
        """Whether the run's params have left it out: it was skipped without a container."""
        return self.state == "skipped" and not self.outcome

    @property
    def ended(self) -> bool:
        """Whether there will be no more ECS tasks of it."""
        return self.state in ENDED_STATES

    @property
    def failed(self) -> bool:
        """Whether its last ended try failed; it may run again."""
        return self.state in FAILED_STATES or bool(self.outcome and self.outcome not in _GOOD)

    def last_task(self) -> EcsTask | None:
        """The ECS task of its last ended launch; None when there was none that started."""
        for launch in reversed(self.launches):
            if launch.get("task_arn"):
                return EcsTask(
                    arn=launch["task_arn"],
                    cluster_arn="",
                    task_definition_arn=self.definition,
                    last_status="STOPPED",
                    desired_status="STOPPED",
                    created_at=_moment(launch.get("created_at")),
                    started_at=_moment(launch.get("started_at")),
                    stopped_at=_moment(launch.get("stopped_at")),
                )
        return None


def chosen(
    shards: Sequence[RunShard], names: Sequence[str] | None, *, run: str, option: str = "--shard"
) -> list[RunShard]:
    """Those whose name or label is among ``names``; all without any.

    :param run: the run's name in a sentence.
    :raises SelectionError: for a name that the run does not have.
    """
    if not names:
        return list(shards)
    known = {name for shard in shards for name in shard.names}
    unknown = [name for name in names if name not in known]
    if unknown:
        have = list(dict.fromkeys(shard.name for shard in shards))
        listed = ", ".join(have[:_SHOWN_NAMES]) + (
            f" and {len(have) - _SHOWN_NAMES} more" if len(have) > _SHOWN_NAMES else ""
        )
        raise SelectionError(
            f"{option}: {run} has no shard {', '.join(map(repr, unknown))}; "
            + (f"choose from {listed}." if have else "its shards are not known yet.")
        )
    return [shard for shard in shards if shard.names & set(names)]


@dataclass(eq=False)
class Run:
    """A run whose shards are read again and again.

    :ivar all_found: whether there will be no more shards than the last reading gave.
    :raises SelectionError: for an unknown DAG or run, and a DAG without shards.
    """

    dag_id: str
    run_id: str
    all_found: bool = False
    _tasks: dict[str, tuple[bool, dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dag = dag_of(self.dag_id)
        tasks = shard_tasks(dag)
        if tasks and all(task.task_type == ON_WORKER for task, _ in tasks):
            raise SelectionError(
                f"DAG {self.dag_id!r} runs its shards on workers: their lines are in Airflow's task logs, and "
                "they have no containers of their own."
            )
        self._tasks = {task.task_id: (task.is_mapped, arguments) for task, arguments in tasks}
        if not self._tasks:
            raise SelectionError(f"DAG {self.dag_id!r} has no EcsShardOperator, so there are no containers' logs.")
        self._check_run()

    def __str__(self) -> str:
        return f"run {self.run_id!r} of DAG {self.dag_id!r}"

    @property
    def aws(self) -> Mapping[str, Any]:
        """The connection and region of its shards."""
        _, arguments = next(iter(self._tasks.values()))
        aws: Mapping[str, Any] = arguments["aws"]
        return aws

    def shards(self) -> list[RunShard]:
        """Its shards as they are now; a mapped task's only once they are found."""
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select

        sources = {value.partition("#")[0] for _, arguments in self._tasks.values() for value in _references(arguments)}
        with create_session() as session:
            rows = session.execute(
                select(TaskInstance.id, TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state)
                .where(TaskInstance.dag_id == self.dag_id, TaskInstance.run_id == self.run_id)
                .order_by(TaskInstance.task_id, TaskInstance.map_index)
            ).all()
            values = self._values(session, sources)
        variants = {arguments["record"].get("variant", "") for _, arguments in self._tasks.values()}
        mine = [row for row in rows if row.task_id in self._tasks]
        unexpanded = [row for row in mine if self._tasks[row.task_id][0] and row.map_index < 0]
        self.all_found = all(row.state in ENDED_STATES for row in unexpanded)
        without = {row.id for row in unexpanded}
        return [self._shard(row, values, several=len(variants) > 1) for row in mine if row.id not in without]

    def _shard(self, row: Any, values: Mapping[tuple[str, int], Any], *, several: bool) -> RunShard:
        _, arguments = self._tasks[row.task_id]
        launch, variant = arguments["launch"], arguments["record"].get("variant", "")
        record = shard_record(values.get((row.task_id, row.map_index))) or {}
        index = f"[{row.map_index}]" if row.map_index >= 0 else ""
        name = record.get("shard") or _found(_indexed(arguments["shard"], row.map_index), values)
        name = str(name or f"{row.task_id}{index}")
        return RunShard(
            name=name,
            variant=variant,
            label=f"{variant}/{name}" if several else name,
            state=str(row.state) if row.state is not None else None,
            started_by=started_by(f"{self.dag_id}/{row.id}"),
            cluster=launch["cluster"],
            container=launch["container"],
            definition=str(_found(launch["task_definition"], values) or ""),
            outcome=record.get("outcome", ""),
            launches=record.get("launches", ()),
            task_id=row.task_id,
            map_index=row.map_index,
        )

    def _values(self, session: Any, sources: set[str]) -> dict[tuple[str, int], Any]:
        """(task id, map index) -> what it has returned: the shards' records, and what their arguments refer to."""
        from airflow.models.xcom import XComModel
        from airflow.sdk.execution_time.xcom import XCom
        from sqlalchemy import select

        wanted = set(self._tasks) | {source.removeprefix("xcom://") for source in sources}
        rows = session.execute(
            select(XComModel.task_id, XComModel.map_index, XComModel.value).where(
                XComModel.dag_id == self.dag_id, XComModel.run_id == self.run_id, XComModel.key == "return_value"
            )
        )
        return {(row.task_id, row.map_index): XCom.deserialize_value(row) for row in rows if row.task_id in wanted}

    def _check_run(self) -> None:
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            known = session.scalar(select(DagRun.id).where(DagRun.dag_id == self.dag_id, DagRun.run_id == self.run_id))
            last = session.scalars(
                select(DagRun.run_id).where(DagRun.dag_id == self.dag_id).order_by(DagRun.run_after.desc()).limit(5)
            ).all()
        if known is None:
            raise SelectionError(
                f"DAG {self.dag_id!r} has no run {self.run_id!r}; "
                + (f"its last ones are {', '.join(last)}." if last else "it has none at all.")
            )


def _references(arguments: Mapping[str, Any]) -> list[str]:
    return [value for value in (arguments["shard"], arguments["launch"]["task_definition"]) if is_reference(value)]


def _indexed(shard: str, map_index: int) -> str:
    """A mapped shard's reference to its name, rendered."""
    return shard.replace("{{ ti.map_index }}", str(map_index))


def _found(value: str, values: Mapping[tuple[str, int], Any]) -> Any:
    """A value, or what it refers to; None when that is not there, or for another template."""
    if "{{" in value:
        return None
    try:
        return look_up(value, lambda task_id: values.get((task_id, -1)))
    except EcsFeatureError:
        return None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
