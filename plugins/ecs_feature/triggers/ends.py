"""When shards end: the more of them a triggerer has, the more end at the same moment."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from typing import Final

SHARDS_PER_SECOND: Final = 100
MOST_SECONDS: Final = 3.0


class Ends:
    """Lets shards end in groups.

    For each group of ends that it finds, Airflow's DAG processor forks to call callbacks and parses the DAG file
    anew, 0.2 s of CPU, and the triggerer's supervisor goes once through its round. With 20 ends a second, one group a
    second costs ten times what the ends in it cost; nobody waits for one of hundreds to end two seconds sooner.

    :ivar shards: how many are on their way.
    """

    def __init__(self) -> None:
        self.shards = 0

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Within it, a shard is on its way."""
        self.shards += 1
        try:
            yield
        finally:
            self.shards -= 1

    async def turn(self) -> None:
        """Wait until a shard may end: at once, or with hundreds on their way when the next group ends.

        Groups are a second apart for each 100 shards, and no more than 3.
        """
        await asyncio.sleep(self.seconds_until_turn(asyncio.get_running_loop().time()))

    def seconds_until_turn(self, now: float) -> float:
        """How long :meth:`turn` takes, by the event loop's clock."""
        apart = min(MOST_SECONDS, self.shards // SHARDS_PER_SECOND)
        return math.ceil(now / apart) * apart - now if apart >= 2 else 0.0
