"""The `docker` runtime: a container is a real one, of its image, on a container engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from fargate_local.errors import StartFailure
from fargate_local.runtimes import docker_guardian
from fargate_local.runtimes.base import ContainerSpec, Exit
from fargate_local.runtimes.docker_request import container_request
from fargate_local.runtimes.engine_api import EngineApi, EngineError, filters, name_in_path
from fargate_local.shapes import JsonObject

OWNER: Final = "fargate-local.owner"
SERVER: Final = "fargate-local.server"
TASK: Final = "fargate-local.task"
OUTPUT_AFTER_EXIT_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 1.0
KILLED: Final = 137


@dataclass
class DockerContainer:
    """A started container."""

    api: EngineApi
    runtime_id: str
    address: str
    output: asyncio.Task[None]
    out_of_memory: bool = False
    _exit: asyncio.Task[Exit] | None = field(default=None, repr=False)

    async def wait(self) -> Exit:
        if self._exit is None:
            self._exit = asyncio.create_task(self._wait())
        return await asyncio.shield(self._exit)

    async def _wait(self) -> Exit:
        state = await self._ended()
        with contextlib.suppress(TimeoutError, EngineError):
            await asyncio.wait_for(self.output, OUTPUT_AFTER_EXIT_SECONDS)
        with contextlib.suppress(EngineError):
            await self.api.delete(f"/containers/{self.runtime_id}", force="1", v="1")
        out_of_memory = self.out_of_memory or bool(state["OOMKilled"])
        return Exit(int(state["ExitCode"]), out_of_memory=out_of_memory)

    async def _ended(self) -> JsonObject:
        """Wait for its end; an engine that is gone for a while (a restart) is asked again."""
        while True:
            try:
                await self.api.post(f"/containers/{self.runtime_id}/wait", seconds=None)
                state: JsonObject = (await self.api.get(f"/containers/{self.runtime_id}/json"))["State"]
                if not state["Running"]:
                    return state
            except EngineError as error:
                if error.status == 404:  # removed by somebody else
                    return {"ExitCode": KILLED, "OOMKilled": False}
            await asyncio.sleep(RETRY_SECONDS)

    async def stop(self, timeout_seconds: float) -> None:
        with contextlib.suppress(EngineError):
            seconds = max(0, round(timeout_seconds))
            await self.api.post(f"/containers/{self.runtime_id}/stop", seconds=None, t=str(seconds))
        await self.wait()

    def kill_for_memory(self) -> None:
        self.out_of_memory = True
        self._killing = asyncio.create_task(self.stop(0.0))

    async def probe(self, command: list[str], timeout_seconds: float) -> bool:
        words = ["/bin/sh", "-c", *command[1:]] if command[0] == "CMD-SHELL" else command[command[0] == "CMD" :]
        try:
            return await asyncio.wait_for(self.api.run(self.runtime_id, words), timeout_seconds) == 0
        except (TimeoutError, EngineError):
            return False


class DockerRuntime:
    """Starts containers on an engine, and leaves none behind.

    :param owner: whose containers they are: what an earlier server of this owner left behind is removed at the start.
    :param network: the engine's network for all tasks. None: the one that this server's own container is in; where it
        runs in none, a network of its own.
    :param own_urls: this server's addresses, which containers reach through the network's gateway.
    :param state_dir: the folder with the tasks' own volumes.
    """

    has_network = True
    gives_addresses = True

    def __init__(
        self,
        api: EngineApi,
        owner: str,
        network: str | None,
        own_urls: Callable[[], Iterable[str]],
        state_dir: Path,
    ) -> None:
        self._api = api
        self._owner = owner
        self._network = network
        self._own_urls = own_urls
        self._state_dir = state_dir
        self._labels = {OWNER: owner, SERVER: secrets.token_hex(8)}
        self._made_network = False
        self._folders: dict[str, str] = {}
        self._cpus = 1
        self._holders: dict[str, asyncio.Task[DockerContainer]] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._making: set[asyncio.Task[tuple[str, str]]] = set()
        self._guardian: subprocess.Popen[bytes] | None = None
        self.gateway: str | None = None

    async def open(self) -> None:
        self._cpus = int((await self._api.open())["NCPU"])
        await self._remove_all(f"{OWNER}={self._owner}")
        self._guard()
        await self._find_network()

    def _guard(self) -> None:
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", docker_guardian.__file__, self._api.url, self._label],
            stdin=subprocess.PIPE, start_new_session=True, env={},
        )  # fmt: skip

    @property
    def _label(self) -> str:
        return f"{SERVER}={self._labels[SERVER]}"

    async def _find_network(self) -> None:
        """Look whether this server is in a container of the engine itself, and choose the network."""
        own = await self._own_container()
        self._folders = {mount["Destination"]: mount["Source"] for mount in own.get("Mounts", [])}
        joined = list(own.get("NetworkSettings", {}).get("Networks", {}))
        if self._network is None and joined:
            self._network = joined[0]
        elif self._network is None:
            self._network = f"fargate-local-{self._labels[SERVER]}"
            await self._api.post("/networks/create", {"Name": self._network, "Labels": self._labels})
            self._made_network = True
        if not joined:
            described = await self._api.get(f"/networks/{name_in_path(self._network)}")
            self.gateway = described["IPAM"]["Config"][0]["Gateway"]

    async def _own_container(self) -> JsonObject:
        try:
            own: JsonObject = await self._api.get(f"/containers/{name_in_path(socket.gethostname())}/json")
        except EngineError as error:
            if error.status == 404:
                return {}
            raise
        return own

    async def pull(self, image: str) -> str | None:
        try:
            return await self._digest(image)
        except EngineError as error:
            if error.status != 404:
                raise StartFailure(f"CannotPullContainerError: {error}") from None
        try:
            await self._api.pull(image)
            return await self._digest(image)
        except EngineError as error:
            raise StartFailure(
                f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
                f"{image}: {error}"
            ) from None

    async def _digest(self, image: str) -> str | None:
        """Of an image that the engine has: its registry's, else its own id."""
        found = await self._api.get(f"/images/{name_in_path(image)}/json")
        known = [digest.partition("@")[2] for digest in found.get("RepoDigests") or []]
        return str((known or [found["Id"]])[0])

    async def start(self, spec: ContainerSpec, on_output: Callable[[bytes], None]) -> DockerContainer:
        for mount in spec.mounts:
            if not mount.read_only and Path(mount.host_path).is_relative_to(self._state_dir / "volumes"):
                # the image's user writes there, whoever that is
                await asyncio.to_thread(os.chmod, mount.host_path, 0o1777)
        network, address = self._network or "", None
        if not spec.alone:
            holder = await self._holder(spec)
            network, address = f"container:{holder.runtime_id}", holder.address
        return await self._start(spec, network, on_output, address)

    async def _holder(self, spec: ContainerSpec) -> DockerContainer:
        """The container that holds the network interface which a task's containers share."""
        if spec.task_id not in self._holders:
            holder = replace(
                spec, name="network", entry_point=("sleep", "infinity"), command=(), environment={}, mounts=(),
                working_directory=None, memory_mib=None, definition={},
            )  # fmt: skip
            self._holders[spec.task_id] = asyncio.create_task(self._start(holder, self._network or "", _drop))
        return await asyncio.shield(self._holders[spec.task_id])

    async def _start(
        self, spec: ContainerSpec, network: str, on_output: Callable[[bytes], None], address: str | None = None
    ) -> DockerContainer:
        request = container_request(
            spec,
            network=network,
            cpus=self._cpus,
            labels=self._labels | {TASK: spec.task_id},
            folders=self._folders,
            urls=self._urls(),
        )
        # Whoever is cancelled meanwhile, the container is known when all are removed.
        making = asyncio.create_task(self._make(spec, request))
        self._making.add(making)
        making.add_done_callback(self._making.discard)
        container_id, own = await asyncio.shield(making)
        output = asyncio.create_task(self._api.output(container_id, on_output))
        return DockerContainer(self._api, container_id, own if address is None else address, output)

    async def _make(self, spec: ContainerSpec, request: JsonObject) -> tuple[str, str]:
        """Create and start a container; its id and its address.

        :raises StartFailure: CannotStartContainerError.
        """
        name, container_id = f"fargate-local-{spec.task_id[:12]}-{spec.name}-{secrets.token_hex(3)}", ""
        try:
            container_id = (await self._api.post("/containers/create", request, name=name))["Id"]
            await self._api.post(f"/containers/{container_id}/start")
            return container_id, _address((await self._api.get(f"/containers/{container_id}/json"))["NetworkSettings"])
        except EngineError as error:
            if container_id:
                await self._api.delete(f"/containers/{container_id}", force="1", v="1")
            raise StartFailure(f"CannotStartContainerError: Error response from daemon: {error}") from None

    def _urls(self) -> dict[str, str]:
        if self.gateway is None:
            return {}
        return {url: f"http://{self.gateway}:{url.rpartition(':')[2]}" for url in self._own_urls()}

    def endpoint(self, task_id: str, address: str, port: int) -> tuple[str, int]:
        return address, port

    def release(self, task_id: str) -> None:
        holder = self._holders.pop(task_id, None)
        if holder is not None:
            job = asyncio.create_task(_end(holder))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def close(self) -> None:
        await asyncio.gather(*self._jobs, *self._making, return_exceptions=True)
        with contextlib.suppress(EngineError):
            await self._remove_all(self._label)
        if self._guardian is not None and self._guardian.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.close()
            await asyncio.to_thread(self._guardian.wait)
        await self._api.close()

    async def _remove_all(self, label: str) -> None:
        """Remove every container and network with a label."""
        for each in await self._api.get("/containers/json", all="1", filters=filters(label=[label])):
            await self._api.delete(f"/containers/{each['Id']}", force="1", v="1")
        for each in await self._api.get("/networks", filters=filters(label=[label])):
            await self._api.delete(f"/networks/{each['Id']}")


def _address(settings: JsonObject) -> str:
    return next((each["IPAddress"] for each in settings["Networks"].values() if each["IPAddress"]), "")


async def _end(holder: asyncio.Task[DockerContainer]) -> None:
    with contextlib.suppress(StartFailure):
        await (await holder).stop(0.0)


def _drop(line: bytes) -> None:
    """The holder says nothing."""
