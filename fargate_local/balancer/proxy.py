"""The HTTP side of a local load balancer: one listener, whole requests in, whole answers out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import h11

if TYPE_CHECKING:
    import httpx

Headers = list[tuple[str, str]]
Answer = tuple[int, Headers, bytes]
Handler = Callable[[str, str, Headers, bytes], Awaitable[Answer]]

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}
)
READ_BYTES = 64 * 1024
IDLE_SECONDS = 60.0
"""An Application Load Balancer's idle timeout (elasticloadbalancing/latest/application)."""


class ProxyError(Exception):
    """A target did not answer. `sent`: it may have got the request."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


async def exchange(http: httpx.AsyncClient, method: str, url: str, headers: Headers, body: bytes) -> Answer:
    """One request to a target.

    :raises ProxyError: no answer.
    """
    import httpx

    kept = [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP]
    request = http.build_request(method, url, headers=kept, content=body)
    try:
        response = await http.send(request, stream=True)
        try:
            content = b"".join([chunk async for chunk in response.aiter_raw()])
        finally:
            await response.aclose()
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise ProxyError(str(error) or type(error).__name__, sent=False) from None
    except httpx.HTTPError as error:
        raise ProxyError(str(error) or type(error).__name__, sent=True) from None
    answered = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in HOP_BY_HOP]
    return response.status_code, answered, content


class Listener:
    """Listens on one port and gives each request to the handler; connections are kept alive."""

    def __init__(self, name: str, handler: Handler) -> None:
        self.name = name
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"

    async def open(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._accept, host, port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            await self._converse(reader, writer)
        except asyncio.CancelledError:
            pass  # the listener closes: the connection ends quietly
        except (ConnectionError, TimeoutError, h11.ProtocolError):
            pass  # the client went away or does not speak HTTP
        finally:
            self._connections.discard(connection)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state = h11.Connection(h11.SERVER)
        while True:
            request = await _next_event(state, reader, writer)
            if not isinstance(request, h11.Request):
                return
            body = bytearray()
            while isinstance(event := await _next_event(state, reader, writer), h11.Data):
                body += event.data
            if not isinstance(event, h11.EndOfMessage):
                return
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
            method = request.method.decode()
            status, answered, content = await self._handler(method, request.target.decode(), headers, bytes(body))
            answered = [*answered, ("content-length", str(len(content)))]
            writer.write(_bytes(state.send(h11.Response(status_code=status, headers=answered))))
            if method != "HEAD":
                writer.write(_bytes(state.send(h11.Data(data=content))))
            writer.write(_bytes(state.send(h11.EndOfMessage())))
            await writer.drain()
            if state.our_state is not h11.DONE or state.their_state is not h11.DONE:
                return
            state.start_next_cycle()


async def _next_event(
    state: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    while True:
        if state.they_are_waiting_for_100_continue:
            writer.write(_bytes(state.send(h11.InformationalResponse(status_code=100, headers=[]))))
        event = state.next_event()
        if event is not h11.NEED_DATA:
            return event
        async with asyncio.timeout(IDLE_SECONDS):
            state.receive_data(await reader.read(READ_BYTES))


def _bytes(data: bytes | None) -> bytes:
    return data or b""
