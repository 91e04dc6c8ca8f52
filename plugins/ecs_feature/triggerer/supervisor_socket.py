"""The socket by which a trigger's log lines go to Airflow's supervisor, and how far it has read them."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import stat
import struct
import termios
from functools import cache
from typing import Final

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 0.5
"""Between two looks at how far it has read; each is twice the one before, for most lines are read within one."""
TIMEOUT_SECONDS: Final = 30.0
"""How long a shard's end waits at most for a supervisor that does not come to reading: longer than a full socket takes.
With thousands of triggers its rounds take seconds while new ones are taken on."""
FALLBACK_SECONDS: Final = 1.0
"""How long it is given where the system does not tell (Linux does)."""


class SupervisorSocket:
    """How far the other end has read a socket, to which others write as well.

    The system tells how much waits in it, not how much has been read. Each time that less waits than before, at least
    the difference has been read, and when nothing waits all has. What others write between two looks hides as much of
    what is read meanwhile, so that a position counts as read late rather than early.

    :param descriptor: the socket's.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = self._waiting = self._furthest = 0

    def position(self) -> int:
        """Where the next byte would be written.

        :raises OSError: the system does not tell.
        """
        self._look()
        self._furthest = self._read + self._waiting
        return self._furthest

    def has_read(self, position: int) -> bool:
        """Whether the other end has read all that was written before.

        :raises OSError: the system does not tell.
        """
        self._look()
        return self._read >= position

    async def read(self, position: int) -> None:
        """Wait until it has, but no longer than :data:`TIMEOUT_SECONDS`.

        :raises OSError: the system does not tell.
        """
        pause, waited = FIRST_PAUSE_SECONDS, 0.0
        while waited < TIMEOUT_SECONDS and not self.has_read(position):
            await asyncio.sleep(pause)
            waited += pause
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _look(self) -> None:
        before = self._waiting
        self._waiting = struct.unpack("i", fcntl.ioctl(self._descriptor, termios.TIOCOUTQ, bytes(4)))[0]
        self._read += max(0, before - self._waiting)
        if not self._waiting:
            self._read = max(self._read, self._furthest)


@cache
def supervisor_socket() -> SupervisorSocket | None:
    """The socket of this process; None outside a triggerer."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            try:
                descriptor: int = handler.stream.fileno()
            except (AttributeError, OSError):
                continue
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return SupervisorSocket(descriptor)
    return None
