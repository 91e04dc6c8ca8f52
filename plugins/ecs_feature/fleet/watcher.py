"""Waits for many tasks at once with few DescribeTasks calls, each for up to 100 tasks."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ecs_feature.aws import limits
from ecs_feature.aws.errors import is_throttling, translate
from ecs_feature.aws.outages import TELL_SECONDS, Outage, Tell, bug
from ecs_feature.aws.pacing import Pace
from ecs_feature.aws.resources import EcsTask
from ecs_feature.detached import is_cancelled, spawn_detached
from ecs_feature.fleet.task_events import TaskEvents
from ecs_feature.fleet.waits import start_wait

log = logging.getLogger(__name__)

Describe = Callable[[str, list[str]], Awaitable[dict[str, EcsTask | None]]]

# ECS is eventually consistent, and shows stopped tasks for at least an hour
# (AmazonECS/latest/APIReference/API_DescribeTasks.html): a task that is MISSING this long is gone.
MISSING_SECONDS = 300.0
AGE_SHARE = 0.05
"""A task is polled after this share of its age: 30 s late is acceptable after ten minutes."""
MAX_POLL_SECONDS = 30.0
EVENTS_POLL_SECONDS = 60.0
"""While events report stopped tasks, polling only finds those that they miss."""
BATCH_POLL_SECONDS = 1.0
"""The shortest time between polls of a task when there are more tasks than one call takes."""
CALLS_IN_FLIGHT = 10
CALL_SECONDS = 30.0
"""Timeout of a DescribeTasks call; its tasks are polled again."""
RECHECK_SECONDS = 5.0
MAX_UNSEEN_POLL_SECONDS = 10.0
"""The longest time between polls of a task that cannot be seen."""


@dataclass(eq=False)
class Watched:
    """One task that is waited for. All times are on the watcher's clock.

    :param poll_seconds: the shortest time between two polls.
    :param born: when the task was created.
    :param start_by: when it must have started, or the wait ends; infinity: never.
    :param asked: when it was last polled; at first, when the wait began.
    :param tell: told when the task cannot be seen, once a minute, in the contextvars context of its shard.
    :param note: told in the same way what it waits for, if it does not start within a minute.
    :ivar outage: the polls that failed since it was last seen; None: the last one did not.
    """

    cluster: str
    arn: str
    poll_seconds: float
    born: float
    start_by: float
    asked: float
    result: asyncio.Future[EcsTask | None]
    asking: bool = False
    asked_before: float = 0.0
    missing_since: float | None = None
    tell: Tell = log.warning
    note: Tell = log.info
    noted_at: float | None = None
    on_seen: Callable[[EcsTask], None] | None = None
    outage: Outage | None = None
    not_before: float = -math.inf
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def due(self, floor: float) -> float:
        """When to poll it next.

        :param floor: the shortest interval for all tasks now.
        """
        least = max(self.poll_seconds, floor)
        interval = min(max(AGE_SHARE * (self.asked - self.born), least), max(MAX_POLL_SECONDS, least))
        if self.asked < self.start_by:
            interval = min(interval, max(self.poll_seconds, self.start_by - self.asked))
        return max(self.asked + interval, self.not_before)

    def lost(self, error: Exception, now: float) -> bool:
        """It could not be seen: poll it again soon. Return whether new clients may help."""
        self.outage = self.outage or Outage(now)
        told = self.outage.note(error, now)
        self.asked, self.not_before = self.asked_before, now + self.outage.longest_pause(MAX_UNSEEN_POLL_SECONDS)
        if told:
            sentence = f"ECS task {self.arn} cannot be seen and is left running: {translate(error)} Asking again."
            self._say(self.tell, sentence)
        return self.outage.wants_renewal(error, now)

    def seen(self, now: float, task: EcsTask | None = None) -> None:
        if task is not None and self.on_seen is not None:
            try:
                self.context.run(self.on_seen, task)
            except Exception:
                log.exception("A shard cannot be shown its task %s.", self.arn)
        outage, self.outage = self.outage, None
        if outage is None:
            return
        if self.missing_since is not None:
            self.missing_since += now - outage.began  # it may have been there meanwhile
        if outage.told_at is not None:
            self._say(self.tell, f"ECS task {self.arn} is seen again after {now - outage.began:.0f} s.")

    def starts(self, task: EcsTask, now: float) -> None:
        """It has not started yet."""
        if now - (self.born if self.noted_at is None else self.noted_at) >= TELL_SECONDS:
            self.noted_at = now
            wait = f"has been {task.last_status} for {now - self.born:.0f} s and waits {start_wait(task)}"
            self._say(self.note, f"ECS task {self.arn} {wait}.")

    def _say(self, tell: Tell, sentence: str) -> None:
        try:
            self.context.run(tell, sentence)
        except Exception:
            log.exception("A shard cannot be told: %s", sentence)


def batches(watched: Iterable[Watched], now: float, floor: float = 0.0) -> list[list[Watched]]:
    """The tasks to poll now: those that are due; the last batch of a cluster is filled with those due next.

    A task joins a batch early only after its ``poll_seconds``. Those that are overdue longest come first. Pure.
    """
    due: dict[str, list[Watched]] = {}
    early: dict[str, list[Watched]] = {}
    for one in watched:
        if one.asking:
            continue
        if one.due(floor) <= now:
            due.setdefault(one.cluster, []).append(one)
        elif max(one.asked + one.poll_seconds, one.not_before) <= now:
            early.setdefault(one.cluster, []).append(one)
    made = []
    for cluster, some in due.items():
        some.sort(key=lambda one: one.due(floor))
        room = -len(some) % limits.DESCRIBE_TASKS
        some += sorted(early.get(cluster, ()), key=lambda one: one.due(floor))[:room]
        made += [some[i : i + limits.DESCRIBE_TASKS] for i in range(0, len(some), limits.DESCRIBE_TASKS)]
    return sorted(made, key=lambda batch: batch[0].due(floor))


@dataclass(eq=False)
class TaskWatcher:
    """Polls the watched tasks and ends the wait for each one that stopped.

    A task is polled after 5 % of its age, but not more often than its ``poll_seconds`` and at least every
    :data:`MAX_POLL_SECONDS`; when one call is not enough for all tasks, at most once a second. All calls together use
    half of the account's DescribeTasks bucket, and less while AWS throttles them.

    A poll that fails, whatever the reason, ends no wait: the task is left running and polled until it is seen again.

    :param describe: ``(cluster, arns)`` -> what ECS says of the tasks, for at most 100 ARNs, see
        :func:`ecs_feature.fleet.sight.described`. One call without retries; may raise anything.
    :param missing_seconds: how long a task may be missing before it counts as gone.
    :param events: another source of stopped tasks; while it works, polling is only the safety net.
    :param renew: starts to renew the clients of ``describe``.
    """

    describe: Describe
    missing_seconds: float = MISSING_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    events: TaskEvents | None = None
    renew: Callable[[], None] = lambda: None
    _watched: dict[str, set[Watched]] = field(default_factory=dict)
    _loop: asyncio.Task[None] | None = None
    _calls: set[asyncio.Task[None]] = field(default_factory=set)
    _pace: Pace = field(init=False)
    _failing: bool = False

    def __post_init__(self) -> None:
        # A quarter of the bucket's burst is taken at once when many polls fall together.
        burst, refill = limits.TASK_READ_CALLS
        self._pace = Pace(refill / 2, burst / 4, now=self.clock())

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
        """Wait until the task is stopped and return it; None when ECS has not shown it for a long time.

        It has no end while ECS cannot be asked: bound it.

        :param start_seconds: a task that has not started this long after its ``createdAt`` is returned as it is.
        :param tell: told once a minute while the task cannot be seen.
        :param note: told once a minute what it waits for while it starts.
        :param seen: called with the task each time that ECS shows it.
        """
        if self.events is not None and (heard := self.events.stopped(task.arn)) is not None:
            return heard
        now = self.clock()
        age = max(0.0, (self.now() - task.created_at).total_seconds()) if task.created_at else 0.0
        one = Watched(
            cluster=cluster,
            arn=task.arn,
            poll_seconds=poll_seconds,
            born=now - age,
            start_by=math.inf if start_seconds is None else now - age + start_seconds,
            asked=now,
            result=asyncio.get_running_loop().create_future(),
            tell=tell,
            note=note,
            on_seen=seen,
        )
        self._watched.setdefault(task.arn, set()).add(one)
        if self._loop is None or self._loop.done():
            self._loop = spawn_detached(self._run())
        try:
            return await one.result
        finally:
            self._watched[task.arn].discard(one)
            if not self._watched[task.arn]:
                del self._watched[task.arn]

    def report_stopped(self, task: EcsTask) -> bool:
        """End all waits for a stopped task; return whether there were any."""
        waits = self._watched.get(task.arn, set())
        for one in waits:
            self._settle(one, task)
        return bool(waits)

    async def close(self) -> None:
        calls = [task for task in (self._loop, *self._calls) if task is not None]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def _everyone(self) -> list[Watched]:
        return [one for some in self._watched.values() for one in some if not one.result.done()]

    async def _run(self) -> None:
        """Poll until nobody waits. No fault ends it but its own cancellation, which ends all waits."""
        while everyone := self._everyone():
            try:
                await self._turn(everyone)
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled():
                    for one in everyone:
                        one.result.cancel()
                    raise
                log.exception("A fault in the watcher; it goes on.", exc_info=error)
                await asyncio.sleep(BATCH_POLL_SECONDS)

    async def _turn(self, everyone: list[Watched]) -> None:
        floor = BATCH_POLL_SECONDS if len(everyone) > limits.DESCRIBE_TASKS else 0.0
        pause = min(RECHECK_SECONDS, max(floor, min(one.poll_seconds for one in everyone)))
        await self.sleep(pause)
        await self._poll(self.clock() + pause / 2, floor)

    async def _poll(self, until: float, floor: float) -> None:
        """Poll all tasks that are due before the middle of the next pause, so that batches are full."""
        if self.events is not None and self.events.working:
            floor = EVENTS_POLL_SECONDS
        for batch in batches(self._everyone(), until, floor):
            while len(self._calls) >= CALLS_IN_FLIGHT:
                await asyncio.wait(self._calls, return_when=asyncio.FIRST_COMPLETED)
            while (wait := self._pace.wait(self.clock())) > 0:
                await self.sleep(wait)
            self._pace.take(self.clock())
            for one in batch:
                one.asking, one.asked_before, one.asked = True, one.asked, self.clock()
            call = spawn_detached(self._ask(batch))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        # Let answers that arrive at once count for the next poll.
        await asyncio.sleep(0)

    async def _ask(self, batch: list[Watched]) -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                shown = await self.describe(batch[0].cluster, sorted({one.arn for one in batch}))
            self._pace.succeeded(self.clock())
            for one in batch:
                if one.arn in shown:
                    self._settle(one, shown[one.arn])
            unseen = [one for one in batch if one.arn not in shown]
            if unseen:
                self._failed(unseen, LookupError("DescribeTasks said nothing of the task"))
            else:
                self._failing = False
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            self._failed(batch, RuntimeError("the call was broken off"))
        except Exception as error:
            self._failed(batch, error)
        finally:
            for one in batch:
                one.asking = False

    def _failed(self, batch: list[Watched], error: Exception) -> None:
        now = self.clock()
        if is_throttling(error):
            self._pace.throttled(now)
        log.log(
            logging.DEBUG if self._failing else logging.WARNING,
            "DescribeTasks for %d tasks did not go through and is repeated: %s",
            len(batch),
            str(error) or type(error).__name__,
            exc_info=bug(error),
        )
        self._failing = True
        # Each of them counts its own failures.
        renews = [one.lost(error, now) for one in batch if not one.result.done()]
        if any(renews):
            self.renew()

    def _settle(self, one: Watched, task: EcsTask | None) -> None:
        if one.result.done():
            return
        one.seen(self.clock(), task)
        if task is not None:
            one.missing_since = None
            if task.stopped or (task.starting and self.clock() >= one.start_by):
                one.result.set_result(task)
            elif task.starting:
                one.starts(task, self.clock())
        elif one.missing_since is None:
            one.missing_since = self.clock()
        elif self.clock() - one.missing_since >= self.missing_seconds:
            one.result.set_result(None)
