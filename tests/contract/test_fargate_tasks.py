"""Tasks, from RunTask to STOPPED, as AWS documents them."""

from __future__ import annotations

import logging

import pytest
from botocore.exceptions import ClientError

from .conftest import CLUSTER, LOG_GROUP, NETWORK, Stack, until


def test_a_task_runs_its_command_and_ends_with_its_exit_code(stack: Stack):
    task = stack.run_command("python", "-c", "print('one'); print('two'); raise SystemExit(3)")
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert [(c["name"], c["lastStatus"], c["exitCode"]) for c in task["containers"]] == [("main", "STOPPED", 3)]
    assert stack.lines(task) == ["one", "two"]
    times = [task[name] for name in (
        "createdAt", "connectivityAt", "pullStartedAt", "pullStoppedAt", "startedAt", "executionStoppedAt",
        "stoppingAt", "stoppedAt",
    )]  # fmt: skip
    assert times == sorted(times)
    assert (task["cpu"], task["memory"], task["launchType"]) == ("256", "512", "FARGATE")


def test_the_states_come_in_the_documented_order(stack: Stack, caplog):
    with caplog.at_level(logging.INFO, "fargate_local"):
        stack.run_command("true", definition={"name": "ordered"})
    states = [str(record.args[-1]) for record in caplog.records if record.msg == "task %s of %s is %s" and record.args]
    assert states == ["PENDING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"]
    assert stack.run(stack.register())["lastStatus"] == "PROVISIONING"


