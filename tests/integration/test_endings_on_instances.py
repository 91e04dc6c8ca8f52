"""How shards end on instances of one's own, and on clusters' default strategies: on a local Fargate, no Airflow.

The task definition ``host`` has no size but its container's 512 MiB, and no network interface.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from shard_tries import launches, shard, told, until

from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.tasks.capacity import check_capacity
from ecs_feature.tasks.launch import Launch
from ecs_feature.tasks.outcomes import Kind
from ecs_feature.triggers.shard import ShardTrigger
from fargate_local import InstanceSpec, LocalFargate, Settings


@pytest.fixture
def aws(simulated: LocalFargate) -> LocalFargate:
    return simulated


@pytest.fixture
def host(aws: LocalFargate) -> LocalFargate:
    """The same, with the task definition ``host``."""
    register_host(aws)
    return aws


def register_host(aws: LocalFargate, **container: Any) -> None:
    aws.client("ecs").register_task_definition(
        family="host",
        networkMode="bridge",
        containerDefinitions=[{"name": "job", "image": "image:1", "cpu": 256, "memory": 512, **container}],
    )


def add_instance(aws: LocalFargate, memory_mib: int = 1024, provider: str = "") -> str:
    """An instance of one vCPU; its ARN."""
    sizes = {"CPU": 1024, "MEMORY": memory_mib}
    answer = aws.client("ecs").register_container_instance(
        cluster="features",
        totalResources=[{"name": name, "type": "INTEGER", "integerValue": value} for name, value in sizes.items()],
        attributes=[{"name": "fargate_local.capacity-provider", "value": provider}] if provider else [],
    )
    return str(answer["containerInstance"]["containerInstanceArn"])


def add_provider(aws: LocalFargate, *names: str, scales: bool = False, default: Any = ()) -> None:
    """Capacity providers of Auto Scaling groups, and the cluster's default strategy."""
    ecs = aws.client("ecs")
    for name in names:
        scaling = {"status": "ENABLED" if scales else "DISABLED"}
        ecs.create_capacity_provider(
            name=name, autoScalingGroupProvider={"autoScalingGroupArn": name, "managedScaling": scaling}
        )
    ecs.put_cluster_capacity_providers(
        cluster="features",
        capacityProviders=["FARGATE", "FARGATE_SPOT", *names],
        defaultCapacityProviderStrategy=list(default),
    )


def occupy(aws: LocalFargate) -> str:
    """Another's task on the only instance, which does not end by itself; its ARN."""
    environment = [{"name": "SIMULATED_SECONDS", "value": "600"}]
    overrides = {"containerOverrides": [{"name": "job", "environment": environment, "memory": 1000}]}
    answer = aws.client("ecs").run_task(
        cluster="features", taskDefinition="host", launchType="EC2", overrides=overrides
    )
    assert answer["failures"] == []
    return str(answer["tasks"][0]["taskArn"])


async def test_a_shard_runs_on_an_instance_without_a_size_a_network_or_a_price_of_its_own(host: LocalFargate) -> None:
    instance = add_instance(host)
    async with shard(capacity="ec2", definition="host") as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
        (task,) = await run.fleet.tasks_started_by("features", "ecs-feature/flights/try")
    assert told(run) == [("succeeded", "EC2", 512)]
    assert task.container_instance == instance
    (request,) = launches(host)
    assert (request["launchType"], "networkConfiguration" in request) == ("EC2", False)
    (record,) = run.launches
    assert 0 < record.vcpu_seconds < 15, "a quarter of a vCPU, and no minute at least"
    assert host.calls("GetServiceQuota") == [], "Fargate's quota is no bound"


@pytest.mark.parametrize("network_mode", ["awsvpc", "host"])
async def test_on_an_instance_only_a_task_with_an_interface_gets_the_network(
    aws: LocalFargate, network_mode: str
) -> None:
    aws.client("ecs").register_task_definition(
        family="host",
        networkMode=network_mode,
        containerDefinitions=[{"name": "job", "image": "image:1", "memory": 64}],
    )
    add_instance(aws)
    async with shard(capacity="ec2", definition="host") as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    (request,) = launches(aws)
    assert ("networkConfiguration" in request) is (network_mode == "awsvpc")


