"""All pipelines of this Airflow, a line each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Final

from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import String, cast, func, select

from ecs_feature.services.snapshot import SEEN_BY, newest
from ecs_feature.ui import queries
from ecs_feature.ui.holders import dags_of, told
from ecs_feature.ui.pipelines import PLAN, Pipelines, pipelines_of_all
from ecs_feature.ui.published import partition_name
from ecs_feature.ui.summaries import cells_of

DAYS: Final = 30
_RUNS_SEEN: Final = 5
"""In so many of a DAG's last runs it is looked for what services were seen."""
MOST_READ: Final = 10_000
"""Records of shards that are read for what runs have cost so far; each takes some 0.1 ms."""
_JANITOR: Final = "EcsJanitorOperator"
_OK: Final = ("success", "skipped")
_FAILED: Final = ("failed", "upstream_failed")


def overview(session: Any, allowed: Callable[[Iterable[str]], Sequence[str]]) -> dict[str, Any]:
    """The pipelines, see docs/shards-tab.md.

    :param allowed: which of some DAGs the user may read.
    """
    now = datetime.now(UTC)
    of_ours = _dags_with(session, (PLAN, _JANITOR))
    readable = set(allowed(of_ours))
    with_plan = sorted(readable & {dag_id for dag_id, names in of_ours.items() if PLAN in names})
    dags = [found for found in pipelines_of_all(with_plan, session).values() if found.lanes]
    ids = [dag.dag_id for dag in dags]
    runs = _runs(session, ids, now - timedelta(days=DAYS))
    models = {
        row.dag_id: row
        for row in session.execute(
            select(DagModel.dag_id, DagModel.is_paused, DagModel.next_dagrun_create_after).where(
                DagModel.dag_id.in_(ids)
            )
        )
    }
    janitors = [dag_id for dag_id, names in of_ours.items() if _JANITOR in names and dag_id in readable]
    last = [run for mine in runs.values() for run in sorted(mine, key=_begun)[-_RUNS_SEEN:]]
    last += [run for dag_id in janitors for run in queries.newest_runs(session, dag_id, 1)]
    seen = _seen(session, last)
    if others := dags_of(seen) - readable:
        readable |= set(allowed(others))
    cost, newest_of = _costs(session, dags, runs), {dag_id: max(mine, key=_begun) for dag_id, mine in runs.items()}
    states = queries.states_of(session, list(newest_of.values()))
    rows, room = [], MOST_READ
    for dag in dags:
        mine = runs.get(dag.dag_id, [])
        model, costs = models.get(dag.dag_id), cost.get(dag.dag_id, {})
        so_far, room = _so_far(session, dag, [run for run in mine if queries.is_active(run)], room)
        costs |= {run_id: max(usd, costs.get(run_id) or 0.0) for run_id, usd in so_far.items()}
        names = {name for lane in dag.lanes for name in lane.services}
        today = {run.run_id for run in mine if _begun(run) >= now - timedelta(days=1)}
        rows.append(
            {
                "dag_id": dag.dag_id,
                "paused": bool(model and model.is_paused),
                "dots": [
                    {
                        "run_id": run.run_id,
                        "partition": partition_name(run, dag.partitioning),
                        "state": run.state,
                    }
                    for run in mine
                ],
                "last": _last(dag, newest_of.get(dag.dag_id), states, costs),
                "next": queries.iso(model.next_dagrun_create_after) if model and not model.is_paused else None,
                "services": [
                    told(row, dag.dag_id, [run.run_id for run in mine], [lane.name for lane in dag.lanes], readable)
                    for row in seen
                    if row["name"] in names
                ],
                "today_usd": _sum(costs.get(run_id) for run_id in today),
                "month_usd": _sum(costs.values()),
                "so_far": bool(so_far),
            }
        )
    return {"at": now.isoformat(), "pipelines": rows}


