"""What a shard's launch can carry, on a local Fargate: volumes, storage that grows, ECS Exec, Managed Instances, ARM64.

The price of each receipt is computed by hand from the times that DescribeTasks shows. No Airflow.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from shard_tries import launches, shard, told

from ecs_feature.exceptions import TaskDefinitionError
from ecs_feature.results.receipts import variant_receipt
from ecs_feature.shards.run import ShardRun
from ecs_feature.tasks.outcomes import Kind
from ecs_feature.tasks.prices import package_prices
from ecs_feature.tasks.volumes import EbsVolume
from fargate_local import LocalFargate

ROLE = "arn:aws:iam::123456789012:role/ecsInfrastructureRole"
TASK_ROLE = "arn:aws:iam::123456789012:role/features"
EXECUTION_ROLE = "arn:aws:iam::123456789012:role/execution"
VCPU_HOUR, GB_HOUR = 0.04048, 0.004445  # https://aws.amazon.com/fargate/pricing/, us-east-1, Linux on X86
MINUTE = 60.0


@pytest.fixture
def aws(simulated: LocalFargate) -> LocalFargate:
    return simulated


def register(aws: LocalFargate, family: str, **changed: Any) -> None:
    """A task definition of 0.25 vCPU and 512 MiB whose only container has its log in ``/ecs/features``."""
    options = {"awslogs-group": "/ecs/features", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "job"}
    container = {"name": "job", "image": "job:1", "logConfiguration": {"logDriver": "awslogs", "options": options}}
    definition = {
        "family": family,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": EXECUTION_ROLE,
        "containerDefinitions": [container | changed.pop("container", {})],
    }
    aws.client("ecs").register_task_definition(**definition | changed)


def receipt(run: ShardRun, outcome: Any) -> dict[str, Any]:
    """The receipt of the shard, from its XCom."""
    record = run.record(outcome, {})
    return variant_receipt(
        states={"UA": "success"}, records=[record], up=None, steady=None, down=None, published=None,
        prices=package_prices(),
    )  # fmt: skip


def tasks(aws: LocalFargate, run: ShardRun) -> list[dict[str, Any]]:
    arns = [record.task_arn for record in run.launches if record.task_arn]
    found = aws.client("ecs").describe_tasks(cluster="features", tasks=arns)["tasks"]
    return sorted(found, key=lambda task: arns.index(task["taskArn"]))


def seconds(task: dict[str, Any], begin: str = "pullStartedAt") -> float:
    """As Fargate bills: at least a minute."""
    return max(MINUTE, (task["stoppedAt"] - task[begin]).total_seconds())


class TaskLog:
    """Keeps what a shard writes to its task log; Airflow's import may disable the loggers that there are."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str, *arguments: Any) -> None:
        self.lines.append(message % arguments)

    warning = error = info

    def info_within(self, seconds: float, message: str, *arguments: Any) -> None:
        self.info(message, *arguments)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def cents(usd: float) -> float:
    return round(usd, 6)


SCRATCH: dict[str, Any] = {
    "volumes": [{"name": "scratch", "configuredAtLaunch": True}],
    "container": {"mountPoints": [{"sourceVolume": "scratch", "containerPath": "/s"}]},
}
"""ECS refuses such a volume that no container mounts."""


async def test_a_volume_configured_at_launch_is_attached_and_billed(aws: LocalFargate) -> None:
    register(aws, "scratch", **SCRATCH)
    volume = EbsVolume("scratch", ROLE, 500, iops=6000, throughput_mib=225)
    async with shard(definition="scratch") as run:
        run.launch = replace(run.launch, volumes=(volume,))
        outcome = await run.run()
        assert outcome.kind is Kind.SUCCEEDED
    (request,) = launches(aws)
    assert request["volumeConfigurations"] == [volume.to_aws()]
    (task,) = tasks(aws, run)
    assert [each["type"] for each in task["attachments"]] == ["ElasticNetworkInterface", "AmazonElasticBlockStorage"]
    hours = seconds(task) / 3600
    months = seconds(task, "createdAt") / 3600 / 720
    by_hand = hours * (0.25 * VCPU_HOUR + 0.5 * GB_HOUR) + months * (500 * 0.08 + 3000 * 0.005 + 100 * 0.040)
    found = receipt(run, outcome)
    assert found["cost_usd"] == pytest.approx(cents(by_hand), abs=2e-6)
    assert found["cost_usd"] > 0.0015, "most of it is the volume's"
    assert "unpriced" not in found


