"""``make backfill-demo``: some days of the pipeline, several at a time, through ``airflow backfill create``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from rich.console import Console

from devstack.errors import RunFailedError, StackError, UsageError
from devstack.follow import look
from devstack.processes import ROOT
from devstack.progress import Progress, stack_shown
from devstack.runs import DAG_ID, ENDED, RUN_SECONDS, check_services, parse_day, receipt_of
from devstack.stack import Stack

FOLDER: Final = ROOT / "build" / "backfill"
LOOK_SECONDS: Final = 2.0
"""A look asks for the tasks of all days."""
MAX_RUNS: Final = 10
"""Each run at once is 32 containers and 4 service tasks, all of them processes of this machine."""


@dataclass(frozen=True)
class Days:
    """What is backfilled: the days from ``first`` to ``last``, both included, at most ``runs`` at a time."""

    first: date
    last: date
    runs: int

    @property
    def all(self) -> list[date]:
        """Every day."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


def parse(first: str, last: str, runs: str) -> Days:
    """The values of the options FROM, TO and RUNS; an empty TO is six days after FROM, or the year's last.

    :raises UsageError: one is wrong; one sentence names it.
    """
    start = parse_day(first, "FROM")
    end = parse_day(last, "TO") if last else min(start + timedelta(days=6), date(start.year, 12, 31))
    days = Days(start, end, _parse_runs(runs))
    if days.last < days.first:
        raise UsageError(f"TO is {days.last}, but must not be before FROM, which is {days.first}.")
    return days


def _parse_runs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_RUNS):
        raise UsageError(
            f"RUNS is {text!r}, but must be a whole number of days at a time from 1 to {MAX_RUNS}, like RUNS=3."
        )
    return int(text)


def backfill(days: Days, console: Console) -> None:
    """Backfill; leave the receipts in build/backfill/receipts.json and on the screen.

    :raises StackError: the stack or a run failed; the message tells where and where the logs are.
    """
    with stack_shown(FOLDER, console) as (stack, progress):
        receipts = run_days(stack, days, progress)
        progress.reached("every service is at 0", "stopping the stack")
    path = FOLDER / "receipts.json"
    path.write_text(json.dumps(receipts, indent=2) + "\n")
    for line in (
        "",
        *(compact(receipt) for receipt in receipts),
        summary(receipts),
        f"Receipts: {path.relative_to(ROOT)}   Logs: {FOLDER.relative_to(ROOT)}/",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def run_days(stack: Stack, days: Days, progress: Progress) -> list[dict[str, Any]]:
    """Create the backfill, follow it to its end and return the receipts by day.

    :raises StackError: a part of the stack ended.
    :raises RunFailedError: a run failed, a receipt does not stand up, or a service is not at 0.
    """
    stack.backfill(DAG_ID, days.first, days.last, max_active_runs=days.runs)
    count = len(days.all)
    progress.reached(f"backfill of {count} days is created, {days.runs} at a time", f"running {DAG_ID}")
    receipts = follow(stack, count, progress)
    missing = sorted({str(day) for day in days.all} - receipts.keys())
    if missing:
        raise RunFailedError(f"The backfill has no run of {', '.join(missing)}.")
    check_services(stack)
    return [receipts[day] for day in sorted(receipts)]


def follow(stack: Stack, count: int, progress: Progress) -> dict[str, dict[str, Any]]:
    """Show the backfill until all its runs have ended; the first failure ends it. Returns the receipts by day.

    :raises StackError: a part of the stack ended, or for 15 minutes no run has.
    :raises RunFailedError: a run failed, or its receipt does not stand up.
    """
    receipts: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        stack.check()
        runs = stack.api.pages(f"/dags/{DAG_ID}/dagRuns", "dag_runs", run_type="backfill")
        instances = stack.api.pages(f"/dags/{DAG_ID}/dagRuns/~/taskInstances", "task_instances")
        for run in runs:
            day = run["logical_date"][:10]
            if run["state"] in ENDED and day not in receipts:
                receipts[day] = receipt_of(stack, run["dag_run_id"], run["state"])
                check_rows(stack, run["dag_run_id"], receipts[day])
                progress.reached(f"{day} is done after {receipts[day]['seconds']:.0f} s", f"running {DAG_ID}")
                deadline = time.monotonic() + RUN_SECONDS
        progress.update(look(f"{len(receipts)} of {count} days are done", instances, stack.services()))
        if runs and len(receipts) == len(runs):
            return receipts
        if time.monotonic() > deadline:
            raise StackError(f"No run has ended for {RUN_SECONDS:.0f} s; the logs are in {stack.folder}.")
        time.sleep(LOOK_SECONDS)


def check_rows(stack: Stack, run_id: str, receipt: Mapping[str, Any]) -> None:
    """See that every variant has a row for each flight that was ingested.

    :raises RunFailedError: one has not.
    """
    flights = stack.api.xcom(DAG_ID, run_id, "ingest")["flights"]
    for name, variant in receipt["variants"].items():
        if variant["rows"] != flights:
            raise RunFailedError(
                f"{receipt['logical_date']}: variant {name} has {variant['rows']} rows, "
                f"but the day has {flights} flights."
            )


def compact(receipt: Mapping[str, Any]) -> str:
    """A receipt in one line."""
    parts = [f"{receipt['logical_date']}  {receipt['state']} in {receipt['seconds']:3.0f} s"]
    for name, variant in receipt["variants"].items():
        shards = variant["shards"]
        services = ", ".join(
            f"{row['name']} {row['before']}-{row['peak']}-{row['after']}" for row in variant["services"]
        )
        done = f"{shards['succeeded']}/{shards['total']} shards"
        parts.append(f"{name} {done}, {variant['rows']:,} rows, {services}, ${variant['cost_usd'] or 0.0:.4f}")
    return "  |  ".join(parts)


def summary(receipts: Sequence[Mapping[str, Any]]) -> str:
    """What all days have together."""
    rows: dict[str, int] = {}
    for name, variant in _variants(receipts):
        rows[name] = rows.get(name, 0) + variant["rows"]
    cost = sum(variant["cost_usd"] or 0.0 for _, variant in _variants(receipts))
    of = ", ".join(f"{count:,} rows of {name}" for name, count in rows.items())
    return f"{len(receipts)} days: {of}, ${cost:.4f}"


def _variants(receipts: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return (pair for receipt in receipts for pair in receipt["variants"].items())
