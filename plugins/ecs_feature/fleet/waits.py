"""What a shard waits for before its container runs: kept for its record and the board, and told once a minute, not at
all in the first one."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ecs_feature.aws.outages import TELL_SECONDS, Tell
from ecs_feature.aws.resources import EcsTask

log = logging.getLogger(__name__)

TOGETHER_SECONDS: Final = 15.0
"""Shards that wait are told at multiples of this: their records cost Airflow's supervisor less when they come together
(docs/decisions/0024-fewer-and-shorter-log-records.md)."""
NOTICED_SECONDS: Final = 1.0
"""A wait that is not longer is not kept in the shard's record."""
TROUBLE_SECONDS: Final = TELL_SECONDS + TOGETHER_SECONDS
"""Trouble with AWS is told once a minute while it lasts; what has not been told for longer is over."""


class Wait(NamedTuple):
    """What is waited for.

    :param what: ``launch rate``, ``parallelism``, ``max_vcpus``, ``vCPU quota``, ``capacity``, ``relaunch``, ``AWS`` or
        ``start``.
    :param words: the rest of the sentence "It waits ...".
    """

    what: str
    words: str


class Trouble(NamedTuple):
    """Why AWS could not be asked, since when, and how long that counts; on the event loop's clock."""

    sentence: str
    began: float
    until: float


Ask = Callable[[], Wait | None]
"""Says what is waited for now; None: for nothing."""


@dataclass(eq=False)
class ShardWaits:
    """What one shard waits for now, and for how long it has waited for what. Times are the event loop's.

    :ivar seconds: what -> how long, of the waits that have ended since :meth:`taken`.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    _ask: Ask | None = None
    _began: float = 0.0
    _trouble: Trouble | None = None

    @contextmanager
    def during(self, ask: Ask, *, waited: float = 0.0, counted: bool = True) -> Iterator[None]:
        """Context manager: while it lasts, the shard waits for what ``ask`` says.

        :param waited: for how many seconds it has waited for it already.
        :param counted: whether it goes into the record.
        """
        outer, began = (self._ask, self._began), _time()
        first = ask() if counted else None
        self._ask, self._began = ask, began - waited
        try:
            yield
            self._trouble = None
        finally:
            self._ask, self._began = outer
            passed = _time() - began
            if first is not None and passed >= NOTICED_SECONDS:
                self.seconds[first.what] = self.seconds.get(first.what, 0.0) + passed

    def troubled(self, sentence: str) -> None:
        """AWS cannot be asked: what it waits for until something else is waited for with success, or it is launched."""
        now = _time()
        known = self._trouble if self._trouble and now < self._trouble.until else None
        self._trouble = Trouble(sentence, known.began if known else now, now + TROUBLE_SECONDS)

    def telling(self, tell: Tell) -> Tell:
        """What tells why AWS cannot be asked, and notes it."""

        def both(sentence: str) -> None:
            self.troubled(sentence)
            tell(sentence)

        return both

    def launched(self) -> None:
        self._trouble = None

    def now(self) -> tuple[Wait, float] | None:
        """What it waits for, and for how many seconds; None: for nothing."""
        now, trouble = _time(), self._trouble
        if trouble is not None and now < trouble.until:
            return Wait("AWS", f"for AWS: {trouble.sentence}"), now - trouble.began
        wait = self._ask() if self._ask is not None else None
        return None if wait is None else (wait, now - self._began)

    def taken(self) -> dict[str, float]:
        """The seconds, which begin anew."""
        taken, self.seconds = self.seconds, {}
        return taken


current: ContextVar[ShardWaits | None] = ContextVar("ecs_feature_shard_waits", default=None)
"""Of the shard that the running code serves."""


def waits_of_shard() -> ShardWaits:
    """Those of the shard that the running code serves; without one, new ones."""
    return current.get() or ShardWaits()


def _time() -> float:
    return asyncio.get_running_loop().time()


@contextmanager
def telling(tell: Tell, what: Callable[[], Wait]) -> Iterator[None]:
    """Context manager: while it lasts, tell once a minute what is waited for. The first minute costs one timer.

    :param what: called in the contextvars context of the caller.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    first = math.ceil((began + TELL_SECONDS) / TOGETHER_SECONDS) * TOGETHER_SECONDS
    timer = loop.call_at(first, lambda: say())

    def say() -> None:
        nonlocal timer
        timer = loop.call_at(timer.when() + TELL_SECONDS, say)
        try:
            tell(f"It has waited {loop.time() - began:.0f} s {what().words}")
        except Exception:
            log.exception("A shard cannot be told what it waits for.")

    waits = current.get()
    try:
        with waits.during(what) if waits is not None else nullcontext():
            yield
    finally:
        timer.cancel()


def start_wait(task: EcsTask) -> str:
    """What a task that has not started waits for, as far as its status says: AmazonECS developerguide,
    task-lifecycle-explanation. Pure."""
    if task.unplaced:
        return f"for room on the container instances of {task.capacity or 'its cluster'}"
    if task.last_status == "PROVISIONING":
        return f"for {task.capacity or 'ECS'} to prepare its network interface and its place"
    if task.last_status == "ACTIVATING":
        return "for ECS to register it, e.g. with a load balancer"
    if task.pull_started_at is None:
        return "for the agent to begin with it"
    if task.pull_stopped_at is None:
        return "for its images, which are pulled"
    return "for its containers to start, e.g. for what their dependsOn names"
