"""``make up``: the same stack kept running in the foreground, with a history that outlives it."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console

from devstack import ports
from devstack.processes import ROOT
from devstack.progress import Progress
from devstack.stack import Stack

FOLDER: Final = ROOT / "build" / "up"
CHECK_SECONDS: Final = 1.0


def up(port: int, console: Console) -> None:
    """Run the stack until Ctrl-C.

    :param port: of the UI.
    :raises UsageError: the port is taken, or another command runs this stack.
    :raises StackError: a part ended; names it and carries the end of its log.
    """
    progress = Progress(console)
    stack = Stack(FOLDER, port=ports.require(port), report=lambda phase: progress.reached(*_PHASES[phase]))
    try:
        progress.start("starting the local Fargate")
        with stack:
            progress.stop()
            env_file = FOLDER / "env.sh"
            write_exports(env_file, stack.settings)
            console.print(greeting(stack, env_file), highlight=False, markup=False, soft_wrap=True)
            try:
                while True:
                    stack.check()
                    time.sleep(CHECK_SECONDS)
            except KeyboardInterrupt:
                console.print("\nStopping; Ctrl-C again does not wait for Airflow to put its things away.")
                raise
    finally:
        progress.stop()


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
Ctrl-C stops everything; runs are kept for the next make up, what was in the local Fargate is not.

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
