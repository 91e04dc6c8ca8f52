"""The socket that carries triggers' log lines to Airflow's supervisor, and how far the supervisor has read it."""

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
"""Pauses between two checks of the socket; each is twice the one before, because most lines are read at once."""
TIMEOUT_SECONDS: Final = 30.0
"""How long a shard's end waits at most for the supervisor to read; longer than a full socket takes. With thousands of
triggers, the supervisor's loop takes seconds while new ones start."""
FALLBACK_SECONDS: Final = 1.0
"""How long to wait where the system does not report it (Linux does)."""


class SupervisorSocket:
    """How far the supervisor has read the socket, to which other triggers write as well.

    The system reports the number of unread bytes, not of read ones. When it falls, at least the difference was read;
    when it is zero, everything was. Bytes that others write between two checks hide the same number of bytes read, so
    a position may be reported as read too late, but never too early.

    :param descriptor: the socket's file descriptor.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = self._waiting = self._furthest = 0

    def position(self) -> int:
        """The position of the next byte to be written.

        :raises OSError: the system does not report it.
        """
        self._look()
        self._furthest = self._read + self._waiting
        return self._furthest

    def has_read(self, position: int) -> bool:
        """Whether the supervisor has read everything before this position.

        :raises OSError: the system does not report it.
        """
        self._look()
        return self._read >= position

    async def read(self, position: int) -> None:
        """Wait until the supervisor has read up to this position, at most :data:`TIMEOUT_SECONDS`.

        :raises OSError: the system does not report it.
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
    """The log socket of this process; None outside a triggerer."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            try:
                descriptor: int = handler.stream.fileno()
            except (AttributeError, OSError):
                continue
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return SupervisorSocket(descriptor)
    return None
