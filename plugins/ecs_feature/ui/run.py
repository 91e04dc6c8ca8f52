"""One run: when what ran, why what failed, what was published, and what it cost."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ecs_feature.exceptions import PublishError, SelectionError
from ecs_feature.results.cells import ABSENT, FAILED, LEFT_OUT, MISSING, NOTHING, PUBLISHED, RAN, STALE, WAITING
from ecs_feature.results.versions import ROLLBACK_DAG, check_within
from ecs_feature.shards.records import shard_record
from ecs_feature.shards.waits_row import WAITS_KEY
from ecs_feature.ui import queries
from ecs_feature.ui.board import run_row
from ecs_feature.ui.lanes import Left, RunCells, cells_of_run
from ecs_feature.ui.pipelines import Lane, Pipelines, pipelines_of
from ecs_feature.ui.price_table import prices
from ecs_feature.ui.published import can_move_back, in_force, kin_of, marked, moves_back, publication
from ecs_feature.ui.timeline import Axis, parallelism, segments
from ecs_feature.ui.words import failure_words, outcome_words, reason_of

_DONE = (PUBLISHED, RAN, STALE, FAILED, NOTHING, MISSING)
_NOT_OURS = (LEFT_OUT, ABSENT)
_STEPS = ("scale_up", "services_steady", "scale_down")
_NOT_STARTED = (None, "", "scheduled", "queued", "removed", "upstream_failed")


def run_view(session: Any, dag_id: str, run_id: str, *, may_make_current: bool = False) -> dict[str, Any]:
    """The run, see docs/shards-tab.md.

    :param may_make_current: whether the user has the rights to make another version current.
    :raises SelectionError: when there is no such run.
    """
    pipelines = pipelines_of(dag_id, session)
    run = queries.one_run(session, dag_id, run_id)
    if run is None:
        raise SelectionError(f"run_id: DAG {dag_id!r:.200} has no run {run_id!r:.200}.")
    if not pipelines.lanes:
        return {"dag_id": dag_id, "pipeline": False}
    rows = queries.shard_rows(session, dag_id, [run_id])
    left = Left.of(queries.xcoms(session, [run], keys=("return_value", WAITS_KEY)))
    cells = cells_of_run(run, rows, left, pipelines, prices())
    partition = marked(session, pipelines, [run], {run_id: cells})[run_id]
    steps = {
        row.task_id: row
        for row in queries.tasks_of(
            session, dag_id, [run_id], [lane.task(step) for lane in pipelines.lanes for step in _STEPS]
        )
    }
    axis, now = Axis(run.start_date or run.run_after), datetime.now(UTC)
    by_cell = {(row.task_id, row.map_index): row for row in rows}
    lanes = [_lane(lane, cells, by_cell, left, steps, axis, now, run) for lane in pipelines.lanes]
    receipts = {
        lane.group: found for lane in pipelines.lanes if (found := _receipt(left.of_task(run_id, lane.receipt)))
    }
    shards = [shard for lane in lanes for shard in lane["shards"]]
    row = run_row(run, partition, cells)
    usd = [variant.get("cost_usd") for found in receipts.values() for variant in found.get("variants", {}).values()]
    if receipts and all(cost is not None for cost in usd):
        row["usd"] = round(sum(usd), 6)
    return {
        "dag_id": dag_id,
        "pipeline": True,
        "at": now.isoformat(),
        "run": row,
        "headline": _headline(session, run, row, cells, now),
        "lanes": lanes,
        "services": [service for lane in pipelines.lanes for service in _services(lane, steps, left, axis, now, run)],
        "critical": _critical(lanes, pipelines),
        "parallelism": parallelism(shard["segments"] for shard in shards),
        "quota": _quota(left, run_id),
        "reasons": _reasons(lanes, by_cell, left, run_id),
        "receipt": next(iter(receipts.values()), None),
        "receipts": receipts,
        "versions": _versions(session, pipelines, run, partition),
        "make_current": {"available": may_make_current and can_move_back(session), "dag_id": ROLLBACK_DAG},
    }


def _headline(session: Any, run: Any, row: Mapping[str, Any], cells: RunCells, now: datetime) -> dict[str, Any]:
    codes = [code for each in cells.lanes.values() for code in each.codes if code not in _NOT_OURS]
    seconds = ((run.end_date or now) - run.start_date).total_seconds() if run.start_date else None
    done = sum(code in _DONE for code in codes)
    return {
        "state": run.state,
        "seconds": None if seconds is None else round(seconds, 1),
        "usd": row["usd"],
        "published": codes.count(PUBLISHED) + codes.count(STALE),
        "missing": codes.count(MISSING),
        "failed": codes.count(FAILED),
        "waiting": codes.count(WAITING),
        "done": done,
        "total": len(codes),
        "eta_seconds": _eta(session, run, seconds, done, len(codes)) if row["active"] else None,
    }


def _eta(session: Any, run: Any, seconds: float | None, done: int, total: int) -> float | None:
    """How long it still takes: as its last successful runs did, else at the pace so far; None: not known."""
    if seconds is None:
        return None
    last: list[float] = [
        (each.end_date - each.start_date).total_seconds()
        for each in queries.last_runs(session, run.dag_id, 10, run.run_id)
        if each.state == "success" and each.start_date and each.end_date
    ]
    if last:
        return max(0.0, round(statistics.median(last) - seconds, 1))
    return round(seconds / done * (total - done), 1) if done else None


def _lane(
    lane: Lane,
    cells: RunCells,
    rows: Mapping[tuple[str, int], Any],
    left: Left,
    steps: Mapping[str, Any],
    axis: Axis,
    now: datetime,
    run: Any,
) -> dict[str, Any]:
    mine = cells.lanes.get(lane.name)
    shards = []
    steady = steps.get(lane.task("services_steady"))
    ready = axis.at(steady.end_date) if steady is not None else None
    waits = left.waits.get(run.run_id, {})
    for at, name in enumerate(mine.shards if mine else ()):
        assert mine is not None
        index = mine.map[at] if mine.map is not None else -1
        # Before the pipeline named its shards, or found them at run time, the run had the other kind of task.
        named = cells.tasks.get(lane.name, {}).get(name, "")
        task_id = lane.mapped or lane.task("shard") if index >= 0 else named
        row = rows.get((task_id, index))
        if row is None:
            continue
        record = shard_record(left.values.get((run.run_id, task_id, index)))
        begun = axis.at(row.start_date)
        since = ready if ready is not None else begun
        made = segments((record or {}).get("launches") or (), axis, since)
        if row.state in ("running", "deferred", "queued", "scheduled", "up_for_retry") and begun is not None:
            kind = "waited" if (task_id, index) in waits or row.state not in ("deferred", "running") else "running"
            made.append((kind, max([begun, *(end for _, _, end in made)]), axis.at(now) or begun))
        shards.append(
            {
                "name": name,
                "task_id": task_id,
                "map_index": index,
                "state": mine.codes[at],
                "segments": made,
                "tries": row.try_number,
                "micro_usd": mine.micro_usd[at],
                "outcome": (record or {}).get("outcome"),
                "outcome_words": outcome_words(record, row.state),
                "reason": reason_of(record),
            }
        )
    return {"lane": lane.name, "group": lane.group, "variant": lane.variant, "shards": shards}


def _services(
    lane: Lane, steps: Mapping[str, Any], left: Left, axis: Axis, now: datetime, run: Any
) -> Iterable[dict[str, Any]]:
    """The services' bars: scaling up, steady, scaling down.

    A task that was cleared has the times of its last try until it starts again; they are no bar of this one.
    """
    up, steady, down = (
        None if row is None or row.state in _NOT_STARTED else row for row in (steps.get(lane.task(s)) for s in _STEPS)
    )
    for name, count in lane.services.items():
        made = []
        begun = axis.at(up.start_date) if up is not None else None
        ready = axis.at(steady.end_date) if steady is not None and steady.state == "success" else None
        given = axis.at(down.start_date) if down is not None else None
        over = axis.at(down.end_date) if down is not None else None
        until = axis.at(now if queries.is_active(run) else run.end_date)
        if begun is not None:
            made.append(("scaling up", begun, _end(begun, ready, given, until), count))
        if ready is not None:
            made.append(("steady", ready, _end(ready, given, until), count))
        if given is not None:
            made.append(("scaling down", given, _end(given, over, until), count))
        yield {"name": name, "lane": lane.name, "count": count, "segments": made}


def _end(start: float, *ends: float | None) -> float:
    return next((end for end in ends if end is not None and end >= start), start)


def _critical(lanes: Iterable[Mapping[str, Any]], pipelines: Pipelines) -> list[str]:
    """What the run has waited for: the services of the lane whose shard ended last, and that shard."""
    ends = [
        (shard["segments"][-1][2], lane["lane"], shard["name"])
        for lane in lanes
        for shard in lane["shards"]
        if shard["segments"] and shard["state"] not in _NOT_OURS
    ]
    if not ends:
        return []
    _, lane_name, shard = max(ends)
    services = next((lane.services for lane in pipelines.lanes if lane.name == lane_name), {})
    return [*services, shard]


def _quota(left: Left, run_id: str) -> float | None:
    """How many of the run's shards the account's vCPU quota has room for, as its shards have seen it."""
    for (run, _, _), value in left.values.items():
        record = shard_record(value) if run == run_id else None
        vcpus = (record or {}).get("quota_vcpus")
        cpu = next((each.get("cpu") for each in reversed((record or {}).get("launches") or ()) if each.get("cpu")), 0)
        if vcpus and cpu:
            return round(float(vcpus) * 1024 / float(cpu), 1)
    return None


def _reasons(
    lanes: Iterable[Mapping[str, Any]], rows: Mapping[tuple[str, int], Any], left: Left, run_id: str
) -> list[dict[str, Any]]:
    """Failures by reason, the most frequent first."""
    groups: dict[tuple[str, str], list[list[Any]]] = {}
    for lane in lanes:
        for shard in lane["shards"]:
            if shard["state"] not in (FAILED, MISSING):
                continue
            place = (shard["task_id"], shard["map_index"])
            state = rows[place].state
            record = shard_record(left.values.get((run_id, *place)))
            outcome = (record or {}).get("outcome") or ("missing" if shard["state"] == MISSING else state or "")
            words = failure_words(record, state) or "has not run"
            groups.setdefault((words, outcome), []).append([lane["lane"], shard["name"], *place])
    return [
        {"words": words, "outcome": outcome, "cells": cells}
        for (words, outcome), cells in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]


def _receipt(value: Any) -> dict[str, Any] | None:
    """Without the launches: the shards have them."""
    if not isinstance(value, dict) or not isinstance(value.get("variants"), dict):
        return None
    variants = {
        name: {key: each for key, each in variant.items() if key != "launches"}
        for name, variant in value["variants"].items()
        if isinstance(variant, dict)
    }
    return {**value, "variants": variants}


def _versions(session: Any, pipelines: Pipelines, run: Any, partition: str) -> list[dict[str, Any]]:
    """What the runs of this partition have published, the newest first."""
    runs = [run, *kin_of(session, pipelines, [run], [partition])]
    moves, found = moves_back(session), []
    for lane in pipelines.lanes:
        xcoms = queries.xcoms(session, runs, task_ids=[lane.publish] if lane.publish else [])
        mine = {xcom.run_id: xcom for xcom in xcoms if isinstance(xcom.value, dict)}
        published = [publication(run_id, xcom.value) for run_id, xcom in mine.items()]
        written = {(run_id, lane.publish): xcom.timestamp for run_id, xcom in mine.items()}
        chain = in_force(published, moves, lane, written)
        found += [
            {
                "lane": lane.name,
                "version": each.version,
                "run_id": each.run_id,
                "published_at": queries.iso(mine[each.run_id].timestamp),
                "shards": len(each.shards),
                "missing": len(mine[each.run_id].value.get("missing") or ()),
                **_manifest(lane, mine[each.run_id].value.get("manifest_uri")),
                "current": bool(chain) and chain[-1] is each,
            }
            for each in sorted(published, key=lambda each: -each.version)
        ]
    return found


def _manifest(lane: Lane, uri: Any) -> dict[str, Any]:
    """The version's URI; one that is no version's of this lane is not given on: who may start the roll-back may do so
    for all pipelines, and an XCom can be written by hand."""
    try:
        check_within(str(uri or ""), lane.output)
    except PublishError as error:
        return {"manifest_uri": None, "refused": str(error)}
    return {"manifest_uri": uri}
