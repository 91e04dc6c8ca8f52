"""Partitions on a real Airflow: hours, local days, and consumers that start when their partition is there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

NINE, TEN = (datetime(2013, 6, 1, hour, tzinfo=UTC) for hour in (9, 10))
IN_TOKYO = datetime(2013, 6, 1, 15, tzinfo=UTC)
CONSUMERS = ("after_tokyo", "after_each_shard", "after_any")
RUN_SECONDS = 240


@pytest.fixture(scope="module")
def runs(stack: Any) -> dict[datetime, str]:
    """The runs of the producers, all ended: their ids by logical date."""
    for dag_id in CONSUMERS:
        stack.stack.wait_for_dag(dag_id)
        stack.api.unpause(dag_id)
    ids = {
        NINE: stack.run("hourly_features", NINE),
        TEN: stack.run("hourly_features", TEN, {"shards": ["NY"]}),
        IN_TOKYO: stack.run("tokyo_features", IN_TOKYO),
    }
    for run_id in ids.values():
        stack.succeed(run_id, RUN_SECONDS)
    return ids


def consumed(stack: Any, dag_id: str, count: int) -> list[dict[str, Any]]:
    """The runs that assets have started, once there are so many and they have ended; by their partition keys."""

    def ended() -> bool:
        found = stack.api.pages(f"/dags/{dag_id}/dagRuns", "dag_runs")
        return len(found) >= count and all(each["state"] in ("success", "failed") for each in found)

    stack.stack.processes.wait_until(ended, what=f"{dag_id} has not run {count} times", timeout_seconds=RUN_SECONDS)
    found = stack.api.pages(f"/dags/{dag_id}/dagRuns", "dag_runs")
    return sorted(found, key=lambda each: each["partition_key"] or "")


def said(stack: Any, dag_id: str, run_id: str) -> list[str]:
    """What the containers of a run have written, from the manifest that it published."""
    from ecs_feature.results.reader import read_manifest

    s3 = stack.client("s3")
    manifest = read_manifest(stack.api.xcom(dag_id, run_id, "publish")["manifest_uri"], s3=s3)
    bodies = []
    for uri in manifest.uris():
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        bodies.append(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
    return bodies


def test_an_hour_has_a_manifest_of_its_own(stack: Any, runs: dict[datetime, str]) -> None:
    published = {at: stack.api.xcom("hourly_features", runs[at], "publish") for at in (NINE, TEN)}
    uris = [published[at]["manifest_uri"].split("/", 3)[3] for at in (NINE, TEN)]
    assert uris == [f"partitioned/hourly/hour=2013-06-01T{hour}/manifest/v=0001.json" for hour in ("09", "10")]
    assert (published[NINE]["shards"], published[TEN]["shards"]) == (["CA", "NY"], ["NY"])
    assert said(stack, "hourly_features", runs[TEN]) == ["NY,2013-06-01T10,2013-06-01,2013-06-01T10,2013-06-01"]


def test_a_day_in_tokyo_is_the_local_one(stack: Any, runs: dict[datetime, str]) -> None:
    plan = stack.api.xcom("tokyo_features", runs[IN_TOKYO], "plan")
    assert (plan["partition"], plan["day"]) == ("2013-06-02", "2013-06-02")
    assert said(stack, "tokyo_features", runs[IN_TOKYO]) == [
        f"{shard},2013-06-02,2013-06-02,2013-06-02,2013-06-02" for shard in ("CA", "NY")
    ]
    receipt = stack.api.xcom("tokyo_features", runs[IN_TOKYO], "receipt")
    assert (receipt["logical_date"], receipt["partition"]) == ("2013-06-02", "2013-06-02")


def test_a_pipeline_on_the_asset_of_another_computes_its_partition(stack: Any, runs: dict[datetime, str]) -> None:
    (run,) = consumed(stack, "after_tokyo", 1)
    assert (run["partition_key"], run["logical_date"], run["state"]) == ("2013-06-02", None, "success")
    assert said(stack, "after_tokyo", run["dag_run_id"])[1] == "NY,2013-06-02,2013-06-02,2013-06-02,2013-06-02"
    tags = [{tag["key"]: tag["value"] for tag in call["request"].get("tags", ())} for call in stack.calls("RunTask")]
    mine = [each["ecs-feature:partition"] for each in tags if each.get("ecs-feature:dag") == "after_tokyo"]
    assert mine == ["2013-06-02", "2013-06-02"]


def test_consumers_start_for_one_shard_and_without_partitions_too(stack: Any, runs: dict[datetime, str]) -> None:
    keys = [run["partition_key"] for run in consumed(stack, "after_each_shard", 3)]
    assert keys == ["2013-06-01T09|CA", "2013-06-01T09|NY", "2013-06-01T10|NY"]
    (run,) = consumed(stack, "after_any", 1)
    assert run["partition_key"] is None
    assert set(stack.api.xcom("after_any", run["dag_run_id"], "extra")) == {"2013-06-02"}


def test_the_manifest_says_where_it_comes_from(stack: Any, runs: dict[datetime, str]) -> None:
    from ecs_feature.results.reader import read_manifest

    uri = stack.api.xcom("tokyo_features", runs[IN_TOKYO], "publish")["manifest_uri"]
    content = read_manifest(uri, s3=stack.client("s3")).content
    assert content["run_id"] == runs[IN_TOKYO]
    assert content["partition"] == "2013-06-02"
    assert ":task-definition/flight-features-control:" in content["task_definition"]
    assert all(shard["image_digest"].startswith("sha256:") for shard in content["shards"].values())
    assert {shard["task_definition"] for shard in content["shards"].values()} == {
        content["task_definition"].rpartition("/")[2]
    }
