"""Log lines of a trigger: collected for up to a second into one record, and written in a thread."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Final

from structlog.contextvars import unbind_contextvars

from ecs_feature.triggerer.supervisor_socket import FALLBACK_SECONDS, supervisor_socket

FLUSH_SECONDS: Final = 1.0
REPEATED: Final = ("ti_id", "dag_id", "task_id", "run_id", "try_number", "map_index")
"""What Airflow puts into every record of a trigger, beside the id by which the supervisor finds the task's log."""


def shorten_records() -> None:
    """Leave the names of the task instance out of the trigger's further records, Airflow's own included.

    The supervisor reads 4 KiB of records in each of its rounds, and asks the database for all its triggers in between.
    The names are 180 bytes of each record, and the log of one task says them once, in Airflow's first line.
    """
    unbind_contextvars(*REPEATED)


class GatheredLog:
    """A logger whose ``info`` lines are written at the next whole second of the event loop's clock, as one record.

    The triggerer's supervisor reads a few records at a time and queries the database for its triggers in between, which
    costs about 10 ms of CPU. Each record repeats 300 bytes about the task instance. So lines are collected into one
    record, and all shards write at the same moment. When the socket is full, the writer blocks: that is a thread, not
    the event loop.

    Warnings and errors are written at once, after the collected lines; so are all lines by :meth:`flush`.

    :param log: the trigger's logger.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._lines: list[str] = []
        self._flush_handle: asyncio.TimerHandle | None = None
        self._written: asyncio.Future[Any] | None = None

    def info(self, message: str, *arguments: Any) -> None:
        """Write a line within a second."""
        self.info_within(0.0, message, *arguments)

    def info_within(self, seconds: float, message: str, *arguments: Any) -> None:
        """Write a line at the first whole second after so many seconds, or earlier with one that waits less."""
        self._lines.append(message % arguments if arguments else message)
        loop = asyncio.get_running_loop()
        at = math.ceil((loop.time() + seconds) / FLUSH_SECONDS) * FLUSH_SECONDS
        if self._flush_handle is not None:
            if self._flush_handle.when() <= at:
                return
            self._flush_handle.cancel()
        # The handle keeps the shard's contextvars, by which Airflow finds the task's log.
        self._flush_handle = loop.call_at(at, self.flush)

    def warning(self, message: str, *arguments: Any) -> None:
        """Write a line now."""
        self.flush()
        self._write(self._log.warning, message, *arguments)

    def error(self, message: str, *arguments: Any) -> None:
        """Write a line now."""
        self.flush()
        self._write(self._log.error, message, *arguments)

    def flush(self) -> None:
        """Write the collected lines."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        lines, self._lines = self._lines, []
        if lines:
            self._write(self._log.info, "%s", "\n".join(lines))

    async def written(self) -> None:
        """Write the collected lines, and wait until all is written."""
        self.flush()
        if self._written is not None:
            await asyncio.shield(self._written)

    async def read(self) -> None:
        """Write the collected lines, and wait until the supervisor has read them.

        The supervisor closes a shard's log when it learns of the shard's end, which takes another way than the lines:
        lines that it has not read by then are lost.
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
    """One thread for all shards, so that each shard's lines stay in order."""
    return ThreadPoolExecutor(1, thread_name_prefix="shard-log")