def _dags_with(session: Any, operators: Sequence[str]) -> dict[str, set[str]]:
    """The DAGs whose newest version names these operators: id -> those that it names.

    Serialized DAGs that Airflow has compressed cannot be searched; they are read.
    """
    numbers = select(DagVersion.dag_id, func.max(DagVersion.version_number).label("number")).group_by(DagVersion.dag_id)
    latest = numbers.subquery()
    text = cast(SerializedDagModel._data, String)
    columns = [text.contains(f'"{name}"').label(f"has_{at}") for at, name in enumerate(operators)]
    query = (
        select(SerializedDagModel.dag_id, *columns)
        .join(DagVersion, SerializedDagModel.dag_version_id == DagVersion.id)
        .join(
            latest,
            (latest.c.dag_id == DagVersion.dag_id) & (latest.c.number == DagVersion.version_number),
        )
    )
    rows = {row.dag_id: [getattr(row, f"has_{at}") for at in range(len(operators))] for row in session.execute(query)}
    compressed = pipelines_of_all([dag_id for dag_id, flags in rows.items() if flags[0] is None], session)
    found: dict[str, set[str]] = {}
    for dag_id, flags in rows.items():
        names = {name for name, has in zip(operators, flags, strict=True) if has}
        if dag_id in compressed and compressed[dag_id].lanes:
            names = {PLAN}
        if names:
            found[dag_id] = names
    return found


def _runs(session: Any, dag_ids: Sequence[str], since: datetime) -> dict[str, list[Any]]:
    """The runs since then, the oldest first."""
    found: dict[str, list[Any]] = {}
    if dag_ids:
        for run in queries.runs_since(session, dag_ids, since):
            found.setdefault(run.dag_id, []).append(run)
    return found


def _last(
    dag: Pipelines, run: Any, states: Mapping[int, Mapping[str | None, int]], costs: Mapping[str, float | None]
) -> Any:
    """The last run, and how many of its shards are well and have failed.

    :param run: None: there is none.
    """
    if run is None:
        return None
    counts = states.get(run.id, {})
    return {
        **queries.run_facts(run, partition_name(run, dag.partitioning)),
        "usd": costs.get(run.run_id),
        "ok": sum(counts.get(state, 0) for state in _OK),
        "failed": sum(counts.get(state, 0) for state in _FAILED),
    }


def _costs(
    session: Any, dags: Sequence[Pipelines], runs: Mapping[str, Sequence[Any]]
) -> dict[str, dict[str, float | None]]:
    """DAG -> run id -> what its receipts say that it cost."""
    receipts = {dag.dag_id: {lane.receipt for lane in dag.lanes} for dag in dags}
    asked = {run.id: run for mine in runs.values() for run in mine}
    found: dict[str, dict[str, float | None]] = {}
    for number, task_id, value in queries.returned(session, list(asked.values()), sorted({*chain(*receipts.values())})):
        run, usd = asked[number], cost_of_receipt(value)
        if usd is not None and task_id in receipts[run.dag_id]:
            costs = found.setdefault(run.dag_id, {})
            costs[run.run_id] = round((costs.get(run.run_id) or 0.0) + usd, 6)
    return found


def _so_far(session: Any, dag: Pipelines, runs: Sequence[Any], room: int) -> tuple[dict[str, float], int]:
    """Run id -> what a run that goes on has cost so far, by the records of its shards; and what is left of ``room``.

    :param room: how many records may be read; runs that have more are left out.
    """
    mapped = [lane.mapped for lane in dag.lanes if lane.mapped]
    counted = queries.counts(session, dag.dag_id, [run.run_id for run in runs], mapped)
    some = []
    for run in reversed(runs):
        shards = sum(counted[run.run_id].states.values()) if run.run_id in counted else 0
        if shards <= room:
            some.append(run)
            room -= shards
    cells = cells_of(session, dag, some) if some else {}
    return {run_id: made.usd for run_id, made in cells.items() if made.usd is not None}, room


def cost_of_receipt(value: Any) -> float | None:
    """None where it is not known for any variant."""
    variants = value.get("variants") if isinstance(value, dict) else None
    known = [
        float(variant["cost_usd"])
        for variant in (variants or {}).values()
        if isinstance(variant, dict) and isinstance(variant.get("cost_usd"), int | float)
    ]
    return sum(known) if known else None


def _sum(costs: Iterable[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return round(sum(known), 6) if known else None


def _begun(run: Any) -> datetime:
    begun: datetime = run.start_date or run.run_after
    return begun


def _seen(session: Any, runs: Sequence[Any]) -> list[dict[str, Any]]:
    """What services were seen last in some runs, and who held them; without AWS."""
    if not runs:
        return []
    tasks = session.execute(
        select(TaskInstance.dag_id, TaskInstance.task_id)
        .where(TaskInstance.dag_id.in_({run.dag_id for run in runs}))
        .where(TaskInstance.run_id.in_({run.run_id for run in runs}))
        .where(TaskInstance.operator.in_(SEEN_BY))
        .distinct()
    ).all()
    names = sorted({task.task_id for task in tasks})
    return newest(xcom.value for xcom in queries.xcoms(session, runs, task_ids=names))
