"""The board: the shards of a DAG's last runs, by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from zlib import crc32

from ecs_feature.results.cells import ABSENT, FAILED, NOTHING, PUBLISHED, RAN, STALE, Cells
from ecs_feature.shards.names import shard_id
from ecs_feature.ui import queries
from ecs_feature.ui.changes import Place, changed_since, place_of
from ecs_feature.ui.lanes import RunCells
from ecs_feature.ui.pipelines import Lane, Pipelines, pipelines_of
from ecs_feature.ui.published import marked
from ecs_feature.ui.summaries import cells_of

MOST_RUNS: Final = 400
VALUES: Final = ("seconds", "micro_usd", "changed")
MOST_VALUES: Final = 60_000
"""Of a larger board the values are sent only when they are asked for: each costs some two bytes a cell on the wire."""
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


@dataclass
class _Seen:
    """The rows of a board, kept for the next answer: a live update reads only the runs that have changed, and has the
    same rows.

    :ivar window: the DAG's version and the runs that it is of.
    :ivar tasks: lane -> shard -> task id, of named lanes.
    :ivar places: run id -> where it publishes.
    """

    window: tuple[Pipelines, tuple[str, ...]]
    shards: Shards = field(default_factory=Shards)
    lanes: dict[str, Lane] = field(default_factory=dict)
    tasks: dict[str, dict[str, str]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    def add(self, pipelines: Pipelines, found: Sequence[RunCells]) -> None:
        """Add the pipeline's lanes and shards, and then those that only these runs have.

        :param found: the newest run first.
        """
        self.shards.add(pipelines.shards)
        for lane in pipelines.lanes:
            self.lanes.setdefault(lane.name, lane)
            self.tasks.setdefault(lane.name, dict(lane.tasks))
        for run in found:
            for name, cells in run.lanes.items():
                self.shards.add(cells.shards)
                mapped = f"{name}.shard" if cells.map is not None else ""
                lane = self.lanes.setdefault(name, Lane(name, mapped=mapped))
                if lane.mapped or cells.map is not None:
                    continue
                tasks, theirs = self.tasks.setdefault(name, {}), run.tasks.get(name, {})
                for shard in cells.shards:
                    if shard not in tasks:
                        tasks[shard] = theirs.get(shard) or lane.task(f"shards.{shard_id(shard)}")

    def copy(self) -> _Seen:
        """One that may be added to: another request may be reading this one."""
        shards = Shards(list(self.shards.names), dict(self.shards.index))
        tasks = {lane: dict(tasks) for lane, tasks in self.tasks.items()}
        return _Seen(self.window, shards, dict(self.lanes), tasks, dict(self.places))


MOST_SEEN: Final = 64
_seen: dict[tuple[str, int, str | None], _Seen] = {}


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
    window = (pipelines, tuple(run.run_id for run in runs))
    place = (dag_id, last, before)
    earlier = _seen.get(place)
    fresh = earlier is None or earlier.window != window
    known = _Seen(window) if earlier is None or fresh else earlier.copy()

    def changed() -> Sequence[Any]:
        return runs if since is None else changed_since(session, pipelines, runs, since, known.places)

    computed = runs if fresh else changed()
    found = cells_of(session, pipelines, computed)
    partitions = marked(session, pipelines, computed, found)
    known.add(pipelines, [found[run.run_id] for run in reversed(computed)])
    for run in computed:
        made = found[run.run_id]
        known.places[run.run_id] = place_of(run, pipelines, partitions[run.run_id], made.prefixes.values())
    shown = changed() if fresh else computed
    _seen[place] = known
    while len(_seen) > MOST_SEEN:
        _seen.pop(next(iter(_seen)), None)
    shards = known.shards
    if values is None:
        values = VALUES if len(known.lanes) * len(shards.names) * len(runs) <= MOST_VALUES else ()
    return {
        "dag_id": dag_id,
        "pipeline": True,
        "at": at.isoformat(),
        "partial": since is not None,
        "window": f"{crc32(chr(10).join(window[1]).encode()):08x}",
        "values": bool(values),
        "shards": shards.names,
        "gone": _gone(pipelines, shards),
        "lanes": [_lane(lane, known.tasks.get(name, {}), shards) for name, lane in known.lanes.items()],
        "runs": [run_row(run, partitions[run.run_id], found[run.run_id]) for run in shown],
        "cells": {
            name: [
                columns(found[run.run_id].lanes.get(name), shards, values, mapped=bool(lane.mapped)) for run in shown
            ]
            for name, lane in known.lanes.items()
        },
    }


def run_row(run: Any, partition: str, found: RunCells) -> dict[str, Any]:
    """A run, as the board has it."""
    codes = [code for cells in found.lanes.values() for code in cells.codes]
    return {
        **queries.run_facts(run, partition),
        "usd": found.usd,
        "ok": sum(codes.count(code) for code in _OK),
        "failed": codes.count(FAILED),
        "url_partition": run.partition_key,
    }


def _lane(lane: Lane, tasks: Mapping[str, str], shards: Shards) -> dict[str, Any]:
    return {
        "lane": lane.name,
        "group": lane.group,
        "variant": lane.variant,
        "mapped": bool(lane.mapped),
        "tasks": [lane.mapped] if lane.mapped else [tasks.get(name) for name in shards.names],
    }


def _gone(pipelines: Pipelines, shards: Shards) -> list[int]:
    """Shards that the newest version of the DAG does not name; what is found at run time is never gone."""
    if any(lane.mapped for lane in pipelines.lanes):
        return []
    return list(range(len(pipelines.shards), len(shards.names)))


def columns(
    cells: Cells | None, shards: Shards, values: Collection[str], *, mapped: bool = False
) -> dict[str, Any] | None:
    """The cells in the order of the board's shards; None: the run has none of this lane.

    :param mapped: whether the lane is mapped; a run of before, whose shards were named tasks, has no map indexes.
    """
    if cells is None or not cells.shards:
        return None
    count = len(shards.names)
    if cells.shards == shards.names:
        row = _columns(cells, range(count), count, values, same=True)
    else:
        row = _columns(cells, [shards.index[name] for name in cells.shards], count, values, same=False)
    if mapped and cells.map is None:
        row["map"] = [None] * count
    elif "map" in row:
        row["map"] = [None if index is None or index < 0 else index for index in row["map"]]
    return row


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
