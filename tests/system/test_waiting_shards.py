"""What is left for the web server while shards wait, and of the services: read from a real Airflow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from devstack.errors import StackError
from ecs_feature.services.snapshot import newest
from ecs_feature.shards.waits_row import WAITS_KEY, waits_in

DAG, DAY = "small_features", datetime(2013, 2, 26, tzinfo=UTC)
NO_ROOM = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
SHARDS = ("control.shards.UA", "control.shards.OO")


def test_a_shard_without_capacity_says_so_while_it_waits_and_no_more_when_it_is_launched(stack: Any) -> None:
    day = f"{DAY:%Y-%m-%d}"
    stack.faults.add_fault(
        {"match": {"operation": "RunTask", "environment": {"SHARD": "UA", "LOGICAL_DATE": day}}, "failure": NO_ROOM}
    )
    run_id = stack.run(DAG, DAY, {"variants": ["control"]})

    def left() -> list[Any]:
        """The row, in whichever shard's XCom it is."""
        found = []
        for task_id in SHARDS:
            try:
                found.append(stack.api.xcom(DAG, run_id, task_id, WAITS_KEY))
            except StackError:
                continue
        return found

    def waiting() -> dict[Any, Any]:
        return waits_in(left(), datetime.now(UTC))

    stack.stack.processes.wait_until(lambda: waiting(), what="No shard says what it waits for", timeout_seconds=120)
    ((cell, said),) = waiting().items()
    assert (cell, said["what"]) == (("control.shards.UA", -1), "capacity")
    assert NO_ROOM in said["words"]
    assert (datetime.now(UTC) - datetime.fromisoformat(said["since"])).total_seconds() >= 15
    steady, up = (stack.api.xcom(DAG, run_id, f"control.{name}") for name in ("services_steady", "scale_up"))
    (service,) = newest([up, steady])
    assert (service["name"], service["cluster"], service["running"]) == ("encoder-control", "features", 1)
    assert {"holder": f"{DAG}/{run_id}/control", "count": 1} in [
        {name: each[name] for name in ("holder", "count")} for each in service["holders"]
    ]

    stack.faults.clear_faults()
    assert stack.wait(run_id) == "success"
    assert len(left()) == 1
    receipt = stack.api.xcom(DAG, run_id, "receipt")
    launches = [each for each in receipt["variants"]["control"]["launches"] if each["shard"] == "UA"]
    assert launches[0]["outcome"] == "capacity_unavailable"
    assert launches[-1]["waited"]["capacity"] >= 1
    assert launches[-1]["cost_usd"] > 0
    assert launches[-1]["created_at"] < launches[-1]["stopped_at"]
    down = stack.api.xcom(DAG, run_id, "control.scale_down")
    (service,) = newest([up, steady, down])
    assert f"{DAG}/{run_id}/control" not in [each["holder"] for each in service["holders"]]
