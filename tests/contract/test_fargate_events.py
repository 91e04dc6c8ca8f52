"""EventBridge: changes of tasks arrive in SQS queues."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import CLUSTER, Stack

VALUES = {"containerOverrides": [{"name": "main", "environment": [{"name": "SIMULATED_SECONDS", "value": "0.2"}]}]}


@pytest.fixture
def simulated(own_stack) -> Stack:
    return own_stack(runtime="simulated", images=None, quotas=False)


def rule(stack: Stack, name: str, pattern: dict[str, Any], state: str = "ENABLED") -> str:
    """A queue that gets what matches the pattern; its URL."""
    url = str(stack.aws.client("sqs").create_queue(QueueName=name)["QueueUrl"])
    events = stack.aws.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), State=state)
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:123456789012:{name}"}])
    return url


def received(stack: Stack, url: str, statuses: set[str]) -> list[dict[str, Any]]:
    """Receive until events with those last statuses came; all events in the order of their tasks' versions."""
    sqs, events = stack.aws.client("sqs"), []
    while not statuses <= {event["detail"]["lastStatus"] for event in events}:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
        assert "Messages" in answer, f"nothing more came after {[e['detail']['lastStatus'] for e in events]}"
        events += [json.loads(message["Body"]) for message in answer["Messages"]]
    return sorted(events, key=lambda event: event["detail"]["version"])


def test_every_change_of_a_task_s_status_comes_as_an_event(simulated: Stack):
    url = rule(simulated, "all", {"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"]})
    arn = simulated.run(simulated.register(), overrides=VALUES, startedBy="me")["taskArn"]
    events = received(simulated, url, {"STOPPED"})
    assert [(event["detail"]["lastStatus"], event["detail"]["desiredStatus"]) for event in events] == [
        ("PROVISIONING", "RUNNING"), ("PENDING", "RUNNING"), ("RUNNING", "RUNNING"),
        ("DEACTIVATING", "STOPPED"), ("STOPPING", "STOPPED"), ("DEPROVISIONING", "STOPPED"), ("STOPPED", "STOPPED"),
    ]  # fmt: skip
    task, last = simulated.task(arn), events[-1]
    detail = last.pop("detail")
    assert {name: last[name] for name in ("version", "source", "detail-type", "account", "region", "resources")} == {
        "version": "0", "source": "aws.ecs", "detail-type": "ECS Task State Change", "account": "123456789012",
        "region": "us-east-1", "resources": [arn],
    }  # fmt: skip
    assert set(last) == {"version", "id", "source", "detail-type", "account", "region", "resources", "time"}
    assert len({event["id"] for event in events}) == 7
    assert detail["stoppedAt"] == task["stoppedAt"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert detail["updatedAt"].endswith("Z")
    assert (detail["taskArn"], detail["clusterArn"], detail["startedBy"]) == (arn, task["clusterArn"], "me")
    assert (detail["stopCode"], detail["containers"][0]["exitCode"]) == ("EssentialContainerExited", 0)
    assert detail["version"] == task["version"]
    assert detail["attachments"][0]["type"] == "eni"


def test_a_pattern_chooses_by_cluster_and_status(simulated: Stack):
    arn = simulated.ecs.describe_clusters(clusters=[CLUSTER])["clusters"][0]["clusterArn"]
    chosen = {"source": ["aws.ecs"], "detail": {"clusterArn": [arn], "lastStatus": ["STOPPED"]}}
    stopped = rule(simulated, "stopped", chosen)
    other = rule(simulated, "other", {"source": ["aws.ecs"], "detail": {"clusterArn": ["arn:other"]}})
    off = rule(simulated, "off", {"source": ["aws.ecs"]}, state="DISABLED")
    simulated.run(simulated.register(), overrides=VALUES)
    assert [event["detail"]["lastStatus"] for event in received(simulated, stopped, {"STOPPED"})] == ["STOPPED"]
    sqs = simulated.aws.client("sqs")
    assert ["Messages" in sqs.receive_message(QueueUrl=url) for url in (other, off)] == [False, False]


def test_a_queue_that_is_gone_harms_no_task(simulated: Stack):
    simulated.aws.client("sqs").delete_queue(QueueUrl=rule(simulated, "gone", {"source": ["aws.ecs"]}))
    kept = rule(simulated, "kept", {"source": ["aws.ecs"], "detail": {"lastStatus": ["STOPPED"]}})
    arn = simulated.run(simulated.register(), overrides=VALUES)["taskArn"]
    simulated.until_status(arn, "STOPPED")
    assert [event["resources"] for event in received(simulated, kept, {"STOPPED"})] == [[arn]]
