"""A local Fargate per test module, and what the tests do with it again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fargate_local import LocalFargate, Settings

IMAGES = Path(__file__).parent / "images"
T = TypeVar("T")
CLUSTER = "features"
LOG_GROUP = "/ecs/features"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
EXECUTION_ROLE = "arn:aws:iam::123456789012:role/execution"


def settings(**changed: Any) -> Settings:
    """Settings for tests: the tests' images and hardly any waiting."""
    return Settings(**({"images": IMAGES, "pace": 0.001, "memory_interval_seconds": 0.1} | changed))


def until(read: Callable[[], T], met: Callable[[T], object], seconds: float = 15.0) -> T:
    """Read until the condition is met; fails with what was read last."""
    end = time.monotonic() + seconds
    while not met(value := read()):
        assert time.monotonic() < end, f"not met within {seconds} s: {value}"
        time.sleep(0.01)
    return value


class Stack:
    """A local Fargate with a cluster, and short ways to say what tests need."""

    def __init__(self, aws: LocalFargate) -> None:
        self.aws = aws
        self.ecs = aws.client("ecs", config=_no_retries())
        self.logs = aws.client("logs")
        self.ecs.create_cluster(
            clusterName=CLUSTER,
            capacityProviders=["FARGATE", "FARGATE_SPOT"],
            defaultCapacityProviderStrategy=[],
        )
        self.logs.create_log_group(logGroupName=LOG_GROUP)

    def register(self, family: str = "job", *, container: dict[str, Any] | None = None, **changed: Any) -> str:
        """Register a Fargate task definition with one container; its ARN."""
        definition = task_definition(family, container=container, **changed)
        return str(self.ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"])

    def run(self, definition: str, **changed: Any) -> dict[str, Any]:
        """Run one task."""
        request = {"cluster": CLUSTER, "taskDefinition": definition, "launchType": "FARGATE"}
        answer = self.ecs.run_task(**(request | {"networkConfiguration": NETWORK} | changed))
        assert answer["failures"] == []
        task: dict[str, Any] = answer["tasks"][0]
        return task

    def task(self, arn: str) -> dict[str, Any]:
        task: dict[str, Any] = self.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn], include=["TAGS"])["tasks"][0]
        return task

    def until_status(self, arn: str, status: str) -> dict[str, Any]:
        return until(lambda: self.task(arn), lambda task: task["lastStatus"] == status)

    def run_command(self, *command: str, definition: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
        """Register a definition with that command, run it to its end; the stopped task."""
        arn = self.register(container={"command": list(command), **(definition or {})})
        return self.until_status(self.run(arn, **changed)["taskArn"], "STOPPED")

    def lines(self, task: dict[str, Any], container: str = "main") -> list[str]:
        """What a container wrote to CloudWatch Logs."""
        stream = f"job/{container}/{task['taskArn'].rpartition('/')[2]}"
        events = self.logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True)["events"]
        return [event["message"] for event in events]

    def service(self, name: str) -> dict[str, Any]:
        service: dict[str, Any] = self.ecs.describe_services(cluster=CLUSTER, services=[name])["services"][0]
        return service

    def until_steady(self, name: str, count: int) -> dict[str, Any]:
        """Wait until the service runs that many healthy tasks of one deployment, and says so."""

        def steady(service: dict[str, Any]) -> bool:
            (newest, *_) = [event["message"] for event in service["events"]] or [""]
            return (
                service["runningCount"] == service["desiredCount"] == count
                and len(service["deployments"]) == 1
                and newest.endswith("has reached a steady state.")
            )

        return until(lambda: self.service(name), steady)


def task_definition(family: str = "job", *, container: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    """A valid Fargate task definition, as RegisterTaskDefinition takes it."""
    main = {
        "name": "main",
        "image": "registry.example/echo:1",
        "command": ["python", "-c", "print('hello')"],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": LOG_GROUP,
                "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": "job",
            },
        },
    }
    return {
        "family": family,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": EXECUTION_ROLE,
        "containerDefinitions": [main | (container or {})],
    } | changed


def _no_retries() -> Any:
    from botocore.config import Config

    return Config(retries={"total_max_attempts": 1})


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One server for a test module, without quotas."""
    with LocalFargate(settings(quotas=False)) as aws:
        yield Stack(aws)


@pytest.fixture
def own_stack() -> Iterator[Callable[..., Stack]]:
    """Start a server with settings of the test's own."""
    started: list[LocalFargate] = []

    def start(**changed: Any) -> Stack:
        aws = LocalFargate(settings(**changed))
        aws.__enter__()
        started.append(aws)
        return Stack(aws)

    yield start
    for aws in started:
        aws.__exit__(None, None, None)
