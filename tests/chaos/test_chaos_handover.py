"""One of two triggerers is killed with -9, aimed at points of its shards: the other one goes on with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devstack.stack import Stack

pytestmark = pytest.mark.slow

DAG_ID = "handed_over_shards"
STATUSES = {"before": [0, 200], "unheard": [0, 200], "waiting-1": [200, 200], "waiting-2": [200, 200]}
"""Of each shard's RunTask calls, one by each triggerer; 0: nobody heard the answer."""
SECONDS = 90


@dataclass
class HandOver:
    """A run that began with ``triggerer-1`` and ended with ``triggerer-2``.

    :ivar killed: the ECS tasks right after the kill.
    """

    stack: Stack
    run_id: str
    killed: list[dict[str, Any]]

    def launches(self, shard: str) -> list[dict[str, Any]]:
        return launches(self.stack, shard)


@pytest.fixture(scope="module")
def hand_over(chaos_stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandOver]:
    stack: Stack = chaos_stack.stack
    stack.wait_for_dag(DAG_ID)
    try:
        yield handed_over(stack, tmp_path_factory.mktemp("gates"))
    finally:
        stack.side_door.clear_faults()
        for name in stack.triggerers:
            if not stack.is_running(name):
                stack.start_component(name)


def handed_over(stack: Stack, gates: Path) -> HandOver:
    stack.processes.kill({"triggerer-2"})
    for shard, effect in (("before", "hang"), ("unheard", "hang_answer")):
        stack.side_door.add_fault(
            {"match": {"operation": "RunTask", "environment": {"SHARD": shard}}, effect: True, "times": 1}
        )
    run_id = stack.trigger(DAG_ID, datetime(2013, 1, 1, tzinfo=UTC), {"gates": str(gates)})
    others = STATUSES.keys() - {"before"}
    wait(stack, lambda: {shard_of(task) for task in running(stack)} == others, "The shards do not run")
    wait(stack, lambda: all(launches(stack, f"waiting-{number}") for number in (1, 2)), "RunTask is not answered")
    alive = triggerers(stack)
    stack.start_component("triggerer-2")
    wait(stack, lambda: bool(triggerers(stack) - alive), "The second triggerer is not there")
    stack.processes.kill({"triggerer-1"})
    wait(stack, lambda: all(launches(stack, name) for name in ("before", "unheard")), "Held calls were not given up")
    killed = tasks_of_run(stack)
    stack.side_door.clear_faults()
    wait(stack, lambda: all(len(launches(stack, shard)) == 2 for shard in STATUSES), "Nobody has taken over")
    for shard in STATUSES:
        (gates / shard).touch()
    wait(stack, lambda: stack.api.run_state(DAG_ID, run_id) in ("success", "failed"), "The run has not ended")
    return HandOver(stack, run_id, killed)


def wait(stack: Stack, condition: Callable[[], bool], what: str) -> None:
    stack.processes.wait_until(condition, what=what, timeout_seconds=SECONDS)


def triggerers(stack: Stack) -> set[int]:
    """The jobs of the triggerers that Airflow believes to be alive."""
    jobs = stack.api.get("/jobs", job_type="TriggererJob", is_alive=True)["jobs"]
    return {job["id"] for job in jobs}


def tasks_of_run(stack: Stack) -> list[dict[str, Any]]:
    return [task for task in stack.side_door.tasks() if f"/{DAG_ID}/" in (task["started_by"] or "")]


def running(stack: Stack) -> list[dict[str, Any]]:
    return [task for task in tasks_of_run(stack) if task["last_status"] == "RUNNING"]


def shard_of(task: dict[str, Any]) -> str:
    return str(task["environment"]["SHARD"])


def launches(stack: Stack, shard: str) -> list[dict[str, Any]]:
    """The RunTask calls of a shard, oldest first; those that are still held are not among them."""
    found = []
    for call in stack.side_door.calls("RunTask"):
        if f"/{DAG_ID}/" in call["request"].get("startedBy", ""):
            (container,) = call["request"]["overrides"]["containerOverrides"]
            if {"name": "SHARD", "value": shard} in container["environment"]:
                found.append(call)
    return found


def test_the_second_triggerer_ends_the_run_alone_and_in_the_same_tries(hand_over: HandOver) -> None:
    stack = hand_over.stack
    assert stack.api.run_state(DAG_ID, hand_over.run_id) == "success"
    assert not stack.is_running("triggerer-1")
    tries = {task["task_id"]: task["try_number"] for task in stack.api.task_instances(DAG_ID, hand_over.run_id)}
    assert tries == {"register": 1, **dict.fromkeys(STATUSES, 1)}


def test_the_kill_struck_before_run_task_before_its_answer_and_while_waiting(hand_over: HandOver) -> None:
    assert sorted(map(shard_of, hand_over.killed)) == ["unheard", "waiting-1", "waiting-2"]
    assert {task["last_status"] for task in hand_over.killed} == {"RUNNING"}


@pytest.mark.parametrize("shard", STATUSES)
def test_both_triggerers_asked_for_the_same_task_and_there_is_one(hand_over: HandOver, shard: str) -> None:
    calls = hand_over.launches(shard)
    assert [call["status"] for call in calls] == STATUSES[shard]
    assert len({call["request"]["clientToken"] for call in calls}) == 1
    (task,) = [task for task in tasks_of_run(hand_over.stack) if shard_of(task) == shard]
    assert (task["last_status"], task["exit_code"]) == ("STOPPED", 0)
