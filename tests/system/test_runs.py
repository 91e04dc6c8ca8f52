"""Runs on a real scheduler, triggerer, DAG processor and API server, against the local Fargate.

The runs that do not disturb each other go on at the same time; each is of another day.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

PIPELINE, SMALL, MAPPED = "flight_delay_features", "small_features", "mapped_features"
WHOLE_DAY = datetime(2013, 1, 1, tzinfo=UTC)
RETRIED_DAY = datetime(2013, 2, 8, tzinfo=UTC)
FAILED_DAY = datetime(2013, 2, 9, tzinfo=UTC)
SELECTED_DAY = datetime(2013, 2, 10, tzinfo=UTC)
UNKNOWN_DAY = datetime(2013, 2, 11, tzinfo=UTC)
MAPPED_DAY = datetime(2013, 2, 13, tzinfo=UTC)
TEARDOWN_DAY = datetime(2013, 2, 12, tzinfo=UTC)
RUN_SECONDS = 420
ROWS_OF_2013_01_01 = 842


@dataclass
class Runs:
    """The runs of this module, all ended: their states by day."""

    stack: Any
    ids: dict[datetime, str] = field(default_factory=dict)
    states: dict[datetime, str] = field(default_factory=dict)

    def tasks(self, day: datetime) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.stack.tasks(self.ids[day])
        return found

    def receipt(self, day: datetime) -> dict[str, Any]:
        dag_id = {WHOLE_DAY: PIPELINE, MAPPED_DAY: MAPPED}.get(day, SMALL)
        receipt: dict[str, Any] = self.stack.api.xcom(dag_id, self.ids[day], "receipt")
        return receipt

    def launches(self, day: datetime) -> list[dict[str, str]]:
        """The environment of every RunTask call of that day that ECS answered with a task."""
        environments = []
        for call in self.stack.calls("RunTask"):
            (container,) = call["request"]["overrides"]["containerOverrides"]
            environment = {item["name"]: item["value"] for item in container.get("environment", ())}
            if environment.get("LOGICAL_DATE") == f"{day:%Y-%m-%d}" and not call["error"]:
                environments.append({**environment, "token": call["request"].get("clientToken")})
        return environments

    def published(self, day: datetime, variant: str) -> list[str]:
        """The keys below a variant's manifest folder."""
        prefix = f"features/small/variant={variant}/ds={day:%Y-%m-%d}/manifest/"
        answer = self.stack.client("s3").list_objects_v2(Bucket="ecs-feature-local", Prefix=prefix)
        return [item["Key"].removeprefix(prefix) for item in answer.get("Contents", ())]


@pytest.fixture(scope="module")
def runs(stack: Any) -> Runs:
    started = Runs(stack)
    day = f"{RETRIED_DAY:%Y-%m-%d}"
    stack.faults.add_fault(
        {
            "match": {"environment": {"SHARD": "UA", "VARIANT": "control", "LOGICAL_DATE": day}},
            "exit_code": 3,
            "times": 1,
        }
    )
    day = f"{FAILED_DAY:%Y-%m-%d}"
    stack.faults.add_fault(
        {"match": {"environment": {"SHARD": "OO", "VARIANT": "treatment", "LOGICAL_DATE": day}}, "exit_code": 7}
    )
    plans = [
        (PIPELINE, WHOLE_DAY, None),
        (SMALL, RETRIED_DAY, None),
        (SMALL, FAILED_DAY, None),
        (SMALL, SELECTED_DAY, {"shards": ["UA"], "variants": ["treatment"]}),
        (SMALL, UNKNOWN_DAY, {"shards": ["ZZ"]}),
        (MAPPED, MAPPED_DAY, None),
    ]
    for dag_id, logical_date, conf in plans:
        started.ids[logical_date] = stack.run(dag_id, logical_date, conf)
    for logical_date, run_id in started.ids.items():
        started.states[logical_date] = stack.wait(run_id, RUN_SECONDS)
    stack.faults.clear_faults()
    return started


def test_a_day_of_the_pipeline_computes_every_flight_in_both_variants(runs: Runs) -> None:
    receipt = runs.receipt(WHOLE_DAY)
    assert receipt["state"] == "success"
    assert runs.states[WHOLE_DAY] == "success"
    assert sorted(receipt["variants"]) == ["control", "treatment"]
    for variant in receipt["variants"].values():
        assert variant["shards"] == {"total": 16, "succeeded": 16, "failed": 0, "skipped": 0}
        assert (variant["rows"], variant["files"]) == (ROWS_OF_2013_01_01, 16)
        (service,) = variant["services"]
        assert service["peak"] >= 2
        assert variant["cost_usd"] > 0


