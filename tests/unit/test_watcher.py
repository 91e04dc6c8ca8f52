"""One DescribeTasks call serves 100 shards; a missing task is waited for."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ecs_feature.exceptions import ClusterNotFoundError
from ecs_feature.resources import EcsTask
from ecs_feature.watcher import TaskWatcher

RUNNING = EcsTask("arn:0", "", "", "RUNNING", "RUNNING")


class Ecs:
    """Shows the tasks it is told to, and counts how it was asked. Time passes only when the watcher sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, int]] = []
        self.stopped_at: dict[str, float] = {}
        self.missing_until: dict[str, float] = {}
        self.refuse: Exception | None = None

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    async def describe(self, cluster: str, arns: list[str]) -> list[EcsTask]:
        self.calls.append((cluster, len(arns)))
        if self.refuse:
            raise self.refuse
        return [
            replace(RUNNING, arn=arn, last_status="STOPPED" if self.now >= self.stopped_at.get(arn, 9e9) else "RUNNING")
            for arn in arns
            if self.now >= self.missing_until.get(arn, 0)
        ]

    def watcher(self, missing_seconds: float = 300) -> TaskWatcher:
        return TaskWatcher(self.describe, missing_seconds, clock=lambda: self.now, sleep=self.sleep)


async def test_250_tasks_cost_three_calls_a_poll() -> None:
    ecs = Ecs()
    ecs.stopped_at = {f"arn:{i}": 6.0 for i in range(250)}
    watcher = ecs.watcher()
    ended = await asyncio.gather(*(watcher.ended("c", arn, poll_seconds=3) for arn in ecs.stopped_at))
    assert [task.arn for task in ended if task] == list(ecs.stopped_at)
    assert ecs.calls == [("c", 100), ("c", 100), ("c", 50)] * 2


async def test_a_task_that_ecs_does_not_show_yet_is_waited_for() -> None:
    ecs = Ecs()
    ecs.missing_until, ecs.stopped_at = {"arn:0": 100.0}, {"arn:0": 200.0}
    ended = await ecs.watcher().ended("c", "arn:0", poll_seconds=10)
    assert ended is not None
    assert ended.stopped
    assert ecs.now == 200


async def test_a_task_that_stays_missing_is_given_up_after_the_grace() -> None:
    ecs = Ecs()
    ecs.missing_until = {"arn:0": 9e9}
    assert await ecs.watcher(missing_seconds=60).ended("c", "arn:0", poll_seconds=10) is None
    assert ecs.now == 70


async def test_the_most_impatient_shard_sets_the_pace() -> None:
    ecs = Ecs()
    ecs.stopped_at = {"arn:0": 4.0, "arn:1": 4.0}
    watcher = ecs.watcher()
    await asyncio.gather(watcher.ended("c", "arn:0", poll_seconds=60), watcher.ended("c", "arn:1", poll_seconds=2))
    assert ecs.now == 4


async def test_clusters_are_asked_apart_and_a_refusal_reaches_only_its_own() -> None:
    ecs = Ecs()
    ecs.refuse = ClusterNotFoundError("Cluster 'x' does not exist.")
    with pytest.raises(ClusterNotFoundError):
        await ecs.watcher().ended("x", "arn:0", poll_seconds=1)


async def test_a_cancelled_wait_is_no_longer_asked_for() -> None:
    ecs = Ecs()
    ecs.stopped_at = {"arn:1": 50.0}
    watcher = ecs.watcher()
    first = asyncio.create_task(watcher.ended("c", "arn:0", poll_seconds=1))
    second = asyncio.create_task(watcher.ended("c", "arn:1", poll_seconds=1))
    while not ecs.calls:  # noqa: ASYNC110 (the fake counts; it has no event to wait for)
        await asyncio.sleep(0)
    first.cancel()
    await second
    assert ecs.calls[0] == ("c", 2)
    assert ecs.calls[-1] == ("c", 1)
