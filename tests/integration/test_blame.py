"""Whom a shard's failure is blamed on, with containers that run: public reports that came out wrong."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from operator_context import CLUSTER, context
from structlog.testing import capture_logs

from ecs_feature.fleet.fleet import FleetKey
from ecs_feature.fleet.registry import joined
from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.shards.run import ShardRun
from ecs_feature.tasks.launch import Launch, Network
from ecs_feature.tasks.outcomes import Kind, Outcome
from fargate_local import LocalFargate, Settings
from tests.loggers import PromptLog

LOGGED = {
    "logDriver": "awslogs",
    "options": {"awslogs-group": "/ecs/job", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "job"},
}
FIRELENS = {"logDriver": "awsfirelens", "options": {"Name": "cloudwatch", "log_group_name": "app"}}
ROUTER = {"name": "router", "image": "example/router:1", "firelensConfiguration": {"type": "fluentbit"}}


def container(name: str, line: str = "exit 0", **changed: Any) -> dict[str, Any]:
    command = ["sh", "-c", line]
    return {"name": name, "image": "example/job:1", "command": command, "logConfiguration": LOGGED, **changed}


def definition(*containers: dict[str, Any]) -> dict[str, Any]:
    return {
        "family": "job",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "512",
        "memory": "1024",
        "executionRoleArn": "arn:aws:iam::123456789012:role/exec",
        "containerDefinitions": list(containers),
    }


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalFargate]:
    (tmp_path / "images" / "job").mkdir(parents=True)
    settings = Settings(images=tmp_path / "images", state_dir=tmp_path / "state", pace=0.001)
    with LocalFargate(settings) as local:
        for name, value in local.environ.items():
            monkeypatch.setenv(name, value)
        local.client("ecs").create_cluster(clusterName=CLUSTER)
        local.client("logs").create_log_group(logGroupName="/ecs/job")
        yield local


async def run(aws: LocalFargate, *containers: dict[str, Any]) -> Outcome:
    """One try of a shard with these containers, of which ``app`` is the pipeline's."""
    aws.client("ecs").register_task_definition(**definition(*containers))
    launch = Launch(CLUSTER, "job", "app", Network(("subnet-1",)), started_by="d/1")
    policy = ShardPolicy(poll_seconds=0.1, max_relaunches=1)
    async with joined(FleetKey(aws_conn_id=None)) as fleet:
        return await ShardRun(
            fleet, "UA", launch, policy, "try", PromptLog(logging.getLogger("ecs_feature.test"))
        ).run()


async def test_an_init_container_that_failed_is_named_and_its_log_is_copied(
    aws: LocalFargate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    init = container("init", "echo no such bucket; exit 1", essential=False)
    app = container("app", dependsOn=[{"containerName": "init", "condition": "SUCCESS"}])
    outcome = await run(aws, init, app)
    assert (outcome.kind, outcome.container, outcome.exit_code) == (Kind.APPLICATION_FAILURE, "init", 1)
    assert outcome.sentence("UA") == "Shard UA: container init exited with code 1; app depends on it and never started."
    assert "[init] no such bucket" in caplog.messages
    assert len(aws.calls("RunTask")) == 1


async def test_of_an_init_container_that_succeeds_nothing_is_said(aws: LocalFargate) -> None:
    init = container("init", essential=False)
    app = container("app", dependsOn=[{"containerName": "init", "condition": "SUCCESS"}])
    assert (await run(aws, init, app)).succeeded


async def test_lines_that_go_through_firelens_are_not_promised(
    aws: LocalFargate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    router = container("log_router", "sleep 60", essential=False, firelensConfiguration={"type": "fluentbit"})
    outcome = await run(aws, container("app", "exit 1", logConfiguration=FIRELENS), router)
    where = "its log goes to awsfirelens, so there are no lines here"
    assert outcome.sentence("UA") == f"Shard UA: container app exited with code 1; {where}."
    assert f"Container app of shard UA: {where}." in caplog.messages
    assert not any("left no log lines" in message or "last lines" in message for message in caplog.messages)


async def test_the_provisioning_limit_is_waited_for(aws: LocalFargate, caplog: pytest.LogCaptureFixture) -> None:
    limit = "Tasks provisioning capacity limit exceeded."
    aws.add_fault({"match": {"operation": "RunTask"}, "error": "ClientException", "message": limit, "times": 2})
    assert (await run(aws, container("app"))).succeeded
    assert len(aws.calls("RunTask")) == 3
    waits = [message for message in caplog.messages if "there was no capacity for it" in message]
    assert len(waits) == 2
    assert all(limit.rstrip(".") in message for message in waits)


def register(tmp_path: Path, *containers: dict[str, Any]) -> str:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(definition(*containers)))
    return EcsTaskDefinitionOperator(task_id="register", path=path, container="app").execute(context())


def test_a_container_that_cannot_end_its_task_is_refused(aws: LocalFargate, tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match="the pipeline's container must be essential, or the task never"):
        register(tmp_path, container("app", essential=False), container("agent", "sleep 60"))
    assert aws.calls("RegisterTaskDefinition") == []


def said(told: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Levels and beginnings of the lines about containers."""
    events = [(one["log_level"], str(one["event"]).split(":")[0]) for one in told]
    return [event for event in events if event[1].startswith(("Container", "awslogs"))]


def test_hidden_retries_and_lossy_logs_are_told_once(aws: LocalFargate, tmp_path: Path) -> None:
    with capture_logs() as told:
        register(tmp_path, container("app", restartPolicy={"enabled": True}))
    assert said(told) == [
        ("warning", "Container app has a restartPolicy"),
        ("info", "awslogs of app has no mode, and ECS's default is non-blocking"),
    ]
    with capture_logs() as told:
        register(tmp_path, container("app", logConfiguration=FIRELENS), ROUTER)
    assert said(told) == []
