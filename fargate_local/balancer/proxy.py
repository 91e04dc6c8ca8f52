"""One request from a load balancer to a target: whole in, whole out, so that it can be sent again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import httpx
from starlette.responses import Response

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""After these errors the target has not seen the request."""


async def exchange(http: httpx.AsyncClient, method: str, url: str, headers: Headers, body: bytes) -> Response:
    """A target's answer to a request.

    :raises httpx.HTTPError: no answer.
    """
    request = http.build_request(method, url, headers=_end_to_end(headers), content=body)
    answer = await http.send(request, stream=True)
    try:
        content = b"".join([chunk async for chunk in answer.aiter_raw()])
    finally:
        await answer.aclose()
    response = Response(content, answer.status_code)
    response.raw_headers += _end_to_end(answer.headers.raw)
    return response


def plain(status: int, text: str) -> Response:
    """An answer of the load balancer itself."""
    return Response(f"fargate_local: {text}\n", status, media_type="text/plain")


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    return [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP]
