"""Fargate's rules for task definitions, overrides and network configurations. Pure."""

from __future__ import annotations

import json

from fargate_local import limits
from fargate_local.errors import client, invalid
from fargate_local.shapes import JsonObject


def check_definition(document: JsonObject) -> None:
    """Check a task definition by ECS's rules, and by Fargate's when it requires FARGATE.

    :raises ApiError: ClientException, worded as AWS does.
    """
    if not limits.NAME.fullmatch(document["family"]):
        raise client(
            f"Invalid family {document['family']!r}: up to 255 letters (uppercase and lowercase), numbers, hyphens, "
            "and underscores are allowed."
        )
    _check_containers(document)
    if "FARGATE" in document.get("requiresCompatibilities", []):
        _check_fargate(document)
        return
    _check_task_size(document.get("cpu"), document.get("memory"))
    if "memory" not in document:
        for container in document["containerDefinitions"]:
            if "memory" not in container and "memoryReservation" not in container:
                raise client(
                    f"Invalid setting for container '{container['name']}'. At least one of 'memory' or "
                    "'memoryReservation' must be specified."
                )


def _check_task_size(cpu: str | None, memory: str | None) -> None:
    """Off Fargate a task may have any size, and none of its own.

    :raises ApiError: ClientException, it is no size.
    """
    try:
        sizes = [limits.cpu_units(cpu or "1"), limits.memory_mib(memory or "4")]
    except ValueError:
        sizes = [0]
    if min(sizes) <= 0:
        raise client(f"Invalid 'cpu' or 'memory' setting for task: {cpu!r}, {memory!r}.")


def _check_containers(document: JsonObject) -> None:
    containers = document["containerDefinitions"]
    if not containers:
        raise client("TaskDefinition cannot have zero containers.")
    if len(containers) > limits.MAX_CONTAINERS:
        raise client(f"Too many containers: {len(containers)}; the maximum is {limits.MAX_CONTAINERS}.")
    names = [container.get("name", "") for container in containers]
    volumes = {volume.get("name") for volume in document.get("volumes", [])}
    for container, name in zip(containers, names, strict=True):
        _check_container_name(name, names)
        if not container.get("image"):
            raise client("Container.image should not be null or empty.")
        _check_references(container, names, volumes)
    if not any(container.get("essential", True) for container in containers):
        raise client("TaskDefinition must have at least one essential container.")


def _check_container_name(name: str, names: list[str]) -> None:
    if not name:
        raise client("Container.name should not be null or empty.")
    if not limits.NAME.fullmatch(name):
        raise client(f"Invalid container name {name!r}: letters, numbers, hyphens, and underscores are allowed.")
    if names.count(name) > 1:
        raise client(f"Container names must be unique in a task definition: {name}")


def _check_references(container: JsonObject, names: list[str], volumes: set[str | None]) -> None:
    for mount in container.get("mountPoints", []):
        if mount.get("sourceVolume") not in volumes:
            raise client(f"Unknown volume '{mount.get('sourceVolume')}'.")
    for dependency in container.get("dependsOn", []):
        if dependency["containerName"] not in names:
            raise client(
                f"Container '{container['name']}' depends on unknown container '{dependency['containerName']}'."
            )


def _check_fargate(document: JsonObject) -> None:
    if document.get("networkMode") != "awsvpc":
        raise client("Fargate only supports network mode 'awsvpc'.")
    for name in ("cpu", "memory"):
        if name not in document:
            raise client(f"Fargate requires that '{name}' be defined at the task level.")
    cpu_units, memory_mib = check_size(document["cpu"], document["memory"])
    containers = document["containerDefinitions"]
    for container in containers:
        _check_fargate_container(container, memory_mib)
    if sum(container.get("cpu", 0) for container in containers) > cpu_units:
        raise client("The total 'cpu' of all containers is greater than for the task.")
    _check_execution_role(document)


