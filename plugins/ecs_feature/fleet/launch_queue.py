"""One queue for all RunTask calls of a fleet: at the account's rate, with runs taking turns."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ecs_feature.aws import limits
from ecs_feature.aws.errors import is_throttling
from ecs_feature.aws.outages import Tell
from ecs_feature.aws.pacing import Bucket, Pace
from ecs_feature.detached import spawn_detached
from ecs_feature.fleet.waits import Wait, telling

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

CALLS_IN_FLIGHT = 100
"""RunTask calls in flight at once; an answer may take seconds, and there are as many connections."""
RECHECK_SECONDS = 0.5
"""The longest sleep of the queue, so that the wait of one capacity does not delay launches on another."""
BATCH_SECONDS = 0.4
"""Mean time between batches of turns. Triggers that log at the same moment wake Airflow's supervisor once, and each
wake-up costs it a whole loop (docs/decisions/0009-records-come-with-the-end-event.md). The time varies from half to one
and a half, so that two fleets do not run in step."""
BATCH_THRESHOLD = 100
"""Above this many waiting launches, turns are granted in batches."""
BURST_SECONDS = 0.75
"""This many seconds of calls may start at once, to make up for a late event loop. AWS's bucket holds one second."""
NOTICE_EVERY_SECONDS = 30.0


@dataclass(eq=False)
class Ticket:
    """One launch that waits for its turn."""

    capacity: str
    share: str
    turn: asyncio.Future[None]


class FairQueue:
    """The launches waiting for one capacity: first in, first out within a share; shares take turns. Pure."""

    def __init__(self) -> None:
        self._shares: dict[str, OrderedDict[Ticket, None]] = {}

    def __len__(self) -> int:
        return sum(len(tickets) for tickets in self._shares.values())

    def add(self, ticket: Ticket) -> None:
        """Add it at the end of its share."""
        tickets = self._shares.setdefault(ticket.share, OrderedDict())
        tickets[ticket] = None

    def remove(self, ticket: Ticket) -> None:
        """Remove it; nothing happens when it already had its turn."""
        tickets = self._shares.get(ticket.share, OrderedDict())
        tickets.pop(ticket, None)
        if not tickets:
            self._shares.pop(ticket.share, None)

    def next(self) -> Ticket:
        """Take the first launch of the next share; that share moves to the end."""
        share = next(iter(self._shares))
        tickets = self._shares.pop(share)
        ticket, _ = tickets.popitem(last=False)
        if tickets:
            self._shares[share] = tickets
        return ticket


class LaunchPlan:
    """When the next RunTask call may start, and which launch it is for. Pure: the caller passes the time.

    Three limits apply: Fargate's launch bucket per capacity, the account's rate of RunTask calls, and the pace that
    AWS was found to accept, also per capacity, because Spot and On-Demand have separate quotas.
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
        """The current rate of calls for this capacity, per second."""
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
        # Move it to the end of the dict, so that capacities take turns, too.
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
        """When a pace exceeds the published rate, raise the other two limits as well."""
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

    async def run(
        self, capacity: str, share: str, call: Callable[[], Awaitable[Answer]], note: Tell = log.info
    ) -> Answer:
        """Make a RunTask call when it is its turn. After throttling it goes to the end of its share, so that it does
        not hold up the others.

        When cancelled while waiting, it leaves the queue. Cancelling a call that has started does not undo it on AWS's
        side; its client token later shows what it did.

        :param note: told once a minute what it waits for.
        """
        with telling(note, lambda: self.wait(capacity)):
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

    def wait(self, capacity: str) -> Wait:
        """What a waiting launch waits for."""
        if not self._has_room():
            return Wait("launch rate", f"for RunTask: {self._in_flight} calls have no answer yet.")
        waiting, rate = self._plan.waiting(capacity), self._plan.rate(capacity)
        words = f"for its turn to be launched: {waiting} launches on {capacity} wait, at {rate:.1f} a second."
        return Wait("launch rate", words)

    async def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _turn(self, capacity: str, share: str) -> None:
        ticket = Ticket(capacity, share, asyncio.get_running_loop().create_future())
        self._plan.add(ticket)
        if self._pump is None or self._pump.done():
            self._pump = spawn_detached(self._give_turns())
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
        """The shortest time between batches of turns; zero while few launches wait, so that they start sooner."""
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
