"""The cells of many runs: from the summaries that their receipts have left, and what changed since.

A board of 5,000 shards and 90 runs has 450,000 cells; their records are half a gigabyte. So a run whose receipt has
left its cells is read from there. What is read beside it are the task instances that changed after the receipt, and the
records of those whose state or try is another than in the summary. How many shards are in which state is counted in
the database, and where the sums differ, the summary is not used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from ecs_feature.results.cells import (
    ABSENT,
    BOARD_KEY,
    FAILED,
    FORMAT,
    LEFT_OUT,
    MISSING,
    NOTHING,
    PUBLISHED,
    RAN,
    Cells,
)
from ecs_feature.shards.waits_row import WAITS_KEY
from ecs_feature.ui import queries
from ecs_feature.ui.lanes import Left, RunCells, cells_of_run, cells_of_runs
from ecs_feature.ui.pipelines import Pipelines, lane_name, names_of, shard_of
from ecs_feature.ui.price_table import prices

CLOCKS: Final = timedelta(seconds=5)
"""How far the clocks of Airflow's processes may differ."""
MOST_CHANGED: Final = 300
"""Of a run: with more changed cells, all of it is read."""
_ENDED: Final[Mapping[str, str]] = {
    PUBLISHED: "success",
    RAN: "success",
    NOTHING: "skipped",
    LEFT_OUT: "skipped",
    FAILED: "failed",
    ABSENT: "removed",
}
"""The state that a code of a summary stands for; :data:`MISSING` stands for success, or for none at all."""


@dataclass
class Summary:
    """What a run's receipts have left.

    :ivar at: when the first of them asked for the states.
    """

    cells: RunCells
    at: datetime

    @property
    def again(self) -> int:
        """How many shards had more than one try."""
        return sum(len(cells.tries) for cells in self.cells.lanes.values())


def cells_of(session: Any, pipelines: Pipelines, runs: Sequence[Any]) -> dict[str, RunCells]:
    """By run id."""
    found = _summaries(session, runs)
    mapped = [lane.mapped for lane in pipelines.lanes if lane.mapped]
    counted = queries.counts(session, pipelines.dag_id, list(found), mapped)
    since = {run_id: each.at - CLOCKS for run_id, each in found.items()}
    asked = {
        run_id: since[run_id]
        for run_id, known in counted.items()
        if known.changed_at > since[run_id] or known.again != found[run_id].again
    }
    changed: dict[str, list[Any]] = {}
    for row in queries.changed_rows(session, pipelines.dag_id, asked):
        changed.setdefault(row.run_id, []).append(row)
    made = {}
    by_id = {run.run_id: run for run in runs}
    again: dict[str, list[Any]] = {}
    lanes, names = pipelines.lane_by_task, names_of(pipelines.lanes)
    for run_id, each in found.items():
        places = _Places(each.cells, lanes, names)
        rows = _other_than(places, changed.get(run_id, ()), by_id[run_id])
        if len(rows) <= MOST_CHANGED and _adds_up(places, rows, counted[run_id].states if run_id in counted else {}):
            made[run_id] = each.cells
            again[run_id] = rows
    _bring_up_to_date(session, pipelines, [by_id[run_id] for run_id in made], made, again, since)
    rest = [run for run in runs if run.run_id not in made]
    return {**made, **cells_of_runs(session, pipelines, rest)}


def _summaries(session: Any, runs: Sequence[Any]) -> dict[str, Summary]:
    """By run id; of those that have left what can be read."""
    found: dict[str, Summary] = {}
    for xcom in queries.xcoms(session, runs, keys=(BOARD_KEY,)):
        try:
            read = _read(xcom.value)
        except (KeyError, TypeError, ValueError, AttributeError):
            continue  # of another version of this package, or a task of the user's own with this key
        known = found.setdefault(xcom.run_id, read)
        if known is not read:
            known.at = min(known.at, read.at)
            known.cells.lanes.update(read.cells.lanes)
            known.cells.versions.update(read.cells.versions)
            known.cells.previous.update(read.cells.previous)
            known.cells.prefixes.update(read.cells.prefixes)
            costs = [cost for cost in (known.cells.usd, read.cells.usd) if cost is not None]
            known.cells.usd = round(sum(costs), 6) if costs else None
    return found


def _read(value: Any) -> Summary:
    if value["format"] != FORMAT:
        raise ValueError(value["format"])
    lanes = {str(name): Cells.from_dict(each) for name, each in value["lanes"].items()}
    cells = RunCells(
        {name: each for name, each in lanes.items() if each.shards},
        versions={str(name): int(each["version"]) for name, each in value["lanes"].items()},
        previous={
            str(name): int(last) for name, each in value["lanes"].items() if (last := each.get("previous")) is not None
        },
        prefixes={str(name): str(each.get("prefix") or "") for name, each in value["lanes"].items()},
        usd=value["usd"],
        partition=str(value["partition"] or ""),
    )
    return Summary(cells, datetime.fromisoformat(value["at"]))


