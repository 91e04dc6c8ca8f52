"""Rules for a container by itself: name, image, size, what its environment is made of."""

from __future__ import annotations

import re
from typing import Final

from fargate_local import limits
from fargate_local.definitions.rule import FARGATE, Definition, Rules, Sentences

RULES = Rules()

IMAGE: Final = re.compile(r"[A-Za-z0-9_\-:./#@]{1,255}")
MIN_CONTAINER_MIB: Final = 4
PARAMETER_NAME: Final = re.compile(r"[A-Za-z0-9_.\-/]{1,2048}")
MAX_ENVIRONMENT_FILES: Final = 10
S3_OBJECT_ARN: Final = re.compile(r"arn:aws[a-z-]*:s3:::[^/]+/.+")


@RULES.check("ContainerDefinition.name", says="required")
def container_has_name(task: Definition) -> Sentences:
    if not all(task.names):
        yield "Container.name should not be null or empty."


@RULES.check("ContainerDefinition.name", says="up to 255 letters, numbers, hyphens and underscores")
def container_name(task: Definition) -> Sentences:
    for name in task.names:
        if name and not limits.NAME.fullmatch(name):
            yield f"Invalid container name {name!r}: letters, numbers, hyphens, and underscores are allowed."


@RULES.check("ContainerDefinition.name", says="unique in the task definition",
             guide="task_definition_parameters")  # fmt: skip
def container_names_differ(task: Definition) -> Sentences:
    for name in {name for name in task.names if task.names.count(name) > 1}:
        yield f"Container names must be unique within a task definition: {name}"


@RULES.check("ContainerDefinition.image", says="required")
def container_has_image(task: Definition) -> Sentences:
    if not all(bool(container.get("image")) for container in task.containers):
        yield "Container.image should not be null or empty."


@RULES.check("ContainerDefinition.image",
             says="up to 255 letters, numbers and the characters - _ : . / #")  # fmt: skip
def container_image(task: Definition) -> Sentences:
    for _, image in task.each("image"):
        if not IMAGE.fullmatch(image):
            yield f"Container.image contains invalid characters: {image}"


@RULES.check("ContainerDefinition.essential", says="at least one container is essential")
def some_essential(task: Definition) -> Sentences:
    if not any(container.get("essential", True) for container in task.containers):
        yield (
            "Task definition doesn't have any essential container: TaskDefinition must have at least one essential "
            "container."
        )


@RULES.check("ContainerDefinition.cpu", says="0 or more")
def container_cpu(task: Definition) -> Sentences:
    for name, cpu in task.each("cpu"):
        if cpu < 0:
            yield f"Invalid 'cpu' setting for container '{name}': it must be 0 or more."


@RULES.check("ContainerDefinition.memory", "ContainerDefinition.memoryReservation",
             says="one of the two, where the task has no memory")  # fmt: skip
def container_has_memory(task: Definition) -> Sentences:
    if "memory" in task.document:
        return
    for name, container in zip(task.names, task.containers, strict=True):
        if not container.get("memory") and not container.get("memoryReservation"):
            yield (
                f"Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be "
                "specified."
            )


@RULES.check("ContainerDefinition.memory", "ContainerDefinition.memoryReservation",
             says="at least 4 MiB, Docker's minimum (6 since Docker 20.10)")  # fmt: skip
def container_memory(task: Definition) -> Sentences:
    for field in ("memory", "memoryReservation"):
        for name, mib in task.each(field):
            if mib < MIN_CONTAINER_MIB:
                yield f"Invalid '{field}' setting for container '{name}': at least {MIN_CONTAINER_MIB} MiB are needed."


@RULES.check("ContainerDefinition.memory", says="not below memoryReservation")
def memory_above_reservation(task: Definition) -> Sentences:
    for name, container in zip(task.names, task.containers, strict=True):
        if container.get("memory", 2**31) < container.get("memoryReservation", 0):
            yield (
                f"Invalid setting for container '{name}'. 'memory' must be greater than or equal to "
                "'memoryReservation'."
            )


