"""The cells of runs, lane by lane, from task instances and records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ecs_feature.results.cells import PUBLISHED, Cells, Launched, code_of, previous_of
from ecs_feature.shards.records import shard_record
from ecs_feature.shards.waits_row import WAITS_KEY, waits_in
from ecs_feature.tasks.prices import PriceTable
from ecs_feature.ui import queries
from ecs_feature.ui.pipelines import Pipelines, lane_name, names_of, shard_of
from ecs_feature.ui.price_table import prices


@dataclass
class RunCells:
    """The cells of one run.

    :ivar lanes: name -> its columns; without lanes that the run has no tasks of.
    :ivar tasks: lane -> shard -> task id, where the shards are named.
    :ivar versions: lane -> the version of the manifest that this run has published; 0: none.
    :ivar previous: lane -> the version that this publish went on from; 0: it was the first; without lanes where that is
        not known.
    :ivar prefixes: lane -> where that manifest is, ``s3://...``; without lanes where that is not known.
    :ivar usd: what the run cost, as far as it is known; None: not at all.
    :ivar partition: as its tasks named it; empty: not known.
    """

    lanes: dict[str, Cells] = field(default_factory=dict)
    tasks: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    previous: dict[str, int] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)
    usd: float | None = None
    partition: str = ""

    def published(self, lane: str) -> list[str]:
        """The shards that this run has published."""
        cells = self.lanes.get(lane)
        if cells is None:
            return []
        return [name for name, code in zip(cells.shards, cells.codes, strict=True) if code == PUBLISHED]


@dataclass(frozen=True)
class Left:
    """What the tasks of some runs have left: (run id, task id, map index) -> value."""

    values: Mapping[tuple[str, str, int], Any]
    waits: Mapping[str, Mapping[tuple[str, int], Mapping[str, str]]]

    @classmethod
    def of(cls, found: Sequence[queries.XCom]) -> Left:
        waiting: dict[str, list[Any]] = {}
        for each in found:
            if each.key == WAITS_KEY:
                waiting.setdefault(each.run_id, []).append(each.value)
        now = datetime.now(UTC)
        return cls(
            {(each.run_id, each.task_id, each.map_index): each.value for each in found if each.key == "return_value"},
            {run_id: waits_in(values, now) for run_id, values in waiting.items()},
        )

    def of_task(self, run_id: str, task_id: str) -> Any:
        return self.values.get((run_id, task_id, -1))


def cells_of_runs(session: Any, pipelines: Pipelines, runs: Sequence[Any]) -> dict[str, RunCells]:
    """By run id: from the shards' own records."""
    rows: dict[str, list[Any]] = {run.run_id: [] for run in runs}
    for row in queries.shard_rows(session, pipelines.dag_id, list(rows)):
        rows[row.run_id].append(row)
    left = Left.of(queries.xcoms(session, runs, keys=("return_value", WAITS_KEY)))
    table = prices()
    return {run.run_id: cells_of_run(run, rows[run.run_id], left, pipelines, table) for run in runs}


def cells_of_run(run: Any, rows: Sequence[Any], left: Left, pipelines: Pipelines, table: PriceTable) -> RunCells:
    """The cells of one run.

    :param rows: of the task instances of its shards.
    """
    made, names = RunCells(), names_of(pipelines.lanes)
    mapped = {lane.mapped: lane for lane in pipelines.lanes if lane.mapped}
    published: dict[str, frozenset[str]] = {}
    for each in pipelines.lanes:
        value = left.of_task(run.run_id, each.publish) if each.publish else None
        if isinstance(value, dict):
            published[each.name] = frozenset(map(str, value.get("shards") or ()))
            made.versions[each.name] = int(value.get("version") or 0)
            if (previous := previous_of(value)) is not None:
                made.previous[each.name] = previous
            made.prefixes[each.name] = str(value.get("manifest_uri") or "").rpartition("/manifest/")[0]
    waits, micro, begun = left.waits.get(run.run_id, {}), 0, run.start_date or run.run_after
    lanes = pipelines.lane_by_task
    lists = {
        task_id: queries.names_in_list(left.of_task(run.run_id, lane.found_by)) if lane.found_by else []
        for task_id, lane in mapped.items()
    }
    active = queries.is_active(run)
    # A removed task says nothing of a shard that has another one: the list of a mapped run has become shorter.
    for row in sorted(rows, key=lambda row: (row.state == "removed", row.map_index)):
        lane = lanes.get(row.task_id, lane_name(row.task_id))
        record = shard_record(left.values.get((run.run_id, row.task_id, row.map_index))) or {}
        if row.map_index >= 0:
            found = lists.get(row.task_id, [])
            shard = found[row.map_index] if row.map_index < len(found) else ""
            shard = shard or str(record.get("shard") or row.rendered or f"[{row.map_index}]")
        elif row.task_id in mapped or row.task_id.rpartition(".")[2] == "shard":
            continue  # not expanded yet, or over nothing
        else:
            shard = shard_of(row.task_id, row.display_name, names)
            made.tasks.setdefault(lane, {})[shard] = row.task_id
        if row.state == "removed" and lane in made.lanes and shard in made.lanes[lane].shards:
            continue
        launched = Launched.of(record, table)
        micro += launched.micro_usd or 0
        made.partition = made.partition or str(record.get("partition") or "")
        moment = row.end_date or row.start_date or row.updated_at
        made.lanes.setdefault(lane, Cells()).add(
            shard,
            code_of(
                row.state,
                str(record.get("outcome") or ""),
                published=shard in published.get(lane, ()),
                waits=(row.task_id, row.map_index) in waits,
                active=active or queries.is_cleared(run, row),
            ),
            launched,
            changed=None if moment is None else round((moment - begun).total_seconds()),
            tries=row.try_number,
            index=row.map_index,
        )
    made.usd = round(micro / 1e6, 6) if made.lanes else None
    _in_order(made, pipelines)
    return made


def _in_order(made: RunCells, pipelines: Pipelines) -> None:
    """Sort named shards as the pipeline has them: rows come in no order."""
    for lane in pipelines.lanes:
        cells = made.lanes.get(lane.name)
        if cells is not None and lane.tasks:
            place = {name: at for at, name in enumerate(lane.tasks)}
            cells.sort(sorted(range(len(cells.shards)), key=lambda at: place.get(cells.shards[at], len(place))))