def test_a_shard_that_succeeds_starts_in_the_triggerer_and_uses_no_worker(runs: Runs) -> None:
    tasks = runs.tasks(WHOLE_DAY)
    shards = {task_id: task for task_id, task in tasks.items() if ".shards." in task_id}
    assert len(shards) == 32
    # A worker leaves its host name and process id on the task instance that it runs.
    assert {(task["state"], task["hostname"], task["pid"]) for task in shards.values()} == {("success", "", None)}
    worked = {task_id for task_id, task in tasks.items() if task["pid"] is not None}
    assert {"plan", "ingest", "control.publish", "treatment.scale_down"} <= worked
    assert "control.services_steady" not in worked


def test_ecs_sees_exactly_one_run_task_per_shard(runs: Runs) -> None:
    launches = runs.launches(WHOLE_DAY)
    assert Counter((each["VARIANT"], each["SHARD"]) for each in launches).most_common(1)[0][1] == 1
    assert len(launches) == len({each["token"] for each in launches}) == 32


def test_the_container_log_and_the_console_links_are_on_the_shard(runs: Runs) -> None:
    run_id, task_id = runs.ids[WHOLE_DAY], "control.shards.UA"
    log = "\n".join(runs.stack.api.log(PIPELINE, run_id, task_id, 1))
    assert "Shard UA runs as ECS task arn:aws:ecs:us-east-1:123456789012:task/features/" in log
    assert "[features] " in log
    links = runs.stack.api.get(f"/dags/{PIPELINE}/dagRuns/{run_id}/taskInstances/{task_id}/links")["extra_links"]
    assert sorted(links) == ["ECS task", "ECS task log"]
    assert all(url.startswith("https://us-east-1.console.aws.amazon.com/ecs/v2/clusters/") for url in links.values())


def test_publishing_emits_an_asset_event_with_the_manifest(runs: Runs) -> None:
    events = runs.stack.api.pages("/assets/events", "asset_events", source_dag_id=PIPELINE)
    found = {
        event["source_task_id"]: event["extra"] for event in events if event["source_run_id"] == runs.ids[WHOLE_DAY]
    }
    assert sorted(found) == ["control.publish", "treatment.publish"]
    receipt = runs.receipt(WHOLE_DAY)
    assert found["control.publish"]["manifest_uri"] == receipt["variants"]["control"]["manifest_uri"]
    assert found["control.publish"]["rows"] == ROWS_OF_2013_01_01


def test_a_shard_that_fails_once_is_retried_by_airflow_and_the_run_succeeds(runs: Runs) -> None:
    assert runs.states[RETRIED_DAY] == "success"
    tasks = runs.tasks(RETRIED_DAY)
    assert tasks["control.shards.UA"]["try_number"] == 2
    assert tasks["control.shards.OO"]["try_number"] == 1
    launches = Counter((each["VARIANT"], each["SHARD"]) for each in runs.launches(RETRIED_DAY))
    assert launches == {("control", "UA"): 2, ("control", "OO"): 1, ("treatment", "UA"): 1, ("treatment", "OO"): 1}
    log = "\n".join(runs.stack.api.log(SMALL, runs.ids[RETRIED_DAY], "control.shards.UA", 1))
    assert "Shard UA: container features exited with code 3" in log


def test_a_shard_out_of_retries_fails_the_run_and_only_its_variant_is_not_published(runs: Runs) -> None:
    assert runs.states[FAILED_DAY] == "failed"
    states = {task_id: task["state"] for task_id, task in runs.tasks(FAILED_DAY).items()}
    assert states["treatment.shards.OO"] == "failed"
    assert states["treatment.publish"] == "upstream_failed"
    assert states["treatment.scale_down"] == states["control.publish"] == states["receipt"] == "success"
    assert runs.published(FAILED_DAY, "treatment") == []
    assert runs.published(FAILED_DAY, "control") == ["current.json", "v=0001.json"]
    receipt = runs.receipt(FAILED_DAY)
    assert receipt["state"] == "failed"
    assert receipt["variants"]["treatment"]["shards"] == {"total": 2, "succeeded": 1, "failed": 1, "skipped": 0}


