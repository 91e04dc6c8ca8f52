"""The report of a campaign: build/chaos/report.json, and the table on the screen."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import psutil
from rich.text import Text

from devstack.chaos.campaign import Result

COLUMNS: Final = (
    ("shards", "shards", 6),
    ("launches", "tasks", 5),
    ("duplicates", "twice", 5),
    ("lost", "lost", 4),
    ("retries_consumed", "retries", 7),
    ("shards_failed", "failed", 6),
    ("left_running", "left", 4),
    ("services_left_up", "up", 2),
    ("seconds", "s", 3),
)
"""Field, title and width of what the screen shows of a row; 80 characters in all."""
BAR: Final = frozenset({"duplicates", "lost", "retries_consumed", "shards_failed", "left_running", "services_left_up"})
"""The columns that must be 0."""


def row(result: Result) -> dict[str, Any]:
    """One scenario on one side, JSON-safe."""
    verdict = result.verdict
    return {
        "name": result.scenario.name,
        "side": result.side,
        "seed": result.seed,
        "runs": verdict.runs,
        "shards": verdict.shards,
        "launches": verdict.launches,
        "duplicates": verdict.duplicates,
        "lost": verdict.lost,
        "retries_consumed": verdict.retries_consumed,
        "left_running": verdict.left_running,
        "services_left_up": verdict.services_left_up,
        "shards_failed": verdict.shards_failed,
        "runs_failed": verdict.runs_failed,
        "unrecorded": verdict.unrecorded,
        "application_failures": verdict.application_failures,
        "seconds": round(result.seconds, 1),
        "endings": verdict.endings,
        "kills": dict(result.kills),
        "crashes": dict(result.crashes),
        "longest_shortage_seconds": verdict.longest_shortage_seconds,
        "done": dict(result.done),
        "passed": verdict.passed,
        "problems": list(verdict.problems),
    }


def report(rows: Sequence[Mapping[str, Any]], *, seed: int, command: str, seconds: float) -> dict[str, Any]:
    """The whole report.

    :param command: with which it can be made again.
    :param seconds: that everything took.
    """
    return {
        "seed": seed,
        "command": command,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": machine(),
        "passed": passed(rows),
        "scenarios": list(rows),
    }


def passed(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether ours passed every scenario; the stock operator is there to be compared with."""
    return all(each["passed"] for each in rows if each["side"] == "ours")


def machine() -> dict[str, Any]:
    """What it ran on: without it, seconds mean nothing."""
    return {
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def table(rows: Iterable[Mapping[str, Any]]) -> Text:
    """The rows for the screen; what should be 0 and is not is red."""
    titles = " ".join(title.rjust(width) for _, title, width in COLUMNS)
    shown = Text(f"{'scenario':20} side  {titles}", style="bold")
    for each in rows:
        shown.append(f"\n{each['name']:20} {each['side']:5}", style="" if each["passed"] else "bold red")
        for name, _, width in COLUMNS:
            value = each[name]
            text = "-" if value is None else f"{value:.0f}"
            shown.append(f" {text:>{width}}", style="red" if name in BAR and value else "not bold")
        shown.append("" if each["passed"] else " !", style="red")
    return shown


def markdown(content: Mapping[str, Any]) -> str:
    """The report as docs/reliability.md has it: what it was made with, and both sides of each scenario in one row."""
    rows = {(row["name"], row["side"]): row for row in content["scenarios"]}
    names = list(dict.fromkeys(row["name"] for row in content["scenarios"]))
    machine, minutes = content["machine"], content["seconds"] / 60
    titles = ("shards", "ECS tasks", "duplicates", "lost", "retries consumed", "failed", "left running", "services up")
    lines = [
        f"`{content['command']}`, {content['at'][:10]}, {minutes:.0f} minutes on {machine['cpus']} CPUs with "
        f"{machine['memory_gib']:.0f} GiB ({machine['system']}). Each cell: EcsShardOperator / EcsRunTaskOperator.",
        "",
        f"| scenario | {' | '.join(titles)} |",
        f"| --- |{' --- |' * len(titles)}",
    ]
    for name in names:
        cells = [_both(rows.get((name, "ours")), rows.get((name, "stock")), column) for column in _PUBLISHED]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


_PUBLISHED: Final = (
    "shards", "launches", "duplicates", "lost", "retries_consumed", "shards_failed", "left_running", "services_left_up",
)  # fmt: skip


def _both(ours: Mapping[str, Any] | None, stock: Mapping[str, Any] | None, column: str) -> str:
    cells = ["–" if row is None or row[column] is None else str(row[column]) for row in (ours, stock)]
    return cells[0] if column == "shards" and cells[0] != "–" else " / ".join(cells)
