"""A run of four shards on a stack with two triggerers, and what became of its launches.

The shards of a run are known by their folder of ``gates``: a shard's container ends when its file is there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from devstack.stack import Stack

DAG_ID = "handed_over_shards"
SHARDS = ("before", "unheard", "waiting-1", "waiting-2")
SECONDS = 90


def wait(stack: Stack, condition: Callable[[], bool], what: str) -> None:
    stack.processes.wait_until(condition, what=what, timeout_seconds=SECONDS)


def triggerers(stack: Stack) -> set[int]:
    """The jobs of the triggerers that Airflow believes to be alive."""
    jobs = stack.api.get("/jobs", job_type="TriggererJob", is_alive=True)["jobs"]
    return {job["id"] for job in jobs}


def tasks_of_run(stack: Stack, gates: Path) -> list[dict[str, Any]]:
    return [task for task in stack.side_door.tasks() if task["environment"].get("GATE", "").startswith(f"{gates}/")]


def running(stack: Stack, gates: Path) -> set[str]:
    """The shards whose tasks run."""
    return {shard_of(task) for task in tasks_of_run(stack, gates) if task["last_status"] == "RUNNING"}


def shard_of(task: dict[str, Any]) -> str:
    return str(task["environment"]["SHARD"])


def launches(stack: Stack, gates: Path, shard: str) -> list[dict[str, Any]]:
    """The RunTask calls of a shard, oldest first; those that are still held are not among them."""
    found = []
    for call in stack.side_door.calls("RunTask"):
        for container in call["request"].get("overrides", {}).get("containerOverrides", ()):
            if {"name": "GATE", "value": str(gates / shard)} in container.get("environment", ()):
                found.append(call)
    return found
