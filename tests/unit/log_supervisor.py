"""The other end of a trigger's log, as Airflow's supervisor has it."""

from __future__ import annotations

import logging
import socket
from types import SimpleNamespace
from typing import Any

BYTES_AT_ONCE = 4096
"""As Airflow has it where the plugin has not raised it."""


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

    def close(self) -> None:
        self.handler.stream.close()
        self._written.close()
        self._read.close()
