"""What happens while a task is PENDING: log streams, secrets, volumes and images are made ready."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fargate_local.engine import secrets
from fargate_local.engine.awslogs import AwsLogs, Clients, LogStream
from fargate_local.engine.environment_files import read_all
from fargate_local.engine.specs import container_spec, environment_files, mounts_of
from fargate_local.errors import StartFailure
from fargate_local.resources import Task
from fargate_local.runtimes.base import ContainerSpec, Runtime
from fargate_local.settings import ACCESS_KEY_ID, Settings
from fargate_local.shapes import JsonObject


@dataclass(frozen=True)
class Prepared:
    """A task's containers, ready to be started."""

    specs: dict[str, ContainerSpec]
    writers: dict[str, Callable[[bytes], None]]
    streams: list[LogStream]
    logs: AwsLogs

    async def flush(self) -> None:
        """Send what the containers have written; returns when CloudWatch Logs has it."""
        for stream in self.streams:
            await self.logs.flush(stream)

    @staticmethod
    def spec_that_exits(spec: ContainerSpec, code: int, after_seconds: float) -> ContainerSpec:
        """The same container, but all that it does is to end with that exit code."""
        line = f"sleep {after_seconds:g}; echo 'fargate_local: a fault ends this container with {code}'; exit {code}"
        simulated = {"SIMULATED_SECONDS": f"{after_seconds:g}", "SIMULATED_EXIT_CODE": str(code)}
        if code == 0:
            simulated |= {"OUTPUT_URI": "", "RESULT_URI": ""}
        return replace(
            spec, entry_point=("/bin/sh", "-c", line), command=(), environment={**spec.environment, **simulated}
        )


def spec_out_of_disk(spec: ContainerSpec, after_seconds: float) -> ContainerSpec:
    """The same container, but it fails because the system answers ENOSPC; where there is no /dev/full, it says so."""
    line = "OSError: [Errno 28] No space left on device: '/tmp/part-0'"
    simulated = {
        "SIMULATED_SECONDS": f"{after_seconds:g}",
        "SIMULATED_EXIT_CODE": "1",
        "SIMULATED_ERROR": line,
    }
    full = "if [ -c /dev/full ]; then exec cat /dev/zero > /dev/full; fi"
    command = f'sleep {after_seconds:g}; {full}; echo "{line}"; exit 1'
    return replace(
        spec, entry_point=("/bin/sh", "-c", command), command=(), environment={**spec.environment, **simulated}
    )


class Preparation:
    """Makes tasks ready."""

    def __init__(
        self, settings: Settings, runtime: Runtime, clients: Clients, logs: AwsLogs, state_dir: Path, endpoint_url: str
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._clients = clients
        self._logs = logs
        self._state_dir = state_dir
        self._endpoint_url = endpoint_url

    async def prepare(self, task: Task) -> Prepared:
        """Make a task's containers ready.

        :raises StartFailure: something that it needs is missing.
        """
        specs: dict[str, ContainerSpec] = {}
        writers: dict[str, Callable[[bytes], None]] = {}
        streams: list[LogStream] = []
        for volume in task.volumes:
            await asyncio.to_thread(volume.make, self._state_dir)
        for container, definition in zip(task.containers, task.definition.containers, strict=True):
            name = definition["name"]
            values = await self._secrets(definition)
            arns = environment_files(task, definition)
            region = self._settings.region
            from_files = await asyncio.to_thread(read_all, self._clients, arns, region) if arns else {}
            stream = await self._logs.open_stream(definition.get("logConfiguration", {}), name, task.id)
            container.digest = await self._runtime.pull(definition["image"])
            mounts = mounts_of(task, definition, self._settings.efs, self._state_dir)
            for mount in mounts:
                await asyncio.to_thread(_make_folder, mount.host_path)
            specs[name] = container_spec(
                task,
                definition,
                base_environment=self._base_environment(task, name),
                file_environment=from_files,
                secrets=values,
                mounts=mounts,
            )
            writers[name] = _drop if stream is None else partial(self._logs.write, stream)
            streams += [] if stream is None else [stream]
        return Prepared(specs, writers, streams, self._logs)

    async def clean_up(self, task: Task) -> None:
        """The task has ended: its volumes go with it, unless they shall stay."""
        for volume in task.volumes:
            await asyncio.to_thread(volume.remove, self._state_dir)

    async def _secrets(self, definition: JsonObject) -> dict[str, str]:
        region = self._settings.region
        return {
            secret["name"]: await asyncio.to_thread(secrets.resolve, self._clients, secret["valueFrom"], region)
            for secret in definition.get("secrets", [])
        }

    def _base_environment(self, task: Task, container: str) -> dict[str, str]:
        """What every container of a task finds in its environment, and the way to this server."""
        return {
            "AWS_ENDPOINT_URL": self._endpoint_url,
            "AWS_REGION": self._settings.region,
            "AWS_DEFAULT_REGION": self._settings.region,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY_ID,
            "AWS_EXECUTION_ENV": "AWS_ECS_EC2" if task.on_ec2 else "AWS_ECS_FARGATE",
            "ECS_AGENT_URI": f"{self._endpoint_url}/_fargate_local/api/{task.id}-{container}",
            "ECS_CONTAINER_METADATA_URI_V4": f"{self._endpoint_url}/_fargate_local/metadata/v4/{task.id}/{container}",
        }


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except (OSError, ValueError) as error:
        raise StartFailure(f"ResourceInitializationError: failed to set up the volume {path!r}: {error}") from None


def _drop(line: bytes) -> None:
    """Output of a container without awslogs goes nowhere."""
