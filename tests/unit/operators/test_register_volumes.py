"""What register says of volumes that are configured at launch, before any call to AWS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from ecs_feature.tasks.volumes import EbsVolume

SCRATCH = EbsVolume("scratch", "arn:aws:iam::123456789012:role/infrastructure", 10)
AT_LAUNCH = [{"name": "scratch", "configuredAtLaunch": True}]


def operator(tmp_path: Path, volumes: list[dict[str, Any]], given: list[EbsVolume]) -> EcsTaskDefinitionOperator:
    """A ``register`` of a task definition with these volumes, in a pipeline that has those."""
    definition = {
        "family": "job",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "512",
        "memory": "1024",
        "executionRoleArn": "arn:aws:iam::123456789012:role/exec",
        "containerDefinitions": [{"name": "app", "image": "example/app:1", "essential": True}],
        "volumes": volumes,
    }
    path = tmp_path / "job.json"
    path.write_text(json.dumps(definition))
    return EcsTaskDefinitionOperator(task_id="register", path=path, container="app", volumes=given, environment={})


@pytest.mark.parametrize(
    ("volumes", "given", "said"),
    [
        (
            AT_LAUNCH,
            [],
            "job.json: volume scratch is configured at launch, but the pipeline's volumes have none of that",
        ),
        ([], [SCRATCH], "volumes: job.json has no volume scratch with configuredAtLaunch true; add it there"),
        ([{"name": "scratch", "host": {}}], [SCRATCH], "volumes: job.json has no volume scratch"),
    ],
)
def test_register_refuses_what_would_refuse_every_launch(
    tmp_path: Path, volumes: list[dict[str, Any]], given: list[EbsVolume], said: str
) -> None:
    with pytest.raises(AirflowFailException) as caught:
        operator(tmp_path, volumes, given).execute({})
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(("volumes", "given"), [(AT_LAUNCH, [SCRATCH]), ([], []), ([{"name": "scratch"}], [])])
def test_register_takes_what_fits(
    tmp_path: Path, volumes: list[dict[str, Any]], given: list[EbsVolume], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecs_feature.tasks import definitions
    from ecs_feature.tasks.definitions import Registered

    task = operator(tmp_path, volumes, given)
    monkeypatch.setattr(definitions, "register", lambda client, definition: Registered("arn:1", created=True))
    monkeypatch.setattr(type(task.aws), "client", lambda self, service: None)
    assert task.execute({}) == "arn:1"
