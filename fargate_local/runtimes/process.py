"""The `process` runtime: a container is a child process in its own session."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fargate_local.errors import StartFailure
from fargate_local.runtimes import guardian, host
from fargate_local.runtimes.base import ContainerSpec, Exit
from fargate_local.runtimes.lines import READ_BYTES, Lines
from fargate_local.runtimes.memory import MemoryWatch
from fargate_local.runtimes.packages import Packages

OUTPUT_AFTER_EXIT_SECONDS = 2.0


class _Exits(asyncio.subprocess.SubprocessStreamProtocol):
    """Says when the process itself has exited; asyncio's own wait goes on while a child of it holds its output open."""

    def __init__(self) -> None:
        super().__init__(limit=READ_BYTES, loop=asyncio.get_running_loop())
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


async def _started(
    command: list[str], folder: Path, environment: dict[str, str]
) -> tuple[asyncio.subprocess.Process, asyncio.Event]:
    """A process in a session of its own, and the event of its exit.

    :raises OSError: it cannot be started.
    """
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        _Exits,
        *command,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    return asyncio.subprocess.Process(transport, protocol, loop), protocol.exited


@dataclass
class ProcessContainer:
    """A running child process."""

    spec: ContainerSpec
    process: asyncio.subprocess.Process
    environment: dict[str, str]
    folder: Path
    output: asyncio.Task[None]
    ended: Callable[[ProcessContainer], None]
    exited: asyncio.Event
    out_of_memory: bool = False
    _exit: asyncio.Task[Exit] | None = field(default=None, repr=False)

    address = None

    @property
    def runtime_id(self) -> str:
        return f"{self.spec.task_id}-{self.process.pid}"

    async def wait(self) -> Exit:
        if self._exit is None:
            self._exit = asyncio.create_task(self._wait())
        return await asyncio.shield(self._exit)

    async def _wait(self) -> Exit:
        await self.exited.wait()
        # Whatever the process left behind belongs to the container and ends with it. One that ended well has mostly
        # left nothing, and to look for groups that it has made takes a millisecond.
        self._signal(signal.SIGKILL)
        if self.process.returncode != 0:
            self._kill_session()
        code = await self.process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.output, OUTPUT_AFTER_EXIT_SECONDS)
        self.ended(self)
        if self.out_of_memory:
            return Exit(137, out_of_memory=True)
        return Exit(code if code >= 0 else 128 - code)

    async def stop(self, timeout_seconds: float) -> None:
        # Only to the container's first process, as an engine does; what that one has started is its own to end.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), timeout_seconds)
        except TimeoutError:
            self.kill()
            await self.wait()

    def kill(self) -> None:
        """SIGKILL to all of the container's processes."""
        self._signal(signal.SIGKILL)
        self._kill_session()

    def kill_for_memory(self) -> None:
        """SIGKILL because it used too much memory."""
        self.out_of_memory = True
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _kill_session(self) -> None:
        """SIGKILL to the process groups that the container's processes have made."""
        for pid in psutil.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)

    async def probe(self, command: list[str], timeout_seconds: float) -> bool:
        if command[0] == "CMD-SHELL":
            words = ["/bin/sh", "-c", *command[1:]]
        else:
            words = command[1:] if command[0] == "CMD" else command
            words = [sys.executable if words[0] in host.PYTHON_NAMES else words[0], *words[1:]]
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                cwd=self.folder,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError):
            return False
        try:
            return await asyncio.wait_for(process.wait(), timeout_seconds) == 0
        except TimeoutError:
            return False
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


class ProcessRuntime:
    """Starts containers as child processes, and leaves none behind.

    :param images: folder of the images' folders.
    :param scratch: folder in which each task gets one of its own, as HOME and TMPDIR.
    :param packages: installs what the images' requirements.txt name.
    """

    has_network = True
    gives_addresses = False
    gateway = None

    def __init__(self, images: Path | None, scratch: Path, memory_interval_seconds: float, packages: Packages) -> None:
        self._packages = packages
        self._images = images
        self._scratch = scratch
        self._running: dict[int, ProcessContainer] = {}
        self._ports: dict[tuple[str, int], int] = {}
        self._guardian: subprocess.Popen[bytes] | None = None
        self._memory = MemoryWatch(self._running, memory_interval_seconds)

    async def open(self) -> None:
        self._scratch.mkdir(parents=True, exist_ok=True)

    async def pull(self, image: str) -> None:
        await self._packages.install(host.image_folder(self._images, image))

    async def start(self, spec: ContainerSpec, on_output: Callable[[bytes], None]) -> ProcessContainer:
        self._guard()
        folder = host.image_folder(self._images, spec.image)
        scratch = self._scratch / spec.task_id
        scratch.mkdir(exist_ok=True)
        environment = host.host_environment(spec, folder, scratch, self._packages.path(folder)) | self._network(spec)
        command = host.host_command(spec)
        if not command:
            raise StartFailure(f"CannotStartContainerError: the container {spec.name} has no command")
        try:
            process, exited = await _started(command, folder, environment)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StartFailure(f'CannotStartContainerError: exec: "{spec.words[0]}": {reason}') from None
        self._tell_guardian("+", process.pid)
        assert process.stdout is not None
        output = asyncio.create_task(_read_lines(process.stdout, on_output))
        container = ProcessContainer(spec, process, environment, folder, output, self._forget, exited)
        self._running[process.pid] = container
        self._memory.wake()
        return container

    def endpoint(self, task_id: str, address: str, port: int) -> tuple[str, int]:
        if has_loopback_block():
            return address, port
        return "127.0.0.1", self._ports.get((task_id, port), port)

    def release(self, task_id: str) -> None:
        shutil.rmtree(self._scratch / task_id, ignore_errors=True)
        for key in [key for key in self._ports if key[0] == task_id]:
            del self._ports[key]

    async def close(self) -> None:
        for container in list(self._running.values()):
            container.kill()
            await container.wait()
        await self._memory.close()
        if self._guardian is not None and self._guardian.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.close()
            await asyncio.to_thread(self._guardian.wait)

    def _network(self, spec: ContainerSpec) -> dict[str, str]:
        """HOST and PORT, by which a server in the container knows where to listen."""
        if not spec.ports:
            return {}
        if has_loopback_block():
            return {"HOST": spec.address, "PORT": str(spec.ports[0])}
        for port in spec.ports:
            self._ports[(spec.task_id, port)] = _free_port()
        return {"HOST": "127.0.0.1", "PORT": str(self._ports[(spec.task_id, spec.ports[0])])}

    def _forget(self, container: ProcessContainer) -> None:
        self._running.pop(container.process.pid, None)
        self._tell_guardian("-", container.process.pid)

    def _guard(self) -> None:
        if self._guardian is None:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__],
                stdin=subprocess.PIPE, bufsize=0, start_new_session=True, env={},
            )  # fmt: skip

    def _tell_guardian(self, sign: str, group: int) -> None:
        if self._guardian is not None and self._guardian.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.write(f"{sign}{group}\n".encode())


def has_loopback_block() -> bool:
    """Whether every address of 127.0.0.0/8 is this machine's, as on Linux; elsewhere only 127.0.0.1 is."""
    return sys.platform.startswith("linux")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _read_lines(stream: asyncio.StreamReader, on_line: Callable[[bytes], None]) -> None:
    lines = Lines(on_line)
    while chunk := await stream.read(READ_BYTES):
        lines.feed(chunk)
    lines.end()
