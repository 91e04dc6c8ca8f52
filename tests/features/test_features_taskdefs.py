"""The task definitions and role policies: valid for AWS, least privilege, nothing secret or account-specific
in them."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from conftest import IMAGES, ROOT

TASK_DEFINITIONS = sorted((ROOT / "include" / "taskdefs").glob("*.json"))
WORKERS = "rt-live-workers"
"""Celery workers: no container of ours, but Airflow's."""
JOBS_AND_SERVERS = [path for path in TASK_DEFINITIONS if path.stem != WORKERS]
POLICIES = sorted((ROOT / "include" / "iam").glob("*-role.json"))
VALUES = {
    "ACCOUNT_ID": "123456789012",
    "REGION": "us-east-1",
    "CLUSTER": "features",
    "BUCKET": "ecs-feature-local",
    "EXECUTION_ROLE_ARN": "arn:aws:iam::123456789012:role/execution",
    "FEATURES_TASK_ROLE_ARN": "arn:aws:iam::123456789012:role/features",
    "ENCODER_TASK_ROLE_ARN": "arn:aws:iam::123456789012:role/encoder",
    "IMAGE_REGISTRY": "123456789012.dkr.ecr.us-east-1.amazonaws.com",
    "IMAGE_TAG": "local",
    "LOG_GROUP": "/ecs/features",
    "EFS_FILE_SYSTEM_ID": "fs-0123456789abcdef0",
    "EFS_ACCESS_POINT_ID": "fsap-0123456789abcdef0",
    "ENCODER_TOKEN_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:encoder-token-AbCdEf",
}


CONTAINERS = {
    "encoder": ("encoder", "encoder"),
    "flight-features": ("features", "flight_features"),
    "rt-live": ("rt", "rt_state"),
}
"""Image -> the container's name and its module."""


def load(path: Path) -> dict[str, Any]:
    """The document with its placeholders replaced; a name that the environment file lacks is an error."""
    text = re.sub(r"\$\{(\w+)\}", lambda match: VALUES[match[1]], path.read_text(encoding="utf-8"))
    content: dict[str, Any] = json.loads(text)
    return content


@functools.cache
def ecs() -> Any:
    """botocore's model of ECS."""
    return botocore.session.get_session().get_service_model("ecs")


def test_there_is_one_file_per_family() -> None:
    assert {path.stem: load(path)["family"] for path in TASK_DEFINITIONS} == {
        name: name
        for name in (
            *("encoder-control", "encoder-treatment", "flight-features-control", "flight-features-treatment"),
            *("rt-live", WORKERS),
        )
    }


@pytest.mark.parametrize("path", TASK_DEFINITIONS, ids=lambda path: path.stem)
def test_a_task_definition_is_valid_input_of_register_task_definition(path: Path) -> None:
    shape = ecs().operation_model("RegisterTaskDefinition").input_shape
    report = ParamValidator().validate(load(path), shape)
    assert report.generate_report() == ""


def test_the_workers_take_shards_from_their_own_queue_one_at_a_time_and_may_finish_them() -> None:
    definition = load(ROOT / "include" / "taskdefs" / f"{WORKERS}.json")
    [container] = definition["containerDefinitions"]
    assert container["command"][:7] == ["python", "-m", "airflow", "celery", "worker", "--queues", "rt-live"]
    assert container["command"][7:9] == ["--concurrency", "1"]
    assert container["stopTimeout"] == 120  # the longest on Fargate
    assert {"name": "MODELS_DIR", "value": "/mnt/models"} in container["environment"]
    assert container["mountPoints"] == [
        {"sourceVolume": "shared-models", "containerPath": "/mnt/models", "readOnly": True}
    ]


@pytest.mark.parametrize("path", JOBS_AND_SERVERS, ids=lambda path: path.stem)
def test_a_task_definition_follows_the_contract(path: Path) -> None:
    definition = load(path)
    [container] = definition["containerDefinitions"]
    image = next(name for name in CONTAINERS if path.stem.startswith(name))
    folder = image.replace("-", "_")
    container_name, module = CONTAINERS[image]
    assert container["name"] == container_name
    assert container["image"] == f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{image}:local"
    assert container["command"] == ["python", "-m", module]
    assert (IMAGES / folder / module / "__main__.py").is_file()
    assert (IMAGES / folder / "Dockerfile").is_file()
    assert definition["requiresCompatibilities"] == ["FARGATE"]
    assert definition["networkMode"] == "awsvpc"
    assert definition["executionRoleArn"] != definition["taskRoleArn"]
    assert container["logConfiguration"]["options"] == {
        "awslogs-group": "/ecs/features",
        "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": path.stem,
        "mode": "non-blocking" if image == "encoder" else "blocking",
    }
    token = [{"name": "ENCODER_TOKEN", "valueFrom": VALUES["ENCODER_TOKEN_SECRET_ARN"]}]
    assert container.get("secrets") == (None if image == "rt-live" else token)
    assert {"name": "MODELS_DIR", "value": "/mnt/models"} in container["environment"]
    assert container["mountPoints"] == [
        {"sourceVolume": "shared-models", "containerPath": "/mnt/models", "readOnly": True}
    ]
    assert container["readonlyRootFilesystem"] is True
    assert ("healthCheck" in container) is (image == "encoder")


@pytest.mark.parametrize("kind", ["encoder", "flight-features"])
def test_the_variants_differ_in_names_alone(kind: str) -> None:
    control, treatment = (
        (ROOT / "include" / "taskdefs" / f"{kind}-{variant}.json").read_text() for variant in ("control", "treatment")
    )
    assert control.replace("control", "treatment") == treatment


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_allows_named_actions_only_and_everything_else_is_bound_to_resources(path: Path) -> None:
    unbound = {"ecr:GetAuthorizationToken", "ecs:DescribeTaskDefinition", "ecs:ListTasks", "ecs:ListServices"}
    unbound |= {"servicequotas:GetServiceQuota", "ecs:ListClusters"}
    unbound |= {"application-autoscaling:DescribeScalableTargets", "elasticloadbalancing:DescribeTargetHealth"}
    for statement in load(path)["Statement"]:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        assert statement["Effect"] == "Allow"
        assert not [action for action in actions if "*" in action]
        assert statement["Resource"] != "*" or set(actions) <= unbound
        for action in actions:
            service, name = action.split(":")
            assert service != "ecs" or name in ecs().operation_names


def test_airflow_may_pass_just_the_three_roles_and_only_to_ecs_tasks() -> None:
    [statement] = [
        each
        for each in load(ROOT / "include" / "iam" / "airflow-role.json")["Statement"]
        if each["Action"] == "iam:PassRole"
    ]
    assert statement["Resource"] == [
        VALUES[name] for name in ("EXECUTION_ROLE_ARN", "FEATURES_TASK_ROLE_ARN", "ENCODER_TASK_ROLE_ARN")
    ]
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}


@pytest.mark.parametrize("image", ["encoder", "flight_features", "rt_live"])
def test_an_image_pins_the_same_versions_as_the_repository(image: str) -> None:
    locked = dict(
        line.split(" ")[0].split("==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    )
    pinned = [line for line in (IMAGES / image / "requirements.txt").read_text().splitlines() if line[:1] != "#"]
    assert pinned
    assert pinned == [f"{name}=={locked[name]}" for name in (line.split("==")[0] for line in pinned)]
