"""Faults of every service's calls, outages that end, and tasks that ECS shows late or not at all."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError, ReadTimeoutError

from fargate_local import LocalFargate
from fargate_local.endpoint.call_names import name_of
from fargate_local.faults import FaultEngine, Subject

from .conftest import CLUSTER, LOG_GROUP, NETWORK, Stack, settings, until

ONCE = Config(retries={"total_max_attempts": 1})
IMPATIENT = ONCE.merge(Config(read_timeout=0.5))
CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"


@pytest.fixture(scope="module")
def simulated():
    """One server with simulated containers for the module."""
    with LocalFargate(settings(runtime="simulated", images=None, quotas=False)) as aws:
        yield Stack(aws)


@pytest.fixture
def faults(simulated: Stack):
    url = f"{simulated.aws.endpoint_url}/_fargate_local/faults"
    yield lambda **rule: httpx.post(url, json=rule).raise_for_status().json()
    assert httpx.delete(url).status_code == 204


def environment(**values: str) -> dict[str, Any]:
    items = [{"name": name, "value": value} for name, value in values.items()]
    return {"containerOverrides": [{"name": "main", "environment": items}]}


@pytest.mark.parametrize(
    ("service", "operation", "request_", "code", "status"),
    [
        ("s3", "list_objects_v2", {"Bucket": "none"}, "SlowDown", 503),
        ("s3", "get_object", {"Bucket": "none", "Key": "a"}, "InternalError", 500),
        ("logs", "filter_log_events", {"logGroupName": LOG_GROUP}, "ThrottlingException", 400),
        (
            "logs",
            "get_log_events",
            {"logGroupName": LOG_GROUP, "logStreamName": "a"},
            "ServiceUnavailableException",
            503,
        ),
        ("sqs", "list_queues", {}, "ServiceUnavailable", 503),
        ("iam", "list_roles", {}, "Throttling", 400),
        ("ec2", "describe_vpcs", {}, "RequestLimitExceeded", 400),
    ],
)
def test_calls_of_other_services_fail_in_their_own_words(simulated, faults, service, operation, request_, code, status):
    api = "".join(word.capitalize() for word in operation.split("_"))
    faults(match={"operation": api, "service_api": service}, error=code, message="as asked", times=1)
    with pytest.raises(ClientError) as caught:
        getattr(simulated.aws.client(service, config=ONCE), operation)(**request_)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["Error"]["Message"] == "as asked"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_a_star_is_every_call_of_the_service_that_is_named_else_of_ecs(simulated: Stack, faults):
    faults(match={"operation": "*"}, error="ServerException")
    simulated.aws.client("s3").list_buckets()
    with pytest.raises(ClientError):
        simulated.ecs.list_clusters()
    assert httpx.delete(f"{simulated.aws.endpoint_url}/_fargate_local/faults").status_code == 204
    faults(match={"service_api": "s3"}, error="SlowDown")
    simulated.ecs.list_clusters()
    with pytest.raises(ClientError):
        simulated.aws.client("s3", config=ONCE).list_buckets()


def test_a_dropped_answer_of_s3_is_of_an_object_that_is_there(simulated: Stack, faults):
    s3 = simulated.aws.client("s3", config=ONCE)
    s3.create_bucket(Bucket="dropped")
    faults(match={"operation": "PutObject"}, drop_answer=True, times=1)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        s3.put_object(Bucket="dropped", Key="a", Body=b"1")
    assert s3.get_object(Bucket="dropped", Key="a")["Body"].read() == b"1"


def test_a_call_hangs_until_its_caller_gives_up_and_is_not_done(simulated: Stack, faults):
    faults(match={"operation": "RunTask"}, hang=True, times=1)
    request = {"cluster": CLUSTER, "taskDefinition": simulated.register("hung"), "networkConfiguration": NETWORK}
    with pytest.raises(ReadTimeoutError):
        simulated.aws.client("ecs", config=IMPATIENT).run_task(**request, launchType="FARGATE")
    until(lambda: [call.status for call in simulated.aws.calls("RunTask")[-1:]], lambda statuses: statuses == [0])
    assert simulated.ecs.list_tasks(cluster=CLUSTER, family="hung")["taskArns"] == []


def test_a_call_that_hangs_goes_on_when_its_rule_is_removed(simulated: Stack, faults):
    rule = faults(match={"operation": "ListBuckets"}, hang=True)
    url = f"{simulated.aws.endpoint_url}/_fargate_local/faults/{rule['id']}"
    answers: list[int] = []
    s3 = simulated.aws.client("s3")
    caller = threading.Thread(target=lambda: answers.append(s3.list_buckets()["ResponseMetadata"]["HTTPStatusCode"]))
    caller.start()
    until(lambda: httpx.get(url).json()["fired"], lambda fired: fired == 1)
    assert answers == []
    assert httpx.delete(url).status_code == 204
    caller.join(10)
    assert answers == [200]
    assert httpx.delete(url).status_code == 404


def test_a_call_whose_answer_hangs_is_done_although_its_caller_gives_up(simulated: Stack, faults):
    faults(match={"operation": "RunTask"}, hang_answer=True, times=1)
    request = {"cluster": CLUSTER, "taskDefinition": simulated.register("unheard"), "networkConfiguration": NETWORK}
    request |= {"launchType": "FARGATE", "clientToken": "unheard"}
    with pytest.raises(ReadTimeoutError):
        simulated.aws.client("ecs", config=IMPATIENT).run_task(**request)
    listed = until(lambda: simulated.ecs.list_tasks(cluster=CLUSTER, family="unheard")["taskArns"], bool)
    until(lambda: [call.status for call in simulated.aws.calls("RunTask")[-1:]], lambda statuses: statuses == [0])
    assert [task["taskArn"] for task in simulated.ecs.run_task(**request)["tasks"]] == listed


def test_an_answer_that_hangs_is_given_when_its_rule_is_removed(simulated: Stack, faults):
    rule = faults(match={"operation": "CreateBucket"}, hang_answer=True)
    url = f"{simulated.aws.endpoint_url}/_fargate_local/faults/{rule['id']}"
    s3 = simulated.aws.client("s3")
    answers: list[str] = []
    caller = threading.Thread(target=lambda: answers.append(s3.create_bucket(Bucket="withheld")["Location"]))
    caller.start()
    until(lambda: [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]], lambda names: "withheld" in names)
    assert answers == []
    assert httpx.delete(url).status_code == 204
    caller.join(10)
    assert answers == ["/withheld"]


def test_an_outage_ends_after_its_seconds():
    clock = [100.0]
    engine = FaultEngine(lambda: clock[0])
    engine.add({"match": {"operation": "RunTask"}, "error": "ServerException", "for_seconds": 60})
    run = Subject(operation="RunTask")
    fired = []
    for at in (100.0, 159.9, 160.0):
        clock[0] = at
        fired.append(engine.effect_on(run) is not None)
    assert fired == [True, True, False]


def test_spot_can_be_out_while_on_demand_works(simulated: Stack, faults):
    faults(match={"operation": "RunTask", "capacity": "FARGATE_SPOT"}, failure=CAPACITY)
    request = {"cluster": CLUSTER, "taskDefinition": simulated.register(), "networkConfiguration": NETWORK}

    def failures(**capacity: Any) -> list[dict[str, Any]]:
        answer = simulated.ecs.run_task(**request, **capacity, overrides=environment(SIMULATED_SECONDS="0"))
        found: list[dict[str, Any]] = answer["failures"]
        return found

    def strategy(name: str) -> list[dict[str, Any]]:
        return [{"capacityProvider": name, "weight": 1}]

    assert failures(capacityProviderStrategy=strategy("FARGATE_SPOT")) == [{"reason": CAPACITY}]
    assert failures(capacityProviderStrategy=strategy("FARGATE")) == []
    assert failures(launchType="FARGATE") == []


def test_a_small_task_runs_out_of_memory_and_a_bigger_one_does_not(simulated: Stack, faults):
    faults(match={"family": "hungry"}, out_of_memory_below_mib=1024, after_seconds=0.05)
    definition = simulated.register("hungry")
    values = environment(SIMULATED_SECONDS="0.3")
    ended = {}
    for memory in ("512", "1024"):
        task = simulated.run(definition, overrides={**values, "memory": memory})
        ended[memory] = simulated.until_status(task["taskArn"], "STOPPED")["containers"][0]
    assert (ended["512"]["exitCode"], ended["512"]["reason"]) == (
        137, "OutOfMemoryError: Container killed due to memory usage",
    )  # fmt: skip
    assert (ended["1024"]["exitCode"], "reason" in ended["1024"]) == (0, False)


def test_out_of_memory_ends_processes_too(stack: Stack):
    rule = stack.aws.add_fault({"match": {"family": "oom-process"}, "out_of_memory_below_mib": 1024})
    task = stack.run(stack.register("oom-process", container={"command": ["sleep", "100"]}))
    container = stack.until_status(task["taskArn"], "STOPPED")["containers"][0]
    assert (container["exitCode"], container["reason"]) == (
        137, "OutOfMemoryError: Container killed due to memory usage",
    )  # fmt: skip
    assert rule.fired == 1


def test_an_exit_code_can_come_later(simulated: Stack, faults):
    faults(match={"family": "crash"}, exit_code=9, after_seconds=0.3)
    task = simulated.run(simulated.register("crash"), overrides=environment(SIMULATED_SECONDS="1000"))
    ended = simulated.until_status(task["taskArn"], "STOPPED")
    assert ended["containers"][0]["exitCode"] == 9
    assert (ended["executionStoppedAt"] - ended["startedAt"]).total_seconds() >= 0.3


def test_a_new_task_can_be_missing_for_a_while(simulated: Stack, faults):
    faults(match={"family": "late"}, invisible_seconds=0.5)
    begun = time.monotonic()
    arn = simulated.run(simulated.register("late"), overrides=environment(SIMULATED_SECONDS="1000"))["taskArn"]

    def described() -> dict[str, Any]:
        answer: dict[str, Any] = simulated.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])
        return answer

    assert described()["failures"] == [{"arn": arn, "reason": "MISSING"}]
    assert simulated.ecs.list_tasks(cluster=CLUSTER, family="late")["taskArns"] == []
    until(described, lambda answer: answer["tasks"])
    assert time.monotonic() - begun >= 0.5
    assert simulated.ecs.list_tasks(cluster=CLUSTER, family="late")["taskArns"] == [arn]
    simulated.ecs.stop_task(cluster=CLUSTER, task=arn)


def test_a_stopped_task_can_be_forgotten_at_once_but_not_by_the_side_door(simulated: Stack, faults):
    faults(match={"family": "forgotten"}, forget=True, after_seconds=0)
    faults(match={"family": "forgotten"}, exit_code=5)
    arn = simulated.run(simulated.register("forgotten"))["taskArn"]
    answer = until(
        lambda: simulated.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn]), lambda answer: not answer["tasks"]
    )
    assert answer["failures"] == [{"arn": arn, "reason": "MISSING"}]
    tasks = httpx.get(f"{simulated.aws.endpoint_url}/_fargate_local/tasks").json()["tasks"]
    assert [task["exit_codes"] for task in tasks if task["arn"] == arn] == [{"main": 5}]


def test_a_forgotten_task_takes_its_client_token_along(simulated: Stack, faults):
    definition = simulated.register("tokens")
    faults(match={"family": "tokens"}, forget=True, after_seconds=0, times=1)
    request = {"clientToken": "long-ago", "overrides": environment(SIMULATED_SECONDS="0.1")}
    first = simulated.run(definition, **request)["taskArn"]
    assert simulated.run(definition, **request)["taskArn"] == first
    until(lambda: simulated.ecs.describe_tasks(cluster=CLUSTER, tasks=[first]), lambda answer: not answer["tasks"])
    again = simulated.run(definition, **request)["taskArn"]
    assert again != first
    assert simulated.run(definition, **request)["taskArn"] == again


def test_the_host_of_a_service_s_task_fails_and_another_task_takes_its_place(simulated: Stack, faults):
    reason = "Fatal infrastructure error: the host of the task failed"
    faults(match={"service": "hosted"}, stop_code="InfrastructureHealth", message=reason, times=1)
    definition = simulated.register("hosted", container={"portMappings": [{"containerPort": 80}]})
    simulated.ecs.create_service(
        cluster=CLUSTER, serviceName="hosted", taskDefinition=definition, desiredCount=1, launchType="FARGATE",
        networkConfiguration=NETWORK,
    )  # fmt: skip
    listed = until(
        lambda: simulated.ecs.list_tasks(cluster=CLUSTER, family="hosted", desiredStatus="STOPPED")["taskArns"], bool
    )
    ended = simulated.until_status(listed[0], "STOPPED")
    assert (ended["stopCode"], ended["stoppedReason"]) == ("InfrastructureHealth", reason)
    simulated.until_steady("hosted", 1)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"match": {"operation": "RunTask"}, "hang": 3}, "hang is 3: it must be true"),
        ({"match": {}, "exit_code": "1"}, "exit_code is '1': it must be between 0 and 255"),
        ({"match": {}, "exit_code": 1, "for_seconds": -1}, "for_seconds is -1: it must be a number of seconds from 0"),
        ({"match": {}, "stuck": "RUNNING"}, "stuck is 'RUNNING': it must be one of PROVISIONING, PENDING"),
        (
            {"match": {"service": "s3", "operation": "GetObject"}, "error": "SlowDown"},
            "match has service: that is for tasks; for calls of a service such as s3 say service_api",
        ),
        ({"match": {"service_api": "s3"}, "exit_code": 1}, "the rule has exit_code: with this match it may have"),
        ({"match": {}, "forget": True, "exit_code": 1}, "the rule has 2 effects: give one of"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(rule, sentence):
    with pytest.raises(ValueError, match="^" + sentence.replace("(", r"\(")):
        FaultEngine().add(rule)


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation"),
    [
        ("GET", "/", "", {}, "ListBuckets"),
        ("GET", "/b/a/key", "x-id=GetObject", {}, "GetObject"),
        ("GET", "/b", "list-type=2&prefix=a", {}, "ListObjectsV2"),
        ("GET", "/b/", "prefix=a", {}, "ListObjects"),
        ("HEAD", "/b/key", "", {}, "HeadObject"),
        ("PUT", "/b", "", {}, "CreateBucket"),
        ("PUT", "/b/key", "", {}, "PutObject"),
        ("PUT", "/b/key", "", {"x-amz-copy-source": "b/other"}, "CopyObject"),
        ("PUT", "/b/key", "partNumber=1&uploadId=u", {}, "UploadPart"),
        ("POST", "/b/key", "uploads", {}, "CreateMultipartUpload"),
        ("POST", "/b/key", "uploadId=u", {}, "CompleteMultipartUpload"),
        ("POST", "/b", "delete", {}, "DeleteObjects"),
        ("DELETE", "/b/key", "", {}, "DeleteObject"),
    ],
)
def test_calls_of_s3_are_known_by_name(method, path, query, headers, operation):
    name = name_of(method, path, query, headers, b"", "s3")
    assert (name.service_api, name.operation) == ("s3", operation)