def test_a_selection_launches_only_its_shards_and_leaves_other_variants_alone(runs: Runs) -> None:
    assert runs.states[SELECTED_DAY] == "success"
    assert [(each["VARIANT"], each["SHARD"]) for each in runs.launches(SELECTED_DAY)] == [("treatment", "UA")]
    states = {task_id: task["state"] for task_id, task in runs.tasks(SELECTED_DAY).items()}
    assert {states[f"control.{name}"] for name in ("register", "scale_up", "shards.UA", "publish", "scale_down")} == {
        "skipped"
    }
    assert states["treatment.shards.OO"] == "skipped"
    assert sorted(runs.receipt(SELECTED_DAY)["variants"]) == ["treatment"]


def test_an_unknown_shard_is_refused_before_anything_is_launched(runs: Runs) -> None:
    assert runs.states[UNKNOWN_DAY] == "failed"
    tasks = runs.tasks(UNKNOWN_DAY)
    assert (tasks["plan"]["state"], tasks["plan"]["try_number"]) == ("failed", 1)
    assert runs.launches(UNKNOWN_DAY) == []
    log = "\n".join(runs.stack.api.log(SMALL, runs.ids[UNKNOWN_DAY], "plan", 1))
    assert "shards: 'ZZ' is not among the pipeline's 2 shards; choose from OO, UA." in log


def test_shards_found_at_run_time_are_mapped_tasks_that_use_no_worker(runs: Runs) -> None:
    assert runs.states[MAPPED_DAY] == "success"
    tasks = runs.tasks(MAPPED_DAY)
    found = runs.stack.api.xcom(MAPPED, runs.ids[MAPPED_DAY], "find_shards")
    assert len(found) == 3
    shards = [tasks[f"control.shard[{index}]"] for index in range(3)]
    assert {(task["state"], task["pid"]) for task in shards} == {("success", None)}
    assert [task["priority_weight"] for task in shards] == [0, -1, -2]
    assert sorted(each["SHARD"] for each in runs.launches(MAPPED_DAY)) == found
    receipt = runs.receipt(MAPPED_DAY)["variants"]["control"]
    assert receipt["shards"] == {"total": 3, "succeeded": 3, "failed": 0, "skipped": 0}
    assert (receipt["files"], receipt["services"][0]["after"]) == (3, 0)


def test_after_all_runs_every_service_is_at_zero_without_a_lease(runs: Runs) -> None:
    for service in runs.stack.stack.services():
        assert (service["desiredCount"], service["runningCount"]) == (0, 0)
        tags = runs.stack.ecs.list_tags_for_resource(resourceArn=service["serviceArn"])["tags"]
        assert [tag["key"] for tag in tags if tag["key"].startswith("ecs-feature:lease:")] == []


def test_a_failing_scale_down_fails_the_run_and_clearing_it_mends_it(runs: Runs) -> None:
    stack = runs.stack
    denied = {"match": {"operation": "UntagResource"}, "error": "InvalidParameterException", "message": "not allowed"}
    stack.faults.add_fault({**denied, "status": 400})
    run_id = stack.run(SMALL, TEARDOWN_DAY, {"shards": ["OO"], "variants": ["control"]})
    assert stack.wait(run_id, RUN_SECONDS) == "failed"
    states = {task_id: task["state"] for task_id, task in stack.tasks(run_id).items()}
    assert (states["control.publish"], states["control.scale_down"]) == ("success", "failed")

    stack.faults.clear_faults()
    body = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["control.scale_down"], "only_failed": True}
    stack.api.post(f"/dags/{SMALL}/clearTaskInstances", {**body, "reset_dag_runs": True})
    stack.succeed(run_id, RUN_SECONDS)
    assert {service["desiredCount"] for service in stack.stack.services()} == {0}


def test_the_manifest_names_files_that_are_there_with_their_checksums(runs: Runs) -> None:
    import hashlib

    s3 = runs.stack.client("s3")
    uri = runs.receipt(WHOLE_DAY)["variants"]["treatment"]["manifest_uri"]
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert (manifest["version"], manifest["rows"]) == (1, ROWS_OF_2013_01_01)
    for shard in manifest["shards"].values():
        for file in shard["files"]:
            bucket, key = file["uri"].removeprefix("s3://").split("/", 1)
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            assert (len(body), hashlib.sha256(body).hexdigest()) == (file["bytes"], file["sha256"])
