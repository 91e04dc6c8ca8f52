"""From a task's definition and overrides to what a runtime starts. Pure, but for the secrets that are given in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fargate_local.definitions.network_rules import mapped_ports
from fargate_local.resources import Task
from fargate_local.runtimes.base import ContainerSpec, Mount
from fargate_local.shapes import JsonObject


def container_environment(task: Task, definition: JsonObject) -> dict[str, str]:
    """A container's `environment` with the task's override of it; secrets are not in it."""
    override = container_override(task, definition["name"])
    return {
        item["name"]: item.get("value", "")
        for item in [*definition.get("environment", []), *override.get("environment", [])]
        if item.get("name")
    }


def environment_files(task: Task, definition: JsonObject) -> list[str]:
    """The ARNs of a container's `environmentFiles`; the override's replace the definition's."""
    override = container_override(task, definition["name"])
    files: list[JsonObject] = override.get("environmentFiles") or definition.get("environmentFiles", [])
    return [file["value"] for file in files]


def main_definition(task: Task) -> JsonObject:
    """The definition of the task's main container."""
    return next(d for d in task.definition.containers if d["name"] == task.main.name)


def container_override(task: Task, name: str) -> JsonObject:
    """The task's override for that container, {} when there is none."""
    overrides: list[JsonObject] = task.overrides.get("containerOverrides", [])
    return next((override for override in overrides if override.get("name") == name), {})


def container_spec(
    task: Task,
    definition: JsonObject,
    *,
    base_environment: Mapping[str, str],
    file_environment: Mapping[str, str],
    secrets: Mapping[str, str],
    mounts: tuple[Mount, ...],
) -> ContainerSpec:
    """All that a runtime needs to start this container of the task.

    :param file_environment: from its environment files; its own variables win.
    """
    override = container_override(task, definition["name"])
    command = override.get("command") or definition.get("command", [])
    return ContainerSpec(
        task_id=task.id,
        name=definition["name"],
        image=definition["image"],
        entry_point=tuple(definition.get("entryPoint", [])),
        command=tuple(command),
        environment={**base_environment, **file_environment, **container_environment(task, definition), **secrets},
        mounts=mounts,
        working_directory=definition.get("workingDirectory"),
        memory_mib=override.get("memory", definition.get("memory")),
        task_memory_mib=task.memory_limit_mib,
        address=task.private_ip,
        ports=tuple(port for mapping in definition.get("portMappings", []) for port in mapped_ports(mapping)),
        task_cpu=int(task.cpu),
        alone=len(task.containers) == 1,
        definition=definition,
    )


def mounts_of(task: Task, definition: JsonObject, efs: Mapping[str, Path], state_dir: Path) -> tuple[Mount, ...]:
    """Where a container's volumes are on this machine.

    :param efs: host folder of an EFS file system id; others are in `state_dir/efs`.
    """
    volumes = {volume["name"]: volume for volume in task.definition.document.get("volumes", [])}
    found = []
    for point in definition.get("mountPoints", []):
        volume = volumes[point["sourceVolume"]]
        configuration = volume.get("efsVolumeConfiguration")
        launched = next((each for each in task.volumes if each.name == volume["name"]), None)
        if launched is not None:
            host = launched.folder(state_dir)
        elif configuration is None:
            host = state_dir / "volumes" / task.id / volume["name"]
        else:
            file_system = configuration["fileSystemId"]
            own = efs.get(file_system, state_dir / "efs" / _inside(file_system))
            host = Path(own) / _inside(configuration.get("rootDirectory", "/"))
        found.append(Mount(point["containerPath"], str(host), bool(point.get("readOnly", False))))
    return tuple(found)


def _inside(path: str) -> str:
    """A path that does not lead out of the folder that it is joined to."""
    return "/".join(part for part in path.split("/") if part not in ("", ".", ".."))
