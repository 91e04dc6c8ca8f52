"""`python -m encoder`: serves until SIGTERM or SIGINT, then answers what it has begun and exits with code 0.

Exit code 2 is a wrong environment, 1 a port that cannot be had.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn

from encoder.app import create_app
from encoder.settings import Settings, SettingsError

DRAIN_SECONDS = 1
"""Requests take milliseconds; one that is not done by then is cut off."""


class _Server(uvicorn.Server):
    """Without uvicorn's own signal handling, which ends the process by the signal again after a clean
    shutdown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Serves on `listener` until a signal."""
    config = uvicorn.Config(
        create_app(settings.encoder, settings.token),
        http="h11",
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        # longer than a load balancer's idle timeout of 60 s, so that it never meets a closed connection
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = _Server(config)

    def stop() -> None:
        print("stopping", flush=True)
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listener])


def main() -> int:
    """Reads the environment, listens, serves."""
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))  # until the loop has its own handler
    try:
        settings = Settings.from_environment(os.environ)
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=256)
    except SettingsError as error:
        print(f"error {error}", flush=True)
        return 2
    except OSError as error:
        print(
            f"error {settings.host}:{settings.port} cannot be listened on: {os.strerror(error.errno or 0)}.", flush=True
        )
        return 1
    encoder = settings.encoder
    print(
        f"listening host={settings.host} port={settings.port} variant={encoder.variant} "
        f"dimensions={encoder.dimensions}",
        flush=True,
    )
    asyncio.run(serve(settings, listener))
    print("stopped", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
