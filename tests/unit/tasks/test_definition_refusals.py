"""What AWS refuses in a task definition is refused before it is asked, at both sides of every rule."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_feature.exceptions import TaskDefinitionError
from ecs_feature.tasks import definitions


def app(**changes: Any) -> dict[str, Any]:
    return {"name": "app", "image": "example/app:1", **changes}


def side(**changes: Any) -> dict[str, Any]:
    return {"name": "side", "image": "example/side:1", "essential": False, **changes}


def waiting(condition: str, on: str = "side") -> dict[str, Any]:
    return app(dependsOn=[{"containerName": on, "condition": condition}])


def fargate(*containers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A task definition that AWS takes."""
    return {
        "family": "job",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "512",
        "memory": "1024",
        "containerDefinitions": list(containers or [app()]),
        **changes,
    }


def on_instances(*containers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"family": "job", "containerDefinitions": list(containers), **changes}


MOUNTED = app(mountPoints=[{"sourceVolume": "scratch", "containerPath": "/scratch"}])
SCRATCH, LAUNCHED = {"name": "scratch"}, {"name": "scratch", "configuredAtLaunch": True}
PORTS = [{"containerPort": 80, "hostPort": 8080}]
ROLE = {"executionRoleArn": "arn:aws:iam::123456789012:role/exec"}
CREDENTIALS = {"repositoryCredentials": {"credentialsParameter": "arn:aws:secretsmanager:eu-west-1:1:secret:x"}}
HEALTHY = side(healthCheck={"command": ["CMD", "true"]})

