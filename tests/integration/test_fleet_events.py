"""ECS's task events through EventBridge and SQS: the end of a task is heard, not asked for."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from ecs_feature.fleet.fleet import Fleet, FleetKey
from ecs_feature.fleet.registry import joined
from ecs_feature.tasks.launch import Launch, Network, client_token
from fargate_local import LocalFargate

CLUSTER = "features"


@pytest.fixture
def aws(simulated: LocalFargate) -> LocalFargate:
    return simulated


@pytest.fixture
def queue_url(aws: LocalFargate) -> str:
    """A queue to which EventBridge sends every task that stopped."""
    sqs, events = aws.client("sqs"), aws.client("events")
    url: str = sqs.create_queue(QueueName="stopped-tasks")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.ecs"],
        "detail-type": ["ECS Task State Change"],
        "detail": {"lastStatus": ["STOPPED"]},
    }
    events.put_rule(Name="stopped-tasks", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="stopped-tasks", Targets=[{"Id": "queue", "Arn": arn}])
    return url


def launch(run: str, number: int) -> Launch:
    return Launch(
        CLUSTER,
        "job",
        "job",
        Network(("subnet-1",)),
        environment={"SIMULATED_SECONDS": "1"},
        started_by=f"flights/{run}",
        client_token=client_token(run, number),
    )


async def shard(fleet: Fleet, run: str, number: int, poll_seconds: float = 30) -> Any:
    return await fleet.ended(CLUSTER, await fleet.launch(launch(run, number), share=run), poll_seconds=poll_seconds)


def made(aws: LocalFargate, operation: str) -> int:
    return Counter(call.operation for call in aws.calls())[operation]


async def test_forty_ends_are_heard_at_once_and_none_is_asked_for(aws: LocalFargate, queue_url: str) -> None:
    async with joined(FleetKey(aws_conn_id=None, events_queue_url=queue_url)) as fleet, asyncio.timeout(20):
        ended = await asyncio.gather(*(shard(fleet, "run", number) for number in range(40)))
    assert Counter(task.containers[0].exit_code for task in ended) == {0: 40}
    assert all(task.stopped_at and task.cpu == 256 for task in ended)
    assert made(aws, "DescribeTasks") == 0


@pytest.mark.slow
async def test_two_triggerers_that_share_a_queue_hear_of_their_own(aws: LocalFargate, queue_url: str) -> None:
    key = FleetKey(aws_conn_id=None, events_queue_url=queue_url)
    fleets = [Fleet(key), Fleet(key)]
    try:
        for fleet in fleets:
            await fleet.opened()
        # What one triggerer keeps getting although it is the other's, the safety net finds after a minute.
        async with asyncio.timeout(100):
            ended = await asyncio.gather(
                *(shard(fleet, f"run{which}", n) for which, fleet in enumerate(fleets) for n in range(10))
            )
    finally:
        for fleet in fleets:
            await fleet.close()
    assert Counter(task.containers[0].exit_code for task in ended) == {0: 20}
    assert made(aws, "DescribeTasks") <= 4


async def test_without_the_queue_tasks_are_polled_at_the_usual_pace(
    aws: LocalFargate, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = aws.endpoint_url + "/123456789012/nowhere"
    async with joined(FleetKey(aws_conn_id=None, events_queue_url=nowhere)) as fleet, asyncio.timeout(20):
        task = await shard(fleet, "run", 1, poll_seconds=0.5)
    assert task.stopped
    assert made(aws, "DescribeTasks") >= 1
    said = [record.getMessage() for record in caplog.records if "so tasks are polled" in record.getMessage()]
    assert len(said) == 1