async def test_a_full_instance_is_waited_for_under_one_token(host: LocalFargate) -> None:
    add_instance(host)
    other = occupy(host)
    async with shard(capacity="ec2", definition="host", max_relaunches=0) as run:
        working = asyncio.create_task(run.run())
        await until(lambda: len(run.history) == 2)
        host.client("ecs").stop_task(cluster="features", task=other)
        assert (await working).kind is Kind.SUCCEEDED
    *waits, last = run.launches
    assert {(wait.outcome, wait.reason, wait.task_arn) for wait in waits} == {
        ("capacity_unavailable", "RESOURCE:MEMORY", "")
    }
    assert (last.outcome, last.capacity) == ("succeeded", "EC2")
    assert len({request.get("clientToken") for request in launches(host)[1:]}) == 1


async def test_a_cluster_that_was_scaled_to_zero_is_waited_for(host: LocalFargate) -> None:
    async with shard(capacity="ec2", definition="host", max_relaunches=0) as run:
        working = asyncio.create_task(run.run())
        await until(lambda: len(run.history) == 1)
        add_instance(host)
        assert (await working).kind is Kind.SUCCEEDED
    assert run.launches[0].outcome == "capacity_unavailable"
    assert "No Container Instances were found in your cluster" in run.launches[0].reason


ITEM = {"weight": 1}


@pytest.mark.parametrize(
    ("default", "definition", "capacity"),
    [
        ([ITEM | {"capacityProvider": "FARGATE"}], "job", "FARGATE"),
        ([ITEM | {"capacityProvider": "FARGATE_SPOT"}], "job", "FARGATE_SPOT"),
        ([ITEM | {"capacityProvider": "batch"}], "host", "batch"),
        ([], "host", "EC2"),
    ],
    ids=["Fargate", "Spot", "a provider of instances", "none, so EC2"],
)
async def test_the_clusters_default_strategy_is_what_a_shard_runs_on(
    host: LocalFargate, default: Any, definition: str, capacity: str
) -> None:
    add_instance(host, provider="batch")
    add_provider(host, "batch", default=default)
    async with shard(capacity="cluster_default", definition=definition) as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
        assert run.launch.bucket == (capacity if definition == "job" else "")
    assert [row[:2] for row in told(run)] == [("succeeded", capacity)]
    (request,) = launches(host)
    assert not {"launchType", "capacityProviderStrategy"} & set(request)
    assert len(host.calls("DescribeClusters")) <= 2


async def test_a_default_strategy_that_airflow_may_not_see_counts_as_fargate(aws: LocalFargate) -> None:
    add_provider(aws, default=[ITEM | {"capacityProvider": "FARGATE_SPOT"}])
    aws.add_fault({"match": {"operation": "DescribeClusters"}, "error": "AccessDeniedException"})
    async with shard(capacity="cluster_default") as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
        assert run.launch.bucket == "FARGATE"
    assert told(run) == [("succeeded", "FARGATE_SPOT", 512)]


