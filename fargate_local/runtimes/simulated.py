"""The `simulated` runtime: a container is a timer, so that ten thousand of them fit into a fraction of one core."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from fargate_local.errors import StartFailure
from fargate_local.runtimes.base import ContainerSpec, Exit

DEFAULT_SECONDS = 10.0
TERMINATED, KILLED = 143, 137

Object = tuple[str, bytes]
"""An S3 object to write: its URI and its content."""


class ObjectStore(Protocol):
    """Where containers' objects go; only called in worker threads."""

    def put_objects(self, objects: Iterable[Object]) -> dict[str, str]: ...


class SimulatedContainer:
    """A timer that stands for a running container.

    It runs for the seconds of its variable SIMULATED_SECONDS and ends with SIMULATED_EXIT_CODE, after the line
    SIMULATED_ERROR if that is not 0; one with ports and
    without SIMULATED_SECONDS is a server, which runs until it is stopped.
    """

    address = None

    def __init__(self, spec: ContainerSpec, on_output: Callable[[bytes], None], writes: ObjectWriter) -> None:
        seconds, self._code = _numbers(spec)
        self.runtime_id = f"{spec.task_id}-{secrets.randbelow(10**10)}"
        self._environment = spec.environment
        self._on_output = on_output
        self._writes = writes
        loop = asyncio.get_running_loop()
        self._exit: asyncio.Future[Exit] = loop.create_future()
        self._job: asyncio.Task[None] | None = None
        self._timer = None if seconds is None else loop.call_later(seconds, self._work)
        how_long = "until it is stopped" if seconds is None else f"for {seconds:g} s"
        on_output(f"simulated: {_name(spec)} runs {how_long}".encode())

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exit)

    async def stop(self, timeout_seconds: float) -> None:
        self._end(Exit(TERMINATED if timeout_seconds > 0 else KILLED))

    def kill_for_memory(self) -> None:
        self._end(Exit(KILLED, out_of_memory=True))

    async def probe(self, command: list[str], timeout_seconds: float) -> bool:
        return not self._exit.done()

    def _work(self) -> None:
        """The time is over: write what the job contract asks for, then end."""
        objects = contract_objects(self._environment) if self._code == 0 else []
        if objects:
            self._job = asyncio.create_task(self._write(objects))
        else:
            self._end(Exit(self._code))

    async def _write(self, objects: list[Object]) -> None:
        error = await self._writes.write(objects)
        if error is not None and not self._exit.done():
            self._on_output(f"simulated: {error}".encode())
        self._end(Exit(0 if error is None else 1))

    def _end(self, ended: Exit) -> None:
        if self._exit.done():
            return
        if self._timer is not None:
            self._timer.cancel()
        if ended.code and (error := self._environment.get("SIMULATED_ERROR")):
            self._on_output(error.encode())
        self._on_output(f"simulated: ends with {ended.code}".encode())
        self._exit.set_result(ended)


class SimulatedRuntime:
    """Starts containers as timers; there is no image that it does not have."""

    has_network = False
    gives_addresses = False
    gateway = None

    def __init__(self, store: ObjectStore) -> None:
        self._writes = ObjectWriter(store)

    async def open(self) -> None:
        return

    async def pull(self, image: str) -> None:
        return

    async def start(self, spec: ContainerSpec, on_output: Callable[[bytes], None]) -> SimulatedContainer:
        return SimulatedContainer(spec, on_output, self._writes)

    def endpoint(self, task_id: str, address: str, port: int) -> tuple[str, int]:
        return address, port

    def release(self, task_id: str) -> None:
        return

    async def close(self) -> None:
        await self._writes.close()


class ObjectWriter:
    """Writes the objects of all containers, those that came together in one go, off the event loop."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._waiting: list[tuple[list[Object], asyncio.Future[str | None]]] = []
        self._loop: asyncio.Task[None] | None = None

    async def write(self, objects: list[Object]) -> str | None:
        """Write them in this order; returns when they are there: None, or what is wrong."""
        done: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((objects, done))
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._write_all())
        return await done

    async def close(self) -> None:
        if self._loop is not None:
            await self._loop

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            wrong = await asyncio.to_thread(self._store.put_objects, [o for objects, _ in batch for o in objects])
            for objects, done in batch:
                if not done.done():
                    done.set_result(next((wrong[uri] for uri, _ in objects if uri in wrong), None))


def contract_objects(environment: Mapping[str, str]) -> list[Object]:
    """The objects that docs/job-contract.md asks of a container with this environment, in their order."""
    objects: list[Object] = []
    files = []
    if uri := environment.get("OUTPUT_URI"):
        content = f"simulated {environment.get('SHARD', '')}\n".encode()
        objects.append((uri, content))
        files.append({"uri": uri, "bytes": len(content), "rows": 1, "sha256": hashlib.sha256(content).hexdigest()})
    if uri := environment.get("RESULT_URI"):
        result = {"shard": environment.get("SHARD", ""), "rows": len(files), "files": files}
        objects.append((uri, json.dumps(result).encode()))
    return objects


def _name(spec: ContainerSpec) -> str:
    shard = spec.environment.get("SHARD")
    return f"shard {shard}" if shard else spec.name


def _numbers(spec: ContainerSpec) -> tuple[float | None, int]:
    seconds, code = spec.environment.get("SIMULATED_SECONDS"), spec.environment.get("SIMULATED_EXIT_CODE", "0")
    try:
        if seconds is None:
            return None if spec.ports else DEFAULT_SECONDS, int(code)
        if not 0 <= float(seconds) < math.inf:
            raise ValueError
        return float(seconds), int(code)
    except ValueError:
        raise StartFailure(
            f"CannotStartContainerError: SIMULATED_SECONDS is {seconds!r} and SIMULATED_EXIT_CODE is {code!r}: "
            "they must be numbers"
        ) from None
