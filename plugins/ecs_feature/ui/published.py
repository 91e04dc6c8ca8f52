"""Whose files are current: what the runs of a partition have published, in the order in which they did."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from airflow.models.dag import DagModel
from sqlalchemy import select

from ecs_feature.exceptions import SelectionError
from ecs_feature.partitions.runs import Partitioning, partition_of
from ecs_feature.results.cells import MISSING, PUBLISHED, RAN, STALE, Cells, previous_of
from ecs_feature.results.versions import ROLLBACK_DAG, Move, rolled_back
from ecs_feature.ui import queries
from ecs_feature.ui.lanes import RunCells
from ecs_feature.ui.pipelines import Lane, Pipelines

_WIDTHS: Final = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=31),
}


@dataclass(frozen=True)
class Publication:
    """What a run has published of one lane.

    :param prefix: of the manifest; empty: not known.
    :param previous: the version that it went on from; 0: it was the first; None: not known.
    """

    version: int
    run_id: str
    shards: Sequence[str]
    prefix: str = ""
    previous: int | None = None


def partition_name(run: Any, partitioning: Partitioning) -> str:
    """The key of a run's partition, as far as the run's own row has it; else when it was due."""
    try:
        key = partition_of(run, partitioning).key
    except SelectionError:
        key = ""
    return key or run.partition_key or run.run_after.strftime("%Y-%m-%d %H:%M")


def kin_of(session: Any, pipelines: Pipelines, runs: Sequence[Any], partitions: Collection[str]) -> list[Any]:
    """The other runs of these partitions."""
    width = _WIDTHS.get(pipelines.partitioning.grain, timedelta())
    found, names = queries.kin_of(session, pipelines.dag_id, runs, width), frozenset(partitions)
    return [run for run in found if partition_name(run, pipelines.partitioning) in names]


def marked(session: Any, pipelines: Pipelines, runs: Sequence[Any], found: Mapping[str, RunCells]) -> dict[str, str]:
    """Mark the cells whose published file is not this run's any more; the partitions by run id."""
    partitions = {
        run.run_id: found[run.run_id].partition or partition_name(run, pipelines.partitioning) for run in runs
    }
    kin = kin_of(session, pipelines, runs, partitions.values())
    others = {run.run_id: partition_name(run, pipelines.partitioning) for run in kin}
    publishes = [lane.publish for lane in pipelines.lanes if lane.publish]
    left = queries.by_task(queries.xcoms(session, kin, task_ids=publishes))
    moves = moves_back(session) if publishes else []
    written = queries.written_at(session, [*runs, *kin], publishes) if moves else {}
    for lane in pipelines.lanes:
        members: dict[str, list[str]] = {}
        for run in runs:
            members.setdefault(partitions[run.run_id], []).append(run.run_id)
        theirs: dict[str, list[Publication]] = {}
        for run_id, name in others.items():
            if (xcom := left.get((run_id, lane.publish))) is not None and isinstance(xcom.value, dict):
                theirs.setdefault(name, []).append(publication(run_id, xcom.value))
        for name, run_ids in members.items():
            if len(run_ids) + len(theirs.get(name, ())) < 2 and not moves:
                continue  # the usual case: a partition has one run
            published = [*theirs.get(name, ()), *(_of_cells(found[run_id], lane, run_id) for run_id in run_ids)]
            current = owners(in_force(published, moves, lane, written))
            for run_id in run_ids:
                _overlay(found[run_id].lanes.get(lane.name), current, run_id)
    return partitions


def publication(run_id: str, value: Mapping[str, Any]) -> Publication:
    """From the XCom of a publish."""
    shards = [str(name) for name in value.get("shards") or ()]
    version, prefix = int(value.get("version") or 0), prefix_of(value.get("manifest_uri"))
    return Publication(version, run_id, shards, prefix, previous_of(value))


def prefix_of(manifest_uri: Any) -> str:
    return str(manifest_uri or "").rpartition("/manifest/")[0]


def moves_back(session: Any) -> list[Move]:
    """The moves of pointers to earlier versions that are on record in Airflow."""
    return [move for value in queries.last_values(session, ROLLBACK_DAG) if (move := rolled_back(value)) is not None]


def can_move_back(session: Any) -> bool:
    """Whether this Airflow has the DAG that makes another version current."""
    query = select(DagModel.dag_id).where(DagModel.dag_id == ROLLBACK_DAG, ~DagModel.is_stale)
    return session.scalar(query) is not None


def in_force(
    published: Iterable[Publication], moves: Iterable[Move], lane: Lane, written: Mapping[tuple[str, str], Any]
) -> list[Publication]:
    """The publications that the current version is made of, in order; each merges what is current then.

    :param written: (run id, task id) -> when the XCom of a publish was written.
    """
    ordered = sorted((each for each in published if each.version), key=lambda each: each.version)
    prefixes = {each.prefix for each in ordered if each.prefix}
    back = sorted((move for move in moves if move.prefix in prefixes), key=lambda move: move.at)
    at = {each.run_id: written.get((each.run_id, lane.publish)) for each in ordered}
    chain: list[Publication] = []
    chains: dict[int, list[Publication]] = {}

    def made_of(version: int) -> list[Publication]:
        """A version is made of what it was made of when it was published, also after a way back and forth."""
        return chains.get(version, [one for one in chain if one.version <= version])

    for each in ordered:
        moment = at[each.run_id]
        while back and moment is not None and back[0].at <= moment:
            chain = made_of(back.pop(0).version)
        if each.previous is not None:  # also where the pointer was moved outside Airflow meanwhile
            chain = made_of(each.previous)
        chain = chains[each.version] = [*chain, each]
    for move in back:
        chain = made_of(move.version)
    return chain


def owners(published: Iterable[Publication]) -> dict[str, str]:
    """Shard -> the run whose file of it is current."""
    return {shard: each.run_id for each in published for shard in each.shards}


def _of_cells(found: RunCells, lane: Lane, run_id: str) -> Publication:
    name = lane.name
    return Publication(
        found.versions.get(name, 0),
        run_id,
        found.published(name),
        found.prefixes.get(name, ""),
        found.previous.get(name),
    )


def _overlay(cells: Cells | None, current: Mapping[str, str], run_id: str) -> None:
    if cells is None:
        return
    for at, (name, code) in enumerate(zip(cells.shards, cells.codes, strict=True)):
        if code not in (PUBLISHED, MISSING):
            continue
        owner = current.get(name)
        if owner is not None and owner != run_id:
            cells.codes[at] = STALE
        elif owner is None and code == PUBLISHED:
            cells.codes[at] = RAN