@pytest.mark.parametrize(
    ("strategy", "definition", "capacities"),
    [
        (
            [{"capacityProvider": "batch", "weight": 1}, {"capacityProvider": "spare", "weight": 3, "base": 1}],
            "host",
            {"spare"},
        ),
        (
            [{"capacityProvider": "batch", "weight": 2}, {"capacityProvider": "spare", "weight": 0}],
            "host",
            {"batch"},
        ),
        (
            [
                {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
                {"capacityProvider": "FARGATE_SPOT", "weight": 4},
            ],
            "job",
            {"FARGATE"},
        ),
        (
            [{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 4}],
            "job",
            {"FARGATE_SPOT"},
        ),
    ],
    ids=["groups, by base", "groups, by weight", "Fargate, by base", "Fargate, by weight"],
)
async def test_a_strategy_of_the_users_own_is_what_a_shard_runs_on(
    host: LocalFargate, strategy: Any, definition: str, capacities: set[str]
) -> None:
    add_provider(host, "batch", "spare")
    for provider in ("batch", "spare"):
        add_instance(host, provider=provider)
    check_capacity(strategy)
    async with shard(capacity=strategy, definition=definition) as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert {record.capacity for record in run.launches} == capacities
    (request,) = launches(host)
    assert request["capacityProviderStrategy"] == strategy


async def test_a_task_whose_group_starts_no_instance_in_time_is_without_capacity_and_not_stuck(
    host: LocalFargate,
) -> None:
    add_provider(host, "batch", scales=True)
    strategy = [{"capacityProvider": "batch", "weight": 1}]
    async with shard(capacity=strategy, definition="host", start_seconds=0.5, max_relaunches=0) as run:
        working = asyncio.create_task(run.run())
        await until(lambda: len(run.history) == 1)
        add_instance(host, provider="batch")
        assert (await working).kind is Kind.SUCCEEDED
    assert [row[0] for row in told(run)] == ["capacity_unavailable", "succeeded"]
    assert len({record.task_arn for record in run.launches}) == 2


async def test_a_task_whose_instance_is_deregistered_is_launched_again_on_another(host: LocalFargate) -> None:
    first = add_instance(host)
    async with shard(capacity="ec2", definition="host", seconds=1) as run:
        working = asyncio.create_task(run.run())
        await until(lambda: run.task is not None)
        add_instance(host)
        host.client("ecs").deregister_container_instance(cluster="features", containerInstance=first, force=True)
        assert (await working).kind is Kind.SUCCEEDED
    assert [row[0] for row in told(run)] == ["stopped_by_ecs", "succeeded"]
    assert run.launches[0].reason == "Container instance deregistration forced by user"


async def test_a_task_whose_host_is_terminated_is_launched_again(host: LocalFargate) -> None:
    add_instance(host)
    gone = "Host EC2 (instance i-0282b396e52b4c95d) terminated."
    host.add_fault(
        {
            "match": {"capacity": "EC2"},
            "stop_code": "TerminationNotice",
            "message": gone,
            "after_seconds": 0,
            "times": 1,
        }
    )
    async with shard(capacity="ec2", definition="host", seconds=1) as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert [(record.outcome, record.reason) for record in run.launches] == [("stopped_by_ecs", gone), ("succeeded", "")]


async def test_out_of_memory_on_an_instance_doubles_up_to_the_most_in_any_size(host: LocalFargate) -> None:
    add_instance(host, memory_mib=4096)
    host.add_fault({"match": {"family": "host"}, "out_of_memory_below_mib": 1500})
    async with shard(capacity="ec2", definition="host", max_memory_mib=1500) as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert told(run) == [("out_of_memory", "EC2", 512), ("out_of_memory", "EC2", 1024), ("succeeded", "EC2", 1500)]
    (job,) = launches(host)[-1]["overrides"]["containerOverrides"]
    assert (job["memory"], "cpu" in launches(host)[-1]["overrides"]) == (1500, False)


async def test_the_trigger_of_a_shard_takes_instances_with_neither_subnets_nor_a_size(host: LocalFargate) -> None:
    add_provider(host, "batch")
    add_instance(host, provider="batch")
    capacity = ({"capacityProvider": "batch", "weight": 1},)
    launch = Launch("features", "host", "job", environment={"SIMULATED_SECONDS": "0.2"}, capacity=capacity)
    stored = json.loads(json.dumps({"launch": launch.to_dict(), "policy": ShardPolicy(poll_seconds=0.1).to_dict()}))
    trigger = ShardTrigger(**stored, shard="UA", aws={"aws_conn_id": None}, token_id="try", end_in_triggerer=False)
    (event,) = [event async for event in trigger.run()]
    assert event.payload["state"] == "success"
    (record,) = event.payload["record"]["launches"]
    assert (record["capacity"], record["memory_mib"], record["cpu"]) == ("batch", 512, 256)


async def test_a_real_process_on_an_instance_gets_the_memory_that_it_lacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image").mkdir()
    settings = Settings(
        images=tmp_path,
        pace=0.001,
        memory_interval_seconds=0.05,
        instances={"features": [InstanceSpec(2, 4096)]},
    )
    with LocalFargate(settings) as aws:
        for name, value in aws.environ.items():
            monkeypatch.setenv(name, value)
        aws.client("ecs").create_cluster(clusterName="features")
        line = "import time; held = b'x' * (150 << 20); time.sleep(1)"
        register_host(aws, memory=100, command=["python", "-c", line])
        async with shard(capacity="ec2", definition="host") as run:
            assert (await run.run()).kind is Kind.SUCCEEDED
    assert told(run) == [("out_of_memory", "EC2", 100), ("succeeded", "EC2", 200)]
