"""The board: the shards of a DAG's last runs, by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ecs_feature.exceptions import SelectionError
from ecs_feature.partitions.runs import Partitioning, partition_of
from ecs_feature.results.cells import ABSENT, FAILED, MISSING, NOTHING, PUBLISHED, RAN, STALE, Cells
from ecs_feature.shards.names import shard_id
from ecs_feature.ui import queries
from ecs_feature.ui.lanes import RunCells
from ecs_feature.ui.pipelines import Lane, Pipelines, pipelines_of
from ecs_feature.ui.summaries import cells_of

MOST_RUNS: Final = 400
VALUES: Final = ("seconds", "micro_usd", "changed")
MOST_VALUES: Final = 60_000
"""Of a larger board the values are sent only when they are asked for: each costs some two bytes a cell on the wire."""
_WIDTHS: Final = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=31),
}
CLOCKS: Final = timedelta(seconds=5)
"""How far the clocks of Airflow's processes may differ when what has changed is asked for."""
_OK: Final = (PUBLISHED, RAN, STALE, NOTHING)


@dataclass
class Shards:
    """The rows: index by name."""

    names: list[str] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.index:
                self.index[name] = len(self.names)
                self.names.append(name)


def board(
    session: Any,
    dag_id: str,
    *,
    last: int = 30,
    before: str | None = None,
    since: datetime | None = None,
    values: Collection[str] | None = None,
) -> dict[str, Any]:
    """The board; see docs/shards-tab.md for its shape.

    :param last: how many runs.
    :param before: only runs before this one.
    :param since: only the runs in which something has changed since.
    :param values: which of :data:`VALUES` the cells have; None: all, or none where there are many cells.
    """
    at = datetime.now(UTC)
    pipelines = pipelines_of(dag_id, session)
    if not pipelines.lanes:
        return {"dag_id": dag_id, "pipeline": False}
    runs = queries.last_runs(session, dag_id, min(max(last, 1), MOST_RUNS), before)[::-1]
    found = cells_of(session, pipelines, runs)
    partitions = marked(session, pipelines, runs, found)
    shown = runs if since is None else _changed(session, dag_id, runs, partitions, since)
    shards = Shards()
    shards.add(pipelines.shards)
    for run in reversed(runs):
        for cells in found[run.run_id].lanes.values():
            shards.add(cells.shards)
    lanes = _lanes(pipelines, found.values())
    if values is None:
        values = VALUES if len(lanes) * len(shards.names) * len(runs) <= MOST_VALUES else ()
    return {
        "dag_id": dag_id,
        "pipeline": True,
        "at": at.isoformat(),
        "partial": since is not None,
        "values": bool(values),
        "shards": shards.names,
        "gone": _gone(pipelines, shards),
        "lanes": [_lane(lane, found.values(), shards) for lane in lanes],
        "runs": [run_row(run, partitions[run.run_id], found[run.run_id]) for run in shown],
        "cells": {
            lane.name: [columns(found[run.run_id].lanes.get(lane.name), shards, values) for run in shown]
            for lane in lanes
        },
    }


def marked(session: Any, pipelines: Pipelines, runs: Sequence[Any], found: Mapping[str, RunCells]) -> dict[str, str]:
    """Mark the stale cells; the partitions by run id."""
    partitions = {
        run.run_id: found[run.run_id].partition or partition_name(run, pipelines.partitioning) for run in runs
    }
    make_stale(session, pipelines, runs, partitions, found)
    return partitions


def partition_name(run: Any, partitioning: Partitioning) -> str:
    """The key of a run's partition, as far as the run's own row has it; else when it was due."""
    try:
        key = partition_of(run, partitioning).key
    except SelectionError:
        key = ""
    return key or run.partition_key or run.run_after.strftime("%Y-%m-%d %H:%M")


def run_row(run: Any, partition: str, found: RunCells) -> dict[str, Any]:
    """A run, as the board has it."""
    codes = [code for cells in found.lanes.values() for code in cells.codes]
    return {
        "run_id": run.run_id,
        "partition": partition,
        "run_type": str(run.run_type),
        "state": run.state,
        "start": queries.iso(run.start_date),
        "end": queries.iso(run.end_date),
        "run_after": queries.iso(run.run_after),
        "active": queries.is_active(run),
        "usd": found.usd,
        "ok": sum(codes.count(code) for code in _OK),
        "failed": codes.count(FAILED),
        "url_partition": run.partition_key,
    }


