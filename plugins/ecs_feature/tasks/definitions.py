"""Task definitions: checked against botocore's own service model and ECS's rules, and registered when changed."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ecs_feature.aws import limits
from ecs_feature.exceptions import ConfigurationError, TaskDefinitionError
from ecs_feature.tasks.containers import ContainerRoles
from ecs_feature.tasks.definition_files import Definition, read
from ecs_feature.tasks.definition_rules import check_rules

DIGEST_TAG: Final = "ecs-feature:digest"
_SHAPE_ERRORS: Final = 5


@dataclass(frozen=True)
class Registered:
    """A registered task definition.

    :param arn: with its revision.
    :param created: whether this call made a new revision.
    """

    arn: str
    created: bool


def load(path: Path, values: Mapping[str, str]) -> dict[str, Any]:
    """Read a task definition file and return the input of ``RegisterTaskDefinition``, checked.

    :param values: what the placeholders stand for, see :mod:`ecs_feature.environment`.
    :raises TaskDefinitionError: one sentence with the file, the field, the value and the limit.
    """
    return load_with_notes(path, values).content


def load_with_notes(path: Path, values: Mapping[str, str]) -> Definition:
    """:func:`load`, with what was left out of the file."""
    definition = read(path, values)
    validate(definition.content, where=path.name)
    return definition


def validate(definition: Mapping[str, Any], *, where: str = "task definition") -> None:
    """Check a task definition against botocore's service model and Fargate's rules.

    :raises TaskDefinitionError: at the first rule that does not hold.
    """
    _check_shape(definition, where)
    size = len(json.dumps(definition).encode())
    if size > limits.TASK_DEFINITION_BYTES:
        raise TaskDefinitionError(
            f"{where}: {size} bytes, but a task definition may have {limits.TASK_DEFINITION_BYTES} "
            f"({limits.QUOTAS_PAGE}); move long values to secrets or files."
        )
    containers = definition["containerDefinitions"]
    _check_containers(containers, where)
    if not 1 <= len(containers) <= limits.CONTAINERS:
        raise TaskDefinitionError(
            f"{where}: containerDefinitions has {len(containers)} containers; a task has 1 to {limits.CONTAINERS} "
            f"({limits.QUOTAS_PAGE})."
        )
    if "FARGATE" in definition.get("requiresCompatibilities", ()):
        _check_fargate(definition, where)
    check_rules(definition, where)


def _check_containers(containers: Sequence[Mapping[str, Any]], where: str) -> None:
    """What AWS refuses of containers wherever they run, in words of its API reference."""
    names = [one.get("name") for one in containers]
    for number, one in enumerate(containers):
        place = f"{where}: containerDefinitions[{number}]"
        for field in ("name", "image"):
            if not one.get(field):
                raise TaskDefinitionError(f"{place} has no {field}; give it one.")
        name = one["name"]
        if names.count(name) > 1:
            raise TaskDefinitionError(f"{where}: {name} is the name of {names.count(name)} containers; rename them.")
        plain = [each.get("name") for each in one.get("environment", ())]
        secret = [each["name"] for each in one.get("secrets", ())]
        if None in plain or "" in plain:
            raise TaskDefinitionError(f"{place} ({name}): an entry of environment has no name; give it one.")
        if both := sorted({each for each in secret if each in plain or secret.count(each) > 1}):
            raise TaskDefinitionError(
                f"{place} ({name}): {both[0]} is both a secret and a variable, or a secret twice; AWS wants the "
                "names of secrets to be their own (AmazonECS/latest/APIReference/API_Secret.html)."
            )
        hard, soft = one.get("memory"), one.get("memoryReservation")
        if hard is not None and soft is not None and hard < soft:
            raise TaskDefinitionError(
                f"{place} ({name}): memory {hard} must not be less than its memoryReservation {soft} "
                "(AmazonECS/latest/APIReference/API_ContainerDefinition.html)."
            )
    if containers and not any(one.get("essential", True) for one in containers):
        raise TaskDefinitionError(f"{where}: no container is essential; at least one must be.")


def check_variables(
    definition: Mapping[str, Any], container: str, variables: Iterable[str], *, where: str = "task definition"
) -> None:
    """Check that the pipeline sets no variable that is a secret of the task definition.

    :raises TaskDefinitionError: one sentence.
    """
    for one in definition["containerDefinitions"]:
        secrets = {each["name"] for each in one.get("secrets", ())}
        if one["name"] == container and (both := sorted(secrets & set(variables))):
            raise TaskDefinitionError(
                f"environment: {both[0]} is a secret of container {container} in {where}; take it out of one."
            )


def check_container(definition: Mapping[str, Any], container: str, *, where: str = "task definition") -> None:
    """Check that the task definition has this container, and that its end leads to the task's.

    :raises TaskDefinitionError: one sentence.
    """
    names = [one["name"] for one in definition["containerDefinitions"]]
    if container not in names:
        raise TaskDefinitionError(f"container: {container!r} is not in {where}; it has {', '.join(names)}.")
    if not ContainerRoles.of(definition).ends_with(container):
        raise TaskDefinitionError(
            f"{where}: container {container!r} is not essential; the pipeline's container must be essential, or the "
            "task never ends (AmazonECS/latest/APIReference/API_ContainerDefinition.html); set its essential to true."
        )


def hidden_retries(definition: Mapping[str, Any], container: str) -> str:
    """A sentence when ECS restarts this container inside the task; empty when it does not."""
    for one in definition["containerDefinitions"]:
        if one["name"] == container and one.get("restartPolicy", {}).get("enabled"):
            return (
                f"Container {container} has a restartPolicy: ECS restarts it inside its task, so nobody sees its "
                "failures; take it out and leave retries to Airflow."
            )
    return ""


def lossy_logs(definition: Mapping[str, Any]) -> str:
    """A sentence when containers log with ECS's default mode, which may lose lines; empty when none does.

    AmazonECS/latest/APIReference/API_LogConfiguration.html: since June 2025 the default is non-blocking.
    """
    logs = {one["name"]: one.get("logConfiguration") or {} for one in definition["containerDefinitions"]}
    names = [
        name
        for name, log in logs.items()
        if log.get("logDriver") == "awslogs" and "mode" not in (log.get("options") or {})
    ]
    if not names:
        return ""
    return (
        f"awslogs of {', '.join(names)} has no mode, and ECS's default is non-blocking: last lines can be lost; set "
        'mode to "blocking" (docs/logs.md).'
    )


def _check_shape(definition: Mapping[str, Any], where: str) -> None:
    from botocore.validate import ParamValidator

    report = ParamValidator().validate(dict(definition), _input_shape())
    if report.has_errors():
        # All at once, so that a file with three unknown fields needs one run and not three.
        found = [line.partition(", must be one of")[0].rstrip(".") for line in report.generate_report().splitlines()]
        more = f"; and {len(found) - _SHAPE_ERRORS} more" if len(found) > _SHAPE_ERRORS else ""
        raise TaskDefinitionError(
            f"{where}: {'; '.join(found[:_SHAPE_ERRORS])}{more} "
            "(AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html)."
        )


@functools.cache
def _input_shape() -> Any:
    import botocore.session

    return botocore.session.Session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape


def _check_fargate(definition: Mapping[str, Any], where: str) -> None:
    mode = definition.get("networkMode")
    if mode != "awsvpc":
        raise TaskDefinitionError(
            f'{where}: networkMode is {mode!r}, but Fargate runs awsvpc only; set it to "awsvpc" '
            "(AmazonECS/latest/developerguide/fargate-tasks-services.html)."
        )
    cpu, memory = (_whole(definition.get(field), f"{where}: {field}") for field in ("cpu", "memory"))
    try:
        limits.valid_fargate_size(cpu, memory, field=f"{where}: cpu/memory")
    except ConfigurationError as error:
        raise TaskDefinitionError(str(error)) from None
    containers = definition["containerDefinitions"]
    # memoryReservation is what counts where both are given (API_ContainerDefinition.html).
    reserved = sum(one.get("memoryReservation") or one.get("memory") or 0 for one in containers)
    if reserved > memory:
        raise TaskDefinitionError(
            f"{where}: the containers reserve {reserved} MiB of memory, but the task has {memory}; lower theirs "
            "or raise the task's."
        )
    for one in containers:
        if (one.get("memory") or 0) > memory:
            raise TaskDefinitionError(
                f"{where}: container {one['name']} has a limit of {one['memory']} MiB, but the task has {memory}; "
                "lower its memory or raise the task's."
            )
    units = sum(one.get("cpu") or 0 for one in containers)
    if units > cpu:
        raise TaskDefinitionError(
            f"{where}: the containers reserve {units} CPU units, but the task has {cpu}; lower theirs or raise "
            "the task's."
        )
    if "executionRoleArn" not in definition and _needs_execution_role(definition):
        raise TaskDefinitionError(
            f"{where}: executionRoleArn is missing, but awslogs and secrets on Fargate need one "
            "(AmazonECS/latest/developerguide/task_execution_IAM_role.html)."
        )


def _needs_execution_role(definition: Mapping[str, Any]) -> bool:
    return any(
        container.get("secrets") or container.get("logConfiguration", {}).get("logDriver") == "awslogs"
        for container in definition["containerDefinitions"]
    )


def _whole(value: Any, field: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+", value):
        return int(value)
    raise TaskDefinitionError(
        f"{field} is {value!r}; on Fargate it is "
        + ('CPU units or vCPUs, "1024" or "1 vCPU"' if field.endswith("cpu") else 'MiB or GB, "2048" or "2 GB"')
        + f" ({limits.FARGATE_SIZES_PAGE})."
    )


def digest(definition: Mapping[str, Any]) -> str:
    """A digest of the content: equal for files that differ in white space or key order only."""
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def register(client: Any, definition: Mapping[str, Any]) -> Registered:
    """Register the task definition unless the family's latest active revision has the same content.

    The content's digest is kept in the tag ``ecs-feature:digest`` of each revision.

    :param client: a boto3 ``ecs`` client.
    :raises botocore.exceptions.ClientError: as AWS answers.
    """
    from botocore.exceptions import ClientError

    validate(definition)
    mine = digest(definition)
    try:
        latest = client.describe_task_definition(taskDefinition=definition["family"], include=["TAGS"])
    except ClientError as error:
        # ClientException "Unable to describe task definition." is also the answer for an unknown family.
        if error.response["Error"]["Code"] != "ClientException":
            raise
    else:
        known = {tag["key"]: tag["value"] for tag in latest.get("tags", ())}
        if known.get(DIGEST_TAG) == mine and latest["taskDefinition"].get("status", "ACTIVE") == "ACTIVE":
            return Registered(latest["taskDefinition"]["taskDefinitionArn"], created=False)
    tags = [*definition.get("tags", ()), {"key": DIGEST_TAG, "value": mine}]
    answer = client.register_task_definition(**{**definition, "tags": tags})
    return Registered(answer["taskDefinition"]["taskDefinitionArn"], created=True)
