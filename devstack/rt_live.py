"""``make rt-live``: one day of the pipeline rt_live on a stack that is started for it and stopped after it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from devstack.demo import run_day
from devstack.errors import RunFailedError, UsageError
from devstack.processes import ROOT
from devstack.progress import stack_shown
from devstack.stack import Stack
from ecs_feature.results.receipts import render

DAG_ID: Final = "rt_live"
FOLDER: Final = ROOT / "build" / "rt-live"
FIRST_DAY, LAST_DAY = date(2020, 1, 22), date(2020, 7, 3)
"""What the source has (dags/rt_live_data)."""
STATES: Final = 51
"""The fifty and DC."""
DISPATCHES: Final = ("fargate", "workers")
"""How shards may run; the first is the default."""
WORKERS: Final = 25
"""As many as rt.live had; each is a process of some 200 MB here."""
HEAD: Final = 10
"""Rows of the table on the screen."""
SHOWN: Final = ("state", "rt", "rt_low", "rt_high", "status", "new_cases")


@dataclass(frozen=True)
class Options:
    """What is run: a day of the source, how its shards are dispatched, and to how many workers."""

    day: date
    dispatch: str
    workers: int = 0

    def values(self) -> dict[str, str]:
        """Of the environment file; the DAG reads them."""
        workers = {"RT_LIVE_WORKERS": str(self.workers)} if self.workers else {}
        return {"RT_LIVE_DISPATCH": self.dispatch, **workers}


def parse(day: str, dispatch: str, workers: str) -> Options:
    """The values of the options DATE, DISPATCH and WORKERS.

    :raises UsageError: one is wrong; one sentence names it.
    """
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        parsed = date.min
    # other forms of ISO 8601, like 2020-W24-1, are dates too
    if day != parsed.isoformat() or not FIRST_DAY <= parsed <= LAST_DAY:
        raise UsageError(
            f"DATE is {day!r}, but must be a day from {FIRST_DAY} to {LAST_DAY}, which is all that the source has, "
            "like DATE=2020-06-15."
        )
    if dispatch not in DISPATCHES:
        raise UsageError(f"DISPATCH is {dispatch!r}, but must be {' or '.join(DISPATCHES)}.")
    if workers and dispatch != "workers":
        raise UsageError(f"WORKERS is {workers!r}, but DISPATCH={dispatch} has no workers: leave it out.")
    if workers and not (workers.isascii() and workers.isdigit() and 1 <= int(workers) <= STATES):
        raise UsageError(f"WORKERS is {workers!r}, but must be a number from 1 to {STATES}, the number of states.")
    return Options(parsed, dispatch, int(workers or WORKERS) if dispatch == "workers" else 0)


def rt_live(options: Options, console: Console) -> None:
    """Run the day; leave receipt, table and picture in build/rt-live, and the first two on the screen.

    :raises StackError: the stack or the run failed; the message tells where and where the logs are.
    """
    on_workers = options.dispatch == "workers"
    with stack_shown(FOLDER, console, workers=on_workers, values=options.values()) as (stack, progress):
        receipt = run_day(stack, options.day, progress, DAG_ID)
        table, picture = (artifact(stack, receipt, name) for name in ("table", "picture"))
        check(receipt, table)
        progress.reached(f"run succeeded after {receipt['seconds']:.0f} s", "stopping the stack")
    lines = [render(receipt), "", *head(table), ""]
    kept = {
        "receipt": ("receipt.json", json.dumps(receipt, indent=2).encode() + b"\n"),
        "table": ("states.csv", table),
        "picture": ("rt_live.png", picture),
    }
    lines += [f"{what}: {_keep(name, content)}" for what, (name, content) in kept.items()]
    for line in (*lines, f"logs: {FOLDER.relative_to(ROOT)}/"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def artifact(stack: Stack, receipt: Mapping[str, Any], name: str) -> bytes:
    """What the receipt names, from S3.

    :raises RunFailedError: it names no such thing.
    """
    uri = receipt.get("artifacts", {}).get(name)
    if not uri:
        raise RunFailedError(f"The receipt names no {name}.")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    content: bytes = stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def check(receipt: Mapping[str, Any], table: bytes) -> None:
    """See that every state was computed and is in the table once.

    :raises RunFailedError: one is not.
    """
    (shards,) = (variant["shards"] for variant in receipt["variants"].values())
    states = {row["state"] for row in _rows(table)}
    if shards["succeeded"] != STATES or len(states) != STATES:
        raise RunFailedError(
            f"{shards['succeeded']} of {STATES} states were computed, and the table has {len(states)} of them."
        )


def head(table: bytes) -> list[str]:
    """The first and the last rows of the table, which are the lowest and the highest Rt, as columns."""
    rows = [SHOWN, *(tuple(row[name] for name in SHOWN) for row in _rows(table))]
    gap = [("...", *[""] * (len(SHOWN) - 1))] if len(rows) > 2 * HEAD + 1 else []
    shown = [*rows[: HEAD + 1], *gap, *rows[len(rows) - HEAD :]] if gap else rows
    widths = [max(len(row[i]) for row in shown) for i in range(len(SHOWN))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]


def _rows(table: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.decode(), newline="")))


def _keep(name: str, content: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(content)
    return path.relative_to(ROOT)