def make_stale(
    session: Any,
    pipelines: Pipelines,
    runs: Sequence[Any],
    partitions: Mapping[str, str],
    found: Mapping[str, RunCells],
) -> None:
    """Mark the cells whose shard another run of the same partition has published since."""
    kin = kin_of(session, pipelines, runs, partitions.values())
    others = {run.run_id: partition_name(run, pipelines.partitioning) for run in kin}
    publishes = [lane.publish for lane in pipelines.lanes if lane.publish]
    left = queries.by_task(queries.xcoms(session, kin, task_ids=publishes))
    for lane in pipelines.lanes:
        groups: dict[str, list[tuple[int, str, Sequence[str]]]] = {}
        for run_id, name in others.items():
            xcom = left.get((run_id, lane.publish))
            if xcom is not None and isinstance(xcom.value, dict):
                groups.setdefault(name, []).append(published_by(run_id, xcom.value))
        members: dict[str, list[str]] = {}
        for run in runs:
            members.setdefault(partitions[run.run_id], []).append(run.run_id)
        for name, run_ids in members.items():
            published = groups.get(name, [])
            if len(run_ids) + len(published) < 2:
                continue  # the usual case: a partition has one run
            published += [
                (found[run_id].versions.get(lane.name, 0), run_id, found[run_id].published(lane.name))
                for run_id in run_ids
            ]
            published.sort(key=lambda one: one[0])
            current = {shard: run_id for _, run_id, shards in published for shard in shards}
            for run_id in run_ids:
                _overlay(found[run_id].lanes.get(lane.name), current, run_id)


def kin_of(session: Any, pipelines: Pipelines, runs: Sequence[Any], partitions: Collection[str]) -> list[Any]:
    """The other runs of these partitions."""
    width = _WIDTHS.get(pipelines.partitioning.grain, timedelta())
    found, names = queries.kin_of(session, pipelines.dag_id, runs, width), frozenset(partitions)
    return [run for run in found if partition_name(run, pipelines.partitioning) in names]


def published_by(run_id: str, value: Mapping[str, Any]) -> tuple[int, str, Sequence[str]]:
    """The version, the run and the shards, from the XCom of its publish."""
    return int(value.get("version") or 0), run_id, [str(name) for name in value.get("shards") or ()]


def _overlay(cells: Cells | None, current: Mapping[str, str], run_id: str) -> None:
    if cells is None or all(owner == run_id for owner in current.values()):
        return
    for at, (name, code) in enumerate(zip(cells.shards, cells.codes, strict=True)):
        if code in (PUBLISHED, MISSING) and current.get(name, run_id) != run_id:
            cells.codes[at] = STALE


def _changed(
    session: Any, dag_id: str, runs: Sequence[Any], partitions: Mapping[str, str], since: datetime
) -> list[Any]:
    """The runs that changed, and their kin: what one publishes can make another's cells stale."""
    after = since - CLOCKS
    ids = queries.changed_runs(session, dag_id, [run.run_id for run in runs], after)
    ids |= {run.run_id for run in runs if queries.is_active(run) or (run.updated_at and run.updated_at > after)}
    names = {partitions[run_id] for run_id in ids}
    return [run for run in runs if partitions[run.run_id] in names]


def _lanes(pipelines: Pipelines, found: Iterable[RunCells]) -> list[Lane]:
    """The pipeline's, then those that only older runs have."""
    known = {lane.name: lane for lane in pipelines.lanes}
    for each in found:
        for name, cells in each.lanes.items():
            known.setdefault(name, Lane(name, mapped=f"{name}.shard" if cells.map is not None else ""))
    return list(known.values())


def _lane(lane: Lane, found: Iterable[RunCells], shards: Shards) -> dict[str, Any]:
    tasks: list[str | None] = [lane.mapped]
    if not lane.mapped:
        known = dict(lane.tasks)
        for each in found:
            cells = each.lanes.get(lane.name)
            for name in cells.shards if cells is not None else ():
                if name not in known:
                    known[name] = each.tasks.get(lane.name, {}).get(name) or lane.task(f"shards.{shard_id(name)}")
        tasks = [known.get(name) for name in shards.names]
    return {
        "lane": lane.name,
        "group": lane.group,
        "variant": lane.variant,
        "mapped": bool(lane.mapped),
        "tasks": tasks,
    }


def _gone(pipelines: Pipelines, shards: Shards) -> list[int]:
    """Shards that the newest version of the DAG does not name; what is found at run time is never gone."""
    if any(lane.mapped for lane in pipelines.lanes):
        return []
    return list(range(len(pipelines.shards), len(shards.names)))


def columns(cells: Cells | None, shards: Shards, values: Collection[str]) -> dict[str, Any] | None:
    """The cells in the order of the board's shards; None: the run has none of this lane."""
    if cells is None or not cells.shards:
        return None
    count = len(shards.names)
    if cells.shards == shards.names:
        return _columns(cells, range(count), count, values, same=True)
    return _columns(cells, [shards.index[name] for name in cells.shards], count, values, same=False)


def _columns(cells: Cells, at: Sequence[int], count: int, values: Collection[str], *, same: bool) -> dict[str, Any]:
    def placed(values: Sequence[Any], missing: Any = None) -> list[Any]:
        if same:
            return list(values)
        row = [missing] * count
        for index, value in zip(at, values, strict=True):
            row[index] = value
        return row

    row = {
        "states": "".join(placed(cells.codes, ABSENT)),
        **{name: placed(getattr(cells, name)) for name in VALUES if name in values},
        "relaunched": [at[index] for index in cells.relaunched],
        "tries": {str(at[index]): tries for index, tries in cells.tries.items()},
    }
    if cells.map is not None and (not same or cells.map != list(range(count))):
        row["map"] = placed(cells.map)
    return row
