"""What the tab reads from Airflow's tables: columns, not objects, and few queries whatever the number of shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from sqlalchemy import case, func, or_, select, tuple_, union_all

from ecs_feature.shards.records import decoded
from ecs_feature.ui.pipelines import SHARDS

ACTIVE: Final = frozenset({"running", "queued", "restarting"})
MOMENT: Final = func.coalesce(DagRun.partition_date, DagRun.logical_date, DagRun.run_after)
"""By what runs are sorted: a run made late for an early day has that day's place."""
_UNIONS: Final = 8
"""How many runs are asked for in one statement: PostgreSQL compiles one that it takes for costly (``jit_above_cost``),
and with 90 parts of 5,000 rows that took 40 s."""
_SAME_CHANGE: Final = timedelta(seconds=5)
"""The end of a run touches its tasks as well, and Airflow's processes have clocks of their own."""
_RUNS_AT_ONCE: Final = 2000
"""Numbers in one condition; SQLite takes 32,766 (SQLITE_MAX_VARIABLE_NUMBER)."""
_RUN: Final = (
    DagRun.id,
    DagRun.dag_id,
    DagRun.run_id,
    DagRun.run_type,
    DagRun._state.label("state"),
    DagRun.start_date,
    DagRun.end_date,
    DagRun.run_after,
    DagRun.updated_at,
    DagRun.logical_date,
    DagRun.partition_key,
    DagRun.partition_date,
    DagRun.conf,
    MOMENT.label("moment"),
)
_TASK: Final = (
    TaskInstance.run_id,
    TaskInstance.task_id,
    TaskInstance.map_index,
    TaskInstance.state,
    TaskInstance.try_number,
    TaskInstance.start_date,
    TaskInstance.end_date,
    TaskInstance.updated_at,
    TaskInstance._task_display_property_value.label("display_name"),
    TaskInstance._rendered_map_index.label("rendered"),
)


class XCom(NamedTuple):
    """An XCom; its value is decoded."""

    run_id: str
    task_id: str
    map_index: int
    key: str
    value: Any
    timestamp: datetime


def last_runs(session: Any, dag_id: str, limit: int, before: str | None = None) -> list[Any]:
    """The last runs, the newest first.

    :param before: only those that come before this one.
    """
    query = select(*_RUN).where(DagRun.dag_id == dag_id)
    if before is not None:
        first = session.execute(select(MOMENT.label("moment"), DagRun.id).where(_is(dag_id, before))).first()
        if first is not None:
            query = query.where(or_(first.moment > MOMENT, (first.moment == MOMENT) & (DagRun.id < first.id)))
    return list(session.execute(query.order_by(MOMENT.desc(), DagRun.id.desc()).limit(limit)))


def newest_runs(session: Any, dag_id: str, limit: int) -> list[Any]:
    """The runs that were made last, whatever their days."""
    query = select(*_RUN).where(DagRun.dag_id == dag_id).order_by(DagRun.run_after.desc(), DagRun.id.desc())
    return list(session.execute(query.limit(limit)))


def runs_since(session: Any, dag_ids: Sequence[str], since: datetime) -> list[Any]:
    """The runs of some DAGs that were started since then, whatever their days, in the order of their days."""
    started = func.coalesce(DagRun.start_date, DagRun.run_after)
    query = select(*_RUN).where(DagRun.dag_id.in_(dag_ids), started >= since)
    return list(session.execute(query.order_by(MOMENT, DagRun.id)))


def one_run(session: Any, dag_id: str, run_id: str) -> Any:
    """The run; None: there is none."""
    return session.execute(select(*_RUN).where(_is(dag_id, run_id))).first()


def kin_of(session: Any, dag_id: str, runs: Sequence[Any], width: timedelta) -> list[Any]:
    """The other runs that may be of the same partitions: what they have published may be newer.

    :param width: how long a partition is.
    """
    if not runs:
        return []
    moments, keys = [run.moment for run in runs], sorted({run.partition_key for run in runs if run.partition_key})
    same = [MOMENT.between(min(moments) - width, max(moments) + width)]
    same += [DagRun.partition_key.in_(keys)] if keys else []
    query = select(*_RUN).where(DagRun.dag_id == dag_id, or_(*same), DagRun.id.not_in([run.id for run in runs]))
    return list(session.execute(query))


def shard_rows(session: Any, dag_id: str, run_ids: Sequence[str]) -> list[Any]:
    """The shards' task instances of some runs."""
    if not run_ids:
        return []
    query = select(*_TASK).where(
        TaskInstance.dag_id == dag_id, TaskInstance.run_id.in_(run_ids), TaskInstance.operator.in_(SHARDS)
    )
    return list(session.execute(query))


