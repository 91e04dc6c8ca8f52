"""Values that many ask for and one read serves."""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(eq=False)
class SharedReads(Generic[Key, Value]):
    """Reads by key, of one event loop; who asks while one goes on, or before it is old, gets the same value.

    A read that fails is not kept: who asks next reads again. Who stops waiting does not end it for the others.

    :param fresh_seconds: how old a read may be, from its beginning; infinity: the value never changes.
    """

    read: Callable[[Key], Coroutine[Any, Any, Value]]
    fresh_seconds: float = math.inf
    clock: Callable[[], float] = time.monotonic
    _reads: dict[Key, tuple[float, asyncio.Task[Value]]] = field(default_factory=dict)

    async def get(self, key: Key) -> Value:
        """:raises Exception: what the read raises."""
        now = self.clock()
        for old in [old for old, (at, task) in self._reads.items() if task.done() and now - at > self.fresh_seconds]:
            del self._reads[old]
        if key not in self._reads:
            # A context of its own: Airflow routes log lines to task logs by context, and this serves many.
            task = asyncio.get_running_loop().create_task(self.read(key), context=contextvars.Context())
            task.add_done_callback(partial(self._drop_failed, key))
            self._reads[key] = (now, task)
        _, task = self._reads[key]
        return await asyncio.shield(task)

    def _drop_failed(self, key: Key, task: asyncio.Task[Value]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and key in self._reads and self._reads[key][1] is task:
            del self._reads[key]

    def forget(self) -> None:
        """Read all anew that is asked for from now on."""
        self._reads.clear()
