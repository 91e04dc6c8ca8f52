"""``make demo``: one day of the pipeline on a stack that is started for it and stopped after it."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from datetime import time as day_time
from typing import Any, Final

from rich.console import Console

from devstack.errors import StackError
from devstack.follow import look
from devstack.processes import ROOT
from devstack.progress import Progress, stack_shown
from devstack.runs import DAG_ID, ENDED, RUN_SECONDS, check_services, receipt_of
from devstack.stack import Stack
from ecs_feature.results.receipts import render

FOLDER: Final = ROOT / "build" / "demo"
LOOK_SECONDS: Final = 1.0


def demo(day: date, console: Console) -> None:
    """Run one day; leave its receipt in build/demo/receipt.json and on the screen.

    :raises StackError: the stack or the run failed; the message tells where and where the logs are.
    """
    with stack_shown(FOLDER, console) as (stack, progress):
        receipt = run_day(stack, day, progress)
        progress.reached(f"run succeeded after {receipt['seconds']:.0f} s", "stopping the stack")
    path = FOLDER / "receipt.json"
    path.write_text(json.dumps(receipt, indent=2) + "\n")
    console.print(render(receipt), highlight=False, markup=False, soft_wrap=True)
    where = f"Receipt: {path.relative_to(ROOT)}   Logs: {FOLDER.relative_to(ROOT)}/"
    console.print(where, highlight=False, markup=False, soft_wrap=True)


def run_day(stack: Stack, day: date, progress: Progress, dag_id: str = DAG_ID) -> dict[str, Any]:
    """Start the run of a day, follow it to its end and return its receipt.

    :raises StackError: a part of the stack ended.
    :raises RunFailedError: the run failed, or its receipt does not stand up.
    """
    run_id = stack.trigger(dag_id, datetime.combine(day, day_time(), UTC))
    progress.reached(f"run of {day} is triggered", f"running {dag_id}")
    receipt = receipt_of(stack, run_id, follow(stack, run_id, progress, dag_id), dag_id)
    check_services(stack)
    return receipt


def follow(stack: Stack, run_id: str, progress: Progress, dag_id: str = DAG_ID) -> str:
    """Show the run until it has ended; return its state, success or failed.

    :raises StackError: a part of the stack ended, or the run takes longer than 15 minutes.
    """
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        stack.check()
        state = stack.api.run_state(dag_id, run_id)
        progress.update(look(state, stack.api.task_instances(dag_id, run_id), stack.services()))
        if state in ENDED:
            return state
        if time.monotonic() > deadline:
            raise StackError(f"The run is still {state} after {RUN_SECONDS:.0f} s; the logs are in {stack.folder}.")
        time.sleep(LOOK_SECONDS)
