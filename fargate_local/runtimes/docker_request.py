"""From a container's specification to the request that makes it on an engine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fargate_local.runtimes.base import ContainerSpec, Mount
from fargate_local.shapes import JsonObject, without_none

MIB: Final = 1024 * 1024
NANO: Final = 1_000_000_000
LEAST_CPUS: Final = 0.01
"""The engine's own: "Range of CPUs is from 0.01"."""


def container_request(
    spec: ContainerSpec,
    *,
    network: str,
    cpus: int,
    labels: Mapping[str, str],
    folders: Mapping[str, str],
    urls: Mapping[str, str],
) -> JsonObject:
    """The body of ContainerCreate.

    :param network: a network's name, or `container:<id>` for one that shares another's.
    :param cpus: how many the engine has: a limit above it is refused.
    :param folders: this machine's folder as the engine sees it, by what it is here.
    :param urls: how a container reaches this server's addresses, by what they are here.
    """
    definition, memory = spec.definition, _memory_mib(spec)
    linux = definition.get("linuxParameters", {})
    host: JsonObject = {
        "NetworkMode": network,
        "Mounts": [_mount(mount, folders) for mount in spec.mounts],
        # without more swap than memory there is none, as on Fargate: beyond the limit the kernel kills
        "Memory": None if memory is None else memory * MIB,
        "MemorySwap": None if memory is None else memory * MIB,
        "MemoryReservation": None if (soft := definition.get("memoryReservation")) is None else soft * MIB,
        "NanoCpus": int(max(LEAST_CPUS, min(spec.task_cpu / 1024, cpus)) * NANO) if spec.task_cpu else None,
        "CpuShares": definition.get("cpu") or None,
        "ReadonlyRootfs": bool(definition.get("readonlyRootFilesystem")),
        "Ulimits": [
            {"Name": each["name"], "Soft": each["softLimit"], "Hard": each["hardLimit"]}
            for each in definition.get("ulimits", [])
        ],
        "Init": bool(linux.get("initProcessEnabled")),
        "ShmSize": None if (shared := linux.get("sharedMemorySize")) is None else shared * MIB,
        "Tmpfs": {
            each["containerPath"]: ",".join([f"size={each['size']}m", *each.get("mountOptions", [])])
            for each in linux.get("tmpfs", [])
        },
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "json-file", "Config": {}},
    }
    return without_none(
        {
            "Image": spec.image,
            "Entrypoint": list(spec.entry_point) or None,
            "Cmd": [_reachable(word, urls) for word in spec.command] or None,
            "Env": [f"{name}={_reachable(value, urls)}" for name, value in spec.environment.items()],
            "WorkingDir": spec.working_directory,
            "User": definition.get("user"),
            "Labels": {**definition.get("dockerLabels", {}), **labels},
            "HostConfig": without_none(host),
        }
    )


def engine_path(path: str, folders: Mapping[str, str]) -> str:
    """Where the engine finds a folder of this machine: this machine may be a container with volumes of its own."""
    for here in sorted(folders, key=len, reverse=True):
        if path == here or path.startswith(here.rstrip("/") + "/"):
            return folders[here] + path[len(here.rstrip("/")) :]
    return path


def _mount(mount: Mount, folders: Mapping[str, str]) -> JsonObject:
    source = engine_path(mount.host_path, folders)
    return {"Type": "bind", "Source": source, "Target": mount.container_path, "ReadOnly": mount.read_only}


def _memory_mib(spec: ContainerSpec) -> int | None:
    """The container's own hard limit or the task's, whichever is less."""
    given = [limit for limit in (spec.memory_mib, spec.task_memory_mib) if limit]
    return min(given) if given else None


def _reachable(text: str, urls: Mapping[str, str]) -> str:
    """A value in which this server's addresses are such that a container reaches them."""
    for here, there in urls.items():
        if text == here or text.startswith(here + "/"):
            return there + text[len(here) :]
    return text