REFUSED: list[tuple[dict[str, Any], str]] = [
    (fargate(family="my job"), "family is 'my job'; it has 1 to 255 letters"),
    (fargate(family="x" * 256), "it has 1 to 255 letters"),
    (fargate(app(name="my app")), "containerDefinitions[0].name is 'my app'"),
    (fargate(app(memory=3)), "memory of container 'app' is 3; give 4 MiB or more"),
    (fargate(app(memoryReservation=3)), "memoryReservation of container 'app' is 3"),
    (on_instances(app(memory=64), side()), "neither container 'side' nor the task has memory"),
    (on_instances(app(), memory="8 TB"), 'memory is \'8 TB\'; write "2048" or "2 GB"'),
    (on_instances(app(), memory="512", cpu="half"), "cpu is 'half'; write"),
    (on_instances(app(), memory="512", cpu="127"), "cpu is 127; a task has 128 to 196608"),
    (on_instances(app(), memory="3"), "memory is 3; a task has 4 to"),
    (on_instances(app(memory=300), side(memory=300), memory="512"), "the containers reserve 600 of memory, but"),
    (on_instances(app(cpu=200), memory="512", cpu="128"), "the containers reserve 200 of cpu, but the task has 128"),
    (fargate(waiting("START", "other")), "container 'app' depends on 'other', which is not there"),
    (fargate(waiting("SUCCESS"), side(essential=True)), "waits for the SUCCESS of 'side', which is essential"),
    (fargate(waiting("HEALTHY"), side()), "to be HEALTHY; give that one a healthCheck"),
    (
        fargate(waiting("START"), side(dependsOn=[{"containerName": "app", "condition": "START"}])),
        "dependsOn of app, side is a circle",
    ),
    (fargate(waiting("START", "app")), "dependsOn of app is a circle"),
    (fargate(MOUNTED), "the volume 'scratch', which is not in volumes"),
    (fargate(MOUNTED, volumes=[SCRATCH, SCRATCH]), "volumes has 'scratch' twice"),
    (fargate(volumes=[{"configuredAtLaunch": True}]), "volumes[0].name is missing"),
    (fargate(MOUNTED, volumes=[LAUNCHED, {**LAUNCHED, "name": "b"}]), "more than one with configuredAtLaunch"),
    (fargate(app(portMappings=PORTS)), "has hostPort 8080 for containerPort 80; in networkMode awsvpc they are equal"),
    (fargate(app(hostname="x")), "hostname of container 'app' is not for networkMode awsvpc"),
    (fargate(app(links=["side"]), side()), "links of container 'app' is not for networkMode awsvpc"),
    (fargate(ipcMode="task"), "ipcMode is 'task', which Fargate does not have"),
    (fargate(pidMode="host"), "pidMode is 'host', which Fargate does not have"),
    (fargate(placementConstraints=[{"type": "memberOf"}]), "placementConstraints is [{'type': 'memberOf'}], which"),
    (fargate(ephemeralStorage={"sizeInGiB": 20}), "ephemeralStorage is 20 GiB; give 21 to 200"),
    (fargate(ephemeralStorage={"sizeInGiB": 201}), "ephemeralStorage is 201 GiB"),
    (fargate(volumes=[{"name": "a", "host": {"sourcePath": "/x"}}]), "volume 'a' is one of the instance"),
    (fargate(volumes=[{"name": "a", "dockerVolumeConfiguration": {}}]), "volume 'a' is one of the instance"),
    (fargate(app(privileged=True)), "container 'app' is privileged"),
    (fargate(app(stopTimeout=121)), "stopTimeout of container 'app' is 121 s; Fargate takes 2 to 120"),
    (fargate(app(startTimeout=1)), "startTimeout of container 'app' is 1 s"),
    (fargate(app(logConfiguration={"logDriver": "json-file"})), "logDriver of container 'app' is 'json-file'"),
    (fargate(app(image="1.dkr.ecr.eu-west-1.amazonaws.com/a:1")), "executionRoleArn is missing, but an image in ECR"),
    (fargate(app(**CREDENTIALS)), "executionRoleArn is missing, but repositoryCredentials"),
]
TAKEN: list[dict[str, Any]] = [
    fargate(family="x" * 255),
    fargate(app(memory=4, memoryReservation=4)),
    on_instances(app(memoryReservation=64)),
    on_instances(app(), memory="512"),
    on_instances(app(cpu=128, memory=512, memoryReservation=256), side(memory=256), memory="512", cpu="128"),
    on_instances(app(memory=64), cpu="196608"),
    fargate(waiting("SUCCESS"), side()),
    fargate(waiting("START"), side(essential=True)),
    fargate(waiting("HEALTHY"), HEALTHY),
    fargate(MOUNTED, volumes=[SCRATCH]),
    fargate(MOUNTED, volumes=[LAUNCHED]),
    fargate(volumes=[{"name": "a", "host": {}}]),
    fargate(app(portMappings=[{"containerPort": 80, "hostPort": 80}])),
    fargate(app(portMappings=[{"containerPort": 80}])),
    fargate(app(portMappings=[{"containerPortRange": "80-90"}])),
    on_instances(app(memory=64, portMappings=PORTS, hostname="x", privileged=True, stopTimeout=600), pidMode="host"),
    on_instances(app(memory=64, logConfiguration={"logDriver": "json-file"}), ipcMode="host"),
    on_instances(app(memory=64, image="1.dkr.ecr.eu-west-1.amazonaws.com/a:1")),
    fargate(pidMode="task"),
    fargate(ephemeralStorage={"sizeInGiB": 21}),
    fargate(ephemeralStorage={"sizeInGiB": 200}),
    fargate(app(stopTimeout=120, startTimeout=2)),
    fargate(app(logConfiguration={"logDriver": "awsfirelens"})),
    fargate(app(image="1.dkr.ecr.eu-west-1.amazonaws.com/a:1", **CREDENTIALS), **ROLE),
]


@pytest.mark.parametrize(("definition", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_aws_refuses_is_one_sentence(definition: dict[str, Any], said: str) -> None:
    with pytest.raises(TaskDefinitionError) as caught:
        definitions.validate(definition, where="job.json")
    sentence = str(caught.value)
    assert said in sentence
    assert (sentence.startswith("job.json: "), sentence.endswith("."), "\n" in sentence) == (True, True, False)


@pytest.mark.parametrize("definition", TAKEN)
def test_what_aws_takes_is_taken(definition: dict[str, Any]) -> None:
    definitions.validate(definition)


def test_unknown_fields_are_named_all_at_once() -> None:
    unknown = {"launchType": "FARGATE", "networkConfiguration": {}}
    with pytest.raises(TaskDefinitionError) as caught:
        definitions.validate(fargate(app(colour="red"), **unknown), where="job.json")
    assert str(caught.value) == (
        'job.json: Unknown parameter in input: "launchType"; Unknown parameter in input: "networkConfiguration"; '
        'Unknown parameter in containerDefinitions[0]: "colour" '
        "(AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html)."
    )
