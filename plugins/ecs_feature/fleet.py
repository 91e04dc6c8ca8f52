"""The shared control plane of all shards in one event loop.

Every trigger of one triggerer that talks to the same connection and region shares one ECS client, one launch
limiter, one watcher that describes 100 tasks per call, and one log reader. The first that joins opens them,
the last that leaves closes them; they belong to the running event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from aiolimiter import AsyncLimiter
from asgiref.sync import sync_to_async
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import AsyncRetrying, before_sleep_log, retry_if_exception, wait_random_exponential

from ecs_feature import limits
from ecs_feature.aws_errors import is_transient, translate
from ecs_feature.exceptions import ClientTokenConflictError, LaunchError
from ecs_feature.launch import Launch
from ecs_feature.log_tail import LogTail
from ecs_feature.resources import EcsTask
from ecs_feature.watcher import TaskWatcher

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FleetKey:
    """What shards must have in common to share a fleet."""

    aws_conn_id: str | None = "aws_default"
    region_name: str | None = None
    verify: bool | str | None = None


_fleets: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[FleetKey, Fleet]] = WeakKeyDictionary()


@asynccontextmanager
async def joined(key: FleetKey) -> AsyncIterator[Fleet]:
    """Join the fleet of the running event loop for ``key``; the first opens it, the last closes it."""
    fleets = _fleets.setdefault(asyncio.get_running_loop(), {})
    fleet = fleets.get(key)
    if fleet is None:
        fleet = fleets[key] = Fleet(key)
    fleet.members += 1
    try:
        await fleet.opened()
        yield fleet
    finally:
        fleet.members -= 1
        if fleet.members == 0:
            if fleets.get(key) is fleet:
                del fleets[key]
            await fleet.close()


@dataclass(eq=False)
class Fleet:
    """See the module. Get one with :func:`joined`."""

    key: FleetKey
    members: int = 0
    # Bucket of 100, refilled with 20 a second; and 20 RunTask calls a second without a burst.
    _launches: AsyncLimiter = field(
        default_factory=lambda: AsyncLimiter(
            limits.FARGATE_LAUNCHES[0], limits.FARGATE_LAUNCHES[0] / limits.FARGATE_LAUNCHES[1]
        )
    )
    _run_task_calls: AsyncLimiter = field(default_factory=lambda: AsyncLimiter(1, 1 / limits.RUN_TASK_CALLS_PER_SECOND))
    _slots: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _opening: asyncio.Task[None] | None = None
    _resources: AsyncExitStack = field(default_factory=AsyncExitStack)
    _ecs: Any = None
    _logs: LogTail | None = None
    _watcher: TaskWatcher | None = None

    async def opened(self) -> None:
        """Wait until the clients are there; whoever comes first opens them for all."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
        await asyncio.shield(self._opening)

    async def _open(self) -> None:
        from ecs_feature.hooks.ecs import EcsFeatureHook

        async def client(service: str) -> Any:
            hook = EcsFeatureHook(service, self.key.aws_conn_id, self.key.region_name, self.key.verify)
            creator = await sync_to_async(hook.async_client)()
            return await self._resources.enter_async_context(creator)

        self._ecs = await client("ecs")
        self._logs = LogTail(await client("logs"), self._ecs)
        self._watcher = TaskWatcher(self._describe)

    async def close(self) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._watcher is not None:
            await self._watcher.close()
        await self._resources.aclose()

    @asynccontextmanager
    async def slot(self, group: str, most: int | None) -> AsyncIterator[None]:
        """Hold one of ``most`` places of ``group`` (None: no bound). Trigger-started tasks take no Airflow slot."""
        if not most:
            yield
            return
        async with self._slots.setdefault(group, asyncio.Semaphore(most)):
            yield

    async def launch(self, launch: Launch) -> EcsTask:
        """Start one task, or find the one that the same client token has started before.

        Throttling, AWS's own faults and lost answers are waited for.

        :raises LaunchError: RunTask started nothing; the reason is AWS's.
        :raises AwsError: AWS refused the call for good.
        """
        request = launch.to_aws()
        try:
            answer = await self._call(self._run_task, request)
        except ClientTokenConflictError as conflict:
            if not conflict.task_arns:
                raise
            described = await self._describe(launch.cluster, list(conflict.task_arns[:1]))
            if described:
                return described[0]
            raise
        if answer.get("tasks"):
            return EcsTask.from_aws(answer["tasks"][0])
        reasons = [failure.get("reason", "") for failure in answer.get("failures", ())]
        raise LaunchError("; ".join(filter(None, reasons)) or "RunTask gave neither a task nor a reason")

    async def _run_task(self, request: dict[str, Any]) -> Any:
        async with self._run_task_calls, self._launches:
            return await self._ecs.run_task(**request)

    async def ended(self, cluster: str, task: EcsTask, *, poll_seconds: float) -> EcsTask | None:
        """Wait until the task is stopped; None when ECS no longer shows it."""
        assert self._watcher is not None
        return await self._watcher.ended(cluster, task.arn, poll_seconds=poll_seconds)

    async def stop(self, cluster: str, task_arn: str, reason: str) -> None:
        """Ask ECS to stop the task. A task that is gone already is no error."""

        async def stop_task(_: None) -> None:
            try:
                await self._ecs.stop_task(cluster=cluster, task=task_arn, reason=reason)
            except ClientError as error:
                if "not found" not in error.response["Error"].get("Message", "").lower():
                    raise

        await self._call(stop_task, None)

    async def log_tail(self, task: EcsTask, container: str, lines: int) -> list[str]:
        """The last log lines of a task's container; empty when there are none or they cannot be read."""
        assert self._logs is not None
        try:
            return await self._logs.last_lines(task, container, lines)
        except (ClientError, BotoCoreError, TimeoutError) as error:
            # A log that cannot be read never fails a shard.
            log.warning("The log of task %s cannot be read: %s", task.task_id, error)
            return []

    async def _describe(self, cluster: str, arns: list[str]) -> list[EcsTask]:
        answer = await self._call(lambda some: self._ecs.describe_tasks(cluster=cluster, tasks=some), arns)
        return [EcsTask.from_aws(task) for task in answer.get("tasks", ())]

    async def _call(self, function: Callable[[Any], Awaitable[Any]], argument: Any) -> Any:
        """Call AWS; wait out what passes, translate what does not."""
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(is_transient),
                wait=wait_random_exponential(multiplier=0.5, max=20),
                before_sleep=before_sleep_log(log, logging.WARNING),
            ):
                with attempt:
                    return await function(argument)
        except (ClientError, BotoCoreError) as error:
            raise translate(error) from error