@dataclass
class _Places:
    """Where the cells of a run's tasks are in its summary.

    :param lanes: task id -> lane; ``names``: task id -> shard, of those that the DAG has.
    """

    cells: RunCells
    lanes: Mapping[str, str]
    names: Mapping[str, str]
    _index: dict[str, dict[Any, int]] = field(default_factory=dict)

    def code(self, row: Any) -> tuple[str, int] | None:
        """The code and the tries of a task's cell; None: the summary does not have it."""
        lane = self.lanes.get(row.task_id, lane_name(row.task_id))
        mine = self.cells.lanes.get(lane)
        if mine is None:
            return None
        if lane not in self._index:
            self._index[lane] = {key: at for at, key in enumerate(mine.shards if mine.map is None else mine.map)}
        key = row.map_index if row.map_index >= 0 else shard_of(row.task_id, row.display_name, self.names)
        at = self._index[lane].get(key)
        return None if at is None else (mine.codes[at], mine.tries.get(at, 1))


def _other_than(places: _Places, rows: Sequence[Any], run: Any) -> list[Any]:
    """Those of the changed rows whose state or try is another than the summary's."""
    other = []
    for row in rows:
        active = queries.is_active(run) or queries.is_cleared(run, row)
        known = places.code(row)
        if known is None or not _stands_for(known[0], row.state, active=active) or row.try_number > known[1]:
            other.append(row)
    return other


def _stands_for(code: str, state: str | None, *, active: bool) -> bool:
    if code == MISSING:
        return state == "success" or (not state and not active)
    return code in _ENDED and _ENDED[code] == _plain(state)


def _plain(state: str | None) -> str | None:
    return "failed" if state == "upstream_failed" else state or None


def _adds_up(places: _Places, rows: Sequence[Any], counted: Mapping[str | None, int]) -> bool:
    """Whether the summary with these rows has as many shards in each state as Airflow has."""
    codes: Counter[str] = Counter()
    for cells in places.cells.lanes.values():
        codes.update(cells.codes)
    states: Counter[str | None] = Counter()
    for row in rows:
        known = places.code(row)
        if known is not None:
            codes[known[0]] -= 1
        states[_plain(row.state)] += 1
    missing = codes.pop(MISSING, 0)
    for code, count in codes.items():
        states[_ENDED.get(code, code)] += count
    airflows: Counter[str | None] = Counter()
    for state, count in counted.items():
        airflows[_plain(state)] += count
    more = {state: airflows[state] - states[state] for state in airflows.keys() | states.keys()}
    # MISSING stands for success, or for no state.
    unsure = more.pop("success", 0), more.pop(None, 0)
    return min(unsure) >= 0 and sum(unsure) == missing and not any(more.values())


def _bring_up_to_date(
    session: Any,
    pipelines: Pipelines,
    runs: Sequence[Any],
    made: Mapping[str, RunCells],
    again: Mapping[str, Sequence[Any]],
    since: Mapping[str, datetime],
) -> None:
    """Replace the cells of what has changed, and those of what has been published since."""
    publishes = {lane.publish: lane.name for lane in pipelines.lanes if lane.publish}
    written = queries.written_at(session, runs, list(publishes))
    newer = {
        run.run_id for run in runs for task_id in publishes if _is_newer(written.get((run.run_id, task_id)), since, run)
    }
    affected = [run for run in runs if again[run.run_id] or run.run_id in newer]
    if not affected:
        return
    rows = [row for run in affected for row in again[run.run_id]]
    asked = {*publishes, *(lane.found_by for lane in pipelines.lanes if lane.found_by)}
    left = queries.xcoms(session, affected, task_ids=sorted(asked))
    left += queries.xcoms(session, affected, keys=(WAITS_KEY,))
    left += queries.cells_left(session, rows, affected)
    values, table = Left.of(left), prices()
    for run in affected:
        cells = made[run.run_id]
        fresh = cells_of_run(run, again[run.run_id], values, pipelines, table)
        _put(cells, fresh)
        if run.run_id in newer:
            _publish(cells, fresh, pipelines, values, run.run_id)


def _is_newer(written: datetime | None, since: Mapping[str, datetime], run: Any) -> bool:
    return written is not None and written > since[run.run_id] + CLOCKS


def _put(cells: RunCells, fresh: RunCells) -> None:
    """Put fresh cells in the places of those of the summary."""
    for lane, new in fresh.lanes.items():
        old = cells.lanes.setdefault(lane, Cells(map=None if new.map is None else []))
        index = {name: at for at, name in enumerate(old.shards)}
        for at, name in enumerate(new.shards):
            place = index.get(name)
            if new.codes[at] == ABSENT and place is not None and old.map and new.map and old.map[place] != new.map[at]:
                continue  # another task of this shard was removed
            old.put(place, new, at)
        cells.tasks.setdefault(lane, {}).update(fresh.tasks.get(lane, {}))


def _publish(cells: RunCells, fresh: RunCells, pipelines: Pipelines, left: Left, run_id: str) -> None:
    """A publish after the receipt: what it names is published."""
    for lane in pipelines.lanes:
        value = left.of_task(run_id, lane.publish) if lane.publish else None
        mine = cells.lanes.get(lane.name)
        if mine is None or not isinstance(value, dict):
            continue
        names = frozenset(map(str, value.get("shards") or ()))
        cells.versions[lane.name] = fresh.versions.get(lane.name, 0)
        cells.previous.pop(lane.name, None)
        cells.previous.update({name: last for name, last in fresh.previous.items() if name == lane.name})
        cells.prefixes[lane.name] = fresh.prefixes.get(lane.name, "")
        mine.codes = [
            PUBLISHED if code in (RAN, MISSING, PUBLISHED) and name in names else RAN if code == PUBLISHED else code
            for name, code in zip(mine.shards, mine.codes, strict=True)
        ]