def changed_rows(session: Any, dag_id: str, since: Mapping[str, datetime]) -> list[Any]:
    """The shards' task instances that changed since then, or have more than one try.

    :param since: by run id.
    """
    rows: list[Any] = []
    ids = list(since)
    for start in range(0, len(ids), _UNIONS):
        each = [
            select(*_TASK).where(
                TaskInstance.dag_id == dag_id,
                TaskInstance.run_id == run_id,
                TaskInstance.operator.in_(SHARDS),
                or_(TaskInstance.updated_at > since[run_id], TaskInstance.try_number > 1),
            )
            for run_id in ids[start : start + _UNIONS]
        ]
        rows += session.execute(each[0] if len(each) == 1 else union_all(*each))
    return rows


class Counted(NamedTuple):
    """The shards' task instances of a run, as the database counts them.

    :param states: how many by state.
    :param changed_at: when one has changed last.
    :param again: how many have more than one try.
    """

    states: dict[str | None, int]
    changed_at: datetime
    again: int


def counts(session: Any, dag_id: str, run_ids: Sequence[str], mapped: Sequence[str]) -> dict[str, Counted]:
    """By run id.

    :param mapped: the mapped tasks, which have one that is no shard until they are expanded, or over nothing.
    """
    found: dict[str, Counted] = {}
    if not run_ids:
        return found
    again = func.sum(case((TaskInstance.try_number > 1, 1), else_=0))
    query = (
        select(TaskInstance.run_id, TaskInstance.state, func.count(), func.max(TaskInstance.updated_at), again)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id.in_(run_ids), TaskInstance.operator.in_(SHARDS))
        .where(or_(TaskInstance.map_index >= 0, TaskInstance.task_id.not_in(mapped)))
        .group_by(TaskInstance.run_id, TaskInstance.state)
    )
    for run_id, state, count, changed_at, more in session.execute(query):
        known = found.get(run_id, Counted({}, datetime.min.replace(tzinfo=UTC), 0))
        known.states[state] = count
        changed_at = changed_at or known.changed_at
        found[run_id] = Counted(known.states, max(known.changed_at, changed_at), known.again + int(more or 0))
    return found


def states_of(session: Any, runs: Sequence[Any]) -> dict[int, dict[str | None, int]]:
    """By the run's number (``id``): how many of its shards are in which state; the runs may be of many DAGs."""
    found: dict[int, dict[str | None, int]] = {}
    if not runs:
        return found
    ids = {(run.dag_id, run.run_id): run.id for run in runs}
    query = (
        select(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.state, func.count())
        .where(tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(list(ids)), TaskInstance.operator.in_(SHARDS))
        .group_by(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.state)
    )
    for dag_id, run_id, state, count in session.execute(query):
        found.setdefault(ids[dag_id, run_id], {})[state] = count
    return found


def returned(session: Any, runs: Sequence[Any], task_ids: Sequence[str]) -> Iterator[tuple[int, str, Any]]:
    """What some tasks returned in runs of many DAGs: the run's number (``id``), task id, value."""
    ids = [run.id for run in runs]
    for first in range(0, len(ids) if task_ids else 0, _RUNS_AT_ONCE):
        query = select(XComModel.dag_run_id, XComModel.task_id, XComModel.value).where(
            XComModel.dag_run_id.in_(ids[first : first + _RUNS_AT_ONCE]),
            XComModel.task_id.in_(task_ids),
            XComModel.key == "return_value",
        )
        for run, task_id, value in session.execute(query):
            yield run, task_id, decoded(value)


def written_at(session: Any, runs: Sequence[Any], task_ids: Sequence[str]) -> dict[tuple[str, str], datetime]:
    """(run id, task id) -> when its ``return_value`` was written."""
    if not runs or not task_ids:
        return {}
    query = select(XComModel.run_id, XComModel.task_id, XComModel.timestamp).where(
        XComModel.dag_run_id.in_([run.id for run in runs]),
        XComModel.task_id.in_(task_ids),
        XComModel.key == "return_value",
    )
    return {(row.run_id, row.task_id): row.timestamp for row in session.execute(query)}


def tasks_of(session: Any, dag_id: str, run_ids: Sequence[str], task_ids: Iterable[str]) -> list[Any]:
    """Task instances by their ids."""
    wanted = list(task_ids)
    if not wanted or not run_ids:
        return []
    query = select(*_TASK).where(
        TaskInstance.dag_id == dag_id, TaskInstance.run_id.in_(run_ids), TaskInstance.task_id.in_(wanted)
    )
    return list(session.execute(query))