def _check_fargate_container(container: JsonObject, memory_mib: int) -> None:
    if container.get("memory", 0) > memory_mib:
        raise client(f"The 'memory' setting for container '{container['name']}' is greater than for the task.")
    if container.get("stopTimeout", 0) > limits.MAX_STOP_TIMEOUT_SECONDS:
        raise client(
            f"Invalid stopTimeout {container['stopTimeout']} for container '{container['name']}': the maximum "
            f"on Fargate is {limits.MAX_STOP_TIMEOUT_SECONDS} seconds."
        )
    if container.get("privileged"):
        raise client(f"Fargate does not support privileged containers ('{container['name']}').")
    for port in container.get("portMappings", []):
        if port.get("hostPort") not in (None, port.get("containerPort")):
            raise client("When networkMode=awsvpc, the host ports and container ports in port mappings must match.")


def _check_execution_role(document: JsonObject) -> None:
    if document.get("executionRoleArn"):
        return
    for container in document["containerDefinitions"]:
        log = container.get("logConfiguration", {})
        if log.get("logDriver") == "awslogs":
            raise client("Fargate requires task definition to have execution role ARN to support log driver awslogs.")
        if container.get("secrets") or log.get("secretOptions"):
            raise client(
                "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
            )
        if ".dkr.ecr." in container["image"]:
            raise client("Fargate requires task definition to have execution role ARN to support ECR images.")


def check_size(cpu: str, memory: str) -> tuple[int, int]:
    """CPU units and MiB of a Fargate size.

    :raises ApiError: ClientException, as Fargate has no such size.
    """
    try:
        cpu_units, memory_mib = limits.cpu_units(cpu), limits.memory_mib(memory)
    except ValueError:
        raise client(f"Invalid 'cpu' or 'memory' setting for task: {cpu!r}, {memory!r}.") from None
    if not limits.is_fargate_size(cpu_units, memory_mib):
        raise client(
            f"No Fargate configuration exists for given values: {cpu_units} CPU, {memory_mib} memory. "
            "See the Amazon ECS documentation for the valid values."
        )
    return cpu_units, memory_mib


def check_network(document: JsonObject, configuration: JsonObject | None) -> JsonObject:
    """The awsvpcConfiguration of a network configuration; {} where the task has no network interface of its own.

    :raises ApiError: InvalidParameterException.
    """
    awsvpc: JsonObject | None = (configuration or {}).get("awsvpcConfiguration")
    if document.get("networkMode") != "awsvpc":
        if awsvpc is not None:
            raise invalid("Network Configuration is not valid for the given networkMode of this task definition.")
        return {}
    if awsvpc is None:
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    subnets, groups = awsvpc["subnets"], awsvpc.get("securityGroups", [])
    if not subnets:
        raise invalid("subnets can not be empty.")
    if len(subnets) > limits.MAX_SUBNETS:
        raise invalid(f"subnets can have at most {limits.MAX_SUBNETS} items.")
    if len(groups) > limits.MAX_SECURITY_GROUPS:
        raise invalid(f"securityGroups can have at most {limits.MAX_SECURITY_GROUPS} items.")
    return awsvpc


def check_overrides(overrides: JsonObject, document: JsonObject, *, fargate: bool) -> None:
    """Check the overrides of a RunTask call against the task definition that they change.

    :param fargate: whether the task must have one of Fargate's sizes.
    :raises ApiError: InvalidParameterException or ClientException.
    """
    characters = len(json.dumps(overrides, separators=(",", ":"), ensure_ascii=False))
    if characters > limits.MAX_OVERRIDES_CHARACTERS:
        raise invalid(f"Container Overrides length must be at most {limits.MAX_OVERRIDES_CHARACTERS}")
    names = {container["name"] for container in document["containerDefinitions"]}
    for override in overrides.get("containerOverrides", []):
        if override.get("name") not in names:
            raise invalid(
                f"Override for container named {override.get('name')} is not a container in the TaskDefinition."
            )
    cpu = overrides.get("cpu", document.get("cpu"))
    memory = overrides.get("memory", document.get("memory"))
    if not fargate:
        _check_task_size(cpu, memory)
    elif cpu is not None and memory is not None:
        check_size(cpu, memory)
    if memory is None:
        return
    memory_mib = limits.memory_mib(memory)
    for override in overrides.get("containerOverrides", []):
        if override.get("memory", 0) > memory_mib:
            raise invalid(f"The 'memory' override for container '{override['name']}' is greater than for the task.")
