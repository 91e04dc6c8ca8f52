"""Fargate's and ECS's published limits, each at its edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fargate_local import limits
from fargate_local.api.tags import checked_tags
from fargate_local.errors import ApiError
from fargate_local.quotas import Quotas, TokenBucket

from .conftest import CLUSTER, LOG_GROUP, NETWORK, Stack, task_definition


def refused(call: Callable[..., object], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


# docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error, written out by hand
SIZES_GIB = {
    256: [0.5, 1, 2],
    512: [1, 2, 3, 4],
    1024: [2, 3, 4, 5, 6, 7, 8],
    2048: [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
    4096: list(range(8, 31)),
    8192: [16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60],
    16384: [32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120],
    32768: [60, 120, 244],
}


def test_fargates_size_table_is_the_published_one():
    found = {
        cpu: [mib / 1024 for mib in range(256, 262144 + 1, 256) if limits.is_fargate_size(cpu, mib)]
        for cpu in range(128, 32768 + 1, 128)
    }
    assert {cpu: sizes for cpu, sizes in found.items() if sizes} == SIZES_GIB


@pytest.mark.parametrize(("cpu", "memory"), [("1 vCPU", "2 GB"), ("1024", "2048"), ("1vcpu", "2GB")])
def test_sizes_may_have_units(stack: Stack, cpu, memory):
    registered = stack.ecs.register_task_definition(**task_definition("units", cpu=cpu, memory=memory))
    assert (registered["taskDefinition"]["cpu"], registered["taskDefinition"]["memory"]) == ("1024", "2048")


LOG = {"logDriver": "awslogs", "options": {"awslogs-group": LOG_GROUP, "awslogs-region": "us-east-1"}}


def containers(number: int, **container: Any) -> list[dict[str, Any]]:
    return [{"name": f"c{i}", "image": "echo", **container} for i in range(number)]


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        pytest.param({"cpu": "256", "memory": "4096"}, "No Fargate configuration exists for given values", id="size"),
        pytest.param({"networkMode": "bridge"}, "Fargate only supports network mode 'awsvpc'", id="network mode"),
        pytest.param({"containerDefinitions": containers(11)}, "Too many containers", id="11 containers"),
        pytest.param({"containerDefinitions": []}, "zero containers", id="no container"),
        pytest.param(
            {"containerDefinitions": containers(1, essential=False)}, "at least one essential container", id="essential"
        ),
        pytest.param(
            {"containerDefinitions": containers(1, environment=[{"name": "A", "value": "x" * 65536}])}, "64 KiB",
            id="size of the document",
        ),
        pytest.param(
            {"containerDefinitions": containers(1, logConfiguration=LOG), "executionRoleArn": ""}, "execution role",
            id="awslogs without execution role",
        ),
        pytest.param(
            {"containerDefinitions": containers(1, secrets=[{"name": "A", "valueFrom": "b"}]), "executionRoleArn": ""},
            "executionRoleArn", id="secrets without execution role",
        ),
        pytest.param({"containerDefinitions": containers(1, memory=1024)}, "greater than for the task", id="memory"),
        pytest.param({"containerDefinitions": containers(1, stopTimeout=121)}, "120 seconds", id="stop timeout"),
        pytest.param(
            {"containerDefinitions": containers(1, mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}])},
            "Unknown volume 'v'", id="volume",
        ),
        pytest.param({"family": "a b"}, "family", id="family"),
    ],
)  # fmt: skip
def test_a_task_definition_that_fargate_would_refuse_is_refused(stack: Stack, changed, part):
    code, message = refused(stack.ecs.register_task_definition, **task_definition(**changed))
    assert code == "ClientException"
    assert part in message


def awsvpc(subnets: int, groups: int) -> dict[str, Any]:
    subnet_ids = [f"subnet-{i}" for i in range(subnets)]
    return {"awsvpcConfiguration": {"subnets": subnet_ids, "securityGroups": [f"sg-{i}" for i in range(groups)]}}


def overrides_of(characters: int) -> dict[str, Any]:
    """Overrides whose JSON has that many characters."""
    environment = [{"name": "A", "value": ""}]
    made = {"containerOverrides": [{"name": "main", "environment": environment}]}
    empty = '{"containerOverrides":[{"name":"main","environment":[{"name":"A","value":""}]}]}'
    environment[0]["value"] = "x" * (characters - len(empty))
    return made


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        pytest.param({"networkConfiguration": awsvpc(17, 1)}, "subnets can have at most 16", id="17 subnets"),
        pytest.param({"networkConfiguration": awsvpc(0, 1)}, "subnets can not be empty", id="no subnet"),
        pytest.param({"networkConfiguration": awsvpc(1, 6)}, "securityGroups can have at most 5", id="6 groups"),
        pytest.param({"networkConfiguration": {}}, "Network Configuration must be provided", id="no network"),
        pytest.param({"count": 11}, "between 1 and 10", id="11 tasks"),
        pytest.param({"count": 0}, "between 1 and 10", id="no task"),
        pytest.param({"overrides": overrides_of(8193)}, "at most 8192", id="8193 characters of overrides"),
        pytest.param(
            {"overrides": {"containerOverrides": [{"name": "other"}]}}, "is not a container", id="unknown container"
        ),
        pytest.param({"startedBy": "a" * 129}, "startedBy", id="startedBy too long"),
        pytest.param({"startedBy": "a.b"}, "startedBy", id="startedBy with a dot"),
        pytest.param({"clientToken": "a" * 65}, "clientToken", id="client token too long"),
        pytest.param({"capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}]},
                     "Specifying both a launch type and capacity provider", id="both capacities"),
        pytest.param({"launchType": "EC2"}, "No Container Instances were found in your cluster.", id="EC2"),
    ],
)  # fmt: skip
def test_a_run_that_ecs_would_refuse_is_refused(stack: Stack, changed, part):
    request = {"cluster": CLUSTER, "taskDefinition": stack.register(), "launchType": "FARGATE"}
    code, message = refused(stack.ecs.run_task, **(request | {"networkConfiguration": NETWORK} | changed))
    assert code == "InvalidParameterException"
    assert part in message


def test_the_last_allowed_values_are_allowed(stack: Stack):
    definition = stack.register()
    stack.run(definition, overrides=overrides_of(8192))
    stack.run(definition, networkConfiguration=awsvpc(16, 5), startedBy="a/B_1-" + "c" * 122, clientToken="~" * 64)


def test_an_override_of_the_size_must_be_a_size_too(stack: Stack):
    request = {"cluster": CLUSTER, "taskDefinition": stack.register(), "launchType": "FARGATE"}
    code, message = refused(
        stack.ecs.run_task, **request, networkConfiguration=NETWORK, overrides={"cpu": "512", "memory": "8192"}
    )
    assert (code, "No Fargate configuration" in message) == ("ClientException", True)


def test_a_resource_has_at_most_fifty_tags(stack: Stack):
    arn = stack.ecs.create_cluster(clusterName="tagged")["cluster"]["clusterArn"]
    stack.ecs.tag_resource(resourceArn=arn, tags=[{"key": f"k{i}", "value": "v"} for i in range(50)])
    stack.ecs.tag_resource(resourceArn=arn, tags=[{"key": "k0", "value": "new"}])
    code, message = refused(stack.ecs.tag_resource, resourceArn=arn, tags=[{"key": "k50", "value": "v"}])
    assert (code, "50" in message) == ("InvalidParameterException", True)
    stack.ecs.untag_resource(resourceArn=arn, tagKeys=["k1"])
    stack.ecs.tag_resource(resourceArn=arn, tags=[{"key": "k50", "value": "v"}])
    tags = stack.ecs.list_tags_for_resource(resourceArn=arn)["tags"]
    assert (len(tags), tags[0]) == (50, {"key": "k0", "value": "new"})


@pytest.mark.parametrize(
    "tag",
    [
        pytest.param({"key": "k" * 129, "value": ""}, id="long key"),
        pytest.param({"key": "k", "value": "v" * 257}, id="long value"),
        pytest.param({"key": "aws:k", "value": "v"}, id="reserved"),
        pytest.param({"key": "a*b", "value": "v"}, id="character"),
        pytest.param({"key": "", "value": "v"}, id="empty key"),
    ],
)
def test_a_tag_that_breaks_the_rules_is_refused(tag):
    with pytest.raises(ApiError) as caught:
        checked_tags([tag])
    assert caught.value.code == "InvalidParameterException"


def test_a_token_bucket_gives_its_burst_and_then_its_rate():
    now = [0.0]
    bucket = TokenBucket(10, 2.0, lambda: now[0])
    assert sum(bucket.take() for _ in range(20)) == 10
    now[0] = 0.4
    assert not bucket.take()
    now[0] = 0.5
    assert bucket.take()
    now[0] = 100.0
    assert not bucket.take(11)
    assert bucket.take(10)


@pytest.mark.parametrize(
    ("operation", "burst", "refill"),
    [
        ("RunTask", 100, 40), ("StopTask", 100, 40), ("DescribeTasks", 100, 20), ("ListTasks", 100, 20),
        ("DescribeServices", 100, 20), ("UpdateService", 50, 5), ("RegisterTaskDefinition", 20, 1),
        ("TagResource", 20, 10),
    ],
)  # fmt: skip
def test_each_operation_has_its_published_burst_and_rate(operation, burst, refill):
    now = [0.0]
    quotas = Quotas(lambda: now[0])
    assert _calls_until_throttled(lambda: quotas.take_call(operation)) == burst
    now[0] += 1.0
    assert _calls_until_throttled(lambda: quotas.take_call(operation)) == refill


def test_fargate_takes_twenty_run_task_calls_a_second_and_launches_a_hundred_then_twenty():
    now = [0.0]
    quotas = Quotas(lambda: now[0])
    assert _calls_until_throttled(lambda: quotas.take_run_task("FARGATE", 10)) == 10
    assert _calls_until_throttled(lambda: quotas.take_run_task("FARGATE_SPOT", 1)) == 9, "20 calls, 11 were made"
    now[0] += 1.0
    assert _calls_until_throttled(lambda: quotas.take_run_task("FARGATE", 1)) == 20


def _calls_until_throttled(call: Callable[[], object]) -> int:
    for count in range(1000):
        try:
            call()
        except ApiError as error:
            if error.code != "ThrottlingException":
                raise
            return count
    raise AssertionError("never throttled")


def test_quotas_apply_to_real_calls_unless_they_are_switched_off(own_stack):
    now = [0.0]
    throttled = own_stack(monotonic=lambda: now[0])
    for _ in range(20):
        throttled.register("burst")
    code, message = refused(throttled.ecs.register_task_definition, **task_definition("burst"))
    assert (code, message) == ("ThrottlingException", "Rate exceeded")
    now[0] += 1.0
    throttled.register("burst")
    free = own_stack(quotas=False, monotonic=lambda: now[0])
    for _ in range(25):
        free.register("burst")
