"""Waits for many tasks at once: one DescribeTasks call for 100 of them, per poll and cluster."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ecs_feature import limits
from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.resources import EcsTask

Describe = Callable[[str, list[str]], Awaitable[list[EcsTask]]]

# ECS is eventually consistent, and shows stopped tasks for at least an hour
# (AmazonECS/latest/APIReference/API_DescribeTasks.html): a task that is MISSING this long is gone.
MISSING_SECONDS = 300.0


@dataclass
class _Watched:
    cluster: str
    arn: str
    poll_seconds: float
    result: asyncio.Future[EcsTask | None]
    missing_since: float | None = None


@dataclass(eq=False)
class TaskWatcher:
    """Describes the watched tasks at the pace of the most impatient, and wakes who waits for one that stopped.

    :param describe: ``(cluster, arns)`` -> the tasks that ECS shows; at most 100 ARNs are asked for at once.
    :param missing_seconds: how long a task may be missing before it counts as gone.
    """

    describe: Describe
    missing_seconds: float = MISSING_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _watched: dict[tuple[str, str], _Watched] = field(default_factory=dict)
    _loop: asyncio.Task[None] | None = None

    async def ended(self, cluster: str, arn: str, *, poll_seconds: float) -> EcsTask | None:
        """Wait until the task is stopped and return it; None when ECS has not shown it for long.

        :raises EcsFeatureError: when AWS refuses to describe the tasks of this cluster for good.
        """
        future: asyncio.Future[EcsTask | None] = asyncio.get_running_loop().create_future()
        key = (cluster, arn)
        self._watched[key] = _Watched(cluster, arn, poll_seconds, future)
        if self._loop is None or self._loop.done():
            # A context of its own: Airflow routes log lines to task logs by context, and this serves many.
            self._loop = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())
        try:
            return await future
        finally:
            self._watched.pop(key, None)

    async def close(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def _run(self) -> None:
        while self._watched:
            await self.sleep(min(watched.poll_seconds for watched in self._watched.values()))
            await self._poll()

    async def _poll(self) -> None:
        ordered = sorted(self._watched.values(), key=lambda watched: watched.cluster)
        for cluster, group in itertools.groupby(ordered, key=lambda watched: watched.cluster):
            waiting = list(group)
            for start in range(0, len(waiting), limits.DESCRIBE_TASKS):
                await self._poll_some(cluster, waiting[start : start + limits.DESCRIBE_TASKS])

    async def _poll_some(self, cluster: str, some: list[_Watched]) -> None:
        try:
            tasks = await self.describe(cluster, [watched.arn for watched in some])
        except EcsFeatureError as error:
            for watched in some:
                if not watched.result.done():
                    watched.result.set_exception(error)
            return
        shown = {task.arn: task for task in tasks}
        for watched in some:
            self._settle(watched, shown.get(watched.arn))

    def _settle(self, watched: _Watched, task: EcsTask | None) -> None:
        if watched.result.done():
            return
        if task is not None:
            watched.missing_since = None
            if task.stopped:
                self._answer(watched, task)
        elif watched.missing_since is None:
            watched.missing_since = self.clock()
        elif self.clock() - watched.missing_since >= self.missing_seconds:
            self._answer(watched, None)

    def _answer(self, watched: _Watched, task: EcsTask | None) -> None:
        self._watched.pop((watched.cluster, watched.arn), None)
        watched.result.set_result(task)
