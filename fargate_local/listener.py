"""An HTTP server in the event loop that one local Fargate runs in."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

EVERYWHERE: Final = "0.0.0.0"


def bind(host: str, port: int) -> socket.socket:
    """A socket for a listener; port 0 takes a free one.

    :raises OSError: the address is taken or not of this machine.
    """
    # With its protocol named, asyncio sets TCP_NODELAY on the connections: without, each answer waits 40 ms.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def url_of(bound: socket.socket, advertised_host: str | None = None) -> str:
    """The address at which a bound socket is reached: from this machine, or by the name that others know it by."""
    host, port = bound.getsockname()[:2]
    return f"http://{advertised_host or ('127.0.0.1' if host == EVERYWHERE else host)}:{port}"


class Listener(uvicorn.Server):
    """uvicorn on a bound socket, without its own event loop and signal handlers: `open`, later `close`.

    :param options: of `uvicorn.Config`.
    """

    def __init__(self, app: ASGIApp, bound: socket.socket, **options: Any) -> None:
        given = {"proxy_headers": False, "log_config": None, "access_log": False, "lifespan": "off", "ws": "none"}
        super().__init__(uvicorn.Config(app, **(given | options)))
        self._socket = bound

    async def open(self) -> None:
        """Accept connections from now on."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[self._socket])
        self._ticking = asyncio.create_task(self.main_loop())

    async def close(self, *, force: bool = False) -> None:
        """Accept no more connections, answer the requests in flight, close all connections.

        :param force: drop the requests in flight; else they have `timeout_graceful_shutdown` seconds.
        """
        if not self.started:
            self._socket.close()
            return
        self._ticking.cancel()
        self.force_exit = force
        await self.shutdown(sockets=[self._socket])
        for connection in list(self.server_state.connections):
            connection.transport.abort()
