"""Follows containers' logs while they run: one FilterLogEvents for up to a hundred of them, once a second at most.

One loop serves all followed streams of a fleet; it runs only while there are any. It shares a rate limiter with
:class:`ecs_feature.logs.tail.LogTail` and makes one call at a time. A log that cannot be read is read again, with
renewed clients, and its shard is told so once a minute; it delays the shard's end by a few seconds at most.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ecs_feature.aws import limits
from ecs_feature.aws.errors import Reaction, reaction_to, translate
from ecs_feature.aws.outages import bug
from ecs_feature.aws.pacing import Limiter
from ecs_feature.aws.resources import EcsTask
from ecs_feature.detached import is_cancelled, spawn_detached
from ecs_feature.exceptions import AccessDeniedError
from ecs_feature.logs.cursor import Cursor, Fresh, LogLine, Shown, capped, chunk, lines_at_once
from ecs_feature.logs.followed import Followed
from ecs_feature.logs.tail import log_place, milliseconds

log = logging.getLogger(__name__)

ROUND_SECONDS = 3.0
"""The shortest time between two reads of a stream."""
CALL_SPACING_SECONDS = 1.0
"""Pause after a read, for each call that it needed: a fifth of the published rate of FilterLogEvents."""
ABSENT_SECONDS = 10.0
"""How often a stream is looked for that does not exist yet although its task has started."""
ABSENT_CALLS = 10
"""How many calls may be spent to find out which of the streams does not exist."""
PAGES = 5
CALL_SECONDS = 20.0
COLLECT_SECONDS = 0.3
"""How long a shard that ended waits for others to share its last read."""
FINISH_SECONDS = 10.0
BEFORE_MS = 60_000
"""A container may log before its task is RUNNING, and its clock is not ECS's."""
TAKEN_OVER_MS = 120_000
"""How much of a running task's log is shown again when another triggerer takes it over."""
SHOWN_LINES = 1000


