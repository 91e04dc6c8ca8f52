"""TCP ports on the loopback interface."""

from __future__ import annotations

import contextlib
import socket

import psutil

from devstack.errors import UsageError

HOST = "127.0.0.1"


def free(count: int) -> list[int]:
    """Different ports that nobody listens on at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def parse(text: str) -> int:
    """The value of the option PORT.

    :raises UsageError: it is not a port number that a user may listen on.
    """
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise UsageError(f"PORT is {text!r}, but must be a whole number from 1024 to 65535, like PORT=8081.")
    return int(text)


def require(port: int) -> int:
    """The same port, when it is free.

    :raises UsageError: somebody listens there; the sentence says who where that can be seen.
    """
    if not is_free(port):
        raise UsageError(taken(port, holder(port)))
    return port


def is_free(port: int) -> bool:
    """Whether nobody listens there at the moment."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError:
            return False
    return True


def taken(port: int, who: str | None) -> str:
    """The sentence for a port in use.

    :param who: the program that listens there, None where the system does not tell.
    """
    by = f" by {who}" if who else ""
    other = port + 1 if port < 65535 else port - 1
    return f"Port {port} on {HOST} is taken{by}: stop that program, or choose another port with PORT={other}."


def holder(port: int) -> str | None:
    """The program that listens on a port like ``python3 (process 4711)``, None where the system does not tell."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        return None
    return None
