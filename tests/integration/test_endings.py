"""How shards end on a local Fargate with faults: what is launched, and what the record says. No Airflow."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from shard_tries import all_tasks, launches, shard, told, until

from ecs_feature.tasks.outcomes import STOP_REASON_STUCK, Kind
from fargate_local import LocalFargate

CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
LONG_AGO = datetime.now(UTC) - timedelta(hours=2)


@pytest.fixture
def aws(simulated: LocalFargate) -> LocalFargate:
    return simulated


async def test_out_of_memory_is_launched_again_in_the_next_size(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"family": "job"}, "out_of_memory_below_mib": 2048})
    async with shard() as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert told(run) == [
        ("out_of_memory", "FARGATE", 512),
        ("out_of_memory", "FARGATE", 1024),
        ("succeeded", "FARGATE", 2048),
    ]


async def test_out_of_memory_at_the_most_is_the_end(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"family": "job"}, "out_of_memory_below_mib": 2048})
    async with shard(max_memory_mib=1024) as run:
        assert (await run.run()).kind is Kind.OUT_OF_MEMORY
    assert [row[2] for row in told(run)] == [512, 1024]


async def test_a_task_that_stays_pending_is_stopped_and_replaced(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"family": "job"}, "stuck": "PENDING", "times": 1})
    async with shard(start_seconds=0.5) as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert [row[0] for row in told(run)] == ["stuck", "succeeded"]
    (stop,) = aws.calls("StopTask")
    assert stop.to_json()["request"]["reason"] == STOP_REASON_STUCK


async def test_spot_is_given_up_after_the_interruptions_that_are_borne(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"capacity": "FARGATE_SPOT"}, "stop_code": "SpotInterruption"})
    async with shard(capacity="spot", fallback_interruptions=2, seconds=5) as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert [row[:2] for row in told(run)] == [
        ("spot_interruption", "FARGATE_SPOT"),
        ("spot_interruption", "FARGATE_SPOT"),
        ("succeeded", "FARGATE"),
    ]


async def test_missing_capacity_is_waited_for_under_one_token(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"operation": "RunTask"}, "failure": CAPACITY, "times": 2})
    async with shard(max_relaunches=0) as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert [row[0] for row in told(run)] == ["capacity_unavailable", "capacity_unavailable", "succeeded"]
    assert len({request["clientToken"] for request in launches(aws)}) == 1


async def test_a_task_that_ecs_does_not_show_yet_is_not_launched_again(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"family": "job"}, "invisible_seconds": 1})
    async with shard() as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert len(launches(aws)) == len(run.launches) == 1


async def test_a_throttled_and_broken_api_is_waited_for(aws: LocalFargate) -> None:
    every = {"operation": "*"}
    aws.add_fault({"match": every, "error": "ThrottlingException", "message": "Rate exceeded", "times": 4})
    aws.add_fault({"match": every, "error": "ServerException", "status": 500, "times": 2})
    async with shard() as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert len(run.launches) == 1


async def crashed(aws: LocalFargate, *, running: int, **given: Any) -> None:
    """A triggerer that dies while its shard's task number ``running`` goes on."""
    async with shard(**given) as run:
        working = asyncio.create_task(run.run())
        await until(lambda: len(run.history) == running and run.task is not None)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_the_next_triggerer_replays_the_endings_and_launches_nothing_twice(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"family": "job"}, "start_failure": "InternalError: unexpected", "times": 1})
    await crashed(aws, running=1, seconds=2)
    async with shard(seconds=2) as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert [row[0] for row in told(run)] == ["start_failed_transient", "succeeded"]
    tasks = {record.task_arn for record in run.launches}
    assert len(tasks) == 2
    assert all_tasks(aws) == tasks


async def test_after_hours_the_running_task_is_found_by_who_started_it(aws: LocalFargate) -> None:
    await crashed(aws, running=0, seconds=2)
    async with shard(seconds=2, since=LONG_AGO) as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert len(launches(aws)) == 1


@pytest.mark.parametrize(("has_result", "calls"), [(True, 1), (False, 2)])
async def test_when_ecs_has_forgotten_the_task_its_result_decides(
    aws: LocalFargate, has_result: bool, calls: int
) -> None:
    aws.add_fault({"match": {"family": "job"}, "forget": True, "after_seconds": 0, "times": 1})
    async with shard() as run:
        task = await run.fleet.launch(replace(run.launch, client_token="long-ago"))
    s3 = aws.client("s3")
    s3.get_waiter("object_exists").wait(Bucket="bucket", Key="shard=UA/try.json", WaiterConfig={"Delay": 1})
    ecs = aws.client("ecs")
    await until(lambda: not ecs.describe_tasks(cluster="features", tasks=[task.arn])["tasks"])
    if not has_result:
        s3.delete_object(Bucket="bucket", Key="shard=UA/try.json")
    async with shard(since=LONG_AGO) as run:
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert len(launches(aws)) == calls


async def test_a_kill_stops_the_task(aws: LocalFargate) -> None:
    async with shard(seconds=60) as run:
        working = asyncio.create_task(run.run())
        await until(lambda: run.task is not None)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await run.kill()
        (task,) = await run.fleet.tasks_started_by("features", "ecs-feature/flights/try")
    assert (task.desired_status, task.stop_code) == ("STOPPED", "UserInitiated")
