"""Rules for what a container asks of the kernel: capabilities, devices, swap, tmpfs, limits, GPUs."""

from __future__ import annotations

import re
from typing import Final

from fargate_local.definitions.rule import EC2, EXTERNAL, FARGATE, Definition, Rule, Rules, Sentences

RULES = Rules()

GPU_VALUE: Final = re.compile("ALL|[1-9][0-9]*")
FARGATE_CAPABILITY: Final = "SYS_PTRACE"
# AmazonECS/latest/APIReference/API_KernelCapabilities
CAPABILITIES: Final = frozenset({
    "ALL", "AUDIT_CONTROL", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER",
    "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD",
    "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN",
    "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE",
    "SYS_TIME", "SYS_TTY_CONFIG", "SYSLOG", "WAKE_ALARM",
})  # fmt: skip
# AmazonECS/latest/APIReference/API_Tmpfs
MOUNT_OPTIONS: Final = frozenset({
    "defaults", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "remount",
    "mand", "nomand", "atime", "noatime", "diratime", "nodiratime", "bind", "rbind", "unbindable", "runbindable",
    "private", "rprivate", "shared", "rshared", "slave", "rslave", "relatime", "norelatime", "strictatime",
    "nostrictatime", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol",
})  # fmt: skip
# AmazonECS/latest/APIReference/API_SystemControl
IPC_CONTROLS: Final = (
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced", "fs.mqueue.",
)  # fmt: skip
NOT_ON_FARGATE: Final = ("devices", "sharedMemorySize", "maxSwap", "swappiness")


def _not_on_fargate(field: str) -> Rule:
    def check(task: Definition) -> Sentences:
        if any(task.each(f"linuxParameters.{field}")):
            yield f"Fargate compatible task definitions do not support {field}"

    return Rule(f"fargate_{field}", (f"LinuxParameters.{field}",), "not on Fargate", check, FARGATE)


RULES.extend(_not_on_fargate(field) for field in NOT_ON_FARGATE)


@RULES.check("ContainerDefinition.linuxParameters", says="not for Windows on Fargate", launch_type=FARGATE)
def fargate_windows_linux_parameters(task: Definition) -> Sentences:
    if task.windows and any(task.each("linuxParameters")):
        yield "Windows containers on Fargate do not support linuxParameters."


@RULES.check("KernelCapabilities.add", "LinuxParameters.capabilities", says="on Fargate only SYS_PTRACE",
             launch_type=FARGATE)  # fmt: skip
def fargate_capabilities(task: Definition) -> Sentences:
    for _, name in task.each("linuxParameters.capabilities.add[]"):
        if name != FARGATE_CAPABILITY:
            yield f"{name} is not allowed on Fargate."


@RULES.check("KernelCapabilities.add", "KernelCapabilities.drop", says="Linux's capabilities, or ALL")
def capability_names(task: Definition) -> Sentences:
    for list_name in ("add", "drop"):
        for container, name in task.each(f"linuxParameters.capabilities.{list_name}[]"):
            if name not in CAPABILITIES:
                yield f"Invalid capability {name!r} of container '{container}'."


@RULES.check("Device.hostPath", says="not empty")
def device_path(task: Definition) -> Sentences:
    for name, device in task.each("linuxParameters.devices[]"):
        if not device["hostPath"]:
            yield f"A device of container '{name}' needs a hostPath."


@RULES.check("LinuxParameters.sharedMemorySize", says="more than 0", guide="task_definition_parameters_ec2")
def shared_memory(task: Definition) -> Sentences:
    for name, mib in task.each("linuxParameters.sharedMemorySize"):
        if mib <= 0:
            yield f"The sharedMemorySize of container '{name}' must be a positive integer."


@RULES.check("LinuxParameters.maxSwap", says="0 or more")
def max_swap(task: Definition) -> Sentences:
    for name, mib in task.each("linuxParameters.maxSwap"):
        if mib < 0:
            yield f"The maxSwap of container '{name}' must be 0 or any positive integer."


@RULES.check("LinuxParameters.swappiness", says="from 0 to 100")
def swappiness(task: Definition) -> Sentences:
    for name, value in task.each("linuxParameters.swappiness"):
        if not 0 <= value <= 100:
            yield f"The swappiness of container '{name}' must be between 0 and 100."


@RULES.check("Tmpfs.size", "LinuxParameters.tmpfs", says="more than 0")
def tmpfs_size(task: Definition) -> Sentences:
    for _, size in task.each("linuxParameters.tmpfs[].size"):
        if size <= 0:
            yield (
                "The container has an invalid tmpfs size value specified. It must be a non-zero, non-negative integer."
            )


@RULES.check("Tmpfs.containerPath", says="absolute")
def tmpfs_path(task: Definition) -> Sentences:
    for name, mount in task.each("linuxParameters.tmpfs[]"):
        if not mount["containerPath"].startswith("/"):
            yield f"The containerPath of a tmpfs of container '{name}' must be absolute: {mount['containerPath']!r}"


@RULES.check("Tmpfs.mountOptions", says="those that AWS lists")
def tmpfs_options(task: Definition) -> Sentences:
    for name, option in task.each("linuxParameters.tmpfs[].mountOptions[]"):
        if option.partition("=")[0] not in MOUNT_OPTIONS:
            yield f"Invalid tmpfs mount option {option!r} of container '{name}'."


