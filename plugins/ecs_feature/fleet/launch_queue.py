"""All RunTask calls of one fleet in one queue: at the account's rate, in turns between runs."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ecs_feature.aws import limits
from ecs_feature.aws.errors import is_throttling
from ecs_feature.aws.pacing import Bucket, Pace

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

CALLS_IN_FLIGHT = 100
"""RunTask calls that wait for their answers at once; an answer may take seconds, and the connections are as many."""
RECHECK_SECONDS = 0.5
"""A slow lane's wait is cut into such pieces, so that a launch in another lane need not wait for it."""
BATCH_SECONDS = 0.4
"""Turns are given in groups: what triggers log at the same moment reaches Airflow's supervisor together, and each time
something reaches it, it goes through all it has to do (docs/decisions/0009-records-come-with-the-end-event.md). The
groups are half of it to one and a half apart, so that two fleets do not march in step."""
BATCH_THRESHOLD = 100
"""So many launches have to wait for turns to be given in groups."""
BURST_SECONDS = 0.75
"""So many seconds' calls may start at once, so that a late event loop loses nothing. AWS's bucket holds a second's."""
NOTICE_EVERY_SECONDS = 30.0


@dataclass(eq=False)
class Ticket:
    """One launch that waits for its turn."""

    capacity: str
    share: str
    turn: asyncio.Future[None]


class FairQueue:
    """Who waits for one kind of capacity: first in first out within a share, the shares in turns. Pure."""

    def __init__(self) -> None:
        self._shares: dict[str, OrderedDict[Ticket, None]] = {}

    def __len__(self) -> int:
        return sum(len(tickets) for tickets in self._shares.values())

    def add(self, ticket: Ticket) -> None:
        """At the end of its share."""
        tickets = self._shares.setdefault(ticket.share, OrderedDict())
        tickets[ticket] = None

    def remove(self, ticket: Ticket) -> None:
        """It no longer waits; nothing happens when it had its turn already."""
        tickets = self._shares.get(ticket.share, OrderedDict())
        tickets.pop(ticket, None)
        if not tickets:
            self._shares.pop(ticket.share, None)

    def next(self) -> Ticket:
        """The first of the share whose turn it is; that share is the last one then."""
        share = next(iter(self._shares))
        tickets = self._shares.pop(share)
        ticket, _ = tickets.popitem(last=False)
        if tickets:
            self._shares[share] = tickets
        return ticket


class LaunchPlan:
    """When the next RunTask call may start, and whose it is. Pure: no clock but the arguments.

    Three limits hold at once: Fargate's launch bucket of each capacity, the RunTask calls of the account, and the
    pace that this account was found to allow, also of each capacity, because Spot and On-Demand have quotas of
    their own.
    """

    def __init__(self, now: float) -> None:
        rate = limits.RUN_TASK_CALLS_PER_SECOND
        self._calls = Bucket(rate * BURST_SECONDS, rate, now)
        self._born = now
        self._lanes: dict[str, tuple[FairQueue, Pace, Bucket]] = {}

    def lane(self, capacity: str) -> tuple[FairQueue, Pace, Bucket]:
        if capacity not in self._lanes:
            burst, refill = limits.FARGATE_LAUNCHES
            rate = limits.RUN_TASK_CALLS_PER_SECOND
            pace = Pace(rate, rate * BURST_SECONDS, may_exceed=True, now=self._born)
            self._lanes[capacity] = (FairQueue(), pace, Bucket(burst, refill, self._born))
        return self._lanes[capacity]

    def add(self, ticket: Ticket) -> None:
        self.lane(ticket.capacity)[0].add(ticket)

    def remove(self, ticket: Ticket) -> None:
        self.lane(ticket.capacity)[0].remove(ticket)

    def waiting(self, capacity: str | None = None) -> int:
        return sum(len(line) for key, (line, _, _) in self._lanes.items() if capacity in (None, key))

    def rate(self, capacity: str) -> float:
        """Calls per second that this capacity is asked at."""
        return self.lane(capacity)[1].rate

    def next(self, now: float) -> Ticket | float | None:
        """The launch that may start now; else the seconds until one may; None when nobody waits."""
        waits = {
            capacity: max(pace.wait(now), launches.wait(now))
            for capacity, (line, pace, launches) in self._lanes.items()
            if len(line)
        }
        if not waits:
            return None
        capacity = min(waits, key=lambda key: waits[key])
        wait = max(waits[capacity], self._calls.wait(now))
        if wait > 0:
            return wait
        line, pace, launches = self._lanes.pop(capacity)
        # The last in the dict from now on: capacities that may all start take turns, too.
        self._lanes[capacity] = (line, pace, launches)
        for bucket in (self._calls, launches):
            bucket.take(now)
        pace.take(now)
        return line.next()

    def succeeded(self, capacity: str, now: float) -> None:
        self.lane(capacity)[1].succeeded(now)
        self._follow(now)

    def throttled(self, capacity: str, now: float) -> None:
        self.lane(capacity)[1].throttled(now)
        self._follow(now)

    def _follow(self, now: float) -> None:
        """Where a pace was allowed more than is published, the other two limits are higher, too."""
        for _, pace, launches in self._lanes.values():
            launches.fill(now)
            launches.rate = max(limits.FARGATE_LAUNCHES[1], pace.rate)
        self._calls.fill(now)
        self._calls.rate = max(limits.RUN_TASK_CALLS_PER_SECOND, *(pace.rate for _, pace, _ in self._lanes.values()))


