"""How long an event loop stands still."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LoopWatch:
    """The longest delays so far.

    :ivar loop_seconds: of the event loop.
    :ivar machine_seconds: of a thread beside it: what a busy machine takes from everybody.
    """

    loop_seconds = 0.0
    machine_seconds = 0.0

    @property
    def blocked_seconds(self) -> float:
        """What the loop itself took, at least."""
        return self.loop_seconds - self.machine_seconds


@asynccontextmanager
async def watched_loop(every: float = 0.01) -> AsyncIterator[LoopWatch]:
    """Watch the running loop, until the block ends."""
    watch, over = LoopWatch(), threading.Event()

    async def look() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(every)
            watch.loop_seconds = max(watch.loop_seconds, time.monotonic() - before)

    def look_beside() -> None:
        before = time.monotonic()
        while not over.wait(every):
            watch.machine_seconds = max(watch.machine_seconds, time.monotonic() - before)
            before = time.monotonic()

    looking, beside = asyncio.create_task(look()), threading.Thread(target=look_beside)
    beside.start()
    try:
        yield watch
    finally:
        looking.cancel()
        over.set()
        beside.join()
