"""What a shard waits for between its launches and until its container runs, as its try goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from scripted_fleet import NOW, RUNNING, UNSEEN, Fleet, shard_run, stopped

from ecs_feature.aws.resources import EcsTask
from ecs_feature.exceptions import LaunchError
from ecs_feature.fleet.waits import ShardWaits, Wait
from ecs_feature.shards.waiting import Start, pause_wait
from ecs_feature.tasks.outcomes import of_launch_failure, of_task
from ecs_feature.tasks.relaunches import Ended
from tests.jumping_clock import jumping

NO_ROOM = of_launch_failure("RESOURCE:CPU")
INTERRUPTED = of_task(stopped(None, "SpotInterruption", "Your Spot Task was interrupted."), main_container="features")


def ended(outcome: Any, minutes: float) -> Ended:
    return Ended(outcome, None, "spot", NOW + timedelta(minutes=minutes))


def test_a_pause_without_capacity_is_waited_for_since_there_was_none() -> None:
    history = [ended(NO_ROOM, 0), ended(INTERRUPTED, 1), ended(NO_ROOM, 2), ended(NO_ROOM, 5)]
    wait, seconds = pause_wait(history, NOW + timedelta(minutes=6))
    assert (wait.what, seconds) == ("capacity", 240.0)
    assert wait.words.startswith("for capacity: ")
    assert "RESOURCE:CPU" in wait.words


def test_a_pause_after_another_failure_is_one_of_a_relaunch() -> None:
    wait, seconds = pause_wait([ended(NO_ROOM, 0), ended(INTERRUPTED, 1)], NOW + timedelta(minutes=6))
    assert (wait.what, seconds) == ("relaunch", 0.0)
    assert wait.words == "to be launched again, after spot_interruption: Your Spot Task was interrupted."


def test_a_task_is_waited_for_until_it_runs() -> None:
    shown: list[EcsTask] = []
    provisioning = replace(RUNNING, last_status="PROVISIONING", launch_type="FARGATE")
    start = Start(provisioning, shown.append)
    assert start.wait() == Wait("start", "for FARGATE to prepare its network interface and its place")
    start(replace(provisioning, last_status="PENDING", pull_started_at=NOW))
    assert start.wait() == Wait("start", "for its images, which are pulled")
    start(RUNNING)
    assert start.wait() is None
    assert [task.last_status for task in shown] == ["PENDING", "RUNNING"]
    Start(RUNNING)(RUNNING)


@jumping
async def test_the_waits_before_each_launch_go_into_its_record() -> None:
    fleet = Fleet(LaunchError("RESOURCE:CPU"), stopped(0))
    run = shard_run(fleet)
    seen: list[Any] = []

    async def sleep(seconds: float) -> None:
        seen.append(run.waits.now())
        await asyncio.sleep(30)

    run.sleep = sleep
    launch = fleet.launch

    async def slow(*args: Any, **more: Any) -> EcsTask:
        with run.waits.during(lambda: Wait("launch rate", "for its turn.")):
            await asyncio.sleep(3.04)
        return await launch(*args, **more)

    fleet.launch = slow  # type: ignore[method-assign]
    assert (await run.run()).succeeded
    first, second = (record.to_dict() for record in run.launches)
    assert first["waited"] == {"launch rate": 3.0}
    assert second["waited"] == {"capacity": 30.0, "launch rate": 3.0}
    assert [wait.what for wait, _ in seen] == ["capacity"]


@jumping
async def test_a_launch_that_waited_for_nothing_says_nothing_of_it() -> None:
    run = shard_run(Fleet(stopped(0)))
    assert (await run.run()).succeeded
    assert "waited" not in run.launches[0].to_dict()


@jumping
async def test_a_shard_waits_for_aws_while_it_cannot_be_asked_but_not_once_its_task_runs() -> None:
    run = shard_run(Fleet(UNSEEN))
    run._tell("RunTask was denied.")
    assert run.waits.now() == (Wait("AWS", "for AWS: RunTask was denied."), pytest.approx(0))
    running = asyncio.create_task(run.run())
    await asyncio.sleep(1)
    assert run.task is not None
    assert run.waits.now() is None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_a_shard_that_nobody_looks_at_has_waits_of_its_own() -> None:
    one, two = (shard_run(Fleet()).waits for _ in range(2))
    assert isinstance(one, ShardWaits)
    assert one is not two
