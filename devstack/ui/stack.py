"""The seeded Airflow: a database with past runs and a real API server of this checkout, without scheduler and AWS."""

from __future__ import annotations

import dataclasses
import fcntl
import importlib.metadata
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from devstack import airflow, ports
from devstack.postgres import Postgres
from devstack.processes import ROOT, Processes
from devstack.ui import boards
from devstack.ui.boards import Size

USERS: Final[Mapping[str, str]] = {"admin": "ADMIN", "viewer": "VIEWER", "nobody": ""}
"""Name -> role; each one's password is the name."""
SEED_SECONDS: Final = 900.0
SERVER_SECONDS: Final = 120.0
MIGRATE_SECONDS: Final = 180.0


class UiStack:
    """The Airflow; use it as a context manager.

    :param folder: its state; made anew.
    :param port: of the API server; a free one by default.
    :param base_path: like ``/airflow``; empty: none.
    :param postgres: whether the database is PostgreSQL, which large boards need.
    """

    def __init__(
        self, folder: Path, size: Size, *, port: int | None = None, base_path: str = "", postgres: bool = False
    ) -> None:
        self.folder, self.size, self.base_path = folder.resolve(), size, base_path.rstrip("/")
        self.home = self.folder / "airflow"
        self.port = port or ports.free(1)[0]
        self._postgres = postgres
        self._server: Postgres | None = None
        self.seeded_seconds = 0.0
        self.processes: Processes | None = None
        self.database_url = ""

    @property
    def url(self) -> str:
        """Of Airflow's UI, without a slash at the end."""
        return f"http://{ports.HOST}:{self.port}{self.base_path}"

    def __enter__(self) -> UiStack:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make everything and wait until the API server answers.

        :raises StackError: a part ended or took too long; names it.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        logs = self.folder / "logs"
        logs.mkdir(parents=True)
        self.home.mkdir()
        self.processes = Processes(logs)
        boards.write(self.folder / "dags", self.size)
        if self._postgres:
            self._server = Postgres(logs)
            self._server.__enter__()
            self.database_url = self._server.url
            migration = self.processes.start("db-migrate", airflow.command("db", "migrate"), self.environment())
            self.processes.finish(migration, timeout_seconds=MIGRATE_SECONDS)
        else:
            self.database_url = f"sqlite:///{self.home / 'airflow.db'}"
            shutil.copy(migrated(self.processes, self.environment), self.home / "airflow.db")
        (self.folder / "environment.json").write_text("{}")
        (self.home / "passwords.json").write_text(json.dumps({name: name for name in USERS}))
        began = time.monotonic()
        command = [*airflow.command()[:1], "-m", "devstack.ui.seed", json.dumps(dataclasses.asdict(self.size))]
        self.processes.finish(self.processes.start("seed", command, self.environment()), timeout_seconds=SEED_SECONDS)
        self.seeded_seconds = time.monotonic() - began
        self.start_server()

    def start_server(self) -> None:
        """Start the API server and wait until it answers."""
        assert self.processes is not None
        command = airflow.command("api-server", "--workers", "1")
        self.processes.start("api-server", command, self.environment(), tier=1)
        self.processes.wait_until(self._answers, what="the API server does not answer", timeout_seconds=SERVER_SECONDS)

    def stop(self) -> None:
        """End everything; safe to call more than once."""
        if self.processes is not None:
            self.processes.stop(grace_seconds=2)
        if self._server is not None:
            self._server.__exit__(None, None, None)
            self._server = None

    def token(self, user: str) -> str:
        """A token of Airflow's API for one of :data:`USERS`."""
        answer = httpx.post(
            f"{self.url}/auth/token", json={"username": user, "password": user}, trust_env=False, timeout=30
        )
        return str(answer.raise_for_status().json()["access_token"])

    def json(self, path: str, **params: Any) -> Any:
        """The JSON of a GET below :attr:`url`, as an admin."""
        headers = {"Authorization": f"Bearer {self.token('admin')}"}
        answer = httpx.get(f"{self.url}{path}", params=params, headers=headers, trust_env=False, timeout=60)
        return answer.raise_for_status().json()

    def environment(self, database_url: str | None = None) -> dict[str, str]:
        """Of every process of this Airflow."""
        installation = airflow.Installation(
            self.home,
            self.port,
            {"ui": self.folder / "dags"},
            {"AWS_DEFAULT_REGION": "us-east-1"},
            self.folder / "environment.json",
            database_url or self.database_url,
            options={
                "core": {
                    "simple_auth_manager_all_admins": "False",
                    "simple_auth_manager_users": ",".join(f"{name}:{role}" for name, role in USERS.items()),
                    "simple_auth_manager_passwords_file": str(self.home / "passwords.json"),
                    "max_map_length": "20000",
                },
                "api": {"base_url": self.url},
                "logging": {"logging_level": "WARNING"},
            },
        )
        return {**airflow.inherited(os.environ), **airflow.settings(installation, airflow.load_secrets(self.home))}

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v2/version", trust_env=False, timeout=5).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


def migrated(processes: Processes, environment: Callable[[str], Mapping[str, str]]) -> Path:
    """A SQLite database as Airflow makes it: made once for its version and kept in build/, because that takes long."""
    kept = ROOT / "build" / "test" / f"airflow-{importlib.metadata.version('apache-airflow-core')}.db"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with (kept.parent / "airflow-db.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            draft = kept.with_name(f"draft-{secrets.token_hex(4)}.db")
            env = environment(f"sqlite:///{draft}")
            migration = processes.start("db-migrate", airflow.command("db", "migrate"), env)
            processes.finish(migration, timeout_seconds=MIGRATE_SECONDS)
            draft.rename(kept)
    return kept
