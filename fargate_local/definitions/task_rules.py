"""Rules for a task as a whole: names, size, launch types, storage, proxy."""

from __future__ import annotations

from fargate_local import limits
from fargate_local.definitions.rule import EC2, EXTERNAL, FARGATE, MANAGED_INSTANCES, TASK, Definition, Rules, Sentences
from fargate_local.definitions.rule import given as values

RULES = Rules()

EC2_CPU_UNITS = (128, 196608)
"""AmazonECS/latest/APIReference/API_RegisterTaskDefinition (cpu)."""
MAX_PLACEMENT_CONSTRAINTS = 10
FARGATE_WINDOWS = ("2019_FULL", "2019_CORE", "2022_FULL", "2022_CORE", "2025_FULL", "2025_CORE")
"""Of the families WINDOWS_SERVER_…: AmazonECS/latest/developerguide/fargate-tasks-services, fargate-windows."""
MAX_WINDOWS_CPU_UNITS = 4096
APPMESH_PROPERTIES = {
    "ProxyIngressPort": "Ingress port",
    "ProxyEgressPort": "Egress port",
    "AppPorts": "App ports",
    "EgressIgnoredIPs": "Egress ignored IPs",
}


@RULES.check(f"{TASK}.family", says="up to 255 letters, numbers, hyphens and underscores")
def family(task: Definition) -> Sentences:
    if not limits.NAME.fullmatch(task.document["family"]):
        yield (
            f"Invalid family {task.document['family']!r}: up to 255 letters (uppercase and lowercase), numbers, "
            "hyphens, and underscores are allowed."
        )


@RULES.check(f"{TASK}.containerDefinitions", says="at least one container")
def some_container(task: Definition) -> Sentences:
    if not task.containers:
        yield "TaskDefinition cannot have zero containers."


@RULES.check(f"{TASK}.containerDefinitions", says="at most 10 containers", guide="service-quotas")
def container_count(task: Definition) -> Sentences:
    if len(task.containers) > limits.MAX_CONTAINERS:
        yield f"Too many containers: {len(task.containers)}; the maximum is {limits.MAX_CONTAINERS}."


@RULES.check(f"{TASK}.cpu", says="CPU units like 1024, or vCPUs like `1 vCPU`; off Fargate from 128 to 196608 units")
def task_cpu(task: Definition) -> Sentences:
    text = task.document.get("cpu")
    if text is None:
        return
    try:
        units = limits.cpu_units(text)
    except ValueError:
        units = 0
    if not EC2_CPU_UNITS[0] <= units <= EC2_CPU_UNITS[1]:
        yield (
            f"Invalid 'cpu' setting for task: {text!r}. It must be between {EC2_CPU_UNITS[0]} and {EC2_CPU_UNITS[1]} "
            "CPU units. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
        )


@RULES.check(f"{TASK}.memory", says="MiB like 1024, or GB like `1 GB`; more than 0")
def task_memory(task: Definition) -> Sentences:
    text = task.document.get("memory")
    if text is None:
        return
    try:
        mib = limits.memory_mib(text)
    except ValueError:
        mib = 0
    if mib <= 0:
        yield (
            f"Invalid 'memory' setting for task: {text!r}. For more information, see the Troubleshooting section of "
            "the Amazon ECS Developer Guide."
        )


@RULES.check(f"{TASK}.cpu", says="the containers' cpu add up to at most the task's")
def cpu_sum(task: Definition) -> Sentences:
    total = sum(container.get("cpu", 0) for container in task.containers)
    if "cpu" in task.document and total > limits.cpu_units(task.document["cpu"]):
        yield "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'."


@RULES.check(f"{TASK}.networkMode", says="Fargate needs awsvpc", launch_type=FARGATE)
def fargate_network_mode(task: Definition) -> Sentences:
    if task.network_mode != "awsvpc":
        yield "Fargate only supports network mode 'awsvpc'."


@RULES.check(f"{TASK}.networkMode", says="awsvpc is not for external instances", launch_type=EXTERNAL,
             guide="ecs-anywhere")  # fmt: skip
def external_network_mode(task: Definition) -> Sentences:
    if task.network_mode == "awsvpc":
        yield "The EXTERNAL launch type does not support network mode 'awsvpc'."


@RULES.check(f"{TASK}.networkMode", says="Managed Instances have awsvpc (their default) and host",
             launch_type=MANAGED_INSTANCES, guide="task_definition_parameters-managed-instances")  # fmt: skip
