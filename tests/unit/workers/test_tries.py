"""What a shard's tries on workers came to, and who pays."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ecs_feature.aws.resources import EcsTask
from ecs_feature.tasks.outcomes import Kind, Payer
from ecs_feature.workers.host import Host
from ecs_feature.workers.tries import Tries, first_try, rows_of

NOW = datetime(2026, 11, 28, tzinfo=UTC)
ARN = "arn:aws:ecs:us-east-1:123456789012:task/features/0a1b"
HOST = Host("ip-10-0-0-7", ARN, "features", "FARGATE_SPOT")
MEMORY = "OutOfMemoryError: Container killed due to memory usage"


def worker_task(code: int | None = 137, reason: str = "", **values: Any) -> EcsTask:
    given = {
        "taskArn": ARN,
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
        "startedAt": NOW,
        "stoppedAt": NOW,
        "containers": [{"name": "worker", "lastStatus": "STOPPED", "exitCode": code, "reason": reason}],
    }
    return EcsTask.from_aws({**given, **values})


SPOT = {"stopCode": "SpotInterruption", "stoppedReason": "Your Spot Task was interrupted."}
CRASH = {"stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited"}
SCALED = {"stopCode": "ServiceSchedulerInitiated", "stoppedReason": "Scaling activity initiated"}
ENDS = [
    (None, Kind.LOST, "ip-10-0-0-7 ended before the shard did, and ECS does not say why"),
    (worker_task(**SPOT), Kind.SPOT_INTERRUPTION, "Spot"),
    (worker_task(reason=MEMORY, stopCode="EssentialContainerExited"), Kind.OUT_OF_MEMORY, "OutOfMemoryError"),
    (worker_task(**CRASH), Kind.LOST, "137"),
    (worker_task(code=0, stopCode="EssentialContainerExited"), Kind.LOST, "ended in mid-shard"),
    (worker_task(**SCALED), Kind.STOPPED_BY_ECS, "Scaling"),
    (worker_task(stopCode="UserInitiated", stoppedReason="by hand"), Kind.LOST, "by hand"),
    (worker_task(lastStatus="RUNNING"), Kind.LOST, "the worker's ECS task goes on"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "kind", "said"), ENDS)
def test_why_a_worker_ended_is_asked_of_ecs(task: EcsTask | None, kind: Kind, said: str):
    tries, asked = Tries(), []
    tries.begin(1, HOST, NOW)

    def describe(cluster: str, arn: str) -> EcsTask | None:
        asked.append((cluster, arn))
        return task

    (closed,) = tries.close(describe, NOW)
    assert asked == [("features", ARN)]
    assert (closed.outcome, closed.attempt, closed.capacity) == (kind, 1, "FARGATE_SPOT")
    assert said in closed.reason
    payer = Payer.APPLICATION if kind is Kind.OUT_OF_MEMORY else Payer.INFRASTRUCTURE
    assert tries.paid_by(payer) == 1
    assert tries.close(describe, NOW) == []


def test_tries_outlive_their_worker_in_the_store():
    tries = Tries()
    tries.begin(1, HOST, NOW)
    tries.end(Kind.APPLICATION_FAILURE, "exit code 3", NOW)
    tries.begin(2, HOST, NOW)
    read = Tries.of(json.loads(json.dumps(tries.to_list())), 1)
    assert (read.launches, read.workers) == (tries.launches, tries.workers)
    assert [row["attempt"] for row in rows_of(read)] == [1]  # the second goes on
    assert (read.paid_by(Payer.APPLICATION), read.paid_by(Payer.INFRASTRUCTURE)) == (1, 0)


def test_a_try_that_begins_again_counts_once():
    tries = Tries()
    tries.begin(1, HOST, NOW)
    tries.begin(1, HOST, NOW)
    assert len(tries.launches) == 1


@pytest.mark.parametrize("value", [None, "text", {"a": 1}, [1, {"odd": 2}], [{"task_arn": "x"}]])
def test_what_is_not_ours_in_the_store_counts_as_nothing(value: Any):
    assert Tries.of(value, 1).launches == []


@pytest.mark.parametrize(
    ("max_tries", "retries", "first"), [(7, 7, 1), (10, 7, 4), (0, 0, 1), (3, 0, 4), (None, 7, 1), (2, 7, 1)]
)
def test_a_clear_gives_all_retries_anew(max_tries: Any, retries: int, first: int):
    assert first_try(max_tries, retries) == first
    tries = Tries(first=first)
    for number in (1, 2, 3):
        tries.begin(number, HOST, NOW)
        tries.end(Kind.APPLICATION_FAILURE, "", NOW)
    assert tries.paid_by(Payer.APPLICATION) == max(0, 4 - first)
