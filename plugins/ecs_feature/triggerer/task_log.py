"""Log lines of a trigger: gathered for a second into one record, and written beside the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Final

from ecs_feature.triggerer.supervisor_socket import FALLBACK_SECONDS, supervisor_socket

FLUSH_SECONDS: Final = 1.0


class GatheredLog:
    """A logger whose ``info`` lines are written at the next whole second of the event loop's clock, as one record.

    The triggerer's supervisor reads some of its triggers' records at a time, and asks the database for all its
    triggers in between, which is some 10 ms of CPU. A record repeats 300 bytes about the task instance, so what
    belongs together goes into one; and records of several shards at the same moment are read together. When they fill
    the pipe, whoever writes has to wait: a thread, not the event loop of all shards.

    Anything above ``info`` is written at once, after the lines that wait, and so is all by :meth:`flush`.

    :param log: the trigger's own.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._lines: list[str] = []
        self._flush_handle: asyncio.TimerHandle | None = None
        self._written: asyncio.Future[Any] | None = None

    def info(self, message: str, *arguments: Any) -> None:
        """Write a line within a second."""
        self._lines.append(message % arguments if arguments else message)
        if self._flush_handle is None:
            loop = asyncio.get_running_loop()
            # The handle keeps the context of the shard, by which Airflow finds the task's log.
            self._flush_handle = loop.call_at(math.ceil(loop.time() / FLUSH_SECONDS) * FLUSH_SECONDS, self.flush)

    def warning(self, message: str, *arguments: Any) -> None:
        """Write a line now."""
        self.flush()
        self._write(self._log.warning, message, *arguments)

    def error(self, message: str, *arguments: Any) -> None:
        """Write a line now."""
        self.flush()
        self._write(self._log.error, message, *arguments)

    def flush(self) -> None:
        """Write what waits."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        lines, self._lines = self._lines, []
        if lines:
            self._write(self._log.info, "%s", "\n".join(lines))

    async def written(self) -> None:
        """Write what waits, and wait until all is."""
        self.flush()
        if self._written is not None:
            await asyncio.shield(self._written)

    async def read(self) -> None:
        """Write what waits, and wait until the supervisor has read it.

        It closes a shard's log when it hears of the shard's end, which comes to it beside the lines: what it has not
        read by then is lost.
        """
        await self.written()
        socket = supervisor_socket()
        if socket is None:
            return
        try:
            await socket.read(socket.position())
        except OSError:
            await asyncio.sleep(FALLBACK_SECONDS)

    def _write(self, call: Callable[..., Any], *arguments: Any) -> None:
        in_context = partial(contextvars.copy_context().run, call, *arguments)
        self._written = asyncio.get_running_loop().run_in_executor(_writer(), in_context)


@cache
def _writer() -> ThreadPoolExecutor:
    """One thread for all shards, which keeps the order of each one's lines."""
    return ThreadPoolExecutor(1, thread_name_prefix="shard-log")
