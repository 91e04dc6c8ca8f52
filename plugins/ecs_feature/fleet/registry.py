"""Shares one fleet among all triggers of a triggerer with the same connection and region.

The first trigger opens it; it is closed after the last one has left, for shards a minute later.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from ecs_feature.aws.outages import Tell
from ecs_feature.detached import spawn_detached
from ecs_feature.fleet.fleet import Fleet, FleetKey

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 60.0
"""How long a fleet stays open for the next run. Looking up the connection again takes a second or two while a triggerer
starts hundreds of triggers, and would delay each small run."""


@asynccontextmanager
async def joined(
    key: FleetKey, *, idle_seconds: float = 0.0, answer_seconds: float = math.inf, tell: Tell = log.warning
) -> AsyncIterator[Fleet]:
    """Join the fleet of the running event loop for ``key``; the first opens it.

    :param idle_seconds: how long it stays open after the last one has left. After a refusal by AWS it is closed at
        once, because the connection may be corrected before the next use.
    :param answer_seconds: of the fleet, when this call creates it.
    :param tell: told once a minute why the fleet is not open yet.
    """
    fleets = _fleets.setdefault(asyncio.get_running_loop(), {})
    shared = fleets.get(key)
    if shared is None:
        shared = fleets[key] = _Shared(Fleet(key, answer_seconds))
    shared.enter()
    try:
        await shared.fleet.opened(tell)
        yield shared.fleet
    finally:
        shared.members -= 1
        if shared.members == 0:
            if idle_seconds and shared.fleet.reusable:
                shared.close_later(idle_seconds, lambda: _forget(fleets, shared))
            else:
                _forget(fleets, shared)
                await shared.fleet.close()


@dataclass(eq=False)
class _Shared:
    """A fleet, how many use it, and the task that closes it after an idle time."""

    fleet: Fleet
    members: int = 0
    _closing: asyncio.Task[None] | None = None

    def enter(self) -> None:
        """One more uses it."""
        self.members += 1
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
            self.fleet.renew()

    def close_later(self, seconds: float, forget: Callable[[], None]) -> None:
        """Close after ``seconds``, or when the event loop ends, unless it is used before; calls ``forget`` first."""

        async def close() -> None:
            try:
                await asyncio.sleep(seconds)
            finally:
                if self._closing is asyncio.current_task():
                    forget()
                    await self.fleet.close()

        self._closing = spawn_detached(close())


_Fleets = dict[FleetKey, _Shared]
_fleets: WeakKeyDictionary[asyncio.AbstractEventLoop, _Fleets] = WeakKeyDictionary()


def _forget(fleets: _Fleets, shared: _Shared) -> None:
    if fleets.get(shared.fleet.key) is shared:
        del fleets[shared.fleet.key]
