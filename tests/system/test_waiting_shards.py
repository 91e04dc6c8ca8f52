"""What is left for the web server while shards wait, and of the services: read from a real Airflow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from devstack.errors import StackError
from ecs_feature.links.shards_tab import shards_url
from ecs_feature.results.manifests import ManifestStore, version_of
from ecs_feature.results.summaries import paragraph
from ecs_feature.services.snapshot import newest
from ecs_feature.shards.waits_row import WAITS_KEY, waits_in

BACK = "ecs_feature_rollback"
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
    _check_that_it_is_told(stack, run_id, receipt)
    _check_the_way_back(stack, receipt["variants"]["control"]["manifest_uri"])


def _check_that_it_is_told(stack: Any, run_id: str, receipt: dict[str, Any]) -> None:
    """The DAG processor calls the pipeline's notifier, which reads the receipt."""
    where = {"Bucket": "ecs-feature-local", "Key": f"told/{DAG} {DAY:%Y-%m-%d}"}

    def told() -> str:
        found = stack.client("s3").list_objects_v2(Bucket=where["Bucket"], Prefix=where["Key"])
        return stack.client("s3").get_object(**where)["Body"].read().decode() if found.get("Contents") else ""

    stack.stack.processes.wait_until(lambda: told(), what="Nobody is told of the run", timeout_seconds=120)
    assert told().startswith(f"{paragraph(receipt)} Shards: ")
    assert told().endswith(shards_url(DAG, run_id, ""))


def _check_the_way_back(stack: Any, manifest_uri: str) -> None:
    """An earlier version is made current by Airflow's public API, and refused once another publish has come first."""
    prefix, first = version_of(manifest_uri)
    store = ManifestStore(stack.client("s3"), prefix)
    content = store.version(first)
    for _ in range(2):
        store.publish(content["shards"], {"dag_id": DAG, "run_id": "another"})

    def run(instead_of: int) -> tuple[str, str]:
        conf = {"manifest_uri": manifest_uri, "instead_of": instead_of}
        run_id = stack.api.post(f"/dags/{BACK}/dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"]
        stack.stack.processes.wait_until(
            lambda: stack.api.run_state(BACK, run_id) in ("success", "failed"),
            what="The way back does not end",
            timeout_seconds=90,
        )
        return run_id, stack.api.run_state(BACK, run_id)

    assert run(first + 1)[1] == "failed"
    assert store.current()["version"] == first + 2  # type: ignore[index]
    run_id, state = run(first + 2)
    assert state == "success"
    assert store.current()["version"] == first  # type: ignore[index]
    left = stack.api.xcom(BACK, run_id, "make_current")
    assert (left["version"], left["before"], left["dag_id"]) == (first, first + 2, DAG)
