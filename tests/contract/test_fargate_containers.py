"""What a container is given and what becomes of it: environment files, restarts, rollbacks of its service."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fargate_local.engine.environment_files import variables
from fargate_local.engine.restarts import may_restart
from fargate_local.engine.scheduler import MAX_BACKOFF_SECONDS, Scheduler
from fargate_local.resources import Cluster, Deployment, Service, Task, TaskDefinition

from .conftest import CLUSTER, Stack, until
from .services import create

SHOW = ["sh", "-c", "echo $A-$B-$C-$D"]
BUCKET = "environment-files"


@pytest.fixture(scope="module")
def files(stack: Stack) -> dict[str, str]:
    """ARNs of two environment files."""
    s3 = stack.aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="one.env", Body=b"# a comment\nA=1\nB=1 # no comment\n\nC=1\nno variable\n")
    s3.put_object(Bucket=BUCKET, Key="two.env", Body=b"C=2\nD=x=y\n")
    return {name: f"arn:aws:s3:::{BUCKET}/{name}.env" for name in ("one", "two", "none")}


def from_files(*arns: str) -> list[dict[str, str]]:
    return [{"type": "s3", "value": arn} for arn in arns]


def test_environment_files_are_read_and_the_container_own_variables_win(stack: Stack, files):
    definition = {
        "environmentFiles": from_files(files["one"], files["two"]),
        "environment": [{"name": "A", "value": "own"}],
    }
    task = stack.run_command(*SHOW, definition=definition)
    assert stack.lines(task) == ["own-1 # no comment-1-x=y"]


def test_an_override_has_environment_files_of_its_own(stack: Stack, files):
    override = {"name": "main", "environmentFiles": from_files(files["two"])}
    task = stack.run_command(
        *SHOW,
        definition={"environmentFiles": from_files(files["one"])},
        overrides={"containerOverrides": [override]},
    )
    assert stack.lines(task) == ["--2-x=y"]


def test_a_task_whose_environment_file_is_not_there_fails_to_start(stack: Stack, files):
    task = stack.run_command(*SHOW, definition={"environmentFiles": from_files(files["none"])})
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("ResourceInitializationError: failed to download env files")


def test_an_environment_file_is_taken_line_by_line():
    assert variables("A=1\r\n #B=2\nC\n=3\nD=\n'E'=\"4\"\n") == {"A": "1", "D": "", "'E'": '"4"'}


@pytest.mark.parametrize(
    ("policy", "exit_code", "ran_seconds", "expected"),
    [
        ({"enabled": True}, 1, 300, True),
        ({"enabled": True}, 1, 299, False),
        ({"enabled": True}, 0, 300, True),
        ({"enabled": True, "restartAttemptPeriod": 60}, 1, 60, True),
        ({"enabled": True, "ignoredExitCodes": [0, 1]}, 1, 300, False),
        ({"enabled": False}, 1, 300, False),
        ({}, 1, 300, False),
    ],
)
def test_when_a_container_is_restarted(policy, exit_code, ran_seconds, expected):
    assert may_restart({"restartPolicy": policy}, exit_code, ran_seconds) is expected


# Its first run ends with 3, its third with 0; each is long enough by a clock that is 1000 times as fast.
COUNT = """
import os, pathlib, sys, time
runs = pathlib.Path(os.environ["HOME"], "runs")
number = int(runs.read_text() if runs.exists() else 0) + 1
runs.write_text(str(number))
print(number, flush=True)
time.sleep(0.2)
sys.exit(3 if number < 3 else 0)
"""
POLICY = {"enabled": True, "restartAttemptPeriod": 60, "ignoredExitCodes": [0]}


@pytest.mark.parametrize(("speed", "lines", "code"), [(1000, ["1", "2", "3"], 0), (1, ["1"], 3)])
def test_a_container_with_a_restart_policy_starts_again_in_its_task(own_stack, speed, lines, code):
    began = time.time()
    stack = own_stack(quotas=False, clock=lambda: began + (time.time() - began) * speed)
    task = stack.run_command("python", "-c", COUNT, definition={"restartPolicy": POLICY})
    assert (stack.lines(task), task["containers"][0]["exitCode"]) == (lines, code)
    assert task["stopCode"] == "EssentialContainerExited"


def test_a_failed_deployment_is_rolled_back_by_the_circuit_breaker(stack: Stack):
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    service = create(stack, "rolled", 1, deploymentConfiguration=breaker)
    stack.until_steady("rolled", 1)
    broken = stack.register("rolled", container={"image": "nothing"})
    stack.ecs.update_service(cluster=CLUSTER, service="rolled", taskDefinition=broken)

    def rolled_back(shown: dict[str, Any]) -> bool:
        return bool(shown["taskDefinition"] == service["taskDefinition"])

    shown = until(lambda: stack.service("rolled"), rolled_back, seconds=30)
    assert any("rolling back to deployment" in event["message"] for event in shown["events"])
    assert stack.until_steady("rolled", 1)["taskDefinition"] == service["taskDefinition"]
    stack.ecs.update_service(cluster=CLUSTER, service="rolled", desiredCount=0)


def test_a_service_that_has_failed_a_thousand_times_still_waits_a_minute():
    """Its back-off was a power of two too large for a float, and its tasks stopped half-way."""
    scheduler = Scheduler(cast(Any, None), cast(Any, None), cast(Any, None), cast(Any, None), lambda: 100.0)
    scheduler.balancers = cast(Any, SimpleNamespace(remove=lambda task: None))
    cluster, definition = Cluster("c", "arn:c"), TaskDefinition("arn:d", "d", 1, {"containerDefinitions": []})
    deployment = Deployment("ecs-svc/1", definition, 0.0, 0.0, failures_in_a_row=5000)
    spec = {"deploymentConfiguration": {}}
    service = Service("s", "arn:s", cluster, 1, 0.0, spec, [deployment])
    cluster.services["s"] = service
    failed = Task(
        "t", "arn:t", cluster, definition, [], "service:s", "256", "512", 99.0, "", "", started_by=deployment.id
    )
    failed.last_status, failed.stop_code, failed.stopped_at = "STOPPED", "TaskFailedToStart", 100.0
    scheduler.task_changed(failed)
    assert deployment.next_launch_at == 100.0 + MAX_BACKOFF_SECONDS
