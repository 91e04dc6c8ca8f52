"""The cells of a run whose shards have changed: removed tasks, lists that became shorter, tasks of another kind."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from ecs_feature.results.cells import Cells, Launched
from ecs_feature.tasks.prices import package_prices
from ecs_feature.ui.board import Shards, columns
from ecs_feature.ui.lanes import Left, RunCells, cells_of_run
from ecs_feature.ui.pipelines import Lane, Pipelines
from ecs_feature.ui.run import _lane
from ecs_feature.ui.summaries import _other_than, _Places, _put
from ecs_feature.ui.timeline import Axis

START = datetime(2013, 2, 8, tzinfo=UTC)
RUN: Any = SimpleNamespace(
    run_id="r", start_date=START, run_after=START, state="success", logical_date=START, updated_at=START
)
MAPPED = Pipelines("d", (Lane("control", mapped="control.shard", found_by="find_shards"),))


def row(task_id: str, index: int, state: str, shown: str = "") -> Any:
    return SimpleNamespace(
        task_id=task_id, map_index=index, state=state, display_name=shown, rendered=None, try_number=1,
        start_date=START, end_date=START, updated_at=START,
    )  # fmt: skip


def left(found: list[str], records: dict[tuple[str, int], str]) -> Left:
    values: dict[tuple[str, str, int], Any] = {("r", "find_shards", -1): found}
    for (task_id, index), shard in records.items():
        values["r", task_id, index] = json.dumps({"shard": shard, "outcome": "succeeded", "launches": []})
    return Left(values, {})


def cells(rows: list[Any], found: list[str], records: dict[tuple[str, int], str]) -> Cells:
    return cells_of_run(RUN, rows, left(found, records), MAPPED, package_prices()).lanes["control"]


def test_a_shard_whose_index_moved_is_that_of_its_live_task() -> None:
    task = "control.shard"
    rows = [row(task, 0, "success"), row(task, 1, "success"), row(task, 2, "removed")]
    made = cells(rows, ["B", "C"], {(task, 0): "B", (task, 1): "C", (task, 2): "C"})
    assert (made.shards, made.codes, made.map) == (["B", "C"], ["R", "R"], [0, 1])


def test_a_named_task_that_was_removed_has_no_map_index_and_shifts_no_other() -> None:
    rows = [row("control.shards.A", -1, "removed", "A"), row("control.shard", 0, "success"),
            row("control.shard", 1, "success")]  # fmt: skip
    made = cells(rows, ["B", "C"], {})
    assert (made.shards, made.map) == (["B", "C", "A"], [0, 1, -1])
    shards = Shards()
    shards.add(["A", "B", "C"])
    shown = columns(made, shards, (), mapped=True)
    assert shown is not None
    assert shown["map"] == [None, 0, 1]


def test_a_run_of_before_the_shards_were_found_has_no_map_index_at_all() -> None:
    made = cells([row("control.shards.A", -1, "success", "A")], ["A"], {})
    shards = Shards()
    shards.add(["A"])
    shown = columns(made, shards, (), mapped=True)
    assert shown is not None
    assert shown["map"] == [None]


def test_another_task_of_a_shard_that_was_removed_leaves_the_live_ones_cell_as_it_is() -> None:
    def of(index: int, code: str) -> RunCells:
        lane = Cells()
        lane.add("C", code, Launched(), changed=None, tries=1, index=index)
        return RunCells({"control": lane})

    known = of(1, "P")
    _put(known, of(2, " "))
    assert known.lanes["control"].codes == ["P"]
    _put(known, of(1, " "))
    assert known.lanes["control"].codes == [" "]


def test_a_task_that_was_cleared_after_its_run_was_read_waits_and_is_not_missing() -> None:
    """Runs and tasks are read one after the other: the run looks ended still."""
    never, cleared = row("control.shard", 0, ""), row("control.shard", 1, "")
    cleared.updated_at = START + timedelta(hours=1)
    made = cells([never, cleared], ["A", "B"], {})
    assert (made.shards, made.codes) == (["A", "B"], ["M", "w"])


def test_a_missing_shard_of_a_summary_that_was_cleared_since_is_read_anew() -> None:
    known = Cells(map=[])
    for index, name in enumerate("AB"):
        known.add(name, "M", Launched(), changed=None, tries=1, index=index)
    never, cleared = row("control.shard", 0, ""), row("control.shard", 1, "")
    cleared.updated_at = START + timedelta(hours=1)
    places = _Places(RunCells({"control": known}), MAPPED.lane_by_task, {})
    assert _other_than(places, [never, cleared], RUN) == [cleared]


NAMED = Pipelines("d", (Lane("control", tasks={"A": "control.shards.A", "B": "control.shards.B"}),))


@pytest.mark.parametrize(
    ("pipelines", "rows", "shown"),
    [
        (NAMED, [row("control.shards.B", -1, "success", "B")], [("B", "control.shards.B", -1)]),
        (MAPPED, [row("control.shard", 0, "success")], [("A", "control.shard", 0)]),
        (MAPPED, [row("control.shards.A", -1, "success", "A")], [("A", "control.shards.A", -1)]),
        (NAMED, [row("control.shard", 1, "failed")], [("B", "control.shard", 1)]),
    ],
    ids=["named", "mapped", "named-before-it-was-mapped", "mapped-before-it-was-named"],
)
def test_a_runs_page_has_the_shards_of_the_kind_that_the_run_had(
    pipelines: Pipelines, rows: list[Any], shown: list[Any]
) -> None:
    known = left(["A", "B"], {(each.task_id, each.map_index): "AB"[max(0, each.map_index)] for each in rows})
    made = cells_of_run(RUN, rows, known, pipelines, package_prices())
    by_cell = {(each.task_id, each.map_index): each for each in rows}
    lane = _lane(pipelines.lanes[0], made, by_cell, known, {}, Axis(START), START, RUN)
    assert [(shard["name"], shard["task_id"], shard["map_index"]) for shard in lane["shards"]] == shown
