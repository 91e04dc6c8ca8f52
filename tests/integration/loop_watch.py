"""How long an event loop stands still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class LoopWatch:
    """:ivar blocked_seconds: how long the loop did nothing else at most, without what it waited for a free core."""

    blocked_seconds = 0.0


def waited_for_a_core() -> float:
    """Seconds that threads of this process were ready to run while others had the cores; 0 where Linux is not there."""
    seconds = 0.0
    for thread in Path("/proc/self/task").glob("*/schedstat"):
        try:
            _, waited, _ = thread.read_text().split()
        except OSError:  # it has ended
            continue
        seconds += int(waited) / 1e9
    return seconds


@asynccontextmanager
async def watched_loop(every: float = 0.02) -> AsyncIterator[LoopWatch]:
    """Watch the running loop, until the block ends."""
    watch = LoopWatch()

    async def look() -> None:
        while True:
            before, waited = time.monotonic(), waited_for_a_core()
            await asyncio.sleep(every)
            took = time.monotonic() - before - max(0.0, waited_for_a_core() - waited)
            watch.blocked_seconds = max(watch.blocked_seconds, took)

    looking = asyncio.create_task(look())
    try:
        yield watch
    finally:
        looking.cancel()
