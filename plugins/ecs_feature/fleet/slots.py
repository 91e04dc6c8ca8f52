"""Slots for running tasks: limits on tasks and vCPUs of a group, and on vCPUs of the account."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ecs_feature.aws.outages import Tell
from ecs_feature.aws.pacing import EPSILON
from ecs_feature.fleet.waits import Wait, telling

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlotRequest:
    """A request for the slot of one task.

    :param group: all tasks of a group share its limits.
    :param parallelism: tasks of the group at once; None: no bound.
    :param vcpus: of the task; 0: unknown, not counted against any vCPU limit.
    :param max_vcpus: vCPUs of the group at once; None: only the account's quota applies.
    :param capacity: whose account quota applies.
    """

    group: str
    parallelism: int | None = None
    vcpus: float = 0.0
    max_vcpus: float | None = None
    capacity: str = "FARGATE"


@dataclass
class Used:
    """What counts against a limit; the fleet and the estimate share its rules."""

    tasks: int = 0
    vcpus: float = 0.0

    def task_fits(self, limit: int | None) -> bool:
        """Whether a limit in tasks allows one more."""
        return not limit or self.tasks < limit

    def vcpus_fit(self, vcpus: float, limit: float | None) -> bool:
        """Whether a limit in vCPUs allows ``vcpus`` more. A task bigger than it runs alone, or it would never run."""
        return limit is None or self.vcpus <= EPSILON or self.vcpus + vcpus <= limit + EPSILON


@dataclass(eq=False)
class Slots:
    """The slots in use and the requests waiting: first in, first out within a group; groups take turns.

    :param quota: capacity -> vCPUs that the account allows this fleet now; None: no limit.
    """

    quota: Callable[[str], float | None] = lambda capacity: None
    _groups: dict[str, Used] = field(default_factory=lambda: defaultdict(Used))
    _accounts: dict[str, Used] = field(default_factory=lambda: defaultdict(Used))
    _waiting: dict[str, deque[tuple[SlotRequest, asyncio.Future[None]]]] = field(default_factory=dict)

    @asynccontextmanager
    async def held(self, request: SlotRequest, note: Tell = log.info) -> AsyncIterator[None]:
        """Context manager: hold a slot.

        :param note: told once a minute what the request waits for.
        """
        await self._take(request, note)
        try:
            yield
        finally:
            self._give_back(request)

    def waiting_for_quota(self, capacity: str) -> bool:
        """Whether a request waits only because of the account's quota."""
        heads = (queue[0][0] for queue in self._waiting.values())
        return any(
            request.capacity == capacity and self._group_fits(request) and not self._account_fits(request)
            for request in heads
        )

    def used(self, capacity: str) -> float:
        """vCPUs of the capacity in use."""
        return self._accounts[capacity].vcpus

    def admit(self) -> None:
        """Give slots to waiting requests, one per group in turn, until none fits."""
        admitted = True
        while admitted:
            admitted = False
            for group in list(self._waiting):
                admitted |= self._admit_one(group)

    def _admit_one(self, group: str) -> bool:
        while group in self._waiting and self._waiting[group][0][1].done():
            self._leave(group)  # cancelled
        if group not in self._waiting:
            return False
        request, future = self._waiting[group][0]
        if not self._fits(request):
            return False
        self._hold(request, 1)
        future.set_result(None)
        self._leave(group)
        return True

    def _leave(self, group: str) -> None:
        """Remove the group's first request, and move the group to the end."""
        queue = self._waiting.pop(group)
        queue.popleft()
        if queue:
            self._waiting[group] = queue

    def wait(self, request: SlotRequest) -> Wait:
        """What a waiting request waits for."""
        queue = self._waiting.get(request.group, ())
        limit = self._limit(request)
        if limit is None:
            what = next((found.what for one, _ in queue if (found := self._limit(one)) is not None), "parallelism")
            limit = Wait(what, "others of its group come first")
        return Wait(limit.what, f"for a slot: {limit.words}; {len(queue)} shards wait.")

    def _limit(self, request: SlotRequest) -> Wait | None:
        """The limit that keeps a request from its slot; None: it fits."""
        used, account = self._groups[request.group], self._accounts[request.capacity]
        if not used.task_fits(request.parallelism):
            return Wait("parallelism", f"{used.tasks} of at most {request.parallelism} tasks run (parallelism)")
        if not used.vcpus_fit(request.vcpus, request.max_vcpus):
            return Wait("max_vcpus", f"{used.vcpus:g} of at most {request.max_vcpus:g} vCPUs are in use (max_vcpus)")
        if not self._account_fits(request):
            left = self.quota(request.capacity) or 0.0
            words = f"{account.vcpus:g} of {left:g} vCPUs are in use (what the {request.capacity} quota leaves)"
            return Wait("vCPU quota", words)
        return None

    async def _take(self, request: SlotRequest, note: Tell) -> None:
        if request.group not in self._waiting and self._fits(request):
            self._hold(request, 1)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request.group, deque()).append((request, future))
        try:
            with telling(note, lambda: self.wait(request)):
                await future
        except BaseException:
            if future.cancelled():
                self.admit()  # the requests behind it may fit now
            else:
                self._give_back(request)
            raise

    def _give_back(self, request: SlotRequest) -> None:
        self._hold(request, -1)
        self.admit()

    def _hold(self, request: SlotRequest, sign: int) -> None:
        for used in (self._groups[request.group], self._accounts[request.capacity]):
            used.tasks += sign
            used.vcpus += sign * request.vcpus

    def _fits(self, request: SlotRequest) -> bool:
        return self._group_fits(request) and self._account_fits(request)

    def _group_fits(self, request: SlotRequest) -> bool:
        used = self._groups[request.group]
        return used.task_fits(request.parallelism) and used.vcpus_fit(request.vcpus, request.max_vcpus)

    def _account_fits(self, request: SlotRequest) -> bool:
        quota = self.quota(request.capacity) if request.vcpus and request.max_vcpus is None else None
        return self._accounts[request.capacity].vcpus_fit(request.vcpus, quota)