def test_overrides_change_command_environment_and_size(stack: Stack):
    arn = stack.register(container={"environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]})
    override = {
        "name": "main",
        "command": ["python", "-c", "import os; print(os.environ['A'], os.environ['B'])"],
        "environment": [{"name": "B", "value": "2"}],
        "memory": 900,
    }
    overrides = {"cpu": "512", "memory": "1024", "containerOverrides": [override]}
    task = stack.until_status(stack.run(arn, overrides=overrides)["taskArn"], "STOPPED")
    assert stack.lines(task) == ["1 2"]
    assert (task["cpu"], task["memory"], task["containers"][0]["memory"]) == ("512", "1024", "900")
    assert task["overrides"]["containerOverrides"] == [override]


def test_the_environment_is_only_the_containers_own(stack: Stack, monkeypatch):
    monkeypatch.setenv("A_SECRET_OF_THE_SERVER", "x")
    task = stack.run_command("python", "-c", "import os; print('\\n'.join(sorted(os.environ)))")
    names = set(stack.lines(task)) - {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"}
    assert names == {
        "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_EXECUTION_ENV", "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY", "ECS_AGENT_URI", "ECS_CONTAINER_METADATA_URI_V4", "HOME", "LANG", "PATH", "PYTHONPATH",
        "TMPDIR",
    }  # fmt: skip


def test_a_task_knows_itself_through_the_metadata_endpoint(stack: Stack):
    program = (
        "import json, os, urllib.request as u; b = os.environ['ECS_CONTAINER_METADATA_URI_V4'];"
        "print(json.load(u.urlopen(b))['Name'], json.load(u.urlopen(b + '/task'))['TaskARN'])"
    )
    task = stack.run_command("python", "-c", program)
    assert stack.lines(task) == [f"main {task['taskArn']}"]


def test_stop_task_ends_it_with_the_reason_of_the_caller(stack: Stack):
    arn = stack.run(stack.register(container={"command": ["sleep", "100"]}))["taskArn"]
    stack.until_status(arn, "RUNNING")
    stopping = stack.ecs.stop_task(cluster=CLUSTER, task=arn, reason="enough")["task"]
    assert stopping["desiredStatus"] == "STOPPED"
    task = stack.until_status(arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["containers"][0]["exitCode"] == 143


def test_a_container_that_ignores_sigterm_is_killed_after_its_stop_timeout(stack: Stack):
    program = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    arn = stack.run(stack.register(container={"command": ["sh", "-c", program], "stopTimeout": 2}))["taskArn"]
    stack.until_status(arn, "RUNNING")
    until(lambda: stack.lines({"taskArn": arn}), lambda lines: lines == ["ready"])
    stack.ecs.stop_task(cluster=CLUSTER, task=arn)
    task = stack.until_status(arn, "STOPPED")
    assert task["containers"][0]["exitCode"] == 137
    assert 2.0 <= (task["executionStoppedAt"] - task["stoppingAt"]).total_seconds() < 6.0


def test_a_task_that_was_not_started_yet_stops_without_running(own_stack):
    stack = own_stack(pace=1.0)
    arn = stack.run(stack.register())["taskArn"]
    stack.ecs.stop_task(cluster=CLUSTER, task=arn)
    stopping = until(lambda: stack.task(arn), lambda task: task["lastStatus"] != "PROVISIONING")
    assert "startedAt" not in stopping
    assert "exitCode" not in stopping["containers"][0]


def test_too_much_memory_is_an_out_of_memory_end(stack: Stack):
    program = "x = b'1' * (150 * 2**20); import time; time.sleep(60)"
    task = stack.run_command("python", "-c", program, definition={"memory": 100})
    (container,) = task["containers"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert task["stopCode"] == "EssentialContainerExited"


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        pytest.param({"image": "registry.example/nothing:1"}, "CannotPullContainerError: ", id="image"),
        pytest.param({"command": ["no-such-program"]}, "CannotStartContainerError: ", id="command"),
        pytest.param(
            {
                "secrets": [
                    {"name": "S", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:none-aaaaaa"}
                ]
            },
            "ResourceInitializationError: unable to pull secrets or registry auth: ",
            id="secret",
        ),
        pytest.param(
            {"secrets": [{"name": "S", "valueFrom": "/none"}]},
            "ResourceInitializationError: unable to pull secrets or registry auth: ",
            id="parameter",
        ),
        pytest.param(
            {
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": "/none",
                        "awslogs-region": "us-east-1",
                        "awslogs-stream-prefix": "job",
                    },
                }
            },
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
            "failed to create Cloudwatch log stream: ResourceNotFoundException: ",
            id="log group",
        ),
    ],
)
def test_a_task_without_what_it_needs_fails_to_start(stack: Stack, definition, reason):
    arn = stack.register(container=definition)
    task = stack.until_status(stack.run(arn)["taskArn"], "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(reason)
    assert "exitCode" not in task["containers"][0]
    assert "startedAt" not in task


def test_secrets_come_from_secrets_manager_and_the_parameter_store(stack: Stack):
    manager, ssm = stack.aws.client("secretsmanager"), stack.aws.client("ssm")
    plain = manager.create_secret(Name="plain", SecretString="one")["ARN"]
    document = manager.create_secret(Name="document", SecretString='{"key": "two"}')["ARN"]
    ssm.put_parameter(Name="/path/name", Value="three", Type="SecureString")
    ssm.put_parameter(Name="short", Value="four", Type="String")
    task = stack.run_command(
        "sh", "-c", "echo $A $B $C $D",
        definition={
            "secrets": [
                {"name": "A", "valueFrom": plain},
                {"name": "B", "valueFrom": f"{document}:key::"},
                {"name": "C", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/path/name"},
                {"name": "D", "valueFrom": "short"},
            ]
        },
    )  # fmt: skip
    assert stack.lines(task) == ["one two three four"]


def test_efs_paths_in_environment_and_command_are_those_of_the_host(own_stack, tmp_path):
    (tmp_path / "shared" / "models").mkdir(parents=True)
    (tmp_path / "shared" / "models" / "a.txt").write_text("model a")
    stack = own_stack(efs={"fs-1": tmp_path})
    arn = stack.register(
        container={
            "command": ["sh", "-c", 'cat "$1" "$MODELS/a.txt"', "sh", "/mnt/models/a.txt"],
            "environment": [{"name": "MODELS", "value": "/mnt/models"}],
            "mountPoints": [{"sourceVolume": "shared", "containerPath": "/mnt/models", "readOnly": True}],
        },
        volumes=[
            {"name": "shared", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/shared/models"}}
        ],
    )
    task = stack.until_status(stack.run(arn)["taskArn"], "STOPPED")
    assert stack.lines(task) == ["model amodel a"]


def test_a_sidecar_that_is_not_essential_does_not_end_the_task(stack: Stack):
    definition = {
        "containerDefinitions": [
            {"name": "side", "image": "echo", "command": ["sh", "-c", "exit 5"], "essential": False},
            {"name": "main", "image": "echo", "command": ["sh", "-c", "exit 0"],
             "dependsOn": [{"containerName": "side", "condition": "COMPLETE"}]},
        ]
    }  # fmt: skip
    task = stack.until_status(stack.run(stack.register("pair", **definition))["taskArn"], "STOPPED")
    assert {c["name"]: c["exitCode"] for c in task["containers"]} == {"side": 5, "main": 0}


def test_output_is_in_cloudwatch_logs_before_the_task_shows_stopped(stack: Stack):
    task = stack.run_command("python", "-c", "for i in range(30000): print('line', i)")
    pages, token = 0, None
    lines: list[str] = []
    stream = f"job/main/{task['taskArn'].rpartition('/')[2]}"
    while True:
        more = {"nextToken": token} if token else {}
        answer = stack.logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True, **more)
        lines += [event["message"] for event in answer["events"]]
        if not answer["events"]:
            break
        token, pages = answer["nextForwardToken"], pages + 1
    assert lines == [f"line {i}" for i in range(30000)]
    assert pages > 1


def test_describe_tasks_names_what_it_does_not_know(stack: Stack):
    arn = stack.run(stack.register())["taskArn"]
    other = "arn:aws:ecs:us-east-1:123456789012:task/features/" + "0" * 32
    answer = stack.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn.rpartition("/")[2], other])
    assert [task["taskArn"] for task in answer["tasks"]] == [arn]
    assert answer["failures"] == [{"arn": other, "reason": "MISSING"}]


def test_a_new_task_can_be_missing_for_a_while(own_stack):
    now = [1_000_000.0]
    stack = own_stack(visible_after_seconds=5.0, clock=lambda: now[0])
    arn = stack.run(stack.register())["taskArn"]
    missing = stack.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])
    assert missing["failures"] == [{"arn": arn, "reason": "MISSING"}]
    assert stack.ecs.list_tasks(cluster=CLUSTER)["taskArns"] == []
    now[0] += 5.0
    assert stack.task(arn)["taskArn"] == arn