@RULES.check("ContainerDefinition.memory", says="at most the task's")
def container_memory_in_task(task: Definition) -> Sentences:
    if "memory" not in task.document:
        return
    for name, mib in task.each("memory"):
        if mib > limits.memory_mib(task.document["memory"]):
            yield f"The 'memory' setting for container '{name}' is greater than for the task."


@RULES.check(
    "ContainerDefinition.memoryReservation", "ContainerDefinition.memory",
    says="what all containers reserve (memoryReservation, or else memory) is at most the task's memory",
)  # fmt: skip
def memory_sum(task: Definition) -> Sentences:
    total: int = sum(each.get("memoryReservation") or each.get("memory") or 0 for each in task.containers)
    if "memory" in task.document and total > limits.memory_mib(task.document["memory"]):
        yield (
            f"The containers reserve {total} MiB together, by 'memoryReservation' or else 'memory': this cannot be "
            "greater than the value of the task 'memory'."
        )


@RULES.check("KeyValuePair.name", "ContainerDefinition.environment", says="the name of the variable")
def variable_has_name(task: Definition) -> Sentences:
    for name, variable in task.each("environment[]"):
        if not variable.get("name"):
            yield f"Environment variable name should not be null or empty for container '{name}'."


@RULES.check("Secret.name", "ContainerDefinition.secrets", says="not empty")
def secret_has_name(task: Definition) -> Sentences:
    for name, secret in task.each("secrets[]"):
        if not secret["name"]:
            yield f"Secret name should not be null or empty for container '{name}'."


@RULES.check("Secret.name", says="unique, and not also an environment variable", guide="specifying-sensitive-data")
def secret_name_is_unique(task: Definition) -> Sentences:
    for container in task.containers:
        secrets = [secret["name"] for secret in container.get("secrets", [])]
        taken = {variable.get("name") for variable in container.get("environment", [])}
        for name in secrets:
            if name in taken:
                yield (
                    "The secret name must be unique and not shared with any new or existing environment variables set "
                    f"on the container, such as '{name}'."
                )
            taken.add(name)


@RULES.check("Secret.valueFrom", says="the ARN of a Secrets Manager secret or a parameter, or a parameter's name")
def secret_value_from(task: Definition) -> Sentences:
    for path in ("secrets[]", "logConfiguration.secretOptions[]"):
        for _, secret in task.each(path):
            source = secret["valueFrom"]
            if source.startswith("arn:"):
                if ":secretsmanager:" not in source and ":ssm:" not in source:
                    yield f"Invalid arn syntax: the secret {secret['name']} must come from secretsmanager or ssm."
            elif not PARAMETER_NAME.fullmatch(source):
                yield f"The Systems Manager parameter name specified for secret {secret['name']} is invalid."


@RULES.check("Secret.valueFrom", "RegisterTaskDefinitionRequest.executionRoleArn",
             says="secrets need an execution role", guide="specifying-sensitive-data")  # fmt: skip
def secrets_need_role(task: Definition) -> Sentences:
    if not task.document.get("executionRoleArn") and any(task.each("secrets[]")):
        yield "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."


@RULES.check("ContainerDefinition.environmentFiles", says="at most 10")
def environment_file_count(task: Definition) -> Sentences:
    if any(len(each.get("environmentFiles", [])) > MAX_ENVIRONMENT_FILES for each in task.containers):
        yield "The maximum number of environment files was exceeded. Specify ten or less and try again."


@RULES.check("EnvironmentFile.value", says="the ARN of an S3 object")
def environment_file_arn(task: Definition) -> Sentences:
    for _, file in task.each("environmentFiles[]"):
        if not S3_OBJECT_ARN.fullmatch(file["value"]):
            yield f"Invalid arn syntax. {file['value']!r} is not like arn:aws:s3:::bucket/name.env"


