"""The local Fargate as a child process: started, found through the exports it prints, asked through its side door."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from devstack.processes import Processes

NAME: Final = "fargate-local"
EXPORTS: Final = frozenset(
    {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION"}
)
START_SECONDS: Final = 60.0


def start(
    processes: Processes,
    env: Mapping[str, str],
    *,
    images: Path,
    state: Path,
    efs: Mapping[str, Path],
    more: Sequence[str] = (),
) -> None:
    """Start it; it prints its exports when it is ready.

    :param images: the folder with the containers' code.
    :param state: a folder of its own.
    :param efs: a local folder per EFS file system id.
    :param more: further arguments, the last of one name counts.
    """
    volumes = [argument for fs_id, folder in efs.items() for argument in ("--efs", f"{fs_id}={folder}")]
    command = [
        sys.executable, "-m", "fargate_local", "--images", str(images), "--state-dir", str(state), *volumes, *more,
    ]  # fmt: skip
    exports_file(processes).unlink(missing_ok=True)
    processes.start(NAME, command, env, stdout=exports_file(processes))


def exports(processes: Processes) -> dict[str, str]:
    """Wait until it is ready; return the variables that an AWS SDK needs to find it.

    :raises StackError: it ended, or it is not ready after a minute.
    """
    path = exports_file(processes)
    processes.wait_until(
        lambda: path.exists() and parse_exports(path.read_text()).keys() >= EXPORTS,
        what="The local Fargate is not ready",
        timeout_seconds=START_SECONDS,
    )
    return parse_exports(path.read_text())


def exports_file(processes: Processes) -> Path:
    """Where its standard output goes."""
    return processes.logs / f"{NAME}.exports"


def parse_exports(text: str) -> dict[str, str]:
    """The variables in the complete ``export NAME=value`` lines of a text."""
    found: dict[str, str] = {}
    for line in text.splitlines(keepends=True):
        if line.endswith("\n") and line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            found[name.strip()] = "".join(shlex.split(value))
    return found


class SideDoor:
    """What the local Fargate offers beside the AWS API: the calls it got, and faults on demand.

    :param endpoint: its AWS_ENDPOINT_URL.
    """

    def __init__(self, endpoint: str) -> None:
        self._client = httpx.Client(base_url=f"{endpoint}/_fargate_local", trust_env=False, timeout=30)

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """The recorded calls of one operation like ``RunTask``, oldest first."""
        answer = self._client.get("/calls", params={"operation": operation}).raise_for_status()
        return list(answer.json()["calls"])

    def load_balancers(self) -> dict[str, str]:
        """Where the load balancers are reached from this machine, by target group ARN."""
        return dict(self._client.get("/load_balancers").raise_for_status().json())

    def counts(self) -> dict[str, int]:
        """How many calls it got, by operation like ``RunTask``."""
        return dict(self._client.get("/counts").raise_for_status().json())

    def tasks(self) -> list[dict[str, Any]]:
        """Every ECS task ever made, oldest first, as ``fargate_local`` documents it."""
        return list(self._client.get("/tasks").raise_for_status().json()["tasks"])

    def add_fault(self, rule: Mapping[str, Any]) -> str:
        """Add a fault rule, as ``fargate_local`` documents it; returns its id."""
        return str(self._client.post("/faults", json=dict(rule)).raise_for_status().json()["id"])

    def remove_fault(self, fault_id: str) -> None:
        """Forget one fault rule."""
        self._client.delete(f"/faults/{fault_id}").raise_for_status()

    def clear_faults(self) -> None:
        """Forget all fault rules."""
        self._client.delete("/faults").raise_for_status()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
