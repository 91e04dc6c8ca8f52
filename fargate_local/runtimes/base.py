"""What a runtime is: the thing that turns a container's specification into something that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fargate_local.shapes import JsonObject


@dataclass(frozen=True)
class Mount:
    """A volume in a container: `host_path` appears at `container_path`."""

    container_path: str
    host_path: str
    read_only: bool = False


@dataclass(frozen=True)
class ContainerSpec:
    """All that a runtime needs to start one container.

    :param entry_point: empty: the image's own; `command` likewise.
    :param environment: complete, as the container sees it.
    :param memory_mib: hard limit of this container; None: only the task's.
    :param address: the task's private IP address; empty where the runtime gives it one.
    :param task_cpu: CPU units of the whole task; 0: no limit.
    :param alone: whether it is the task's only container.
    :param definition: the container's definition as it was registered.
    """

    task_id: str
    name: str
    image: str
    entry_point: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    working_directory: str | None
    memory_mib: int | None
    task_memory_mib: int | None
    address: str
    ports: tuple[int, ...]
    task_cpu: int = 0
    alone: bool = True
    definition: JsonObject = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        """Entry point and command, as one command line."""
        return self.entry_point + self.command


@dataclass(frozen=True)
class Exit:
    """How a container ended. A process that died of a signal has exit code 128 + its number."""

    code: int
    out_of_memory: bool = False


class RunningContainer(Protocol):
    """A started container."""

    @property
    def runtime_id(self) -> str: ...

    @property
    def address(self) -> str | None:
        """The address that the runtime has given it; None where it keeps the task's."""

    async def wait(self) -> Exit:
        """Wait for its end; all its output has been delivered by then."""

    async def stop(self, timeout_seconds: float) -> None:
        """SIGTERM, then SIGKILL after the timeout; returns when it has ended."""

    def kill_for_memory(self) -> None:
        """End it as one that used too much memory."""

    async def probe(self, command: list[str], timeout_seconds: float) -> bool:
        """Run a health check command (`CMD`, ... or `CMD-SHELL`, line) in it; whether it ended with 0 in time."""


class Runtime(Protocol):
    """Starts containers."""

    @property
    def has_network(self) -> bool:
        """Whether its containers can be reached; where they cannot, load balancers take them for healthy."""

    @property
    def gives_addresses(self) -> bool:
        """Whether its containers have addresses of its own choice, known when they have started."""

    @property
    def gateway(self) -> str | None:
        """An address of this machine at which containers reach it beside the server's own host, once it is open."""

    async def open(self) -> None: ...

    async def pull(self, image: str) -> str | None:
        """Make the image available; returns its digest where it has one.

        :raises StartFailure: CannotPullContainerError, there is no such image.
        """

    async def start(self, spec: ContainerSpec, on_output: Callable[[bytes], None]) -> RunningContainer:
        """Start a container; `on_output` gets its stdout and stderr line by line, without the line ends.

        :raises StartFailure: CannotStartContainerError.
        """

    def endpoint(self, task_id: str, address: str, port: int) -> tuple[str, int]:
        """Where a container port of a task is reached from this machine."""

    def release(self, task_id: str) -> None:
        """Drop what was kept for a task that has ended."""

    async def close(self) -> None:
        """End everything that still runs."""
