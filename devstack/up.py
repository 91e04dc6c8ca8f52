"""``make up``: the same stack kept running in the foreground, with a history that outlives it."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from devstack import own, ports
from devstack.errors import StackError
from devstack.postgres import Postgres
from devstack.processes import ROOT
from devstack.progress import Progress
from devstack.stack import MIGRATED, TASKDEFS, Stack, lock

FOLDER: Final = ROOT / "build" / "up"
CHECK_SECONDS: Final = 1.0
SQLITE: Final = FOLDER / "airflow" / "airflow.db"
BALANCERS: Final = FOLDER / "load-balancers.json"
"""The load balancers' ports: a run of before has their addresses, and one of its shards may be cleared."""


def up(port: int, console: Console) -> None:
    """Run the stack until Ctrl-C.

    :param port: of the UI.
    :raises UsageError: the port is taken, or another command runs this stack.
    :raises StackError: a part ended; names it and carries the end of its log.
    """
    progress = Progress(console)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    port = ports.require(port)
    FOLDER.mkdir(parents=True, exist_ok=True)
    lock(FOLDER).close()  # before the database: its server would find that of the other stack
    try:
        progress.start("starting the database and the local Fargate")
        with database(say) as url:
            stack = Stack(
                FOLDER,
                port=port,
                report=lambda phase: progress.reached(*_PHASES[phase]),
                database_url=url,
                database_is_kept=True,
                own=True,
                fargate_arguments=("--keep", *kept_ports()),
            )
            with stack:
                progress.stop()
                env_file = FOLDER / "env.sh"
                write_exports(env_file, stack.settings)
                keep_ports(stack)
                say(greeting(stack, env_file))
                try:
                    watch(stack, say)
                except KeyboardInterrupt:
                    console.print("\nStopping; Ctrl-C again does not wait for Airflow to put its things away.")
                    raise
    finally:
        progress.stop()


@contextmanager
def database(say: Callable[[str], None]) -> Iterator[str | None]:
    """PostgreSQL's URL for the ``with`` block; None where there is none, and a sentence says so.

    On SQLite, ``airflow backfill create`` may end with "database is locked".
    """
    server = Postgres(FOLDER / "logs", FOLDER / "postgres")
    if SQLITE.exists() and not (FOLDER / "postgres").exists():
        say(
            "Airflow's database is SQLite, with the runs of an earlier make up; without build/up it will be PostgreSQL."
        )
        yield None
        return
    if not (FOLDER / "postgres" / "data").exists():
        (FOLDER / "airflow" / MIGRATED).unlink(missing_ok=True)  # of a database that somebody has removed
    try:
        server.__enter__()
    except StackError as error:
        first = str(error).partition("\n")[0]
        say(f"Airflow's database is SQLite, where airflow backfill create may find it locked. {first}")
        yield None
        return
    try:
        yield server.url
    finally:
        server.__exit__(None, None, None)


def watch(stack: Stack, say: Callable[[str], None]) -> None:
    """Look after the stack until Ctrl-C: also make what a new or changed task definition needs.

    :raises StackError: a part ended.
    """
    seen = sources()
    while True:
        stack.check()
        if (now := sources()) != seen:
            seen = now
            try:
                stack.provision()
                keep_ports(stack)
                say("Task definitions or include/local.json have changed: services and placeholders are up to date.")
            except StackError as error:
                say(str(error))
        time.sleep(CHECK_SECONDS)


def sources() -> dict[Path, int]:
    """What the local AWS is provisioned from, and when it was changed."""
    found = {}
    for path in (*TASKDEFS.glob("*.json"), own.FILE):
        try:
            found[path] = path.stat().st_mtime_ns
        except FileNotFoundError:
            continue
    return found


def kept_ports() -> list[str]:
    """The arguments that give the load balancers the ports of last time, as far as these are free."""
    try:
        known: dict[str, int] = json.loads(BALANCERS.read_text())
    except (FileNotFoundError, ValueError):
        return []
    return [
        word
        for name, port in known.items()
        if ports.is_free(port)
        for word in ("--load-balancer-port", f"{name}={port}")
    ]


def keep_ports(stack: Stack) -> None:
    """Write down the load balancers' ports, by the name of the target group."""
    reached: dict[str, Any] = stack.side_door.load_balancers()
    known = {arn.split("/")[1]: int(url.rpartition(":")[2].rstrip("/")) for arn, url in reached.items()}
    BALANCERS.write_text(json.dumps(known) + "\n")


_PHASES: Final = {
    "fargate": ("local Fargate is ready", "starting Airflow"),
    "airflow": ("Airflow is healthy", ""),
}


def greeting(stack: Stack, env_file: Path) -> str:
    """What the user needs to work with the stack."""
    file = env_file.relative_to(ROOT)
    return f"""
Airflow         {stack.api.url} (no password)
local Fargate   {stack.aws["AWS_ENDPOINT_URL"]} (any AWS SDK or CLI)
logs            {stack.folder.relative_to(ROOT)}/
Ctrl-C stops everything; runs, S3 and task definitions are kept for the next make up, until make clean.

In another shell:
  . {file}
  airflow dags unpause --yes flight_delay_features
  airflow dags trigger flight_delay_features --logical-date 2013-01-01
which also sets
{exports(stack.aws)}"""


def write_exports(path: Path, settings: Mapping[str, str]) -> None:
    """Write the file that makes a shell's ``airflow`` and ``aws`` belong to this stack; it holds keys."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    commands = shlex.quote(str(Path(sys.executable).parent))
    lines = ["unset AWS_PROFILE AWS_SESSION_TOKEN", exports(settings), f'export PATH={commands}:"$PATH"']
    path.write_text("\n".join([*lines, ""]))


def exports(variables: Mapping[str, str]) -> str:
    """Lines that a POSIX shell reads."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
