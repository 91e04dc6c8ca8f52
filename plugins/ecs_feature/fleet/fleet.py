"""The fleet: everything that the shards of one triggerer share for one connection and region.

One set of clients, one launch queue, one watcher that describes 100 tasks per call, one log reader and one set of
slots. It belongs to an event loop; :mod:`ecs_feature.fleet.registry` shares it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import AsyncRetrying, before_sleep_log, retry_if_exception, wait_random_exponential

from ecs_feature.aws import limits
from ecs_feature.aws.clients import AwsClients
from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.error_codes import NOT_THERE_CODES
from ecs_feature.aws.errors import is_transient, may_have_launched, translate
from ecs_feature.aws.pacing import Limiter
from ecs_feature.aws.resources import EcsTask
from ecs_feature.aws.shared_reads import SharedReads
from ecs_feature.detached import spawn_detached
from ecs_feature.exceptions import ClientTokenConflictError, EcsFeatureError, LaunchError
from ecs_feature.fleet.launch_queue import LaunchQueue
from ecs_feature.fleet.slots import SlotRequest, Slots
from ecs_feature.fleet.task_events import TaskEvents
from ecs_feature.fleet.vcpu_quota import VcpuQuota
from ecs_feature.fleet.watcher import TaskWatcher
from ecs_feature.logs.cursor import Fresh, LogLine
from ecs_feature.logs.follower import Followed, LogFollower
from ecs_feature.logs.tail import LastLines, LogTail
from ecs_feature.tasks.capacity import Strategy
from ecs_feature.tasks.launch import Launch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FleetKey(AwsConnection):
    """What shards must have in common to share a fleet.

    :param events_queue_url: the SQS queue to which EventBridge sends ECS's task state changes; empty: none.
    """

    events_queue_url: str = ""


@dataclass(eq=False)
class Fleet:
    """See the module. Get one with :func:`ecs_feature.fleet.registry.joined`."""

    key: FleetKey
    _own: set[str] = field(default_factory=set)
    _shards: Counter[str] = field(default_factory=Counter)
    _opening: asyncio.Task[None] | None = None
    _refresh: asyncio.Task[None] | None = None
    _events: TaskEvents | None = None
    _refused: bool = False

    def __post_init__(self) -> None:
        key = self.key
        self._clients = AwsClients(key)
        self._queue = LaunchQueue()
        self._definitions = SharedReads(self._describe_definition)
        self._defaults = SharedReads(self._describe_defaults)
        self._watcher = TaskWatcher(self._describe_once)
        self._logs = LogTail(self._logs_client, self.task_definition)
        self._follower = LogFollower(self._logs_client, self.task_definition, self._logs.batched)
        self._slots = Slots(lambda capacity: self._quota.left(capacity))
        self._quota = VcpuQuota(
            self._call_service, self._is_own, self._slots.waiting_for_quota, lambda: self._slots.admit()
        )
        # Half of what AWS allows.
        self._stops, self._searches = (
            Limiter(burst / 2, rate / 2) for burst, rate in (limits.TASK_WRITE_CALLS, limits.TASK_READ_CALLS)
        )
        if key.events_queue_url:
            self._events = TaskEvents(
                key.events_queue_url, lambda: self._clients.get("sqs"), self._watcher.report_stopped
            )
            self._watcher.events = self._events

    async def opened(self) -> None:
        """Wait until the clients are open; the first caller opens them for all."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
        await asyncio.shield(self._opening)

    async def _open(self) -> None:
        async def both() -> None:
            # Looks up the connection, and may assume its role.
            await asyncio.gather(self._clients.get("ecs"), self._clients.get("ecs", direct=True))

        await self._call(both)
        if self._events is not None:
            self._events.open()

    def renew(self) -> None:
        """Before use after an idle time: forget what may have changed, and start at the published rates."""
        self._queue = LaunchQueue()
        self._quota.renew()
        self._defaults.forget()

    @property
    def reusable(self) -> bool:
        """Whether it may stay open while idle: AWS has refused no call, and it reads no event queue."""
        opening = self._opening
        opened = opening is not None and opening.done() and not opening.cancelled() and opening.exception() is None
        return opened and not self._refused and self._events is None

    async def close(self) -> None:
        for task in (self._opening, self._refresh):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._events is not None:
            await self._events.close()
        for part in (self._queue, self._watcher, self._follower, self._logs, self._quota, self._clients):
            await part.close()

    @asynccontextmanager
    async def slot(
        self,
        group: str,
        parallelism: int | None,
        *,
        vcpus: float = 0.0,
        max_vcpus: float | None = None,
        capacity: str = "FARGATE",
        started_by: str = "",
    ) -> AsyncIterator[None]:
        """Context manager: hold a slot for one running task. Trigger-started tasks take no Airflow pool slot.

        :param parallelism: tasks of ``group`` at once; None: no bound.
        :param vcpus: of the task; 0: unknown, then no vCPU limit applies to it.
        :param max_vcpus: vCPUs of ``group`` at once; None: as many as the account's quota of ``capacity`` leaves.
        :param started_by: RunTask's ``startedBy``; a task with it counts as this fleet's, whoever launched it.
        """
        request = SlotRequest(group, parallelism, vcpus, max_vcpus, capacity)
        with self._counted(started_by):
            if vcpus and max_vcpus is None:
                if self._refresh is None:
                    self._refresh = spawn_detached(self._quota.watch())
                await self._quota.known(capacity)
            async with self._slots.held(request):
                yield

    @contextmanager
    def _counted(self, started_by: str) -> Iterator[None]:
        """Context manager: tasks with this ``startedBy`` count as the fleet's own, also an earlier triggerer's."""
        self._shards[started_by] += 1
        self._quota.own(started_by)
        try:
            yield
        finally:
            self._shards[started_by] -= 1
            if not self._shards[started_by]:
                del self._shards[started_by]

    def _is_own(self, arn: str, started_by: str) -> bool:
        """Whether the task belongs to a shard of this fleet that holds a slot or waits for one."""
        return arn in self._own or (started_by != "" and started_by in self._shards)

    async def launch(
        self, launch: Launch, *, share: str = "", in_doubt: Callable[[bool], None] | None = None
    ) -> EcsTask:
        """Start one task, or return the one that the same client token has started before.

        Throttling, faults of AWS and lost answers are retried.

        :param share: its share in the launch queue, e.g. ``dag_id/run_id``; shares take turns.
        :param in_doubt: called with whether a task may exist that is not known yet: True when RunTask is called, False
            when AWS has answered that it started none.
        :raises LaunchError: RunTask started nothing; the reason is AWS's.
        :raises AwsError: AWS refused the call permanently.
        """
        request = launch.to_aws()
        ecs = await self._clients.get("ecs", direct=True)

        note_doubt = in_doubt or (lambda doubt: None)
        unanswered = False

        async def send() -> Any:
            nonlocal unanswered
            note_doubt(True)
            try:
                return await ecs.run_task(**request)
            except BaseException as error:
                unanswered = unanswered or may_have_launched(error)
                note_doubt(unanswered)
                raise

        async def in_turn() -> Any:
            return await self._queue.run(launch.bucket, share, send)

        try:
            answer = await self._call(in_turn)
        except ClientTokenConflictError as conflict:
            described = await self._describe(launch.cluster, list(conflict.task_arns[:1])) if conflict.task_arns else []
            if not described:
                raise
            self._own.add(described[0].arn)
            return described[0]
        if answer.get("tasks"):
            task = EcsTask.from_aws(answer["tasks"][0])
            self._own.add(task.arn)
            return task
        note_doubt(False)
        # On EC2 there is one failure per container instance, possibly hundreds.
        reasons = dict.fromkeys(failure.get("reason", "") for failure in answer.get("failures", ()))
        raise LaunchError("; ".join(filter(None, reasons)) or "RunTask gave neither a task nor a reason")

    async def ended(
        self, cluster: str, task: EcsTask, *, poll_seconds: float, start_seconds: float | None = None
    ) -> EcsTask | None:
        """Wait until the task is stopped; None when ECS no longer shows it.

        :param start_seconds: a task that has not started this long after its ``createdAt`` is returned as it is.
        """
        self._own.add(task.arn)
        try:
            return await self._watcher.ended(cluster, task, poll_seconds=poll_seconds, start_seconds=start_seconds)
        finally:
            self._own.discard(task.arn)

    async def stop(self, cluster: str, task_arn: str, reason: str) -> None:
        """Stop the task. A task that no longer exists is not an error."""

        async def stop_task() -> None:
            ecs = await self._clients.get("ecs", direct=True)
            try:
                await self._stops.acquire()
                await ecs.stop_task(cluster=cluster, task=task_arn, reason=reason)
            except ClientError as error:
                if "not found" not in error.response["Error"].get("Message", "").lower():
                    raise

        await self._call(stop_task)

    async def tasks_started_by(
        self, cluster: str, started_by: str, *statuses: Literal["RUNNING", "STOPPED"]
    ) -> list[EcsTask]:
        """The tasks with that ``startedBy`` that ECS still shows, newest first.

        :param statuses: desired statuses; default: both.
        """
        arns: list[str] = []
        for status in statuses or ("RUNNING", "STOPPED"):
            await self._searches.acquire()
            arns += await self._list(cluster, startedBy=started_by, desiredStatus=status)
        tasks = await self.tasks(cluster, arns)
        return sorted(tasks, key=lambda task: task.created_at.timestamp() if task.created_at else 0.0, reverse=True)

    async def running_tasks(self, cluster: str) -> list[EcsTask]:
        """All tasks of the cluster that run or start."""
        return await self.tasks(cluster, await self._list(cluster, desiredStatus="RUNNING"))

    async def tasks(self, cluster: str, arns: Iterable[str]) -> list[EcsTask]:
        """The tasks that ECS still shows; 100 per call."""
        unique = list(dict.fromkeys(arns))
        tasks = []
        for start in range(0, len(unique), limits.DESCRIBE_TASKS):
            tasks += await self._describe(cluster, unique[start : start + limits.DESCRIBE_TASKS])
        return tasks

    async def _list(self, cluster: str, **request: str) -> list[str]:
        arns: list[str] = []
        while True:
            answer = await self._call_service("ecs", "list_tasks", cluster=cluster, **request)
            arns += answer.get("taskArns", ())
            if not answer.get("nextToken"):
                return arns
            request["nextToken"] = answer["nextToken"]

    async def object_exists(self, uri: str) -> bool:
        """Whether the S3 object ``s3://bucket/key`` is there.

        :raises AccessDeniedError: access is denied. Without s3:ListBucket S3 also answers this when it does not exist.
        """
        bucket, _, key = uri.removeprefix("s3://").partition("/")

        async def head() -> bool:
            s3 = await self._clients.get("s3")
            try:
                await s3.head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error.response["Error"].get("Code") in NOT_THERE_CODES:
                    return False
                raise
            return True

        found: bool = await self._call(head)
        return found

    async def task_definition(self, arn: str) -> dict[str, Any]:
        """A task definition revision as described; read once, because it never changes."""
        return await self._definitions.get(arn)

    async def _describe_definition(self, arn: str) -> dict[str, Any]:
        answer = await self._call_service("ecs", "describe_task_definition", taskDefinition=arn)
        definition: dict[str, Any] = answer["taskDefinition"]
        return definition

    async def default_strategy(self, cluster: str) -> Strategy | None:
        """The cluster's default capacity provider strategy, read once; empty: it has none; None: not known."""
        return await self._defaults.get(cluster)

    async def _describe_defaults(self, cluster: str) -> Strategy | None:
        try:
            answer = await self._call_service("ecs", "describe_clusters", clusters=[cluster])
        except EcsFeatureError as error:
            log.info("The default capacity of %s is not known; it counts as Fargate: %s", cluster, error)
            return None
        found = answer.get("clusters", ())
        return tuple(found[0].get("defaultCapacityProviderStrategy", ())) if found else None

    async def log_tail(
        self, task: EcsTask, container: str, lines: int, *, failed: bool = False, quiet: bool = False
    ) -> LastLines:
        """The last log lines of a task's container.

        :param failed: read with a call of its own, for the exact last lines; else in a batch.
        :param quiet: do not log that they cannot be read.
        """
        return await self._logs.last_lines(task, container, lines, failed=failed, quiet=quiet)

    def live_log(
        self,
        task: EcsTask,
        container: str,
        show: Callable[[Fresh], None],
        *,
        min_lines_per_read: int | None = 0,
        since: int | None = None,
        known: Sequence[LogLine] = (),
    ) -> AbstractContextManager[Followed]:
        """Context manager: calls ``show`` with new log lines of a task's container, once the task has started.

        The other parameters are those of :meth:`ecs_feature.logs.follower.LogFollower.followed`.
        """
        return self._follower.followed(
            task, container, show, min_lines_per_read=min_lines_per_read, since=since, known=known
        )

    async def rest_of_log(self, followed: Followed) -> bool:
        """Show the rest of an ended task's log, within ten seconds; return whether all of it was shown."""
        return await self._follower.finish(followed)

    async def _logs_client(self, region: str) -> Any:
        return await self._clients.get("logs", region=region, direct=True)

    async def _describe(self, cluster: str, arns: list[str]) -> list[EcsTask]:
        answer = await self._call_service("ecs", "describe_tasks", cluster=cluster, tasks=arns)
        return [EcsTask.from_aws(task) for task in answer.get("tasks", ())]

    async def _describe_once(self, cluster: str, arns: list[str]) -> list[EcsTask]:
        ecs = await self._clients.get("ecs", direct=True)
        answer = await ecs.describe_tasks(cluster=cluster, tasks=arns)
        tasks = [EcsTask.from_aws(task) for task in answer.get("tasks", ())]
        for task in tasks:
            self._follower.note(task)
        return tasks

    async def _call_service(self, service: str, operation: str, **parameters: Any) -> Any:
        client = await self._clients.get(service)
        return await self._call(lambda: getattr(client, operation)(**parameters))

    async def _call(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """Call AWS; retry transient errors, translate others."""
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(is_transient),
                wait=wait_random_exponential(multiplier=0.5, max=20),
                before_sleep=before_sleep_log(log, logging.WARNING),
            ):
                with attempt:
                    return await function()
        except (ClientError, BotoCoreError) as error:
            self._refused = True
            raise translate(error) from error