def is_taken(session: Any, dag_id: str, run_id: str, task_id: str, map_index: int) -> bool:
    """Whether a triggerer has the trigger of a deferred task."""
    query = (
        select(Trigger.triggerer_id)
        .join(TaskInstance, TaskInstance.trigger_id == Trigger.id)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        .where(TaskInstance.task_id == task_id, TaskInstance.map_index == map_index)
    )
    return session.scalar(query) is not None


def changed_runs(session: Any, dag_id: str, run_ids: Sequence[str], since: datetime) -> set[str]:
    """Those in which some task has changed since."""
    query = (
        select(TaskInstance.run_id)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id.in_(run_ids), TaskInstance.updated_at > since)
        .distinct()
    )
    return set(session.scalars(query)) if run_ids else set()


def xcoms(
    session: Any,
    runs: Iterable[Any],
    *,
    keys: Sequence[str] = ("return_value",),
    task_ids: Sequence[str] | None = None,
    map_index: int | None = None,
) -> list[XCom]:
    """The XComs of some runs, in the order of their map indexes.

    :param task_ids: only those of these tasks; ``map_index``: only those of this one.
    """
    ids = [run.id for run in runs]
    if not ids or task_ids == []:
        return []
    query = (
        select(*_XCOM)
        .where(XComModel.dag_run_id.in_(ids), XComModel.key.in_(keys))
        .order_by(XComModel.dag_run_id, XComModel.task_id, XComModel.map_index)
    )
    if task_ids is not None:
        query = query.where(XComModel.task_id.in_(task_ids))
    if map_index is not None:
        query = query.where(XComModel.map_index == map_index)
    return _read(session.execute(query))


_XCOM: Final = (
    XComModel.run_id,
    XComModel.task_id,
    XComModel.map_index,
    XComModel.key,
    XComModel.value,
    XComModel.timestamp,
)


def _read(rows: Iterable[Any]) -> list[XCom]:
    return [XCom(row.run_id, row.task_id, row.map_index, row.key, decoded(row.value), row.timestamp) for row in rows]


def last_values(session: Any, dag_id: str, limit: int = 500, since: datetime | None = None) -> list[Any]:
    """What the tasks of a DAG returned last.

    :param since: only what was returned after that; None: at any time.
    """
    query = select(XComModel.value).where(XComModel.dag_id == dag_id, XComModel.key == "return_value")
    if since is not None:
        query = query.where(XComModel.timestamp > since)
    return [decoded(value) for value in session.scalars(query.order_by(XComModel.timestamp.desc()).limit(limit))]


def cells_left(session: Any, rows: Sequence[Any], runs: Iterable[Any]) -> list[XCom]:
    """The ``return_value`` of some shards, and of a few more: of the same tasks and map indexes in these runs."""
    if not rows:
        return []
    task_ids, indexes = sorted({row.task_id for row in rows}), sorted({row.map_index for row in rows})
    query = select(*_XCOM).where(
        XComModel.dag_run_id.in_([run.id for run in runs]),
        XComModel.key == "return_value",
        XComModel.task_id.in_(task_ids),
        XComModel.map_index.in_(indexes),
    )
    return _read(session.execute(query))


def by_task(found: Iterable[XCom]) -> dict[tuple[str, str], XCom]:
    """(run id, task id) -> XCom, of tasks that are not mapped."""
    return {(each.run_id, each.task_id): each for each in found if each.map_index < 0}


def run_facts(run: Any, partition: str) -> dict[str, Any]:
    """What each page says of a run; JSON-safe."""
    return {
        "run_id": run.run_id,
        "partition": partition,
        "run_type": str(run.run_type),
        "state": run.state,
        "start": iso(run.start_date),
        "end": iso(run.end_date),
        "run_after": iso(run.run_after),
        "active": is_active(run),
    }


def is_active(run: Any) -> bool:
    return run.state in ACTIVE


def is_cleared(run: Any, row: Any) -> bool:
    """Whether a task without a state was cleared after its run's row was read: until it starts it waits.

    A run and its tasks are read one after the other, and a clear may come in between; then the run looks ended still.
    """
    if row.state or not row.updated_at or not run.updated_at:
        return False
    return bool(row.updated_at > run.updated_at + _SAME_CHANGE)


def _is(dag_id: str, run_id: str) -> Any:
    return (DagRun.dag_id == dag_id) & (DagRun.run_id == run_id)


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC."""
    return moment.isoformat() if moment else None


def names_in_list(value: Any) -> list[str]:
    """The shards that a find_shards task has left; empty for anything else."""
    return value if isinstance(value, list) and all(isinstance(name, str) for name in value) else []


Values = Mapping[tuple[str, str], XCom]