@RULES.check("Ulimit.softLimit", "Ulimit.hardLimit", "ContainerDefinition.ulimits", says="the soft limit is not above "
             "the hard one")  # fmt: skip
def ulimit_order(task: Definition) -> Sentences:
    for _, ulimit in task.each("ulimits[]"):
        soft, hard = ulimit["softLimit"], ulimit["hardLimit"]
        if hard != -1 and (soft > hard or soft == -1):
            yield f"Soft limit exceeds hard limit for ulimit {ulimit['name']}"


@RULES.check("ContainerDefinition.ulimits", says="not for Windows on Fargate", launch_type=FARGATE,
             guide="fargate-tasks-services")  # fmt: skip
def fargate_windows_ulimits(task: Definition) -> Sentences:
    if task.windows and any(task.each("ulimits")):
        yield "Windows containers on Fargate do not support ulimits."


@RULES.check("SystemControl.namespace", "SystemControl.value", says="both are given")
def system_control_is_whole(task: Definition) -> Sentences:
    for name, control in task.each("systemControls[]"):
        if not control.get("namespace") or not control.get("value"):
            yield f"A system control of container '{name}' needs a namespace and a value."


@RULES.check("SystemControl.namespace", says="of the IPC or the network namespace")
def system_control_namespace(task: Definition) -> Sentences:
    for name, namespace in task.each("systemControls[].namespace"):
        if not namespace.startswith(("net.", *IPC_CONTROLS)):
            yield f"Invalid system control {namespace!r} of container '{name}'."


@RULES.check("SystemControl.namespace", "ContainerDefinition.systemControls",
             says="none of the network with host, none of IPC with the ipcMode host")  # fmt: skip
def system_control_mode(task: Definition) -> Sentences:
    for _, namespace in task.each("systemControls[].namespace"):
        if namespace.startswith("net.") and task.network_mode == "host":
            yield f"The system control {namespace} is not supported when networkMode=host."
        if namespace.startswith(IPC_CONTROLS) and task.document.get("ipcMode") == "host":
            yield f"The system control {namespace} is not supported when ipcMode=host."


@RULES.check("SystemControl.namespace", says="not for Windows on Fargate", launch_type=FARGATE)
def fargate_windows_system_controls(task: Definition) -> Sentences:
    if task.windows and any(task.each("systemControls")):
        yield "Windows containers on Fargate do not support systemControls."


@RULES.check("ResourceRequirement.type", "ContainerDefinition.resourceRequirements", says="no GPUs on Fargate",
             launch_type=FARGATE)  # fmt: skip
def fargate_gpu(task: Definition) -> Sentences:
    if "GPU" in [kind for _, kind in task.each("resourceRequirements[].type")]:
        yield "Tasks using the Fargate launch type do not support GPU resource requirements."


def _neuron_rule(launch_type: str) -> Rule:
    def check(task: Definition) -> Sentences:
        if "NeuronDevice" in [kind for _, kind in task.each("resourceRequirements[].type")]:
            yield f"Tasks using the {launch_type} launch type do not support NeuronDevice resource requirements."

    says = "NeuronDevice is for Managed Instances"
    return Rule(f"neuron_{launch_type}", ("ResourceRequirement.type",), says, check, launch_type)


RULES.extend(_neuron_rule(launch_type) for launch_type in (FARGATE, EC2, EXTERNAL))


@RULES.check("ResourceRequirement.type", says="InferenceAccelerator is no longer supported")
def accelerator_requirement(task: Definition) -> Sentences:
    if "InferenceAccelerator" in [kind for _, kind in task.each("resourceRequirements[].type")]:
        yield "Unsupported resource requirement 'InferenceAccelerator'."


@RULES.check("ResourceRequirement.value", says="GPU: a number above 0, or ALL")
def gpu_value(task: Definition) -> Sentences:
    for name, each in task.each("resourceRequirements[]"):
        if each["type"] == "GPU" and not GPU_VALUE.fullmatch(each["value"]):
            yield f"Invalid GPU value {each['value']!r} of container '{name}': a number above 0, or ALL."


@RULES.check("ResourceRequirement.value", says="NeuronDevice: ALL, and in one container only")
def neuron_value(task: Definition) -> Sentences:
    found = [each for _, each in task.each("resourceRequirements[]") if each["type"] == "NeuronDevice"]
    if len(found) > 1 or any(each["value"] != "ALL" for each in found):
        yield "NeuronDevice must have the value ALL, and only one container can have it."


RULES.not_checked(
    "LinuxParameters.initProcessEnabled", says="an init process in the container", why="AWS documents no constraint"
)
RULES.not_checked(
    "LinuxParameters.swappiness", says="ignored without maxSwap; not on Amazon Linux 2023",
    why="ignored is not refused, and the instance is not known",
)  # fmt: skip
RULES.not_checked(
    "LinuxParameters.tmpfs", says="not on Fargate, as the guide says",
    why="Fargate has tmpfs since January 2026",
)  # fmt: skip
RULES.not_checked(
    "Device.containerPath", "Device.permissions", says="a path; read, write, mknod",
    why="AWS documents no constraint on the path; botocore's model has the permissions",
)  # fmt: skip
RULES.not_checked("Ulimit.name", says="the kinds of limits", why="botocore's model has the values")
RULES.not_checked(
    "Ulimit.hardLimit",
    says="on Fargate nofile at most 1048576",
    why="AWS does not document that registering refuses it",
)
