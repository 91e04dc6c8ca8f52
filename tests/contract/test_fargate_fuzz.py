"""Every operation answers every request: never a 500, an answer that botocore parses, and no task without an end.

FARGATE_FUZZ_REQUESTS=20000 pytest tests/contract/test_fargate_fuzz.py --timeout 3600 -s
runs longer, from another seed each time, and writes its figures.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from botocore.parsers import create_parser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import CLUSTER, Stack, until
from .request_strategies import (
    BASE_DEFINITIONS,
    INSTANCE,
    MODEL,
    OPERATIONS,
    SEEDS,
    TASK,
    requests,
    seeds_and_what_they_lack,
)

REQUESTS = int(os.environ.get("FARGATE_FUZZ_REQUESTS", "0"))
IN_CI = 400
IN_A_ROW = 4
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0"


(INSTANCE_OF_THE_CLUSTER,) = SEEDS["RegisterContainerInstance"]


class Caller:
    """Calls one server without botocore's own checks, and counts the answers."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.http = httpx.Client(verify=False, headers={"authorization": AUTHORIZATION}, timeout=120)
        self.answers: Counter[str] = Counter()
        self.parser = create_parser(MODEL.metadata["protocol"])
        self.task = self.instance = "none"

    def call(self, operation: str, request: Any) -> Any:
        answer = self.http.post(
            self.stack.aws.endpoint_url,
            headers={"x-amz-target": f"AmazonEC2ContainerServiceV20141113.{operation}"},
            content=json.dumps(request).replace(TASK, self.task).replace(INSTANCE, self.instance).encode(),
        )
        body = answer.json()
        self.answers[f"{operation} {body.get('__type', 'OK')}"] += 1
        assert answer.status_code in (200, 400), (operation, answer.text)
        response = {"status_code": answer.status_code, "headers": dict(answer.headers), "body": answer.content}
        parsed = self.parser.parse(response, MODEL.operation_model(operation).output_shape)
        assert answer.status_code == 200 or parsed["Error"]["Code"] == body["__type"]
        if operation == "RunTask" and body.get("tasks"):
            self.task = body["tasks"][0]["taskArn"]
        self.instance = body.get("containerInstance", {}).get("containerInstanceArn", self.instance)
        return body

    def restore(self) -> None:
        """What most requests refer to is there again."""
        self.call("CreateCluster", {"clusterName": CLUSTER, "capacityProviders": ["FARGATE", "FARGATE_SPOT"]})
        for definition in BASE_DEFINITIONS:
            self.call("RegisterTaskDefinition", definition)
        self.call("RegisterContainerInstance", INSTANCE_OF_THE_CLUSTER)

    def tasks(self) -> list[dict[str, Any]]:
        """Every task that was ever made."""
        url = f"{self.stack.aws.endpoint_url}/_fargate_local/tasks"
        made: list[dict[str, Any]] = self.http.get(url).json()["tasks"]
        return made

    def end_all(self) -> None:
        """Delete every service and stop every task; returns when all have stopped."""
        for cluster in self.stack.ecs.list_clusters()["clusterArns"]:
            pages = self.stack.ecs.get_paginator("list_services").paginate(cluster=cluster)
            for service in [arn for page in pages for arn in page["serviceArns"]]:
                self.call("DeleteService", {"cluster": cluster, "service": service, "force": True})

        def stop() -> list[str]:
            left = [task for task in self.tasks() if task["last_status"] != "STOPPED"]
            for task in left:
                self.call("StopTask", {"cluster": task["cluster"], "task": task["arn"]})
            return [f"{task['arn']} {task['last_status']}" for task in left]

        until(stop, lambda left: not left, seconds=30)


@pytest.fixture
def caller_of() -> Iterator[Callable[[Stack], Caller]]:
    """Make a caller of a server; it is closed after the test."""
    with contextlib.ExitStack() as made:

        def caller(stack: Stack) -> Caller:
            new = Caller(stack)
            made.callback(new.http.close)
            return new

        yield caller


def with_few_tasks(request: Any) -> Any:
    """The request, but a service of a thousand tasks has ten: the others would only be load."""
    count = request.get("desiredCount") if isinstance(request, dict) else None
    return request | {"desiredCount": 10} if type(count) is int and 10 < count <= 5000 else request


REMOVING = frozenset(
    {"DeleteCluster", "DeregisterTaskDefinition", "PutClusterCapacityProviders", "DeregisterContainerInstance"}
)


def test_no_request_is_answered_500_and_no_task_is_without_an_end(own_stack, caller_of):
    caller = caller_of(own_stack(quotas=False, runtime="simulated", pace=0.0))
    caller.restore()

    @settings(
        max_examples=(REQUESTS or IN_CI) // IN_A_ROW, derandomize=not REQUESTS, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def each(data: st.DataObject) -> None:
        for _ in range(IN_A_ROW):
            operation = data.draw(st.sampled_from(OPERATIONS))
            caller.call(operation, with_few_tasks(data.draw(requests(operation))))
            if operation in REMOVING:
                caller.restore()

    each()
    made = len(caller.tasks())
    caller.end_all()
    ok = sum(count for answer, count in caller.answers.items() if answer.endswith(" OK"))
    total = caller.answers.total()
    assert ok > total / 10, caller.answers
    assert made > 0, "no task was started"
    if REQUESTS:
        figures = [f"{total} requests, {ok} answered with success, {made} tasks started and ended"]
        figures += [f"{count:7} {answer}" for answer, count in sorted(caller.answers.items())]
        sys.stderr.write("\n".join(["", *figures, ""]))


def test_no_valid_request_and_none_that_lacks_a_member_is_answered_500(own_stack, caller_of):
    caller = caller_of(own_stack(quotas=False, runtime="simulated", pace=0.0))
    for operation in sorted(set(OPERATIONS)):
        caller.restore()
        for request in seeds_and_what_they_lack(operation):
            caller.call(operation, request)
            if operation in REMOVING:
                caller.restore()
    caller.end_all()
    assert {answer.split()[0] for answer in caller.answers if answer.endswith(" OK")} == set(OPERATIONS)


@pytest.mark.parametrize("environment", [[{"value": "a"}], [{"name": "", "value": "a"}], [{}]])
def test_a_nameless_variable_is_refused_and_starts_nothing(stack: Stack, caller_of, environment):
    """It answered 500 and left a task in PROVISIONING that nothing could stop."""
    definition = stack.register()
    before = len(stack.ecs.list_tasks(cluster=CLUSTER)["taskArns"])
    caller = caller_of(stack)
    override = {"containerOverrides": [{"name": "main", "environment": environment}]}
    request = {"cluster": CLUSTER, "taskDefinition": definition, "launchType": "FARGATE", "overrides": override}
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    assert caller.call("RunTask", request | {"networkConfiguration": network})["__type"] == "InvalidParameterException"
    assert len(stack.ecs.list_tasks(cluster=CLUSTER)["taskArns"]) == before