def test_list_tasks_filters_and_pages(own_stack):
    stack = own_stack()
    sleeper = stack.register("sleeper", container={"command": ["sleep", "100"]})
    by_a = [stack.run(sleeper, startedBy="a")["taskArn"] for _ in range(3)]
    by_b = stack.run(sleeper, startedBy="b/1_2-3")["taskArn"]
    ecs = stack.ecs
    assert ecs.list_tasks(cluster=CLUSTER, startedBy="a")["taskArns"] == by_a
    assert ecs.list_tasks(cluster=CLUSTER, family="sleeper")["taskArns"] == [*by_a, by_b]
    assert ecs.list_tasks(cluster=CLUSTER, family="other")["taskArns"] == []
    pages = ecs.get_paginator("list_tasks").paginate(cluster=CLUSTER, PaginationConfig={"PageSize": 3})
    assert [page["taskArns"] for page in pages] == [by_a, [by_b]]
    ecs.stop_task(cluster=CLUSTER, task=by_b)
    assert ecs.list_tasks(cluster=CLUSTER, desiredStatus="STOPPED")["taskArns"] == [by_b]
    assert ecs.list_tasks(cluster=CLUSTER)["taskArns"] == by_a


def test_one_call_runs_up_to_ten_tasks_with_their_tags(stack: Stack):
    definition = stack.register("tagged", tags=[{"key": "of", "value": "definition"}])
    answer = stack.ecs.run_task(
        cluster=CLUSTER, taskDefinition=definition, launchType="FARGATE", networkConfiguration=NETWORK, count=10,
        tags=[{"key": "own", "value": "1"}], propagateTags="TASK_DEFINITION", enableECSManagedTags=True,
    )  # fmt: skip
    assert len({task["taskArn"] for task in answer["tasks"]}) == 10
    tags = {tag["key"]: tag["value"] for tag in answer["tasks"][0]["tags"]}
    assert tags == {"of": "definition", "own": "1", "aws:ecs:clusterName": CLUSTER}
    assert answer["tasks"][0]["group"] == "family:tagged"


def test_a_capacity_provider_strategy_spreads_tasks_by_base_and_weight(stack: Stack):
    answer = stack.ecs.run_task(
        cluster=CLUSTER, taskDefinition=stack.register(), networkConfiguration=NETWORK, count=10,
        capacityProviderStrategy=[
            {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
            {"capacityProvider": "FARGATE_SPOT", "weight": 3},
        ],
    )  # fmt: skip
    providers = [task["capacityProviderName"] for task in answer["tasks"]]
    assert (providers.count("FARGATE"), providers.count("FARGATE_SPOT")) == (4, 6)
    assert "launchType" not in answer["tasks"][0]


class TestClientTokens:
    """AmazonECS/latest/APIReference/ECS_Idempotency."""

    def test_the_same_call_twice_launches_once(self, stack: Stack):
        definition = stack.register()
        first = stack.run(definition, clientToken="once", startedBy="me")
        again = stack.run(definition, clientToken="once", startedBy="me")
        assert again["taskArn"] == first["taskArn"]

    def test_other_parameters_are_a_conflict_that_names_the_tasks(self, stack: Stack):
        definition = stack.register()
        first = stack.run(definition, clientToken="conflict")
        with pytest.raises(ClientError) as caught:
            stack.run(definition, clientToken="conflict", startedBy="other")
        assert caught.value.response["Error"]["Code"] == "ConflictException"
        assert caught.value.response["resourceIds"] == [first["taskArn"]]

    def test_each_cluster_has_its_own_tokens(self, stack: Stack):
        definition = stack.register()
        stack.ecs.create_cluster(clusterName="other")
        first = stack.run(definition, clientToken="shared")
        assert stack.run(definition, clientToken="shared", cluster="other")["taskArn"] != first["taskArn"]

    def test_a_token_ends_one_hour_after_its_task_or_after_a_day(self, own_stack):
        now = [1_000_000.0]
        stack = own_stack(clock=lambda: now[0], stopped_task_seconds=10**9)
        short, long = stack.register("short"), stack.register("long", container={"command": ["sleep", "100"]})
        ended = stack.until_status(stack.run(short, clientToken="short")["taskArn"], "STOPPED")
        running = stack.run(long, clientToken="long")
        now[0] += 3599.0
        assert stack.run(short, clientToken="short")["taskArn"] == ended["taskArn"]
        now[0] += 1.0
        assert stack.run(short, clientToken="short")["taskArn"] != ended["taskArn"]
        now[0] += 23 * 3600 - 1
        assert stack.run(long, clientToken="long")["taskArn"] == running["taskArn"]
        now[0] += 1.0
        assert stack.run(long, clientToken="long")["taskArn"] != running["taskArn"]
