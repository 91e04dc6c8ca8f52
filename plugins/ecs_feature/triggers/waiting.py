"""Leaves in an XCom of each run what its shards wait for, while some do, for who looks on without AWS."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from ecs_feature.detached import spawn_detached
from ecs_feature.fleet.waits import ShardWaits, current
from ecs_feature.shards.waits_row import WAITS_KEY, Cell, Waiting, row
from ecs_feature.triggerer.xcoms import push

log = logging.getLogger(__name__)

LEAST_SECONDS: Final = 15.0
"""What has been waited for less long is not written: most shards are launched within it."""
TURN_SECONDS: Final = 5.0
"""At most one row is written in this time, however many runs wait: each costs the triggerer's supervisor 20 to 50 ms
(docs/decisions/0009-records-come-with-the-end-event.md)."""
RUN_SECONDS: Final = 30.0
"""How often a run's row is written at most."""
GOOD_TURNS: Final = 3
"""A row counts until it should have been written this many times."""

Push = Callable[[Any, str, Any, Any], Awaitable[bool]]


class Owner(NamedTuple):
    """The task instance whose XCom has the row: the run's first shard here."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


@dataclass(eq=False)
class Run:
    """The shards of a run in this triggerer.

    :ivar written_at: when its row was written last, on the event loop's clock.
    :ivar empty: whether the row names no shard, or there is none.
    """

    owner: Owner
    shards: dict[Cell, ShardWaits] = field(default_factory=dict)
    written_at: float = -math.inf
    empty: bool = True

    def waiting(self) -> list[Waiting]:
        """Its shards that have waited for long enough."""
        now = datetime.now(UTC)
        found = []
        for cell, waits in self.shards.items():
            wait = waits.now()
            if wait is not None and wait[1] >= LEAST_SECONDS:
                found.append(Waiting(cell, wait[0], now - timedelta(seconds=wait[1])))
        return found


@dataclass(eq=False)
class WaitsWriter:
    """Writes the rows of the runs of one event loop, in turns. It costs nothing while no shard is there."""

    push: Push = push
    _runs: dict[tuple[str, str], Run] = field(default_factory=dict)
    _turns: asyncio.Task[None] | None = None

    @contextmanager
    def listed(self, ti: Any, waits: ShardWaits) -> Iterator[None]:
        """Context manager: while it lasts, the shard is one of its run."""
        cell, key = (ti.task_id, ti.map_index), (ti.dag_id, ti.run_id)
        run = self._runs.setdefault(key, Run(Owner(*key, *cell)))
        run.shards[cell] = waits
        if self._turns is None or self._turns.done():
            self._turns = spawn_detached(self._take_turns())
        try:
            yield
        finally:
            if run.shards.get(cell) is waits:
                del run.shards[cell]
            if not run.shards:
                self._runs.pop(key, None)

    async def _take_turns(self) -> None:
        while self._runs:
            await asyncio.sleep(TURN_SECONDS)
            try:
                await self._turn()
            except Exception:  # nobody waits for it, and shards run on
                log.exception("What shards wait for cannot be shown.")

    async def _turn(self) -> None:
        """Write the row of the run that has been without one for longest, if any has something new to say."""
        now = asyncio.get_running_loop().time()
        for run in sorted(self._runs.values(), key=lambda run: run.written_at):
            if now - run.written_at < RUN_SECONDS:
                return
            waiting = run.waiting()
            if not waiting and run.empty:
                continue
            run.written_at, run.empty = now, not waiting
            good = timedelta(seconds=GOOD_TURNS * max(RUN_SECONDS, TURN_SECONDS * len(self._runs)))
            await self.push(run.owner, WAITS_KEY, row(waiting, datetime.now(UTC), good), log)
            return


_writers: WeakKeyDictionary[asyncio.AbstractEventLoop, WaitsWriter] = WeakKeyDictionary()


@contextmanager
def listed(ti: Any) -> Iterator[ShardWaits]:
    """Context manager: what the code in it waits for is that of the task instance's shard.

    :param ti: the trigger's ``task_instance``; None, as in ``dag.test()``: it is shown nowhere.
    """
    waits = ShardWaits()
    token = current.set(waits)
    try:
        if ti is None:
            yield waits
        else:
            writer = _writers.setdefault(asyncio.get_running_loop(), WaitsWriter())
            with writer.listed(ti, waits):
                yield waits
    finally:
        current.reset(token)
