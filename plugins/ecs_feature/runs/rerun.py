"""Chosen shards of a finished run, cleared with what follows them: the same as clearing them in the Grid.

``airflow`` has no client for its REST API, so this does what the API's clearTaskInstances does, with the same functions
of Airflow, on the metadata database that ``airflow tasks clear`` needs too. That command cannot do it: it takes one
regular expression, which also matches a shard whose name only begins like the one that is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ecs_feature.estimates.facts import dag_of, shard_tasks
from ecs_feature.exceptions import SelectionError
from ecs_feature.partitions.runs import Partitioning, partition_of
from ecs_feature.runs.run_shards import Run, RunShard, chosen

PLAN: Final = "FeaturePlanOperator"
GOING_ON: Final = frozenset({"running", "deferred", "queued", "scheduled", "restarting", "up_for_reschedule"})
"""States of a task that clearing would stop, or that is about to start."""
_SHOWN: Final = 20


@dataclass(frozen=True)
class Rerun:
    """What would be cleared.

    :param shards: of the run, in its order.
    :param inputs: ids of the tasks that bring the raw data and find the shards.
    :param others: ids of what else runs again: setups, and what comes after the shards.
    :param paused: whether the DAG is: its runs stay queued then.
    :param count: of task instances in all.
    :param has_input: whether the pipeline has a task that brings the raw data.
    """

    dag_id: str
    run_id: str
    logical_date: datetime | None
    shards: Sequence[RunShard]
    inputs: Sequence[str]
    others: Sequence[str]
    paused: bool
    count: int
    has_input: bool
    _markers: Sequence[str | tuple[str, int]] = field(repr=False, default=())

    def lines(self) -> list[str]:
        """What the user is told before."""
        when = f", logical date {self.logical_date.isoformat()}" if self.logical_date else ""
        said = [
            f"Run {self.run_id} of DAG {self.dag_id}{when}",
            f"  shards     {_listed([shard.label for shard in self.shards])}",
            *([f"  input      {_listed(self.inputs)}"] if self.inputs else []),
            f"  with them  {_listed(self.others)}",
        ]
        if self.has_input and not self.inputs:
            said.append("  The shards read the raw data that is there; --fresh-input brings it anew.")
        if self.paused:
            said.append(f"  The DAG is paused, so nothing runs before: airflow dags unpause {self.dag_id}")
        return said

    def clear(self) -> None:
        """Clear them; the run is queued again.

        :raises SelectionError: one has started meanwhile.
        """
        from airflow.utils.retries import run_with_db_retries

        for attempt in run_with_db_retries():
            with attempt:
                self._clear()

    def _clear(self) -> None:
        from airflow.models.taskinstance import clear_task_instances
        from airflow.utils.session import create_session

        with create_session() as session:
            instances = _instances(self.dag_id, self.run_id, self._markers, session)
            _check_at_rest(instances)
            clear_task_instances(instances, session)
            for instance in instances:
                # Airflow keeps the old end of a task that ends in the triggerer, and its duration would be below 0.
                instance.end_date = instance.duration = None


def rerun_of(
    dag_id: str,
    run_id: str,
    *,
    shards: Iterable[str] | None = None,
    variants: Iterable[str] | None = None,
    fresh_input: bool = False,
) -> Rerun:
    """What a rerun would clear.

    :param shards: names, or ``variant/name``; None: all that the run has computed.
    :param variants: names; None: all.
    :param fresh_input: with the task that brings the raw data. The one that finds the shards only runs again with all
        of them: a list with other names would give the chosen map indexes to other shards.
    :raises SelectionError: for an unknown DAG, run, shard or variant, one that the run left out, no task that brings
        input, and a task that is still going on.
    """
    from airflow.models.dag import DagModel
    from airflow.models.taskinstance import find_relevant_relatives
    from airflow.utils.session import create_session
    from sqlalchemy import select

    run, names = Run(dag_id, run_id), list(shards or ())
    mine = _chosen(run, names, list(variants or ()))
    plain = {shard.task_id for shard in mine if shard.map_index < 0}
    mapped = {(shard.task_id, shard.map_index) for shard in mine if shard.map_index >= 0}
    with create_session() as session:
        dag, dag_run = _dag_of_run(dag_id, run_id, session)
        ingests, finds = _inputs(dag, [shard.task_id for shard in mine])
        inputs = [*ingests, *([] if names else finds)] if fresh_input else []
        if fresh_input and not inputs:
            raise SelectionError(
                f"--fresh-input: the pipeline of DAG {dag_id!r} has no ingest that could run again; whatever brings "
                "its raw data has to do so before."
            )
        after = find_relevant_relatives(plain, mapped, dag=dag, run_id=run_id, direction="downstream", session=session)
        markers = [*plain, *mapped, *after, *inputs]
        instances = _instances(dag_id, run_id, markers, session)
        _check_at_rest(instances)
        ours = plain | {task_id for task_id, _ in mapped} | set(inputs)
        others = sorted({instance.task_id for instance in instances} - ours)
        return Rerun(
            dag_id,
            run_id,
            dag_run.logical_date,
            mine,
            inputs,
            others,
            bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id))),
            len(instances),
            bool(ingests),
            markers,
        )


def run_of_date(dag_id: str, text: str) -> str:
    """The id of the run of a partition (its key, or its day, in the schedule's time zone), or of a logical date.

    :param text: a partition's key, ``YYYY-MM-DD``, or a moment in ISO 8601.
    :raises SelectionError: there is none, or there are several.
    """
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    moment = _moment(text)
    partitioning = _partitioning(dag_id)
    with create_session() as session:
        runs = session.scalars(select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.run_after)).all()
        named = [(run.run_id, run.logical_date, *_names(run, partitioning)) for run in runs]
    # A key first: an hour's looks like a moment.
    found = [run_id for run_id, _, key, _ in named if key == text]
    found = found or [run_id for run_id, _, _, day in named if day == text]
    found = found or [run_id for run_id, logical_date, _, _ in named if moment and logical_date == moment]
    if not found:
        raise SelectionError(f"--date: DAG {dag_id!r} has no run of {text}; see airflow dags list-runs {dag_id}.")
    if len(found) > 1:
        raise SelectionError(f"--date: DAG {dag_id!r} has {len(found)} runs of {text}; name one, --run {found[-1]}.")
    return str(found[0])


def _partitioning(dag_id: str) -> Partitioning:
    """Of the DAG's pipeline, the first one where there are several; days in UTC for shards without any."""
    given = (arguments.get("partition") for _, arguments in shard_tasks(dag_of(dag_id)))
    return Partitioning.from_dict(next((each for each in given if each is not None), {}))


def _names(run: Any, partitioning: Partitioning) -> tuple[str, str]:
    """The key and the day of a run's partition; empty where it has none."""
    try:
        found = partition_of(run, partitioning)
    except SelectionError:
        return "", ""
    return found.key, found.day


def _moment(text: str) -> datetime | None:
    """:raises SelectionError: for what is neither a date nor a key of a partition."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        if not re.match(r"\d{4}", text):
            raise SelectionError(f"--date: {text!r} is no date; write it as 2013-02-08.") from None
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _chosen(run: Run, names: Sequence[str], variants: Sequence[str]) -> list[RunShard]:
    known = run.shards()
    lanes = {shard.variant for shard in known}
    if unknown := [name for name in variants if not any(_is_lane(name, lane) for lane in lanes)]:
        raise SelectionError(
            f"--variants: {run} has no variant {', '.join(map(repr, unknown))}; choose from {', '.join(sorted(lanes))}."
        )
    mine = [shard for shard in known if not variants or any(_is_lane(name, shard.variant) for name in variants)]
    there = [shard for shard in mine if shard.state != "removed" and not shard.left_out]
    for name in names:
        if chosen(mine, [name], run=str(run), option="--shards") and not _named(there, name):
            raise SelectionError(
                f"--shards: {run} was started without {name!r}, and would leave it out again; start a new run of it "
                "instead, see docs/rerun.md."
            )
    found = [shard for shard in there if not names or any(_named([shard], name) for name in names)]
    if not found:
        raise SelectionError(f"--shards: {run} has computed none; nothing is there to run again.")
    return found


def _named(shards: Iterable[RunShard], name: str) -> bool:
    return any(name in shard.names for shard in shards)


def _is_lane(name: str, lane: str) -> bool:
    """Whether a variant is meant: in a task group its tasks' ids begin with the group's, too."""
    return name in (lane, lane.rpartition(".")[2])


def _inputs(dag: Any, shard_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tasks of these shards' pipelines that bring the raw data, and those that find the shards."""
    prefixes = sorted(
        (task.task_id.removesuffix("plan") for task in dag.task_dict.values() if task.task_type == PLAN),
        key=len,
        reverse=True,
    )
    mine = sorted({next((each for each in prefixes if task_id.startswith(each)), "") for task_id in shard_ids})

    def there(name: str) -> list[str]:
        return [f"{prefix}{name}" for prefix in mine if f"{prefix}{name}" in dag.task_dict]

    return there("ingest"), there("find_shards")


def _dag_of_run(dag_id: str, run_id: str, session: Any) -> tuple[Any, Any]:
    """The DAG as it was for this run, and the run."""
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    dag_run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    dag = DBDagBag(load_op_links=False).get_dag_for_run(dag_run=dag_run, session=session)
    if dag is None:
        raise SelectionError(f"DAG {dag_id!r} as it was for run {run_id!r} is not known to this Airflow any more.")
    return dag, dag_run


def _instances(dag_id: str, run_id: str, markers: Sequence[str | tuple[str, int]], session: Any) -> list[Any]:
    """The task instances that Airflow clears for these task ids: with the setups that they need."""
    dag, _ = _dag_of_run(dag_id, run_id, session)
    return list(dag.clear(task_ids=list(markers), run_id=run_id, dry_run=True, session=session))


def _check_at_rest(instances: Iterable[Any]) -> None:
    """:raises SelectionError: clearing would stop a task that is going on."""
    busy = [instance.task_id for instance in instances if instance.state in GOING_ON]
    if busy:
        raise SelectionError(f"{_listed(busy)} is still going on in this run, and would be stopped; wait for its end.")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