async def test_a_definition_with_such_a_volume_and_a_launch_without_is_one_sentence_before_the_launch(
    aws: LocalFargate,
) -> None:
    register(aws, "scratch", **SCRATCH)
    async with shard(definition="scratch") as run:
        with pytest.raises(
            TaskDefinitionError, match="volume scratch is configured at launch, but the pipeline's volumes"
        ):
            await run.run()
    async with shard() as run:
        run.launch = replace(run.launch, volumes=(EbsVolume("scratch", ROLE, 10),))
        with pytest.raises(TaskDefinitionError, match="has no volume scratch with configuredAtLaunch true"):
            await run.run()
    assert launches(aws) == []


async def test_storage_grows_after_a_full_disk_without_a_retry_and_is_billed_above_twenty_gib(
    aws: LocalFargate,
) -> None:
    aws.add_fault({"match": {"family": "job"}, "disk_full_below_gib": 60})
    async with shard() as run:
        run.log = log = TaskLog()
        outcome = await run.run()
    assert outcome.kind is Kind.SUCCEEDED
    assert [row[0] for row in told(run)] == ["disk_full", "disk_full", "succeeded"]
    overrides = [request["overrides"].get("ephemeralStorage") for request in launches(aws)]
    assert overrides == [None, {"sizeInGiB": 40}, {"sizeInGiB": 80}]
    assert "the disk of container job was full (OSError: [Errno 28] No space left on device" in log.text
    assert "Launching again in 0.0 s, with 80 GiB of ephemeral storage instead of 40" in log.text
    billed = [seconds(task) / 3600 for task in tasks(aws, run)]
    by_hand = sum(billed) * (0.25 * VCPU_HOUR + 0.5 * GB_HOUR) + (billed[1] * 20 + billed[2] * 60) * 0.000111
    found = receipt(run, outcome)
    assert found["cost_usd"] == pytest.approx(cents(by_hand), abs=2e-6)
    assert found["ephemeral"] == {"shards": ["UA"], "too_little_gib": 40, "suggested_gib": 80}


async def test_storage_that_may_not_grow_is_a_failure_of_the_code_with_its_retries(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"family": "job"}, "disk_full_below_gib": 60})
    async with shard(max_ephemeral_gib=45) as run:
        outcome = await run.run()
    assert (outcome.kind, str(outcome.payer)) == (Kind.DISK_FULL, "application")
    assert [record.ephemeral_gib for record in run.launches] == [0, 40, 45]
    async with shard(max_ephemeral_gib=0, seconds=0.3) as run:
        assert (await run.run()).kind is Kind.DISK_FULL
    assert len(run.launches) == 1


async def test_what_grew_before_stays_when_something_else_grows(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"family": "job"}, "disk_full_below_gib": 40, "times": 1})
    aws.add_fault({"match": {"family": "job"}, "out_of_memory_below_mib": 1024, "times": 1})
    aws.add_fault({"match": {"family": "job"}, "stop_code": "InfrastructureHealth", "times": 1})
    async with shard(seconds=0.5) as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert [row[0] for row in told(run)] == ["disk_full", "out_of_memory", "stopped_by_ecs", "succeeded"]
    sizes = [
        (request["overrides"].get("memory"), request["overrides"].get("ephemeralStorage", {}).get("sizeInGiB"))
        for request in launches(aws)
    ]
    assert sizes == [(None, None), (None, 40), ("1024", 40), ("1024", 40)]


async def test_an_image_that_does_not_fit_gets_more_storage(aws: LocalFargate) -> None:
    full = "CannotPullContainerError: failed to register layer: write /usr/lib/x.so: no space left on device"
    aws.add_fault({"match": {"family": "job"}, "start_failure": full, "times": 1})
    async with shard() as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert [row[0] for row in told(run)] == ["disk_full", "succeeded"]
    assert launches(aws)[1]["overrides"]["ephemeralStorage"] == {"sizeInGiB": 40}


async def test_a_failure_whose_lines_do_not_say_it_is_not_blamed_on_the_disk(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"family": "job"}, "exit_code": 1})
    async with shard() as run:
        assert (await run.run()).kind is Kind.APPLICATION_FAILURE
    assert len(run.launches) == 1


async def test_ecs_exec_is_asked_for_and_the_log_has_the_command(
    aws: LocalFargate,
) -> None:
    register(aws, "role", taskRoleArn=TASK_ROLE)
    async with shard(definition="role", seconds=1.0) as run:
        run.debug = True
        run.log = log = TaskLog()
        outcome = await run.run()
    assert outcome.kind is Kind.SUCCEEDED
    (request,) = launches(aws)
    assert request["enableExecuteCommand"] is True
    (task,) = tasks(aws, run)
    command = (
        f"aws ecs execute-command --region us-east-1 --cluster features --task {task['taskArn'].rpartition('/')[2]} "
        "--container job --interactive --command /bin/sh"
    )
    lines = [line for line in log.lines if "execute-command" in line]
    assert lines == [f"Shard UA runs; open a shell in it with: {command}"]
    by_hand = seconds(task) / 3600 * (0.25 * VCPU_HOUR + 0.5 * GB_HOUR)
    assert receipt(run, outcome)["cost_usd"] == pytest.approx(cents(by_hand), abs=2e-6)


