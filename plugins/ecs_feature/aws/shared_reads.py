"""Shared reads: many callers ask for the same value, and one read serves them all."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from ecs_feature.detached import spawn_detached

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(eq=False)
class SharedReads(Generic[Key, Value]):
    """Reads by key, for one event loop. Callers during a read, or while its value is fresh, share it.

    A failed read is not kept: the next caller reads again. A caller that is cancelled does not cancel the read.

    :param fresh_seconds: how long a value is used, from the start of its read; infinity: it never changes.
    :param renew_seconds: a caller that finds a value older than this has it read anew for later ones, and does not wait
        for that: so a stream of callers never stops for a slow read.
    """

    read: Callable[[Key], Coroutine[Any, Any, Value]]
    fresh_seconds: float = math.inf
    clock: Callable[[], float] = time.monotonic
    renew_seconds: float = math.inf
    _reads: dict[Key, tuple[float, asyncio.Task[Value]]] = field(default_factory=dict)
    _renewals: dict[Key, asyncio.Task[Value]] = field(default_factory=dict)

    async def get(self, key: Key) -> Value:
        """:raises Exception: what the read raises."""
        now = self.clock()
        for old in [old for old, (at, task) in self._reads.items() if task.done() and now - at > self.fresh_seconds]:
            del self._reads[old]
        if key not in self._reads:
            task = spawn_detached(self.read(key))
            task.add_done_callback(partial(self._drop_failed, key))
            self._reads[key] = (now, task)
        at, task = self._reads[key]
        if task.done() and now - at > self.renew_seconds and key not in self._renewals:
            renewal = self._renewals[key] = spawn_detached(self.read(key))
            renewal.add_done_callback(partial(self._renewed, key, now))
        return await asyncio.shield(task)

    def _renewed(self, key: Key, at: float, task: asyncio.Task[Value]) -> None:
        if self._renewals.get(key) is not task:
            return
        del self._renewals[key]
        if not task.cancelled() and task.exception() is None and self._reads.get(key, (at,))[0] <= at:
            self._reads[key] = (at, task)

    def _drop_failed(self, key: Key, task: asyncio.Task[Value]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and key in self._reads and self._reads[key][1] is task:
            del self._reads[key]

    def forget(self) -> None:
        """Forget all values; later callers read again."""
        self._reads.clear()
        self._renewals.clear()
