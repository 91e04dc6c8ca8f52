"""What RunTask carries beside overrides of containers: volumes, ephemeral storage, ECS Exec. Pure.

AWS publishes the rules, but not the words of its refusals; those are ours.
"""

from __future__ import annotations

from fargate_local import limits
from fargate_local.errors import invalid
from fargate_local.shapes import JsonObject
from fargate_local.volumes import LaunchVolume


def launch_volumes(document: JsonObject, request: JsonObject, *, fargate: bool) -> list[LaunchVolume]:
    """The volumes of a RunTask request for a task definition.

    Sources: AmazonECS/latest/developerguide/specify-ebs-config, configure-ebs-volume, ebs-volumes.

    :raises ApiError: InvalidParameterException.
    """
    wanted = {each["name"] for each in document.get("volumes", []) if each.get("configuredAtLaunch")}
    given = request.get("volumeConfigurations", [])
    names = {each["name"] for each in given}
    if len(given) > limits.MAX_LAUNCH_VOLUMES:
        raise invalid(f"volumeConfigurations can have at most {limits.MAX_LAUNCH_VOLUMES} item.")
    if missing := sorted(wanted - names):
        raise invalid(f"Volume {missing[0]} is configuredAtLaunch: a volumeConfiguration for it must be specified.")
    if unknown := sorted(names - wanted):
        raise invalid(f"Volume {unknown[0]} is not configuredAtLaunch in the task definition.")
    for each in given:
        if "managedEBSVolume" not in each:
            raise invalid(f"volumeConfiguration {each['name']}: managedEBSVolume must be specified.")
        _check_ebs(each["managedEBSVolume"], fargate=fargate)
    return [LaunchVolume(each["name"], each["managedEBSVolume"]) for each in given]


def _check_ebs(volume: JsonObject, *, fargate: bool) -> None:
    """AmazonECS/latest/APIReference/API_TaskManagedEBSVolumeConfiguration."""
    kind = volume.get("volumeType", "gp3")
    if kind not in limits.EBS_TYPES or (fargate and kind == "standard"):
        raise invalid(f"Volume type {kind!r} is not supported.")
    sizes, iops, needs_iops = limits.EBS_TYPES[kind]
    size = volume.get("sizeInGiB")
    if size is None and not volume.get("snapshotId"):
        raise invalid("You must specify either a volume size or a snapshot ID.")
    _check_range("sizeInGiB", size, sizes, kind)
    if needs_iops and "iops" not in volume:
        raise invalid(f"iops is required for volume type {kind}.")
    _check_range("iops", volume.get("iops"), iops, kind)
    _check_range("throughput", volume.get("throughput"), limits.EBS_THROUGHPUT_MIB if kind == "gp3" else None, kind)
    if "volumeInitializationRate" in volume and not volume.get("snapshotId"):
        raise invalid("volumeInitializationRate can be specified only with a snapshotId.")


def _check_range(name: str, value: int | None, span: tuple[int, int] | None, kind: str) -> None:
    if value is None:
        return
    if span is None:
        raise invalid(f"{name} is not supported for volume type {kind}.")
    if not span[0] <= value <= span[1]:
        raise invalid(f"{name} {value} of volume type {kind} must be between {span[0]} and {span[1]}.")


def check_ephemeral_storage(overrides: JsonObject, *, fargate: bool) -> None:
    """AmazonECS/latest/APIReference/API_EphemeralStorage.

    :raises ApiError: InvalidParameterException.
    """
    if "ephemeralStorage" not in overrides:
        return
    low, high = limits.EPHEMERAL_STORAGE_GIB
    if not fargate:
        raise invalid("ephemeralStorage is supported for tasks on Fargate only.")
    if not low <= overrides["ephemeralStorage"]["sizeInGiB"] <= high:
        raise invalid(f"Ephemeral storage must be between {low} and {high} GiB.")


def check_execute_command(document: JsonObject, request: JsonObject) -> None:
    """AmazonECS/latest/APIReference/API_RunTask (enableExecuteCommand).

    :raises ApiError: InvalidParameterException.
    """
    role = request.get("overrides", {}).get("taskRoleArn") or document.get("taskRoleArn")
    if request.get("enableExecuteCommand") and not role:
        raise invalid("A valid taskRoleArn must be specified in the task definition to enable execute command.")
