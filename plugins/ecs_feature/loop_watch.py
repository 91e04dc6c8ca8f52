"""Tells when the event loop that all shards of a triggerer share stood still.

Airflow tells it too, in a line that is gone where its own lines are kept out of the log (docs/scaling.md).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.1
NOTED_SECONDS: Final = 0.2
"""As Airflow's own warning; at 1 s, a shard is launched or seen to end a second late."""


async def watch_loop(
    clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Write a warning for each stand-still of :data:`NOTED_SECONDS` and more, for ever.

    It has to be one: what is not of a trigger, and not a warning, is left out with Airflow's own lines.
    """
    while True:
        before = clock()
        await sleep(TICK_SECONDS)
        still = clock() - before - TICK_SECONDS
        if still >= NOTED_SECONDS:
            log.warning(
                "The triggerer's event loop stood still for %.2f s; if that is often, see docs/scaling.md.", still
            )
