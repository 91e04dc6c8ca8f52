"""The other end of a trigger's log, as Airflow's supervisor has it."""

from __future__ import annotations

import contextlib
import logging
import socket
from types import SimpleNamespace
from typing import Any

BYTES_AT_ONCE = 4096


class Supervisor:
    """Reads what is logged when it is told to.

    :ivar log: the trigger's logger, which writes into the socket.
    :ivar handler: the root logger's handler in a triggerer's process.
    """

    def __init__(self) -> None:
        self._written, self._read = socket.socketpair()
        self.handler = logging.StreamHandler(self._written.makefile("w"))
        self.log = SimpleNamespace(info=self._write, warning=self._write, error=self._write)

    def _write(self, message: str, *arguments: Any) -> None:
        self._written.sendall((message % arguments).encode())

    def reads(self) -> None:
        """Take as much as it takes in one round."""
        self._read.recv(BYTES_AT_ONCE)

    def records_held(self) -> int:
        """How many records can be written while it reads none."""
        return records_held(self._written)

    def close(self) -> None:
        self.handler.stream.close()
        self._written.close()
        self._read.close()


def records_held(written: socket.socket) -> int:
    """How many records a socket takes before who writes has to wait."""
    written.setblocking(False)
    held = 0
    with contextlib.suppress(BlockingIOError):
        while written.send(b"x" * 400):
            held += 1
    return held
