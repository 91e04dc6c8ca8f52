"""One cell of the board: all that is known of a shard in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ecs_feature.aws.resources import region_of
from ecs_feature.aws.s3 import split_uri
from ecs_feature.exceptions import EcsFeatureError, SelectionError
from ecs_feature.links.ecs import task_url
from ecs_feature.results.cells import ABSENT
from ecs_feature.shards.records import launched_task, shard_record
from ecs_feature.shards.waits_row import WAITS_KEY, waits_for, waits_in
from ecs_feature.tasks.cost import Usage
from ecs_feature.tasks.prices import PriceTable
from ecs_feature.ui import queries
from ecs_feature.ui.lanes import Left, cells_of_run
from ecs_feature.ui.pipelines import Lane, lane_name, pipelines_of
from ecs_feature.ui.price_table import prices
from ecs_feature.ui.published import marked
from ecs_feature.ui.words import outcome_words, reason_of

_OF_RECORD = ("shard", "outcome", "exit_code", "container", "launches")


def cell(session: Any, dag_id: str, run_id: str, task_id: str, map_index: int) -> dict[str, Any]:
    """The cell, see docs/shards-tab.md.

    :raises SelectionError: when there is no such shard.
    """
    run = queries.one_run(session, dag_id, run_id)
    rows = queries.tasks_of(session, dag_id, [run_id], [task_id]) if run is not None else []
    row = next((row for row in rows if row.map_index == map_index), None)
    if row is None:
        raise SelectionError(f"task_id: run {run_id!r:.200} of DAG {dag_id!r:.200} has no task {task_id!r:.200}.")
    pipelines = pipelines_of(dag_id, session)
    lane = pipelines.lane_of(task_id) or Lane(lane_name(task_id))
    table = prices()
    left = queries.xcoms(session, [run], task_ids=[task_id], map_index=map_index, keys=("return_value", "ecs_task"))
    mine = {each.key: each.value for each in left}
    left += queries.xcoms(session, [run], task_ids=[name for name in (lane.publish, lane.found_by) if name])
    left += queries.xcoms(session, [run], keys=(WAITS_KEY,))
    cells = cells_of_run(run, [row], Left.of(left), pipelines, table)
    marked(session, pipelines, [run], {run_id: cells})
    one = cells.lanes.get(lane.name)
    shard, code = (one.shards[0], one.codes[0]) if one is not None else ("", ABSENT)
    record = shard_record(mine.get("return_value"))
    launches = [launch_row(launch, table) for launch in (record or {}).get("launches") or ()]
    known = [launch["usd"] for launch in launches if launch["usd"] is not None]
    return {
        "shard": shard,
        "lane": lane.name,
        "variant": lane.variant,
        "state": code,
        "airflow_state": row.state,
        "try": row.try_number,
        "outcome": (record or {}).get("outcome"),
        "outcome_words": outcome_words(record, row.state),
        "reason": reason_of(record),
        "exit_code": (record or {}).get("exit_code"),
        "usd": round(sum(known), 6) if known else None,
        "start": queries.iso(row.start_date),
        "end": queries.iso(row.end_date),
        "launches": launches,
        "waits_for": _waits_for(session, run, row, lane, [each.value for each in left if each.key == WAITS_KEY]),
        "links": links(dag_id, run_id, task_id, map_index, row.try_number, mine, record),
        "result": {name: value for name, value in (record or {}).items() if name not in _OF_RECORD},
    }


def launch_row(launch: Mapping[str, Any], table: PriceTable) -> dict[str, Any]:
    """A launch's record with what it cost."""
    try:
        used, price = Usage.from_dict(launch), table.of_row(launch)
        usd = None if price.unknown(used) else round(price.of(used), 6)
    except (AttributeError, TypeError, ValueError):  # not as this package writes it
        usd = None
    return {**launch, "usd": usd}


def _waits_for(session: Any, run: Any, row: Any, lane: Lane, rows: Sequence[Any]) -> Mapping[str, Any] | None:
    """What a shard waits for before its container runs; None: for nothing."""
    if row.state in ("success", "failed", "skipped", "removed", "upstream_failed", "running"):
        return None
    left = waits_in(rows, datetime.now(UTC)).get((row.task_id, row.map_index))
    dag_id = run.dag_id
    steady = queries.tasks_of(session, dag_id, [run.run_id], [lane.task("services_steady")]) if lane.services else []
    return waits_for(
        row.state,
        left,
        services=steady[0].state if steady else "success",
        taken=row.state != "deferred" or queries.is_taken(session, dag_id, run.run_id, row.task_id, row.map_index),
        since=queries.iso(row.updated_at),
    )


def links(
    dag_id: str,
    run_id: str,
    task_id: str,
    map_index: int,
    try_number: int,
    xcoms: Mapping[str, Any],
    record: Mapping[str, Any] | None,
) -> dict[str, str | None]:
    """Where more is: ``task`` and ``log`` below Airflow's root, the others in the AWS console."""
    path = "/".join(
        ["dags", quote(dag_id, ""), "runs", quote(run_id, ""), "tasks", quote(task_id, "")]
        + (["mapped", str(map_index)] if map_index >= 0 else [])
    )
    task = launched_task(xcoms, try_number) or _last_launched(record)
    return {
        "task": path,
        "log": f"{path}?try_number={try_number}" if try_number else path,
        "ecs": _url(task.arn) if task is not None else None,
        "cloudwatch": _url(task.arn, f"logs?selectedContainer={quote(task.container)}") if task is not None else None,
        "features": _features(record),
    }


def _last_launched(record: Mapping[str, Any] | None) -> Any:
    for launch in reversed((record or {}).get("launches") or ()):
        if launch.get("task_arn"):
            return launched_task({"return_value": record}, launch.get("attempt") or 1)
    return None


def _url(arn: str, tab: str = "configuration") -> str | None:
    """None for what is no task's ARN: anybody may write an XCom."""
    try:
        return task_url(arn, tab)
    except ValueError:
        return None


def _features(record: Mapping[str, Any] | None) -> str | None:
    """The console's page of the folder with the shard's files."""
    uri = str((record or {}).get("output_uri") or (record or {}).get("result_uri") or "")
    arn = next((str(each["task_arn"]) for each in (record or {}).get("launches") or () if each.get("task_arn")), "")
    try:
        bucket, key = split_uri(uri)
        region = region_of(arn) if arn else ""
    except (EcsFeatureError, ValueError, IndexError):
        return None
    folder = f"{key.rpartition('/')[0]}/" if "/" in key else ""
    where = f"&region={quote(region, '')}" if region else ""
    return f"https://console.aws.amazon.com/s3/buckets/{quote(bucket, '')}?prefix={quote(folder, '')}{where}"
