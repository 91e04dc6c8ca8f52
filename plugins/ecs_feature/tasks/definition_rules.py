"""What AWS refuses in a task definition, as rules: each yields a sentence with field, value, limit and page.

Beside those of ``definitions.validate``, on sizes, names and secrets, and only what people meet: the local Fargate has
the long table. botocore's model has checked the shape before. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ecs_feature.exceptions import TaskDefinitionError

Sentences = Iterator[str]
Definition = Mapping[str, Any]

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
FARGATE_DRIVERS: Final = ("awslogs", "splunk", "awsfirelens")
NOT_IN_AWSVPC: Final = ("links", "hostname", "dnsServers", "dnsSearchDomains", "extraHosts", "disableNetworking")
STOP_TIMEOUT_SECONDS: Final = (2, 120)
EPHEMERAL_GIB: Final = (21, 200)
CONTAINER_MIB: Final = 4
CPU_UNITS: Final = (128, 196_608)
"""Off Fargate; Fargate has sizes. API_RegisterTaskDefinition.html (cpu)."""
MEMORY_MIB: Final = (CONTAINER_MIB, 999_999_999)
_CONTAINER_PAGE: Final = "AmazonECS/latest/APIReference/API_ContainerDefinition.html"
_DEPENDENCY_PAGE: Final = "AmazonECS/latest/APIReference/API_ContainerDependency.html"
_FARGATE_PAGE: Final = "AmazonECS/latest/developerguide/fargate-tasks-services.html"
_REGISTER_PAGE: Final = "AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html"


def check_rules(definition: Definition, where: str) -> None:
    """:raises TaskDefinitionError: at the first rule that does not hold, one sentence."""
    rules = RULES + FARGATE_RULES if "FARGATE" in definition.get("requiresCompatibilities", ()) else RULES
    for rule in rules:
        for sentence in rule(definition):
            raise TaskDefinitionError(f"{where}: {sentence}")


def _containers(definition: Definition) -> list[tuple[str, Mapping[str, Any]]]:
    return [(one.get("name", ""), one) for one in definition["containerDefinitions"]]


def _family(definition: Definition) -> Sentences:
    if not NAME.fullmatch(definition["family"]):
        yield (
            f"family is {definition['family']!r:.80}; it has 1 to 255 letters, digits, hyphens and underscores "
            f"({_REGISTER_PAGE})."
        )


def _container_names(definition: Definition) -> Sentences:
    for number, (name, _) in enumerate(_containers(definition)):
        if not NAME.fullmatch(name):
            yield (
                f"containerDefinitions[{number}].name is {name!r:.80}; it has 1 to 255 letters, digits, hyphens and "
                f"underscores ({_CONTAINER_PAGE})."
            )


def _memory(definition: Definition) -> Sentences:
    for name, one in _containers(definition):
        given = {field: one[field] for field in ("memory", "memoryReservation") if field in one}
        for field, mib in given.items():
            if mib < CONTAINER_MIB:
                yield f"{field} of container {name!r} is {mib}; give {CONTAINER_MIB} MiB or more ({_CONTAINER_PAGE})."
        if "memory" not in definition and not given:
            yield (
                f"neither container {name!r} nor the task has memory; give memory or memoryReservation "
                f"({_CONTAINER_PAGE})."
            )


def _sizes(definition: Definition) -> Sentences:
    """The task's own size, wherever it runs: its form, and that what the containers reserve fits."""
    for field, forms, (low, high) in (
        ("cpu", '"1024" or "1 vCPU"', CPU_UNITS),
        ("memory", '"2048" or "2 GB"', MEMORY_MIB),
    ):
        text = definition.get(field)
        if text is None:
            continue
        if not re.fullmatch(r"[0-9]{1,9}", text):
            yield f"{field} is {text!r:.80}; write {forms} ({_REGISTER_PAGE})."
            return
        whole = int(text)
        if not low <= whole <= high:
            yield f"{field} is {whole}; a task has {low} to {high} ({_REGISTER_PAGE})."
        used = sum(_reserved(one, field) for _, one in _containers(definition))
        if used > whole:
            yield f"the containers reserve {used} of {field}, but the task has {whole}; lower theirs or raise its own."


def _reserved(container: Mapping[str, Any], field: str) -> int:
    if field == "cpu":
        return int(container.get("cpu", 0))
    return int(container.get("memoryReservation") or container.get("memory") or 0)


def _dependencies(definition: Definition) -> Sentences:
    containers = dict(_containers(definition))
    for name, one in containers.items():
        for needed in one.get("dependsOn", ()):
            other, condition = needed["containerName"], needed["condition"]
            if other not in containers:
                yield f"container {name!r} depends on {other!r}, which is not there ({_DEPENDENCY_PAGE})."
                continue
            if condition in ("COMPLETE", "SUCCESS") and containers[other].get("essential", True):
                yield (
                    f"container {name!r} waits for the {condition} of {other!r}, which is essential, so its end ends "
                    f"the task; set essential of {other!r} to false ({_DEPENDENCY_PAGE})."
                )
            if condition == "HEALTHY" and "healthCheck" not in containers[other]:
                yield (
                    f"container {name!r} waits for {other!r} to be HEALTHY; give that one a healthCheck "
                    f"({_DEPENDENCY_PAGE})."
                )
    waiting = {name: {each["containerName"] for each in one.get("dependsOn", ())} for name, one in containers.items()}
    while ready := [name for name, needed in waiting.items() if not needed & waiting.keys()]:
        for name in ready:
            del waiting[name]
    if waiting:
        yield f"dependsOn of {', '.join(waiting)} is a circle; take one out ({_DEPENDENCY_PAGE})."