def managed_network_mode(task: Definition) -> Sentences:
    mode = task.document.get("networkMode", "awsvpc" if MANAGED_INSTANCES in task.required else "bridge")
    if mode not in ("awsvpc", "host"):
        yield f"The MANAGED_INSTANCES launch type does not support network mode '{mode}'."


@RULES.check(f"{TASK}.cpu", says="required on Fargate", launch_type=FARGATE)
def fargate_cpu(task: Definition) -> Sentences:
    if "cpu" not in task.document:
        yield "Fargate requires that 'cpu' be defined at the task level."


@RULES.check(f"{TASK}.memory", says="required on Fargate", launch_type=FARGATE)
def fargate_memory(task: Definition) -> Sentences:
    if "memory" not in task.document:
        yield "Fargate requires that 'memory' be defined at the task level."


@RULES.check(f"{TASK}.memory", f"{TASK}.cpu", says="Fargate has certain pairs of cpu and memory; Windows 1 to 4 vCPUs",
             launch_type=FARGATE, guide="task-cpu-memory-error")  # fmt: skip
def fargate_size(task: Definition) -> Sentences:
    if not {"cpu", "memory"} <= set(task.document):
        return
    cpu, memory = limits.cpu_units(task.document["cpu"]), limits.memory_mib(task.document["memory"])
    fits = limits.is_fargate_size(cpu, memory) and not (task.windows and not 1024 <= cpu <= MAX_WINDOWS_CPU_UNITS)
    if not fits:
        yield no_fargate_size(cpu, memory)


def no_fargate_size(cpu_units: int, memory_mib: int) -> str:
    """What AWS says to a size that Fargate does not have."""
    return (
        f"No Fargate configuration exists for given values: {cpu_units} CPU, {memory_mib} memory. "
        "See the Amazon ECS documentation for the valid values."
    )


@RULES.check(f"{TASK}.ipcMode", says="not on Fargate", launch_type=FARGATE)
def fargate_ipc_mode(task: Definition) -> Sentences:
    if "ipcMode" in task.document:
        yield "Fargate compatible task definitions do not support ipcMode"


@RULES.check(f"{TASK}.pidMode", says="on Fargate only task, and not with Windows", launch_type=FARGATE)
def fargate_pid_mode(task: Definition) -> Sentences:
    mode = task.document.get("pidMode")
    if mode == "host" or (mode and task.windows):
        yield (
            f"Tasks using the Fargate launch type do not support pidMode '{mode}'. The supported value for pidMode is "
            "'task', for Linux."
        )


@RULES.check(f"{TASK}.placementConstraints", "TaskDefinitionPlacementConstraint.type", says="not on Fargate",
             launch_type=FARGATE)  # fmt: skip
def fargate_placement_constraints(task: Definition) -> Sentences:
    if task.document.get("placementConstraints"):
        yield "Fargate compatible task definitions do not support constraints"


@RULES.check(f"{TASK}.placementConstraints", says="at most 10")
def placement_constraint_count(task: Definition) -> Sentences:
    if len(task.document.get("placementConstraints", [])) > MAX_PLACEMENT_CONSTRAINTS:
        yield f"Placement constraints can not have more than {MAX_PLACEMENT_CONSTRAINTS} elements."


@RULES.check("TaskDefinitionPlacementConstraint.expression", says="memberOf needs one",
             guide="task-placement-constraints")  # fmt: skip
def placement_expression(task: Definition) -> Sentences:
    for constraint in task.document.get("placementConstraints", []):
        if not constraint.get("type") or not constraint.get("expression"):
            yield "A placement constraint needs the type memberOf and an expression."


@RULES.check(f"{TASK}.inferenceAccelerators", "InferenceAccelerator.deviceName", "InferenceAccelerator.deviceType",
             says="no longer supported (Elastic Inference has ended)")  # fmt: skip
def inference_accelerators(task: Definition) -> Sentences:
    if task.document.get("inferenceAccelerators"):
        yield "Unsupported field 'inferenceAccelerators'."


@RULES.check("EphemeralStorage.sizeInGiB", says="from 21 to 200")
def ephemeral_storage(task: Definition) -> Sentences:
    low, high = limits.EPHEMERAL_STORAGE_GIB
    for size in values(task.document, "ephemeralStorage.sizeInGiB"):
        if size < low:
            yield f"EphemeralStorage size should be at least {low}"
        if size > high:
            yield f"EphemeralStorage size should be at most {high}"


