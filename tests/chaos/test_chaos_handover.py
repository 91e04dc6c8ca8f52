"""One of two triggerers is killed with -9, aimed at points of its shards: the other one goes on with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devstack.stack import Stack

from .two_triggerers import DAG_ID, launches, running, shard_of, tasks_of_run, triggerers, wait

pytestmark = pytest.mark.slow

STATUSES = {"before": [0, 200], "unheard": [0, 200], "waiting-1": [200, 200], "waiting-2": [200, 200]}
"""Of each shard's RunTask calls, one by each triggerer; 0: nobody heard the answer."""


@dataclass
class HandOver:
    """A run that began with ``triggerer-1`` and ended with ``triggerer-2``.

    :ivar killed: the ECS tasks right after the kill.
    """

    stack: Stack
    run_id: str
    gates: Path
    killed: list[dict[str, Any]]

    def launches(self, shard: str) -> list[dict[str, Any]]:
        return launches(self.stack, self.gates, shard)


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
    wait(stack, lambda: running(stack, gates) == others, "The shards do not run")
    wait(
        stack, lambda: all(launches(stack, gates, f"waiting-{number}") for number in (1, 2)), "RunTask is not answered"
    )
    alive = triggerers(stack)
    stack.start_component("triggerer-2")
    wait(stack, lambda: bool(triggerers(stack) - alive), "The second triggerer is not there")
    stack.processes.kill({"triggerer-1"})
    wait(
        stack,
        lambda: all(launches(stack, gates, name) for name in ("before", "unheard")),
        "Held calls were not given up",
    )
    killed = tasks_of_run(stack, gates)
    stack.side_door.clear_faults()
    wait(stack, lambda: all(len(launches(stack, gates, shard)) == 2 for shard in STATUSES), "Nobody has taken over")
    for shard in STATUSES:
        (gates / shard).touch()
    wait(stack, lambda: stack.api.run_state(DAG_ID, run_id) in ("success", "failed"), "The run has not ended")
    return HandOver(stack, run_id, gates, killed)


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
    (task,) = [task for task in tasks_of_run(hand_over.stack, hand_over.gates) if shard_of(task) == shard]
    assert (task["last_status"], task["exit_code"]) == ("STOPPED", 0)
