"""The HTTP API of a container engine (Docker's; Podman's is compatible), as much as the docker runtime needs of it.

Source: docs.docker.com/reference/api/engine.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from fargate_local.runtimes.lines import Lines
from fargate_local.shapes import JsonObject

DEFAULT: Final = "unix:///var/run/docker.sock"
CALL_SECONDS: Final = 60.0
EXIT_LOOKS: Final = 100
EXIT_LOOK_SECONDS: Final = 0.05
FRAME_HEADER: Final = struct.Struct(">BxxxL")
"""Of a piece of output: 1 for stdout or 2 for stderr, and how many bytes follow (ContainerAttach, "Stream format")."""


class EngineError(Exception):
    """The engine refused a call, or none answered.

    :param status: the HTTP status; 0 when there was no answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return self.message


class EngineApi:
    """One engine.

    :param url: `unix:///path` or `tcp://host:port`; None: DOCKER_HOST, else Docker's own default.
    """

    def __init__(self, url: str | None = None) -> None:
        self.url = url or os.environ.get("DOCKER_HOST") or DEFAULT
        scheme, _, rest = self.url.partition("://")
        if scheme not in ("unix", "tcp") or not rest:
            raise EngineError(0, f"the engine's address is {self.url!r}: it must be like {DEFAULT} or tcp://HOST:PORT")
        # Each running container holds a connection for its end and one for its output.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=16)
        transport = httpx.AsyncHTTPTransport(uds=f"/{rest.lstrip('/')}" if scheme == "unix" else None, limits=limits)
        base = "http://engine" if scheme == "unix" else f"http://{rest}"
        self._http = httpx.AsyncClient(transport=transport, base_url=base, timeout=CALL_SECONDS, trust_env=False)
        self._version = ""

    async def open(self) -> JsonObject:
        """Ask the engine what it is; the answer of /info.

        :raises EngineError: none answers.
        """
        answer = await self._call("GET", "/version")
        self._version = f"/v{answer['ApiVersion']}"
        info: JsonObject = await self.get("/info")
        return info

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: str) -> Any:
        """A GET's answer.

        :raises EngineError: the engine refuses it.
        """
        return await self._call("GET", self._version + path, query)

    async def post(self, path: str, body: object = None, *, seconds: float | None = CALL_SECONDS, **query: str) -> Any:
        """A POST's answer.

        :param seconds: how long it may take; None: for ever.
        :raises EngineError: the engine refuses it.
        """
        return await self._call("POST", self._version + path, query, body, seconds)

    async def delete(self, path: str, **query: str) -> None:
        """Remove something; nothing happens when it is not there.

        :raises EngineError: the engine refuses it.
        """
        try:
            await self._call("DELETE", self._version + path, query)
        except EngineError as error:
            if error.status != 404:
                raise

    async def pull(self, image: str) -> None:
        """Pull an image from its registry.

        :raises EngineError: it cannot be had.
        """
        last: JsonObject = {}
        async for chunk in self._stream("POST", "/images/create", {"fromImage": image}):
            for line in chunk.splitlines():
                last = json.loads(line) if line.startswith(b"{") and line.endswith(b"}") else last
                if "error" in last:
                    raise EngineError(500, str(last["error"]))

    async def output(self, container_id: str, on_output: Callable[[bytes], None]) -> None:
        """Give a container's output from its start to its end to `on_output`, line by line."""
        query = {"follow": "1", "stdout": "1", "stderr": "1"}
        lines, rest = {1: Lines(on_output), 2: Lines(on_output)}, b""
        async for chunk in self._stream("GET", f"/containers/{container_id}/logs", query):
            rest += chunk
            while len(rest) >= FRAME_HEADER.size:
                stream, size = FRAME_HEADER.unpack_from(rest)
                if len(rest) < FRAME_HEADER.size + size:
                    break
                lines[2 if stream == 2 else 1].feed(rest[FRAME_HEADER.size : FRAME_HEADER.size + size])
                rest = rest[FRAME_HEADER.size + size :]
        for each in lines.values():
            each.end()

    async def run(self, container_id: str, command: list[str]) -> int:
        """Run a command in a container; its exit code."""
        made = await self.post(f"/containers/{container_id}/exec", {"Cmd": command, "AttachStdout": True})
        async for _ in self._stream("POST", f"/exec/{made['Id']}/start", {}, {"Detach": False, "Tty": False}):
            continue
        # its output has ended, so it has, too; the engine may need a moment to say so
        for _ in range(EXIT_LOOKS):
            if not (state := await self.get(f"/exec/{made['Id']}/json"))["Running"]:
                return int(state["ExitCode"])
            await asyncio.sleep(EXIT_LOOK_SECONDS)
        raise EngineError(0, f"the command {command!r} has closed its output, but goes on")

    async def _stream(
        self, method: str, path: str, query: Mapping[str, str], body: object = None
    ) -> AsyncIterator[bytes]:
        request = self._http.build_request(
            method, self._version + path, params=query, json=body, timeout=httpx.Timeout(CALL_SECONDS, read=None)
        )
        try:
            answer = await self._http.send(request, stream=True)
            try:
                if answer.status_code >= 400:
                    raise EngineError(answer.status_code, _message(await answer.aread()))
                async for chunk in answer.aiter_raw():
                    yield chunk
            finally:
                await answer.aclose()
        except httpx.HTTPError as error:
            raise self._silent(error) from None

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        seconds: float | None = CALL_SECONDS,
    ) -> Any:
        timeout = httpx.Timeout(CALL_SECONDS, read=seconds)
        try:
            answer = await self._http.request(method, path, params=query, json=body, timeout=timeout)
        except httpx.HTTPError as error:
            raise self._silent(error) from None
        if answer.status_code >= 400:
            raise EngineError(answer.status_code, _message(answer.content))
        return answer.json() if answer.content else None

    def _silent(self, error: httpx.HTTPError) -> EngineError:
        return EngineError(0, f"no container engine answers at {self.url} ({error or type(error).__name__})")


def filters(**wanted: list[str]) -> str:
    """The `filters` of a list."""
    return json.dumps(wanted)


def name_in_path(name: str) -> str:
    """A name, such as an image's, as a part of a path."""
    return quote(name, safe="/:@")


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace").strip()
