"""What registering a task definition refuses or says about the pipeline's container and its log."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_feature.exceptions import TaskDefinitionError
from ecs_feature.tasks import definitions


def defined(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"family": "job", "containerDefinitions": [{"image": "example/app:1", **one} for one in containers]}


APP, AGENT = {"name": "app"}, {"name": "agent"}
OPTIONAL = {"name": "app", "essential": False}


@pytest.mark.parametrize(
    "containers",
    [
        [APP],
        [{**APP, "essential": True}, AGENT],
        [APP, {**AGENT, "essential": False}],
        [OPTIONAL, {"name": "upload", "dependsOn": [{"containerName": "app", "condition": "SUCCESS"}]}],
    ],
    ids=["alone", "both essential", "a sidecar that is not", "not essential, but an essential one waits for its end"],
)
def test_a_container_whose_end_ends_the_task_is_accepted(containers: list[dict[str, Any]]) -> None:
    definitions.check_container(defined(*containers), "app")


@pytest.mark.parametrize(
    "agent", [AGENT, {**AGENT, "dependsOn": [{"containerName": "app", "condition": "START"}]}], ids=["beside", "after"]
)
def test_the_pipelines_container_must_be_essential(agent: dict[str, Any]) -> None:
    with pytest.raises(TaskDefinitionError) as caught:
        definitions.check_container(defined(OPTIONAL, agent), "app", where="job.json")
    assert str(caught.value) == (
        "job.json: container 'app' is not essential; the pipeline's container must be essential, or the task never "
        "ends (AmazonECS/latest/APIReference/API_ContainerDefinition.html); set its essential to true."
    )


def test_a_container_that_is_not_there_is_refused() -> None:
    with pytest.raises(TaskDefinitionError) as caught:
        definitions.check_container(defined(APP, AGENT), "features", where="job.json")
    assert str(caught.value) == "container: 'features' is not in job.json; it has app, agent."


RESTARTED = {**APP, "restartPolicy": {"enabled": True}}


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (RESTARTED, True),
        (APP, False),
        ({**APP, "restartPolicy": {"enabled": False}}, False),
        ({**RESTARTED, "name": "agent"}, False),
    ],
    ids=["restarted", "not", "switched off", "a sidecar"],
)
def test_a_restart_policy_of_the_pipelines_container_hides_its_failures(container: dict[str, Any], said: bool) -> None:
    sentence = definitions.hidden_retries(defined(AGENT, container), "app")
    assert sentence == (
        "Container app has a restartPolicy: ECS restarts it inside its task, so nobody sees its failures; take it out "
        "and leave retries to Airflow."
        if said
        else ""
    )


def logging_with(driver: str, **options: str) -> dict[str, Any]:
    return {"logConfiguration": {"logDriver": driver, "options": options}}


@pytest.mark.parametrize(
    ("app", "agent", "names"),
    [
        (logging_with("awslogs"), logging_with("awslogs"), "app, agent"),
        (logging_with("awslogs", mode="blocking"), logging_with("awslogs"), "agent"),
        ({"logConfiguration": {"logDriver": "awslogs"}}, {}, "app"),
        (logging_with("awslogs", mode="blocking"), logging_with("awslogs", mode="non-blocking"), ""),
        (logging_with("awsfirelens"), {}, ""),
    ],
)
def test_a_log_whose_last_lines_can_be_lost_is_told_of(app: dict[str, Any], agent: dict[str, Any], names: str) -> None:
    sentence = definitions.lossy_logs(defined({**APP, **app}, {**AGENT, **agent}))
    assert sentence == (
        f"awslogs of {names} has no mode, and ECS's default is non-blocking: last lines can be lost; set mode to "
        '"blocking" (docs/logs.md).'
        if names
        else ""
    )