async def test_without_a_task_role_the_shard_runs_without_ecs_exec_and_says_so(
    aws: LocalFargate,
) -> None:
    async with shard() as run:
        run.debug = True
        run.log = log = TaskLog()
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert "enableExecuteCommand" not in launches(aws)[0]
    assert "Shard UA is launched without ECS Exec, which debug_shards asks for" in log.text
    assert "execute-command" not in log.text


def managed(aws: LocalFargate, **template: Any) -> None:
    """A capacity provider of Managed Instances, and a task definition for it of 1 vCPU and 6 GB."""
    template = {
        "ec2InstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/ecsInstanceRole",
        "networkConfiguration": {"subnets": ["subnet-1"], "securityGroups": []},
        **template,
    }
    aws.client("ecs").create_capacity_provider(
        name="managed",
        cluster="features",
        managedInstancesProvider={"infrastructureRoleArn": ROLE, "instanceLaunchTemplate": template},
    )
    register(aws, "big", requiresCompatibilities=["MANAGED_INSTANCES"], cpu="1024", memory="6144")


STRATEGY = ({"capacityProvider": "managed", "weight": 1},)


async def test_a_shard_on_managed_instances_costs_its_part_of_the_instance_and_the_fee(aws: LocalFargate) -> None:
    managed(aws)
    async with shard(capacity=STRATEGY, definition="big", seconds=1.2) as run:
        outcome = await run.run()
        assert outcome.kind is Kind.SUCCEEDED
    (request,) = launches(aws)
    assert request["capacityProviderStrategy"] == list(STRATEGY)
    assert "launchType" not in request
    (task,) = tasks(aws, run)
    assert task["launchType"] == "MANAGED_INSTANCES"
    (record,) = run.launches
    assert (record.kind, record.instance_type, record.capacity) == ("MANAGED_INSTANCES", "m5.large", "managed")
    ran = (task["stoppedAt"] - task["pullStartedAt"]).total_seconds()
    share = max(1 / 2, 6 / 8)  # of an m5.large: 2 vCPUs and 8 GB, $0.096 an hour on demand, and the fee of 12 %
    found = receipt(run, outcome)
    assert found["cost_usd"] == pytest.approx(cents(ran / 3600 * share * 0.096 * 1.12), abs=1e-6)
    assert found["cost_usd"] > 0
    assert aws.calls("GetServiceQuota") == [], "Fargate's quota is no bound"
    assert len(aws.calls("DescribeCapacityProviders")) == len(aws.calls("DescribeContainerInstances")) == 1


@pytest.mark.parametrize(
    ("option", "denied", "what"),
    [
        ("SPOT", "", "m5.large of MANAGED_INSTANCES/SPOT in us-east-1"),
        (
            "ON_DEMAND",
            "DescribeCapacityProviders",
            "an unknown instance type of MANAGED_INSTANCES/UNKNOWN in us-east-1",
        ),
        ("ON_DEMAND", "DescribeContainerInstances", "an unknown instance type of MANAGED_INSTANCES in us-east-1"),
    ],
)
async def test_where_the_price_is_not_known_the_receipt_says_so(
    aws: LocalFargate, option: str, denied: str, what: str
) -> None:
    managed(aws, capacityOptionType=option)
    if denied:
        aws.add_fault(
            {"match": {"operation": denied}, "error": "AccessDeniedException", "message": "no", "status": 400}
        )
    async with shard(capacity=STRATEGY, definition="big") as run:
        outcome = await run.run()
        assert outcome.kind is Kind.SUCCEEDED
    found = receipt(run, outcome)
    assert (found["cost_usd"], found["unpriced"]) == (None, {what: 1})


@pytest.mark.parametrize(("capacity", "share"), [("on_demand", 1.0), ("spot", 0.3)], ids=["on-demand", "spot"])
async def test_a_shard_on_arm64_costs_what_arm64_does(aws: LocalFargate, capacity: str, share: float) -> None:
    register(
        aws, "arm", cpu="1024", memory="2048",
        runtimePlatform={"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
    )  # fmt: skip
    async with shard(definition="arm", capacity=capacity) as run:
        outcome = await run.run()
        assert outcome.kind is Kind.SUCCEEDED
    (record,) = run.launches
    assert record.platform == "LINUX/ARM64"
    (task,) = tasks(aws, run)
    by_hand = share * seconds(task) / 3600 * (0.03238 + 2 * 0.00356)
    assert receipt(run, outcome)["cost_usd"] == pytest.approx(cents(by_hand), abs=2e-6)
    assert not math.isclose(by_hand, share * seconds(task) / 3600 * (VCPU_HOUR + 2 * GB_HOUR), rel_tol=0.1)