@RULES.check(f"{TASK}.ephemeralStorage", says="for tasks on Fargate", launch_type=EC2)
def ec2_ephemeral_storage(task: Definition) -> Sentences:
    if "ephemeralStorage" in task.document and FARGATE not in task.required:
        yield "Tasks using the EC2 launch type do not support EphemeralStorage."


@RULES.check("RuntimePlatform.operatingSystemFamily", says="Fargate has Linux and Windows Server 2019, 2022 and 2025",
             launch_type=FARGATE, guide="fargate-tasks-services")  # fmt: skip
def fargate_windows_families(task: Definition) -> Sentences:
    for name in values(task.document, "runtimePlatform.operatingSystemFamily"):
        if name != "LINUX" and name.removeprefix("WINDOWS_SERVER_") not in FARGATE_WINDOWS:
            yield f"Fargate does not support the operating system family {name}."


@RULES.check("RuntimePlatform.operatingSystemFamily", says="Managed Instances run Linux",
             launch_type=MANAGED_INSTANCES, guide="ManagedInstances")  # fmt: skip
def managed_linux(task: Definition) -> Sentences:
    if task.windows:
        yield "The MANAGED_INSTANCES launch type does not support Windows."


@RULES.check("RuntimePlatform.cpuArchitecture", says="ARM64 is for Linux")
def arm_is_linux(task: Definition) -> Sentences:
    if task.windows and "ARM64" in values(task.document, "runtimePlatform.cpuArchitecture"):
        yield "The CPU architecture ARM64 is only supported for the operating system family LINUX."


@RULES.check(f"{TASK}.proxyConfiguration", says="needs the network mode awsvpc")
def proxy_network_mode(task: Definition) -> Sentences:
    if "proxyConfiguration" in task.document and task.network_mode != "awsvpc":
        yield "APPMESH proxy configuration is only supported in networkMode=awsvpc"


@RULES.check("ProxyConfiguration.containerName", says="a container of the task")
def proxy_container(task: Definition) -> Sentences:
    for name in [task.document["proxyConfiguration"]["containerName"]] if "proxyConfiguration" in task.document else []:
        if name not in task.names:
            yield f"Proxy container [{name}] does not exist"


@RULES.check("ProxyConfiguration.properties", says="ProxyIngressPort, ProxyEgressPort, AppPorts and EgressIgnoredIPs")
def proxy_properties(task: Definition) -> Sentences:
    if "proxyConfiguration" not in task.document:
        return
    found = {each.get("name") for each in task.document["proxyConfiguration"].get("properties", [])}
    yield from (f"{word} not found" for name, word in APPMESH_PROPERTIES.items() if name not in found)


@RULES.check("ProxyConfiguration.properties", says="IgnoredUID or IgnoredGID")
def proxy_ignored_user(task: Definition) -> Sentences:
    if "proxyConfiguration" not in task.document:
        return
    found = {each.get("name") for each in task.document["proxyConfiguration"].get("properties", [])}
    if not found & {"IgnoredUID", "IgnoredGID"}:
        yield "Either IgnoredUID or IgnoredGID is required in the properties of the proxy configuration."


RULES.not_checked(
    f"{TASK}.taskRoleArn", f"{TASK}.executionRoleArn", says="a role of the account",
    why="the server has no roles to compare with, and AWS's samples have placeholders in the ARN",
)  # fmt: skip
RULES.not_checked(
    f"{TASK}.enableFaultInjection", says="faults are accepted from the task's containers",
    why="AWS documents no constraint on its value",
)  # fmt: skip
RULES.not_checked(
    f"{TASK}.requiresCompatibilities", says="a launch type",
    why="botocore's model has the values; what each asks for is in the rules of that launch type",
)  # fmt: skip
RULES.not_checked(f"{TASK}.volumes", says="see Volume", why="each volume is checked by the rules of its own page")
RULES.not_checked(f"{TASK}.runtimePlatform", says="see RuntimePlatform", why="its members have rules of their own")
RULES.not_checked("ProxyConfiguration.type", says="APPMESH", why="botocore's model has the value")
RULES.not_checked(
    f"{TASK}.tags", "Tag.key", "Tag.value", says="at most 50; keys and values of API_Tag",
    why="checked for every kind of resource in api/tags.py",
)  # fmt: skip
RULES.not_checked(
    f"{TASK}.networkMode", says="Windows on EC2 has the modes default and awsvpc",
    why="AWS does not document that registering is refused",
)  # fmt: skip