@RULES.check("EnvironmentFile.value", says="ends with .env")
def environment_file_extension(task: Definition) -> Sentences:
    for _, file in task.each("environmentFiles[]"):
        if not file["value"].endswith(".env"):
            yield f"The environment file {file['value']!r} must have the file extension .env."


@RULES.check("RepositoryCredentials.credentialsParameter", "ContainerDefinition.repositoryCredentials",
             says="not empty")  # fmt: skip
def repository_credentials(task: Definition) -> Sentences:
    for name, credentials in task.each("repositoryCredentials"):
        if not credentials["credentialsParameter"]:
            yield f"Repository credentials parameter should not be null or empty for container '{name}'."


@RULES.check("RepositoryCredentials.credentialsParameter", says="needs an execution role", launch_type=FARGATE,
             guide="private-auth")  # fmt: skip
def fargate_private_registry_role(task: Definition) -> Sentences:
    if not task.document.get("executionRoleArn") and any(task.each("repositoryCredentials")):
        yield "Fargate requires task definition to have execution role ARN to support private registry authentication."


@RULES.check("ContainerDefinition.image", says="an image in ECR needs an execution role", launch_type=FARGATE,
             guide="task_execution_IAM_role")  # fmt: skip
def fargate_ecr_role(task: Definition) -> Sentences:
    if not task.document.get("executionRoleArn") and any(".dkr.ecr." in image for _, image in task.each("image")):
        yield "Fargate requires task definition to have execution role ARN to support ECR images."


@RULES.check("ContainerDefinition.credentialSpecs", says="at most one ARN")
def credential_spec_count(task: Definition) -> Sentences:
    if any(len(each.get("credentialSpecs", [])) > 1 for each in task.containers):
        yield "credentialSpecs can not have more than 1 element."


@RULES.check("ContainerDefinition.credentialSpecs", says="credentialspec:ARN or credentialspecdomainless:ARN")
def credential_spec_form(task: Definition) -> Sentences:
    for name, spec in task.each("credentialSpecs[]"):
        if not spec.startswith(("credentialspec:", "credentialspecdomainless:")):
            yield f"Invalid 'credentialSpecs' setting for container '{name}': {spec!r}"


@RULES.check("ContainerDefinition.privileged", says="not on Fargate", launch_type=FARGATE)
def fargate_privileged(task: Definition) -> Sentences:
    if any(task.each("privileged")):
        yield "Fargate requires that the 'privileged' setting be 'false' at the container level."


@RULES.check("ContainerDefinition.dockerSecurityOptions", says="not on Fargate", launch_type=FARGATE)
def fargate_security_options(task: Definition) -> Sentences:
    if any(task.each("dockerSecurityOptions")):
        yield "Fargate compatible task definitions do not support dockerSecurityOptions"


RULES.not_checked(
    "ContainerDefinition.dockerSecurityOptions", says="no-new-privileges, apparmor:, label: or credentialspec:",
    why="AWS documents the words, not that registering refuses others; Docker on the instance does",
)  # fmt: skip
RULES.not_checked("KeyValuePair.value", says="the value of the variable", why="any text, and none, is allowed")
RULES.not_checked("EnvironmentFile.type", says="s3", why="botocore's model has the value")
RULES.not_checked(
    "Secret.valueFrom", says="of the same account, and there",
    why="AWS's samples have other accounts; a task whose secret is not there fails to start",
)  # fmt: skip
RULES.not_checked(
    "ContainerDefinition.user", says="user, uid, user:group or uid:gid; not for Windows",
    why="AWS does not document that registering refuses another form",
)  # fmt: skip
RULES.not_checked(
    "ContainerDefinition.command", "ContainerDefinition.entryPoint", "ContainerDefinition.workingDirectory",
    "ContainerDefinition.interactive", "ContainerDefinition.pseudoTerminal", "ContainerDefinition.dockerLabels",
    "ContainerDefinition.readonlyRootFilesystem", "ContainerDefinition.versionConsistency",
    says="passed on to Docker", why="AWS documents no constraint for Linux, and no refusal for Windows",
)  # fmt: skip
