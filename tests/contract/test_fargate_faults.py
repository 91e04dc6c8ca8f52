"""Faults on demand."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from fargate_local.faults import FaultEngine, Subject, call_subject, matches

from .conftest import CLUSTER, NETWORK, Stack, until


@pytest.fixture
def faults(stack: Stack):
    url = f"{stack.aws.endpoint_url}/_fargate_local/faults"
    yield lambda **rule: httpx.post(url, json=rule).raise_for_status().json()
    assert httpx.delete(url).status_code == 204


def environment(**values: str) -> dict[str, Any]:
    items = [{"name": name, "value": value} for name, value in values.items()]
    return {"containerOverrides": [{"name": "main", "environment": items}]}


def test_a_call_fails_as_often_as_asked(stack: Stack, faults):
    faults(match={"operation": "RunTask"}, error="ThrottlingException", times=2)
    definition = stack.register()
    before = len(stack.aws.calls("RunTask"))
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            stack.run(definition)
        assert caught.value.response["Error"] == {"Code": "ThrottlingException", "Message": "Rate exceeded"}
    stack.run(definition)
    assert [(c.status, c.error) for c in stack.aws.calls("RunTask")[before:]] == [
        (400, "ThrottlingException"), (400, "ThrottlingException"), (200, None),
    ]  # fmt: skip
    (rule,) = httpx.get(f"{stack.aws.endpoint_url}/_fargate_local/faults", verify=False).json()["faults"]
    assert (rule["fired"], rule["times"]) == (2, 2)


def test_a_server_error_has_status_500(stack: Stack, faults):
    faults(match={"operation": "ListTasks"}, error="ServerException", times=1)
    with pytest.raises(ClientError) as caught:
        stack.ecs.list_tasks(cluster=CLUSTER)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_a_dropped_answer_is_of_a_call_that_was_done(stack: Stack, faults):
    faults(match={"operation": "RunTask"}, drop_answer=True, times=1)
    definition = stack.register("dropped")
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        stack.run(definition, clientToken="dropped")
    done = stack.ecs.list_tasks(cluster=CLUSTER, family="dropped")["taskArns"]
    done += stack.ecs.list_tasks(cluster=CLUSTER, family="dropped", desiredStatus="STOPPED")["taskArns"]
    assert [stack.run(definition, clientToken="dropped")["taskArn"]] == done


def test_capacity_can_be_unavailable(stack: Stack, faults):
    reason = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
    faults(match={"operation": "RunTask", "environment": {"SHARD": "UA"}}, failure=reason, times=1)
    request = {"cluster": CLUSTER, "taskDefinition": stack.register(), "launchType": "FARGATE"}
    other = stack.ecs.run_task(**request, networkConfiguration=NETWORK, overrides=environment(SHARD="AA"))
    failed = stack.ecs.run_task(**request, networkConfiguration=NETWORK, overrides=environment(SHARD="UA"))
    assert (len(other["tasks"]), other["failures"]) == (1, [])
    assert (failed["tasks"], failed["failures"]) == ([], [{"reason": reason}])


def test_a_container_ends_with_the_asked_code_once_for_the_task_that_matches(stack: Stack, faults):
    faults(match={"environment": {"SHARD": "UA", "VARIANT": "treatment"}}, exit_code=3, times=1)
    definition = stack.register()
    codes = []
    for shard, variant in [("UA", "control"), ("UA", "treatment"), ("UA", "treatment")]:
        task = stack.run(definition, overrides=environment(SHARD=shard, VARIANT=variant))
        ended = stack.until_status(task["taskArn"], "STOPPED")
        assert "startedAt" in ended
        codes.append(ended["containers"][0]["exitCode"])
    assert codes == [0, 3, 0]


def test_a_task_fails_to_start_with_the_asked_reason(stack: Stack, faults):
    reason = "CannotPullContainerError: pull image manifest has been retried 5 time(s): toomanyrequests"
    faults(match={"family": "unpullable"}, start_failure=reason, times=1)
    task = stack.until_status(stack.run(stack.register("unpullable"))["taskArn"], "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", reason)
    assert "exitCode" not in task["containers"][0]


def test_a_spot_task_is_interrupted(stack: Stack, faults):
    faults(match={"capacity": "FARGATE_SPOT"}, stop_code="SpotInterruption", times=1)
    answer = stack.ecs.run_task(
        cluster=CLUSTER, taskDefinition=stack.register(container={"command": ["sleep", "100"]}),
        networkConfiguration=NETWORK, capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
    )  # fmt: skip
    task = stack.until_status(answer["tasks"][0]["taskArn"], "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("SpotInterruption", "Your Spot Task was interrupted.")
    assert task["containers"][0]["exitCode"] == 143


def test_a_task_stays_pending_until_it_is_stopped(stack: Stack, faults):
    faults(match={"family": "stuck"}, stuck="PENDING", times=1)
    arn = stack.run(stack.register("stuck"))["taskArn"]
    other = stack.run(stack.register("stuck"))["taskArn"]
    stack.until_status(other, "STOPPED")
    assert stack.task(arn)["lastStatus"] == "PENDING"
    stack.ecs.stop_task(cluster=CLUSTER, task=arn)
    until(lambda: stack.task(arn), lambda task: task["lastStatus"] == "STOPPED")


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        ({"match": {"colour": "red"}, "exit_code": 1}, "match has colour"),
        ({"match": {}, "explode": True}, "the rule has explode"),
        ({"match": {"operation": "RunTask"}}, "the rule has 0 effects"),
        ({"match": {"operation": "RunTask"}, "exit_code": 1}, "the rule has exit_code"),
        ({"match": {"operation": "ListTasks"}, "failure": "x"}, "effect of RunTask only"),
        ({"match": {}, "exit_code": 1, "probability": 2}, "probability is 2"),
        ({"match": {}, "exit_code": 1, "times": 0}, "times is 0"),
    ],
)
def test_a_wrong_rule_is_refused_in_one_sentence(stack: Stack, rule, part):
    answer = httpx.post(f"{stack.aws.endpoint_url}/_fargate_local/faults", json=rule)
    assert answer.status_code == 400
    assert part in answer.json()["error"]


UA = Subject(cluster="c", family="f", service=None, capacity="FARGATE", environments=({"A": "1", "B": "2"}, {"A": "3"}))
RUN = Subject(operation="RunTask", cluster="c")


@pytest.mark.parametrize(
    ("match", "subject", "expected"),
    [
        ({}, UA, True),
        ({}, RUN, False),
        ({"operation": "RunTask"}, RUN, True),
        ({"operation": "*"}, RUN, True),
        ({"operation": "*"}, UA, False),
        ({"operation": "StopTask"}, RUN, False),
        ({"environment": {"A": "1", "B": "2"}}, UA, True),
        ({"environment": {"A": "3"}}, UA, True),
        ({"environment": {"A": "3", "B": "2"}}, UA, False),
        ({"family": "f", "capacity": "FARGATE"}, UA, True),
        ({"family": "g"}, UA, False),
        ({"cluster": "d", "operation": "RunTask"}, RUN, False),
    ],
)
def test_matching(match, subject, expected):
    assert matches(match, subject) is expected


def test_chance_is_seeded():
    def fired(seed: int) -> list[bool]:
        engine = FaultEngine()
        engine.add({"match": {"operation": "RunTask"}, "error": "ServerException", "probability": 0.5, "seed": seed})
        return [engine.effect_on(RUN) is not None for _ in range(200)]

    assert fired(7) == fired(7)
    assert fired(7) != fired(8)
    assert 70 < sum(fired(7)) < 130


def test_a_malformed_call_has_a_subject_too():
    assert call_subject("RunTask", {"overrides": 5, "cluster": 3}) == Subject(operation="RunTask")
