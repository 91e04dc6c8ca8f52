"""Task definition files as people have them, registered with the local Fargate by the operator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from operator_context import context

from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from fargate_local import LocalFargate

APP = {"name": "app", "image": "example/app:1", "essential": True}


def definition(*containers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "family": "job",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "512",
        "memory": "1024",
        "executionRoleArn": "arn:aws:iam::123456789012:role/exec",
        "containerDefinitions": list(containers or [APP]),
        **changes,
    }


def register(tmp_path: Path, content: Any, encoding: str = "utf-8") -> str:
    path = tmp_path / "job.json"
    path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode(encoding))
    return EcsTaskDefinitionOperator(task_id="register", path=path, container="app", environment={}).execute(context())


def described(aws: LocalFargate, arn: str) -> dict[str, Any]:
    return aws.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]


@pytest.mark.parametrize(
    ("cpu", "memory", "stored"), [("4 vCPU", "8 GB", ("4096", "8192")), (1024, "2GB", ("1024", "2048"))]
)
def test_units(aws: LocalFargate, tmp_path: Path, cpu: Any, memory: Any, stored: tuple[str, str]) -> None:
    found = described(aws, register(tmp_path, definition(cpu=cpu, memory=memory)))
    assert (found["cpu"], found["memory"]) == stored


def test_the_largest_size(aws: LocalFargate, tmp_path: Path) -> None:
    found = described(aws, register(tmp_path, definition(cpu="32 vCPU", memory="244 GB")))
    assert (found["cpu"], found["memory"]) == ("32768", "249856")


def test_hard_limits_may_add_up_to_more_than_the_task(aws: LocalFargate, tmp_path: Path) -> None:
    both = [{**APP, "name": name, "memory": 1024, "memoryReservation": 256} for name in ("app", "side")]
    assert register(tmp_path, definition(*both))


def test_a_shells_braces_reach_the_container(aws: LocalFargate, tmp_path: Path) -> None:
    command = ["sh", "-c", "run --out ${OUTPUT_URI} --home ${HOME:-/} $${OTHER}"]
    (container,) = described(aws, register(tmp_path, definition({**APP, "command": command})))["containerDefinitions"]
    assert container["command"][2] == "run --out ${OUTPUT_URI} --home ${HOME:-/} ${OTHER}"


def test_what_ecs_prints_is_registered_again_and_then_unchanged(
    aws: LocalFargate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = register(tmp_path, definition(family="printed"))
    answer = aws.client("ecs").describe_task_definition(taskDefinition=first, include=["TAGS"])
    answer["taskDefinition"]["containerDefinitions"][0]["command"] = None
    printed = json.dumps({"taskDefinition": answer["taskDefinition"], "tags": []}, default=str)
    second = register(tmp_path, printed, "utf-16")
    assert "job.json: left out the frame of describe-task-definition; taskDefinitionArn" in capsys.readouterr().out
    assert register(tmp_path, printed, "utf-8-sig") == second


def test_a_volume_configured_at_launch(aws: LocalFargate, tmp_path: Path) -> None:
    mounted = {**APP, "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/scratch"}]}
    path = tmp_path / "job.json"
    path.write_text(json.dumps(definition(mounted, volumes=[{"name": "scratch", "configuredAtLaunch": True}])))
    arn = EcsTaskDefinitionOperator(task_id="register", path=path, environment={}).execute(context())
    assert described(aws, arn)["volumes"] == [{"name": "scratch", "configuredAtLaunch": True}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            definition(
                {**APP, "environment": [{"name": "A", "value": "b"}], "secrets": [{"name": "A", "valueFrom": "c"}]}
            ),
            "A is both a secret and a variable",
        ),
        ([APP], "a JSON array"),
        (definition({"image": "example/app:1"}), "containerDefinitions[0]"),
        (definition({**APP, "dependsOn": [{"containerName": "x", "condition": "START"}]}), "which is not there"),
        ('{"family": "job",}', "not JSON"),
        ("", "is empty"),
    ],
    ids=["secret and variable", "array", "no name", "dependency", "comma", "empty"],
)
def test_what_is_wrong_is_said_without_a_call(aws: LocalFargate, tmp_path: Path, content: Any, said: str) -> None:
    before = len(aws.calls("RegisterTaskDefinition"))
    with pytest.raises(AirflowFailException) as caught:
        register(tmp_path, content)
    assert (str(caught.value).startswith("job.json: "), said in str(caught.value)) == (True, True)
    assert len(aws.calls("RegisterTaskDefinition")) == before


@pytest.mark.parametrize(
    ("message", "again"),
    [
        ("Invalid 'cpu' setting for task.", False),
        ("Too many concurrent attempts to create a new revision of the specified family.", True),
    ],
)
def test_what_aws_will_never_take_is_not_tried_again(
    aws: LocalFargate, tmp_path: Path, message: str, again: bool
) -> None:
    fault = {"match": {"operation": "RegisterTaskDefinition"}, "error": "ClientException", "message": message}
    aws.add_fault({**fault, "status": 400, "times": 1})
    with pytest.raises(AirflowException) as refused:
        register(tmp_path, definition())
    assert isinstance(refused.value, AirflowFailException) is not again
