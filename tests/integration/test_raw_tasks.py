"""Answers about tasks without botocore's parser: they say the same."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from ecs_feature.aws import raw_tasks
from ecs_feature.aws.resources import EcsTask
from ecs_feature.exceptions import LaunchError
from ecs_feature.fleet.fleet import Fleet, FleetKey
from ecs_feature.fleet.registry import joined
from ecs_feature.tasks.launch import Launch, Network
from fargate_local import LocalFargate

CLUSTER = "features"


async def test_a_task_is_the_same_with_and_without_botocores_parser(simulated: LocalFargate) -> None:
    plain, quick = simulated.client("ecs"), simulated.client("ecs")
    raw_tasks.take_as_json(quick)
    arn = await ended_task()
    parsed, taken = (ecs.describe_tasks(cluster=CLUSTER, tasks=[arn, arn[:-1]]) for ecs in (plain, quick))
    assert isinstance(taken["tasks"][0]["createdAt"], float)
    assert EcsTask.from_aws(taken["tasks"][0]) == EcsTask.from_aws(parsed["tasks"][0])
    assert EcsTask.from_aws(taken["tasks"][0]).stopped_at is not None
    assert taken["failures"] == parsed["failures"] != []
    assert taken["ResponseMetadata"]["HTTPStatusCode"] == 200


async def test_an_error_stays_botocores(simulated: LocalFargate) -> None:
    ecs = simulated.client("ecs")
    raw_tasks.take_as_json(ecs)
    with pytest.raises(ClientError, match=r"ClusterNotFoundException.*DescribeTasks"):
        ecs.describe_tasks(cluster="none", tasks=["x"])


async def test_why_ecs_places_no_task_is_told(simulated: LocalFargate) -> None:
    simulated.add_fault({"match": {"operation": "RunTask"}, "failure": "RESOURCE:ENI", "times": 1})
    async with joined(FleetKey(aws_conn_id=None)) as fleet:
        with pytest.raises(LaunchError, match="RESOURCE:ENI"):
            await run(fleet)


async def ended_task() -> str:
    async with joined(FleetKey(aws_conn_id=None)) as fleet:
        task = await fleet.ended(CLUSTER, await run(fleet), poll_seconds=0.1)
        assert task is not None
        return task.arn


async def run(fleet: Fleet) -> EcsTask:
    network = Network(("subnet-1",))
    return await fleet.launch(Launch(CLUSTER, "job", "job", network, environment={"SIMULATED_SECONDS": "0"}))


async def test_a_fleet_asks_that_way(simulated: LocalFargate) -> None:
    async with joined(FleetKey(aws_conn_id=None)) as fleet:
        task = await run(fleet)
        for direct in (True, False):
            ecs = await fleet._clients.get("ecs", direct=direct)
            answer = await ecs.describe_tasks(cluster=CLUSTER, tasks=[task.arn])
            assert isinstance(answer["tasks"][0]["createdAt"], float)
