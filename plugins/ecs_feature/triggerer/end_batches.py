"""When shards end: the more of them a triggerer has, the more end at the same moment."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from typing import Final

SHARDS_PER_SECOND: Final = 100
MAX_SECONDS: Final = 3.0


class EndBatches:
    """Lets the shards of a triggerer end in batches.

    At its end a shard writes three log records: its own last lines and two of Airflow's. The triggerer's supervisor
    asks the database for all its triggers each time that it reads some records; records that come together cost fewer
    of these rounds. Nobody waits for one of hundreds of shards to end two seconds sooner.

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
        """Wait until a shard may end: at once, or with hundreds on their way at the next batch."""
        await asyncio.sleep(self.seconds_until_turn(asyncio.get_running_loop().time()))

    def seconds_until_turn(self, now: float) -> float:
        """How long :meth:`turn` takes. Batches are a second apart for each 100 shards, at most :data:`MAX_SECONDS`.

        :param now: by the event loop's clock.
        """
        apart = min(MAX_SECONDS, self.shards // SHARDS_PER_SECOND)
        return math.ceil(now / apart) * apart - now if apart >= 2 else 0.0
