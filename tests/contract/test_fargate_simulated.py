"""The simulated runtime: containers that are timers."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from fargate_local import Settings
from fargate_local.endpoint.calls import Call, CallLog
from fargate_local.resources import Cluster, State, Task, TaskDefinition

from .conftest import CLUSTER, LOG_GROUP, NETWORK, Stack, until


@pytest.fixture
def simulated(own_stack) -> Stack:
    return own_stack(runtime="simulated", images=None, quotas=False)


def overrides(**values: str) -> dict[str, object]:
    return {
        "containerOverrides": [{"name": "main", "environment": [{"name": n, "value": v} for n, v in values.items()]}]
    }


def test_a_container_runs_for_its_seconds_and_ends_with_its_code(simulated: Stack):
    task = simulated.run(simulated.register(), overrides=overrides(SIMULATED_SECONDS="0.2", SIMULATED_EXIT_CODE="7"))
    ended = simulated.until_status(task["taskArn"], "STOPPED")
    assert (ended["stopCode"], ended["stoppedReason"]) == (
        "EssentialContainerExited", "Essential container in task exited",
    )  # fmt: skip
    assert ended["containers"][0]["exitCode"] == 7
    assert 0.2 <= (ended["executionStoppedAt"] - ended["startedAt"]).total_seconds() < 2
    assert simulated.lines(ended) == ["simulated: main runs for 0.2 s", "simulated: ends with 7"]


def test_a_container_without_seconds_runs_for_ten(simulated: Stack):
    task = simulated.run(simulated.register())
    simulated.until_status(task["taskArn"], "RUNNING")
    until(lambda: simulated.lines(task), lambda lines: lines == ["simulated: main runs for 10 s"])


def test_a_success_leaves_the_objects_of_the_job_contract(simulated: Stack):
    s3 = simulated.aws.client("s3")
    s3.create_bucket(Bucket="features")
    uris = {"OUTPUT_URI": "s3://features/a/1.parquet", "RESULT_URI": "s3://features/a/1.json"}
    task = simulated.run(simulated.register(), overrides=overrides(SHARD="UA", SIMULATED_SECONDS="0", **uris))
    ended = simulated.until_status(task["taskArn"], "STOPPED")
    assert ended["containers"][0]["exitCode"] == 0
    result = json.loads(s3.get_object(Bucket="features", Key="a/1.json")["Body"].read())
    (file,) = result["files"]
    assert (result["shard"], result["rows"], file["uri"]) == ("UA", 1, uris["OUTPUT_URI"])
    assert s3.head_object(Bucket="features", Key="a/1.parquet")["ContentLength"] == file["bytes"]


def test_a_container_that_cannot_write_its_objects_fails_and_says_why(simulated: Stack):
    values = overrides(SIMULATED_SECONDS="0", RESULT_URI="s3://nowhere/a.json")
    ended = simulated.until_status(simulated.run(simulated.register(), overrides=values)["taskArn"], "STOPPED")
    assert ended["containers"][0]["exitCode"] == 1
    assert simulated.lines(ended)[1] == "simulated: PutObject s3://nowhere/a.json: The specified bucket does not exist"


def test_a_failure_leaves_no_objects(simulated: Stack):
    s3 = simulated.aws.client("s3")
    s3.create_bucket(Bucket="features")
    values = overrides(SIMULATED_SECONDS="0", SIMULATED_EXIT_CODE="3", RESULT_URI="s3://features/failed.json")
    simulated.until_status(simulated.run(simulated.register(), overrides=values)["taskArn"], "STOPPED")
    assert s3.list_objects_v2(Bucket="features")["KeyCount"] == 0


def test_a_stopped_container_ends_as_a_process_that_got_sigterm(simulated: Stack):
    arn = simulated.run(simulated.register(), overrides=overrides(SIMULATED_SECONDS="1000"))["taskArn"]
    simulated.until_status(arn, "RUNNING")
    simulated.ecs.stop_task(cluster=CLUSTER, task=arn, reason="enough")
    ended = simulated.until_status(arn, "STOPPED")
    assert (ended["stopCode"], ended["stoppedReason"]) == ("UserInitiated", "enough")
    assert ended["containers"][0]["exitCode"] == 143


def test_a_wrong_number_is_a_failure_to_start(simulated: Stack):
    arn = simulated.run(simulated.register(), overrides=overrides(SIMULATED_SECONDS="soon"))["taskArn"]
    ended = simulated.until_status(arn, "STOPPED")
    assert ended["stopCode"] == "TaskFailedToStart"
    assert ended["stoppedReason"] == (
        "CannotStartContainerError: SIMULATED_SECONDS is 'soon' and SIMULATED_EXIT_CODE is '0': they must be numbers"
    )


def test_a_service_of_servers_becomes_steady_and_stays_so(simulated: Stack):
    definition = simulated.register("encoder", container={"portMappings": [{"containerPort": 8080}]})
    simulated.ecs.create_service(
        cluster=CLUSTER, serviceName="encoder", taskDefinition=definition, desiredCount=2, launchType="FARGATE",
        networkConfiguration=NETWORK,
    )  # fmt: skip
    simulated.until_steady("encoder", 2)
    (arn, _) = simulated.ecs.list_tasks(cluster=CLUSTER, serviceName="encoder")["taskArns"]
    until(lambda: simulated.lines(simulated.task(arn)), lambda lines: len(lines) == 1)
    assert simulated.lines(simulated.task(arn)) == ["simulated: main runs until it is stopped"]


def test_the_cluster_s_default_strategy_decides_the_capacity(simulated: Stack):
    simulated.ecs.put_cluster_capacity_providers(
        cluster=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
    )  # fmt: skip
    answer = simulated.ecs.run_task(cluster=CLUSTER, taskDefinition=simulated.register(), networkConfiguration=NETWORK)
    assert [task["capacityProviderName"] for task in answer["tasks"]] == ["FARGATE_SPOT"]


def test_the_side_door_lists_every_task_and_counts_every_call(simulated: Stack):
    side_door = f"{simulated.aws.endpoint_url}/_fargate_local"
    values = overrides(SHARD="UA", SIMULATED_SECONDS="0", SIMULATED_EXIT_CODE="4")
    given = {"startedBy": "ecs-feature/x", "tags": [{"key": "k", "value": "v"}]}
    arn = simulated.run(simulated.register("listed"), overrides=values, **given)["taskArn"]
    simulated.until_status(arn, "STOPPED")
    simulated.aws.client("s3").list_buckets()
    (task,) = httpx.get(f"{side_door}/tasks").json()["tasks"]
    assert task["created_at"] <= task["started_at"] <= task["stopped_at"]
    del task["created_at"], task["started_at"], task["stopped_at"], task["stopping_at"]
    assert task == {
        "arn": arn,
        "cluster": CLUSTER,
        "family": "listed",
        "service": None,
        "started_by": "ecs-feature/x",
        "tags": {"k": "v"},
        "environment": {"SHARD": "UA", "SIMULATED_SECONDS": "0", "SIMULATED_EXIT_CODE": "4"},
        "capacity": "FARGATE",
        "cpu": 256,
        "memory_mib": 512,
        "last_status": "STOPPED",
        "desired_status": "STOPPED",
        "stop_code": "EssentialContainerExited",
        "stopped_reason": "Essential container in task exited",
        "exit_code": 4,
        "exit_codes": {"main": 4},
    }
    counts = httpx.get(f"{side_door}/counts").json()
    assert (counts["RunTask"], counts["ListBuckets"], counts["CreateLogGroup"]) == (1, 1, 1)


def test_an_unknown_runtime_is_refused():
    with pytest.raises(ValueError, match="runtime is 'podman': it must be one of process, docker, simulated"):
        Settings(runtime="podman")


def test_vcpus_above_the_account_s_quota_are_not_launched(own_stack: Callable[..., Stack]):
    stack = own_stack(runtime="simulated", images=None, fargate_vcpus=0.5)
    definition = stack.register()
    request = {"cluster": CLUSTER, "taskDefinition": definition, "networkConfiguration": NETWORK}
    values = overrides(SIMULATED_SECONDS="1000")
    answer = stack.ecs.run_task(**request, launchType="FARGATE", count=3, overrides=values)
    assert len(answer["tasks"]) == 2
    assert answer["failures"] == [
        {"reason": "You've reached the limit on the number of vCPUs you can run concurrently"}
    ]
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert stack.ecs.run_task(**request, capacityProviderStrategy=spot)["failures"] == []
    arn = answer["tasks"][0]["taskArn"]
    stack.ecs.stop_task(cluster=CLUSTER, task=arn)
    stack.until_status(arn, "STOPPED")
    assert stack.ecs.run_task(**request, launchType="FARGATE")["failures"] == []


@pytest.mark.parametrize("code", ["L-3032A538", "L-36FBB829"])
def test_service_quotas_tells_the_vcpus(own_stack: Callable[..., Stack], code: str):
    quotas = own_stack(runtime="simulated", images=None, fargate_vcpus=12).aws.client("service-quotas")
    quota = quotas.get_service_quota(ServiceCode="fargate", QuotaCode=code)["Quota"]
    assert (quota["QuotaCode"], quota["Value"], quota["Adjustable"]) == (code, 12.0, True)
    with pytest.raises(quotas.exceptions.NoSuchResourceException):
        quotas.get_service_quota(ServiceCode="fargate", QuotaCode="L-0")


def test_the_call_log_keeps_the_newest_calls_within_its_bytes():
    log = CallLog(kept_bytes=100)
    for number in range(10):
        log.add(Call("RunTask", 0.0, b'{"count": %d, "padding": "..."}' % number, 200, None))
    assert [call.request["count"] for call in log.of("RunTask")] == [7, 8, 9]
    assert log.counts == {"RunTask": 10}


def test_a_log_group_that_is_gone_fails_the_start(simulated: Stack):
    simulated.logs.delete_log_group(logGroupName=LOG_GROUP)
    ended = simulated.until_status(simulated.run(simulated.register())["taskArn"], "STOPPED")
    assert ended["stoppedReason"] == (
        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
        "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : "
        "exit status 1"
    )


def test_ecs_lists_what_one_starter_started(simulated: Stack):
    definition = simulated.register()
    arns = {name: simulated.run(definition, startedBy=name)["taskArn"] for name in ("one", "two")}
    listed = [simulated.ecs.list_tasks(cluster=CLUSTER, startedBy=name)["taskArns"] for name in ("one", "two", "x")]
    assert listed == [[arns["one"]], [arns["two"]], []]


def test_a_cluster_forgets_tasks_that_stopped_long_ago_in_every_index():
    state = State()
    cluster = state.clusters[CLUSTER] = Cluster(CLUSTER, "arn")
    definition = TaskDefinition("arn", "job", 1, {})
    task = Task(
        id="1", arn="arn", cluster=cluster, definition=definition, containers=[], group="family:job", cpu="256",
        memory="512", created_at=1.0, subnet="", attachment_id="", started_by="me", stopped_at=100.0,
    )  # fmt: skip
    cluster.add(task)
    state.forget_stopped_tasks(before=100.0)
    assert cluster.started_by == {"me": {"1": task}}
    state.forget_stopped_tasks(before=100.1)
    assert (cluster.tasks, cluster.started_by, cluster.in_group) == ({}, {}, {})
