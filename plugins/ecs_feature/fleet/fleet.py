"""The fleet: everything that the shards of one triggerer share for one connection and region.

One set of clients, one launch queue, one watcher that describes 100 tasks per call, one log reader and one set of
slots. It belongs to an event loop; :mod:`ecs_feature.fleet.registry` shares it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from ecs_feature.aws import limits
from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.errors import is_no_such_task, may_have_launched
from ecs_feature.aws.outages import TELL_SECONDS, Tell
from ecs_feature.aws.pacing import Limiter
from ecs_feature.aws.resources import EcsTask
from ecs_feature.detached import spawn_detached
from ecs_feature.exceptions import ClientTokenConflictError, EcsFeatureError, LaunchError
from ecs_feature.fleet.launch_queue import LaunchQueue
from ecs_feature.fleet.reads import AwsReads
from ecs_feature.fleet.sight import described
from ecs_feature.fleet.slots import SlotRequest, Slots
from ecs_feature.fleet.task_events import TaskEvents
from ecs_feature.fleet.vcpu_quota import VcpuQuota
from ecs_feature.fleet.watcher import TaskWatcher
from ecs_feature.logs.cursor import Fresh, LogLine
from ecs_feature.logs.followed import Followed
from ecs_feature.logs.follower import LogFollower
from ecs_feature.logs.tail import LastLines, LogTail
from ecs_feature.tasks.launch import Launch

log = logging.getLogger(__name__)

DOUBT_SECONDS = 3000.0
"""How long a RunTask that may have started a task is repeated when nothing but an unknown answer stands against it. Its
token is valid for at least an hour: AmazonECS/latest/APIReference/ECS_Idempotency.html."""


@dataclass(frozen=True)
class FleetKey(AwsConnection):
    """What shards must have in common to share a fleet.

    :param events_queue_url: the SQS queue to which EventBridge sends ECS's task state changes; empty: none.
    """

    events_queue_url: str = ""


@dataclass(eq=False)
class Fleet(AwsReads):
    """See the module. Get one with :func:`ecs_feature.fleet.registry.joined`.

    :param answer_seconds: the most that a call may take, repetitions included; infinity: it waits for AWS.
    """

    key: FleetKey
    answer_seconds: float = math.inf
    _own: set[str] = field(default_factory=set)
    _shards: Counter[str] = field(default_factory=Counter)
    _opening: asyncio.Task[None] | None = None
    _refresh: asyncio.Task[None] | None = None
    _events: TaskEvents | None = None

    def __post_init__(self) -> None:
        key = self.key
        super().__init__(key, self.answer_seconds)
        self._queue = LaunchQueue()
        self._watcher = TaskWatcher(self._describe_once, renew=self._clients.renew_soon)
        self._logs = LogTail(self._logs_client, self.task_definition, renew=self._clients.renew_soon)
        self._follower = LogFollower(
            self._logs_client, self.task_definition, self._logs.batched, self._clients.renew_soon
        )
        self._slots = Slots(lambda capacity: self._quota.left(capacity))
        self._quota = VcpuQuota(
            self._call_optional, self._is_own, self._slots.waiting_for_quota, lambda: self._slots.admit()
        )
        burst, rate = limits.TASK_WRITE_CALLS
        self._stops = Limiter(burst / 2, rate / 2)  # half of what AWS allows
        if key.events_queue_url:
            self._events = TaskEvents(
                key.events_queue_url, lambda: self._clients.get("sqs"), self._watcher.report_stopped
            )
            self._watcher.events = self._events

    async def opened(self, tell: Tell = log.warning) -> None:
        """Wait until the clients are open; the first caller opens them for all.

        :param tell: told once a minute what they wait for.
        """
        if self._opening is None or (self._opening.done() and not self._is_open):
            self._opening = spawn_detached(self._open())
        while not (await asyncio.wait({self._opening}, timeout=TELL_SECONDS))[0]:
            tell(f"No AWS client can be opened yet: {self._calls.trouble}")
        self._opening.result()

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
        """Whether it may stay open while idle: AWS refused nothing that a shard needs, and it reads no event queue."""
        return self._is_open and not self._calls.refused and self._events is None

    @property
    def _is_open(self) -> bool:
        opening = self._opening
        return opening is not None and opening.done() and not opening.cancelled() and opening.exception() is None

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
        note: Tell = log.info,
    ) -> AsyncIterator[None]:
        """Context manager: hold a slot for one running task. Trigger-started tasks take no Airflow pool slot.

        :param parallelism: tasks of ``group`` at once; None: no bound.
        :param vcpus: of the task; 0: unknown, then no vCPU limit applies to it.
        :param max_vcpus: vCPUs of ``group`` at once; None: as many as the account's quota of ``capacity`` leaves.
        :param started_by: RunTask's ``startedBy``; a task with it counts as this fleet's, whoever launched it.
        :param note: told once a minute what the slot waits for.
        """
        request = SlotRequest(group, parallelism, vcpus, max_vcpus, capacity)
        with self._counted(started_by):
            if vcpus and max_vcpus is None:
                if self._refresh is None:
                    self._refresh = spawn_detached(self._quota.watch())
                await self._quota.known(capacity)
            async with self._slots.held(request, note):
                yield

    def quota_vcpus(self, capacity: str) -> float | None:
        """The account's vCPU quota of the capacity, as it was read last; None: not known."""
        return self._quota.quota(capacity)

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
        self,
        launch: Launch,
        *,
        share: str = "",
        in_doubt: Callable[[bool], None] | None = None,
        tell: Tell = log.warning,
        note: Tell = log.info,
    ) -> EcsTask:
        """Start one task, or return the one that the same client token has started before.

        Throttling, faults of AWS and lost answers are retried without end, credentials and access for some minutes.

        :param share: its share in the launch queue, e.g. ``dag_id/run_id``; shares take turns.
        :param in_doubt: called with whether a task may exist that is not known yet: True when RunTask is called, False
            when AWS has answered that it started none.
        :param tell: told once a minute why AWS cannot be asked.
        :param note: told once a minute that it waits for its turn.
        :raises LaunchError: RunTask started nothing; the reason is AWS's.
        :raises AwsError: AWS refused the call permanently, or for longer than it is waited for.
        """
        request = launch.to_aws()
        note_doubt = in_doubt or (lambda doubt: None)
        unanswered = False

        async def send() -> EcsTask | str:
            """The task, or why there is none."""
            nonlocal unanswered
            ecs = await self._clients.get("ecs", direct=True)
            note_doubt(True)
            try:
                answer = await ecs.run_task(**request)
                if answer.get("tasks"):
                    return EcsTask.from_aws(answer["tasks"][0])
                # On EC2 there is one failure per container instance, possibly hundreds.
                reasons = dict.fromkeys(failure.get("reason", "") for failure in answer["failures"])
                return "; ".join(filter(None, reasons)) or "RunTask gave neither a task nor a reason"
            except BaseException as error:
                unanswered = unanswered or may_have_launched(error)
                note_doubt(unanswered)
                raise

        async def in_turn() -> Any:
            return await self._queue.run(launch.bucket, share, send, note)

        def patience() -> float:
            return DOUBT_SECONDS if unanswered else self._calls.patience_seconds

        try:
            started: EcsTask | str = await self._call(in_turn, patience=patience, tell=tell)
        except ClientTokenConflictError as conflict:
            if not conflict.task_arns:
                raise
            started = await self._adopted(launch, conflict.task_arns[0])
        if isinstance(started, str):
            note_doubt(False)
            raise LaunchError(started)
        self._own.add(started.arn)
        return started

    async def _adopted(self, launch: Launch, arn: str) -> EcsTask:
        """The task that the client token has started before, as far as it can be seen."""
        try:
            found = await self._describe(launch.cluster, [arn])
        except EcsFeatureError as error:
            log.warning("ECS task %s is waited for, although it cannot be described now: %s", arn, error)
            found = []
        return found[0] if found else EcsTask(arn, "", launch.task_definition, "PROVISIONING", "RUNNING")

    async def ended(
        self,
        cluster: str,
        task: EcsTask,
        *,
        poll_seconds: float,
        start_seconds: float | None = None,
        tell: Tell = log.warning,
        note: Tell = log.info,
        seen: Callable[[EcsTask], None] | None = None,
    ) -> EcsTask | None:
        """Wait until the task is stopped; None when ECS no longer shows it. See :meth:`TaskWatcher.ended`."""
        self._own.add(task.arn)
        try:
            return await self._watcher.ended(
                cluster, task, poll_seconds=poll_seconds, start_seconds=start_seconds, tell=tell, note=note, seen=seen
            )
        finally:
            self._own.discard(task.arn)

    async def stop(self, cluster: str, task_arn: str, reason: str, *, tell: Tell = log.warning) -> None:
        """Stop the task. A task that no longer exists is not an error.

        :param tell: told once a minute what the stop waits for.
        """

        async def stop_task() -> None:
            ecs = await self._clients.get("ecs", direct=True)
            try:
                await self._stops.acquire()
                await ecs.stop_task(cluster=cluster, task=task_arn, reason=reason)
            except ClientError as error:
                if not is_no_such_task(error):
                    raise

        await self._call(stop_task, tell=tell)

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

    async def _describe_once(self, cluster: str, arns: list[str]) -> dict[str, EcsTask | None]:
        ecs = await self._clients.get("ecs", direct=True)
        tasks = described(await ecs.describe_tasks(cluster=cluster, tasks=arns), arns)
        for task in filter(None, tasks.values()):
            self._follower.note(task)
        return tasks
