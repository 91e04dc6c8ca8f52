"""Whole runs whose launches carry more: a volume, storage that grows, ECS Exec and ARM64, and Managed Instances.

The price in each receipt is computed by hand from the times that DescribeTasks shows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ecs_feature.shards.records import shard_record

DAY = datetime(2013, 3, 1, tzinfo=UTC)
INFRASTRUCTURE_ROLE = "arn:aws:iam::123456789012:role/ecsInfrastructureRole"
FAMILIES = ("launch-options", "launch-managed")


@pytest.fixture(scope="module")
def runs(stack: Any) -> dict[str, str]:
    """The ids of the two runs, which have succeeded, by DAG."""
    network = {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}
    profile = "arn:aws:iam::123456789012:instance-profile/ecsInstanceRole"
    stack.ecs.create_capacity_provider(
        name="managed",
        cluster="features",
        managedInstancesProvider={
            "infrastructureRoleArn": INFRASTRUCTURE_ROLE,
            "instanceLaunchTemplate": {"ec2InstanceProfileArn": profile, "networkConfiguration": network},
        },
    )
    shard = {"family": "launch-options", "environment": {"SHARD": "UA"}}
    stack.faults.add_fault({"match": shard, "disk_full_below_gib": 40})
    ids = {
        "launch_options": stack.run("launch_options", DAY, {"debug_shards": ["OO"]}),
        "launch_managed": stack.run("launch_managed", DAY),
    }
    assert [stack.wait(run_id) for run_id in ids.values()] == ["success", "success"]
    return ids


def requests(stack: Any, family: str) -> list[dict[str, Any]]:
    found = [call["request"] for call in stack.calls("RunTask") if not call["error"]]
    return [request for request in found if f"task-definition/{family}:" in request["taskDefinition"]]


def tasks(stack: Any, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
    """The ECS tasks of a shard, in the order of their launches."""
    record = shard_record(stack.api.xcom(dag_id, run_id, task_id))
    assert record is not None
    arns = [launch["task_arn"] for launch in record["launches"]]
    found = stack.ecs.describe_tasks(cluster="features", tasks=arns)["tasks"]
    return sorted(found, key=lambda task: arns.index(task["taskArn"]))


def seconds(task: dict[str, Any], begin: str = "pullStartedAt") -> float:
    return max(60.0, (task["stoppedAt"] - task[begin]).total_seconds())


def test_a_run_on_arm64_with_a_volume_and_storage_that_grew_costs_what_is_computed_by_hand(
    stack: Any, runs: dict[str, str]
) -> None:
    run_id = runs["launch_options"]
    ua, oo = (tasks(stack, "launch_options", run_id, f"arm.shards.{name}") for name in ("UA", "OO"))
    assert ([task["ephemeralStorage"]["sizeInGiB"] for task in ua], len(oo)) == ([20, 40], 1)
    by_hand = 0.0
    for task in (*ua, *oo):
        hours, months = seconds(task) / 3600, seconds(task, "createdAt") / 3600 / 720
        by_hand += hours * (0.03238 + 2 * 0.00356)  # a vCPU and 2 GB on ARM64 in us-east-1
        by_hand += hours * (task["ephemeralStorage"]["sizeInGiB"] - 20) * 0.000111
        by_hand += months * (200 * 0.08 + 100 * 0.040)  # gp3, 225 MiB/s of which 125 are at no cost
    variant = stack.api.xcom("launch_options", run_id, "receipt")["variants"]["arm"]
    assert variant["cost_usd"] == pytest.approx(by_hand, abs=5e-6)
    assert "unpriced" not in variant
    assert variant["shards"]["succeeded"] == variant["rows"] == 2
    assert variant["ephemeral"] == {"shards": ["UA"], "too_little_gib": 20, "suggested_gib": 40}
    assert {launch["platform"] for launch in variant["launches"]} == {"LINUX/ARM64"}
    assert stack.tasks(run_id)["arm.shards.UA"]["try_number"] == 1, "no retry was used"


def test_the_volume_is_configured_at_each_launch(stack: Any, runs: dict[str, str]) -> None:
    asked = requests(stack, "launch-options")
    assert len(asked) == 3
    for request in asked:
        (volume,) = request["volumeConfigurations"]
        assert (volume["name"], volume["managedEBSVolume"]["roleArn"]) == ("scratch", INFRASTRUCTURE_ROLE)


def test_the_log_of_a_debugged_shard_has_the_command_of_ecs_exec(stack: Any, runs: dict[str, str]) -> None:
    run_id = runs["launch_options"]
    (task,) = tasks(stack, "launch_options", run_id, "arm.shards.OO")
    assert task["enableExecuteCommand"] is True
    command = f"--task {task['taskArn'].rpartition('/')[2]} --container job --interactive --command /bin/sh"
    log = "\n".join(stack.api.log("launch_options", run_id, "arm.shards.OO", 1))
    assert log.count("open a shell in it with: aws ecs execute-command --region us-east-1 --cluster features") == 1
    assert command in log
    shards = {
        next(item["value"] for item in container["environment"] if item["name"] == "SHARD"): request
        for request in requests(stack, "launch-options")
        for container in request["overrides"]["containerOverrides"]
    }
    assert shards["OO"]["enableExecuteCommand"] is True
    assert "enableExecuteCommand" not in shards["UA"]


def test_a_run_on_managed_instances_costs_its_part_of_the_instance_and_the_fee(
    stack: Any, runs: dict[str, str]
) -> None:
    run_id = runs["launch_managed"]
    (request,) = requests(stack, "launch-managed")
    assert request["capacityProviderStrategy"] == [{"capacityProvider": "managed", "weight": 1}]
    assert "launchType" not in request
    (task,) = tasks(stack, "launch_managed", run_id, "control.shards.OO")
    ran = (task["stoppedAt"] - task["pullStartedAt"]).total_seconds()
    variant = stack.api.xcom("launch_managed", run_id, "receipt")["variants"]["control"]
    # 6 of the 8 GB of an m5.large at $0.096 an hour, and the fee of 12 %.
    assert variant["cost_usd"] == pytest.approx(ran / 3600 * 6 / 8 * 0.096 * 1.12, abs=2e-6)
    assert variant["cost_usd"] > 0
    (launch,) = variant["launches"]
    assert (launch["kind"], launch["instance_type"]) == ("MANAGED_INSTANCES", "m5.large")
