"""An event loop on a clock that jumps: an hour of waiting takes no time."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any


class JumpingLoop(asyncio.SelectorEventLoop):
    """When nobody has anything to do, it is the time at which somebody has."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0.0

    def time(self) -> float:
        return self.moment

    def _run_once(self) -> None:
        timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        if timers and not self._ready:  # type: ignore[attr-defined]
            # A little later each time, as on a real clock: no wait is rounded away.
            self.moment = max(self.moment + 1e-6, min(timers))
        super()._run_once()  # type: ignore[misc]


def on_the_clock(main: Callable[[], Awaitable[None]]) -> None:
    """Run ``main`` on a loop of its own."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main())  # type: ignore[arg-type]


def jumping(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Decorator: an async test runs on such a loop."""

    @functools.wraps(test)
    def run(**given: Any) -> None:
        on_the_clock(lambda: test(**given))

    return run


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()
