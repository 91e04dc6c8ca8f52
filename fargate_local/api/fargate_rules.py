"""Rules for what a launch brings along: overrides and network configurations. Pure.

Those for task definitions are in definitions/.
"""

from __future__ import annotations

import json

from fargate_local import limits
from fargate_local.definitions.container_rules import MAX_ENVIRONMENT_FILES, MIN_CONTAINER_MIB, S3_OBJECT_ARN
from fargate_local.definitions.task_rules import no_fargate_size
from fargate_local.errors import client, invalid
from fargate_local.shapes import JsonObject


def _check_task_size(cpu: str | None, memory: str | None) -> None:
    """Off Fargate a task may have any size, and none of its own.

    :raises ApiError: ClientException, it is no size.
    """
    try:
        sizes = [
            limits.cpu_units("1" if cpu is None else cpu),
            limits.memory_mib("4" if memory is None else memory),
        ]
    except ValueError:
        sizes = [0]
    if min(sizes) <= 0:
        raise client(f"Invalid 'cpu' or 'memory' setting for task: {cpu!r}, {memory!r}.")


def check_size(cpu: str, memory: str) -> tuple[int, int]:
    """CPU units and MiB of a Fargate size.

    :raises ApiError: ClientException, as Fargate has no such size.
    """
    try:
        cpu_units, memory_mib = limits.cpu_units(cpu), limits.memory_mib(memory)
    except ValueError:
        raise client(f"Invalid 'cpu' or 'memory' setting for task: {cpu!r}, {memory!r}.") from None
    if not limits.is_fargate_size(cpu_units, memory_mib):
        raise client(no_fargate_size(cpu_units, memory_mib))
    return cpu_units, memory_mib


def check_network(document: JsonObject, configuration: JsonObject | None, *, fargate: bool) -> JsonObject:
    """The awsvpcConfiguration of a network configuration; {} where the task has no network interface of its own.

    :param fargate: whether the tasks run on Fargate, where alone they can have a public address.
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
    if not fargate and awsvpc.get("assignPublicIp") == "ENABLED":
        raise invalid("Assign public IP is not supported for this launch type.")
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
        _check_container_override(override, names, fargate=fargate)
    if overrides.get("inferenceAcceleratorOverrides"):
        raise invalid("Unsupported field 'inferenceAcceleratorOverrides'.")
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


def _check_container_override(override: JsonObject, names: set[str], *, fargate: bool) -> None:
    name = override.get("name")
    if name not in names:
        raise invalid(f"Override for container named {name} is not a container in the TaskDefinition.")
    if not all(variable.get("name") for variable in override.get("environment", [])):
        raise invalid(f"Environment variable name should not be null or empty in the override of container '{name}'.")
    if override.get("cpu", 0) < 0:
        raise invalid(f"Invalid 'cpu' override for container '{name}': it must be 0 or more.")
    for field in ("memory", "memoryReservation"):
        if override.get(field, MIN_CONTAINER_MIB) < MIN_CONTAINER_MIB:
            raise invalid(f"Invalid '{field}' override for container '{name}': at least {MIN_CONTAINER_MIB} MiB.")
    files = override.get("environmentFiles", [])
    if len(files) > MAX_ENVIRONMENT_FILES:
        raise invalid("The maximum number of environment files was exceeded. Specify ten or less and try again.")
    if not all(S3_OBJECT_ARN.fullmatch(file["value"]) for file in files):
        raise invalid("Invalid arn syntax.")
    if fargate and override.get("resourceRequirements"):
        raise invalid("Tasks using the Fargate launch type do not support GPU resource requirements.")
