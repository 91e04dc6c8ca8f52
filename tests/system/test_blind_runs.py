"""Credentials that expire while a run's shards go on: AWS refuses every call; nothing is stopped or repeated."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.system.sleeping_shards import NAMES, Shards

DAG_ID = "unseen_shards"
EXPIRED = {"error": "ExpiredTokenException", "message": "The security token included in the request is expired"}


class Blind:
    """A run whose shards end while ECS and CloudWatch Logs answer nothing else than that the token has expired.

    :ivar states: of the shards in Airflow, after all containers had ended, before a call was answered again.
    :ivar state: of the run in the end.
    """

    def __init__(self, stack: Any) -> None:
        self.stack = stack
        self.run = Shards(stack, DAG_ID, datetime(2013, 5, 5, tzinfo=UTC), seconds=20)
        self.before = len(stack.calls("DescribeTasks"))
        for service in ("ecs", "logs"):
            stack.faults.add_fault({"match": {"operation": "*", "service_api": service}, **EXPIRED})
        self.run.wait(lambda: self.statuses() == {"STOPPED"}, "The containers go on")
        self.run.wait(lambda: self.refused() >= 10, "The triggerer does not ask")
        self.states = {name: task["state"] for name, task in stack.tasks(self.run.run_id).items() if name in NAMES}
        stack.faults.clear_faults()
        self.state = stack.wait(self.run.run_id)

    def statuses(self) -> set[str]:
        mine = self.run.arns.values()
        return {task["last_status"] for task in self.stack.faults.tasks() if task["arn"] in mine}

    def refused(self) -> int:
        return sum(
            call["error"] == "ExpiredTokenException" for call in self.stack.calls("DescribeTasks")[self.before :]
        )


@pytest.fixture(scope="module")
def blind(stack: Any) -> Blind:
    return Blind(stack)


def test_shards_that_cannot_be_seen_are_waited_for(blind: Blind) -> None:
    assert blind.states == dict.fromkeys(NAMES, "deferred")


def test_the_run_succeeds_and_no_retry_is_consumed(blind: Blind) -> None:
    assert blind.state == "success"
    tasks = blind.stack.tasks(blind.run.run_id)
    assert {(tasks[name]["state"], tasks[name]["try_number"], tasks[name]["max_tries"]) for name in NAMES} == {
        ("success", 1, 2)
    }


def test_nothing_was_stopped_and_nothing_launched_again(blind: Blind) -> None:
    assert [call for call in blind.stack.calls("StopTask") if call["request"]["task"] in blind.run.arns.values()] == []
    found = {name: [task["taskArn"] for task in tasks] for name, tasks in blind.run.ecs_tasks().items()}
    assert found == {name: [arn] for name, arn in blind.run.arns.items()}


def test_every_shard_says_what_was_the_matter_and_how_long(blind: Blind) -> None:
    for name, arn in blind.run.arns.items():
        log = "\n".join(blind.stack.api.log(DAG_ID, blind.run.run_id, name, 1))
        assert f"Shard {name}: ECS task {arn} cannot be seen and is left running: AWS rejected the credentials" in log
        assert f"Shard {name}: ECS task {arn} is seen again after " in log