def _volumes(definition: Definition) -> Sentences:
    volumes = [each.get("name", "") for each in definition.get("volumes", ())]
    for number, volume in enumerate(volumes):
        if not volume:
            yield f"volumes[{number}].name is missing; give each volume a name ({_REGISTER_PAGE})."
        if volumes.count(volume) > 1:
            yield f"volumes has {volume!r} twice; names of volumes are unique ({_REGISTER_PAGE})."
    for name, one in _containers(definition):
        for mount in one.get("mountPoints", ()):
            if mount.get("sourceVolume") not in volumes:
                yield (
                    f"mountPoints of container {name!r} has the volume {mount.get('sourceVolume')!r}, which is not in "
                    f"volumes; add it ({_CONTAINER_PAGE})."
                )
    if sum(bool(each.get("configuredAtLaunch")) for each in definition.get("volumes", ())) > 1:
        yield (
            "volumes has more than one with configuredAtLaunch; a task can have one "
            "(AmazonECS/latest/developerguide/specify-ebs-config.html)."
        )


def _network(definition: Definition) -> Sentences:
    if definition.get("networkMode") != "awsvpc":
        return
    for name, one in _containers(definition):
        for field in NOT_IN_AWSVPC:
            if one.get(field):
                yield f"{field} of container {name!r} is not for networkMode awsvpc; take it out ({_CONTAINER_PAGE})."
        for mapping in one.get("portMappings", ()):
            inner, outer = mapping.get("containerPort"), mapping.get("hostPort")
            if inner and outer and inner != outer:
                yield (
                    f"portMappings of container {name!r} has hostPort {outer} for containerPort {inner}; in "
                    "networkMode awsvpc they are equal (AmazonECS/latest/APIReference/API_PortMapping.html)."
                )


def _fargate_only(definition: Definition) -> Sentences:
    for field, value in (("ipcMode", None), ("pidMode", "task"), ("placementConstraints", None)):
        if definition.get(field) and definition[field] != value:
            yield f"{field} is {definition[field]!r:.80}, which Fargate does not have; take it out ({_FARGATE_PAGE})."
    gib = definition.get("ephemeralStorage", {}).get("sizeInGiB", EPHEMERAL_GIB[0])
    if not EPHEMERAL_GIB[0] <= gib <= EPHEMERAL_GIB[1]:
        yield (
            f"ephemeralStorage is {gib} GiB; give {EPHEMERAL_GIB[0]} to {EPHEMERAL_GIB[1]}, or nothing for 20 "
            "(AmazonECS/latest/APIReference/API_EphemeralStorage.html)."
        )
    for each in definition.get("volumes", ()):
        if "dockerVolumeConfiguration" in each or each.get("host", {}).get("sourcePath"):
            yield (
                f"volume {each.get('name')!r} is one of the instance, which Fargate does not have; use EFS, EBS or a "
                "volume without a path (AmazonECS/latest/developerguide/using_data_volumes.html)."
            )


def _fargate_containers(definition: Definition) -> Sentences:
    low, high = STOP_TIMEOUT_SECONDS
    for name, one in _containers(definition):
        if one.get("privileged"):
            yield f"container {name!r} is privileged, which Fargate does not have; take it out ({_CONTAINER_PAGE})."
        for field in ("startTimeout", "stopTimeout"):
            if not low <= one.get(field, low) <= high:
                yield (
                    f"{field} of container {name!r} is {one[field]} s; Fargate takes {low} to {high} "
                    f"({_CONTAINER_PAGE})."
                )
        driver = one.get("logConfiguration", {}).get("logDriver", "awslogs")
        if driver not in FARGATE_DRIVERS:
            yield (
                f"logDriver of container {name!r} is {driver!r}; Fargate has {', '.join(FARGATE_DRIVERS)} "
                "(AmazonECS/latest/APIReference/API_LogConfiguration.html)."
            )


def _execution_role(definition: Definition) -> Sentences:
    if definition.get("executionRoleArn"):
        return
    for name, one in _containers(definition):
        if ".dkr.ecr." in one.get("image", ""):
            what = "an image in ECR"
        elif one.get("repositoryCredentials"):
            what = "repositoryCredentials"
        else:
            continue
        yield (
            f"executionRoleArn is missing, but {what} on Fargate needs one (container {name!r}; "
            "AmazonECS/latest/developerguide/task_execution_IAM_role.html)."
        )


Rule = Callable[[Definition], Sentences]
RULES: Final[tuple[Rule, ...]] = (_family, _container_names, _memory, _sizes, _dependencies, _volumes, _network)
FARGATE_RULES: Final[tuple[Rule, ...]] = (_fargate_only, _fargate_containers, _execution_role)