@dataclass(eq=False)
class LogFollower:
    """See the module.

    :param client: region -> a ``logs`` client without retries.
    :param task_definition: ARN -> the described task definition.
    :param limiter: the limiter of FilterLogEvents.
    :param renew: starts to renew the clients.
    """

    client: Callable[[str], Awaitable[Any]]
    task_definition: Callable[[str], Awaitable[dict[str, Any]]]
    limiter: Limiter
    renew: Callable[[], None] = lambda: None
    round_seconds: float = ROUND_SECONDS
    collect_seconds: float = COLLECT_SECONDS
    finish_seconds: float = FINISH_SECONDS
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _followed: dict[str, set[Followed]] = field(default_factory=dict)
    _loop: asyncio.Task[None] | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _not_before: float = 0.0
    _failing: bool = False
    _calls: int = 0

    @contextmanager
    def followed(
        self,
        task: EcsTask,
        container: str,
        show: Callable[[Fresh], None],
        *,
        min_lines_per_read: int | None = 0,
        since: int | None = None,
        known: Sequence[LogLine] = (),
    ) -> Iterator[Followed]:
        """Context manager: the container's lines are shown as they come.

        :param since: milliseconds since 1970; None: from the task's creation, or near now if it runs already.
        :param known: lines that were shown before.
        """
        one = Followed(
            task,
            container,
            show,
            min_lines_per_read,
            Cursor(self._beginning(task) if since is None else since),
            Shown(max(SHOWN_LINES, min_lines_per_read or 0)),
            due=math.inf,
        )
        one.cursor.known.update(known)
        self._followed.setdefault(task.arn, set()).add(one)
        self.note(task)
        if self._loop is None or self._loop.done():
            self._loop = spawn_detached(self._run())
        try:
            yield one
        finally:
            self._followed[task.arn].discard(one)
            if not self._followed[task.arn]:
                del self._followed[task.arn]
            self._wake.set()

    def note(self, task: EcsTask) -> None:
        """Take a newly described task: once it has started, its log is read."""
        for one in self._followed.get(task.arn, ()):
            if math.isinf(one.due) and (task.started_at is not None or task.stopped):
                one.due = self.clock()
                self._wake.set()

    async def finish(self, one: Followed) -> bool:
        """The task has ended: show the rest of its log, within :data:`FINISH_SECONDS`.

        :returns: whether all its lines were shown or counted as left out.
        """
        if one.given_up or one.warned:
            return False
        one.drained = asyncio.get_running_loop().create_future()
        one.due = self.clock() + self.collect_seconds
        self._wake.set()
        try:
            async with asyncio.timeout(self.finish_seconds):
                return await one.drained
        except TimeoutError:
            one.warn(f"no answer within {self.finish_seconds:g} s")
            return False

    async def close(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    def _beginning(self, task: EcsTask) -> int:
        now = int(self.now() * 1000)
        created = milliseconds(task.created_at) if task.created_at else now
        return max(created - BEFORE_MS, now - TAKEN_OVER_MS if task.started_at else 0)

    def _everyone(self) -> list[Followed]:
        return [one for some in self._followed.values() for one in some if not one.given_up]

    async def _run(self) -> None:
        while self._followed:
            self._wake.clear()
            await self._sleep()
            try:
                await self._step()
            except Exception as error:
                # No fault in reading a log may fail a shard.
                log.exception("Live lines end because of a fault in the follower.")
                for one in self._everyone():
                    one.give_up(repr(error))

    async def _sleep(self) -> None:
        """Sleep until a read is due, or a log is added, removed or ends."""
        moment = min((self._moment(one) for one in self._everyone()), default=math.inf)
        seconds = moment - self.clock()
        if seconds > 0:
            try:
                async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _moment(self, one: Followed) -> float:
        return one.due if one.ending else max(one.due, self._not_before)

    async def _step(self) -> None:
        """Read one chunk of the logs that are due; those that end come first."""
        now = self.clock()
        ready = [one for one in self._everyone() if self._moment(one) <= now]
        ready = [one for one in ready if one.ending] or ready
        if not ready:
            return
        await self._find_places([one for one in ready if one.place is None])
        ready = [one for one in ready if one.place is not None and not one.given_up]
        if not ready:
            return
        first = min(ready, key=lambda one: one.due)
        mine = [one for one in self._company(first, now) if one.place is not None]
        chosen = set(chunk([(one.stream, one.cursor.since) for one in mine]))
        await self._read([one for one in mine if one.stream in chosen])

    def _company(self, first: Followed, now: float) -> list[Followed]:
        """The logs to read in the same call: of the same group, and due soon."""
        soon = now + self.round_seconds / 2
        return [
            one
            for one in self._everyone()
            if one.place is not None
            and (one.place.group, one.place.region) == (first.place.group, first.place.region)  # type: ignore[union-attr]
            and one.ending == first.ending
            and one.stream_exists == first.stream_exists
            and one.due <= soon
        ]

    async def _find_places(self, some: list[Followed]) -> None:
        """Look up where they are, by their task definitions."""
        by_definition: dict[str, list[Followed]] = {}
        for one in some:
            by_definition.setdefault(one.task.task_definition_arn, []).append(one)
        for arn, mine in by_definition.items():
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    definition = await self.task_definition(arn)
            except AccessDeniedError as error:  # it was not waited for
                for one in mine:
                    one.give_up(str(error))
            except Exception as error:
                self._failed(mine, error)
            else:
                for one in mine:
                    place = log_place(definition, one.container)
                    if isinstance(place, str):
                        one.give_up(place)
                    else:
                        one.place = place

    async def _read(self, some: list[Followed]) -> None:
        self._calls = 0
        try:
            await self._read_or_halve(some)
            self._failing = False
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            self._failed(some, RuntimeError("the call was broken off"))
        except Exception as error:
            self._failed(some, error)
        finally:
            self._not_before = self.clock() + self._calls * CALL_SPACING_SECONDS

    async def _read_or_halve(self, some: list[Followed]) -> None:
        """Read them; when a stream does not exist, halve them, because CloudWatch does not say which one."""
        assert some[0].place is not None
        client = await self.client(some[0].place.region)
        try:
            await self._read_pages(client, some)
        except client.exceptions.ResourceNotFoundException:
            if len(some) == 1 or self._calls >= ABSENT_CALLS:
                self._absent(some)
                return
            half = len(some) // 2
            await self._read_or_halve(some[:half])
            await self._read_or_halve(some[half:])

    def _absent(self, some: list[Followed]) -> None:
        """Look again later for streams that do not exist. Only of a single one is it known that it has no lines."""
        for one in some:
            one.stream_exists = False
            one.read(self.clock())
            one.due = self.clock() + (CALL_SPACING_SECONDS if one.ending else ABSENT_SECONDS)
            if len(some) == 1:
                one.settle(True)

    async def _read_pages(self, client: Any, some: list[Followed]) -> None:
        assert some[0].place is not None
        request: dict[str, Any] = {
            "logGroupName": some[0].place.group,
            "logStreamNames": [one.stream for one in some],
            "startTime": min(one.cursor.since for one in some),
            "limit": limits.FILTER_LOG_EVENTS,
        }
        read_at = int(self.now() * 1000)
        last = [one for one in some if one.ending]  # as of now: a task may end during the read
        events: list[dict[str, Any]] = []
        for _ in range(PAGES):
            await self.limiter.acquire()
            self._calls += 1
            async with asyncio.timeout(CALL_SECONDS):
                answer = await client.filter_log_events(**request)
            events += answer.get("events", ())
            token = answer.get("nextToken")
            if not token:
                break
            request["nextToken"] = token
        await self._hand_out(some, events, read_at, last, complete=not token)

    async def _hand_out(
        self, some: list[Followed], events: list[dict[str, Any]], read_at: int, last: list[Followed], *, complete: bool
    ) -> None:
        by_stream: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            by_stream.setdefault(event["logStreamName"], []).append(event)
        reached = max((event["timestamp"] for event in events), default=None)
        max_lines = lines_at_once(len(self._everyone()))
        for one in some:
            lines = one.cursor.take(by_stream.get(one.stream, ()))
            behind = False
            if complete:
                one.cursor.settle(read_at)
            else:
                behind = one.cursor.go_on(reached, read_at)
            one.read(self.clock())
            one.skipped |= behind
            one.may_have_missed_newest = behind or (one.may_have_missed_newest and not (complete and lines))
            one.stream_exists = True
            if one in last or not one.ending:
                one.due = self.clock() + (self.round_seconds if complete else 0.0)
            if lines or (one.skipped and complete):
                one.say(
                    capped(
                        lines,
                        None if one.min_lines_per_read is None else max(max_lines, one.min_lines_per_read),
                        skipped=one.skipped,
                    )
                )
                one.skipped = False
                await asyncio.sleep(0)  # let the triggerer's other tasks run
            if one in last and (complete or behind):
                one.settle(complete and not one.may_have_missed_newest)

    def _failed(self, some: list[Followed], error: Exception) -> None:
        """Read them again after growing pauses; after what fails again for certain, stop following them."""
        if reaction_to(error) is Reaction.REFUSE:
            for one in some:
                one.give_up(str(translate(error)))
            return
        if bug(error) is not None and not self._failing:
            log.warning("Logs could not be read, in an unknown way; they are read again.", exc_info=error)
        self._failing = True
        now = self.clock()
        renews = [one.lost(error, now, self.round_seconds) for one in some]
        if any(renews):
            self.renew()