@dataclass(eq=False)
class LaunchQueue:
    """The queue itself: calls run in their callers' own tasks, at the turns that the plan gives."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    max_in_flight: int = CALLS_IN_FLIGHT
    rng: random.Random = field(default_factory=random.Random)
    _plan: LaunchPlan = field(init=False)
    _pump: asyncio.Task[None] | None = None
    _in_flight: int = 0
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _noticed_at: float = float("-inf")

    def __post_init__(self) -> None:
        self._plan = LaunchPlan(self.clock())

    def rate(self, capacity: str) -> float:
        """RunTask calls per second that this account was found to allow."""
        return self._plan.rate(capacity)

    async def run(self, capacity: str, share: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Make a RunTask call when it is its turn; refused as too many, it is the last of its share again, so that
        one launch that is refused again and again never holds up the others.

        Cancelled while it waits, it leaves the queue; a call that has started is not ended by that on AWS's side,
        and its client token finds out later what it has done.
        """
        while True:
            await self._turn(capacity, share)
            try:
                answer = await call()
            except Exception as error:
                if not is_throttling(error):
                    raise
                self._plan.throttled(capacity, self.clock())
                self._notice(capacity)
            else:
                self._plan.succeeded(capacity, self.clock())
                return answer
            finally:
                self._in_flight -= 1
                self._room.set()

    async def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _turn(self, capacity: str, share: str) -> None:
        loop = asyncio.get_running_loop()
        ticket = Ticket(capacity, share, loop.create_future())
        self._plan.add(ticket)
        if self._pump is None or self._pump.done():
            # A context of its own: Airflow routes log lines to task logs by context, and this serves many.
            self._pump = loop.create_task(self._give_turns(), context=contextvars.Context())
        try:
            await ticket.turn
        except BaseException:
            self._plan.remove(ticket)
            if ticket.turn.done() and not ticket.turn.cancelled():
                self._in_flight -= 1
                self._room.set()
            raise

    async def _give_turns(self) -> None:
        while (following := self._plan.next(self.clock()) if self._has_room() else 0.0) is not None:
            if isinstance(following, Ticket):
                if not following.turn.done():
                    self._in_flight += 1
                    following.turn.set_result(None)
            elif following > 0:
                await self.sleep(min(max(following, self._pause()), RECHECK_SECONDS))
            else:
                self._room.clear()
                await self._room.wait()

    def _pause(self) -> float:
        """The least time between groups of turns: none while few wait, who are launched the sooner."""
        return BATCH_SECONDS * self.rng.uniform(0.5, 1.5) if self._plan.waiting() > BATCH_THRESHOLD else 0.0

    def _has_room(self) -> bool:
        return self._in_flight < self.max_in_flight

    def _notice(self, capacity: str) -> None:
        now = self.clock()
        if now - self._noticed_at >= NOTICE_EVERY_SECONDS:
            self._noticed_at = now
            log.warning(
                "RunTask on %s is throttled: going on with %.1f calls a second; %d launches wait.",
                capacity,
                self._plan.rate(capacity),
                self._plan.waiting(capacity),
            )
