"""ECS's events of stopped tasks, from messages as SQS delivers them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from ecs_feature.aws.resources import EcsTask
from ecs_feature.fleet.task_events import REMEMBER_SECONDS, TaskEvents, stopped_task

ARN = "arn:aws:ecs:us-west-2:111122223333:task/features/c13b4cb40f1f4fe4a2971f76ae5a47ad"


def event(**changed: Any) -> dict[str, Any]:
    """The envelope and fields of AmazonECS/latest/developerguide/ecs_task_events.html."""
    detail = {
        "clusterArn": "arn:aws:ecs:us-west-2:111122223333:cluster/features",
        "containers": [{"exitCode": 3, "lastStatus": "STOPPED", "name": "features", "taskArn": ARN}],
        "createdAt": "2026-11-21T17:42:12.582Z",
        "startedAt": "2026-11-21T17:42:40.12Z",
        "stoppedAt": "2026-11-21T17:43:40.12Z",
        "launchType": "FARGATE",
        "cpu": "256",
        "memory": "512",
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
        "startedBy": "ecs-feature/flights/0192",
        "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited",
        "taskArn": ARN,
        "taskDefinitionArn": "arn:aws:ecs:us-west-2:111122223333:task-definition/features:3",
        "version": 6,
    }
    return {
        "version": "0",
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "detail": {**detail, **changed},
    }


def message(body: Any = None, *, sent_ago: float = 1.0, received: int = 1, **changed: Any) -> dict[str, Any]:
    return {
        "Body": json.dumps(event(**changed)) if body is None else body,
        "ReceiptHandle": "handle",
        "Attributes": {
            "SentTimestamp": str(int((time.time() - sent_ago) * 1000)),
            "ApproximateReceiveCount": str(received),
        },
    }


class Listener:
    def __init__(self, *watched: str) -> None:
        self.watched = set(watched)
        self.heard: list[EcsTask] = []
        self.now = 0.0
        self.events = TaskEvents("queue", self.client, self.on_stopped, clock=lambda: self.now)

    async def client(self) -> Any:
        raise AssertionError("not asked")

    def on_stopped(self, task: EcsTask) -> bool:
        self.heard.append(task)
        return task.arn in self.watched


def test_a_stopped_task_is_read_like_a_described_one() -> None:
    task, started_by = stopped_task(json.dumps(event()))
    assert task is not None
    assert task.stopped
    assert (task.arn, task.cpu, task.memory_mib, task.stop_code) == (ARN, 256, 512, "EssentialContainerExited")
    assert task.containers[0].exit_code == 3
    assert task.stopped_at == datetime(2026, 11, 21, 17, 43, 40, 120000, UTC)
    assert started_by == "ecs-feature/flights/0192"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(event(lastStatus="RUNNING")),
        json.dumps(event(lastStatus="DEPROVISIONING")),
        json.dumps({**event(), "detail-type": "ECS Container Instance State Change"}),
        json.dumps(event(stoppedAt="yesterday")),
        json.dumps({"detail-type": "ECS Task State Change"}),
        "[]",
        "not JSON",
        "",
    ],
    ids=["runs", "stops", "another event", "a wrong time", "no detail", "a list", "no JSON", "empty"],
)
def test_anything_else_is_done_with_at_once(body: str) -> None:
    listener = Listener(ARN)
    assert listener.events.take(message(body)) is None
    assert listener.heard == []


def test_a_task_that_is_waited_for_is_told_of() -> None:
    listener = Listener(ARN)
    assert listener.events.take(message()) is None
    assert [task.arn for task in listener.heard] == [ARN]


def test_the_same_event_again_is_done_with() -> None:
    listener = Listener(ARN)
    assert listener.events.take(message()) is None
    listener.watched.clear()
    assert listener.events.take(message(received=2)) is None
    assert listener.events.stopped(ARN) is None


@pytest.mark.parametrize("started_by", ["ecs-svc/123", "", "somebody"])
def test_tasks_of_others_are_done_with_at_once(started_by: str) -> None:
    assert Listener().events.take(message(startedBy=started_by)) is None


def test_another_triggerers_task_is_given_back_soon_and_then_ever_later() -> None:
    listener = Listener()
    hidden = [listener.events.take(message(received=n)) for n in range(1, 14)]
    assert hidden == [1, 1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 32, 32]


def test_what_nobody_has_waited_for_is_deleted_after_some_minutes() -> None:
    assert Listener().events.take(message(sent_ago=REMEMBER_SECONDS + 1, received=12)) is None


def test_an_event_that_is_faster_than_run_tasks_answer_is_remembered() -> None:
    listener = Listener()
    assert listener.events.take(message()) == 1
    task = listener.events.stopped(ARN)
    assert task is not None
    assert task.stopped
    assert listener.events.stopped(ARN) is None
    assert listener.events.take(message(received=2)) is None


def test_what_is_remembered_is_forgotten_in_time() -> None:
    listener = Listener()
    listener.events.take(message())
    listener.now = REMEMBER_SECONDS + 1
    listener.events.take(message(taskArn="another"))
    assert listener.events.stopped(ARN) is None
    assert listener.events.stopped("another") is not None


def test_events_do_not_work_before_the_queue_has_answered() -> None:
    assert not Listener().events.working
