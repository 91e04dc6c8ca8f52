"""The HTTP face of an encoder: GET /health, POST /encode."""

from __future__ import annotations

import hmac

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from encoder.bodies import MAX_BYTES, BadRequest, rows_of
from encoder.hashing import Encoder


def create_app(encoder: Encoder, token: str) -> Starlette:
    """The service of one encoder; `/encode` is for holders of the bearer token, `/health` for load balancers.

    An error is answered as `{"error": sentence}`: 401 without the token, 413 for a body that is too long, 422
    for bad rows.
    """
    expected = f"Bearer {token}".encode()

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "variant": encoder.variant})

    async def encode(request: Request) -> Response:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            return _error(401, "the bearer token is missing or wrong.", {"www-authenticate": "Bearer"})
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                return _error(
                    413,
                    f"the body is longer than {MAX_BYTES} bytes: send smaller batches.",
                    {"connection": "close"},
                )
        try:
            rows = rows_of(bytes(body), encoder.columns)
        except BadRequest as error:
            return _error(422, str(error))
        encodings = [encoder.encode(row) for row in rows]
        return JSONResponse({"variant": encoder.variant, "dimensions": encoder.dimensions, "encodings": encodings})

    async def hung_up(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it: the caller went away while it sent the body

    return Starlette(
        routes=[Route("/health", health, methods=["GET"]), Route("/encode", encode, methods=["POST"])],
        exception_handlers={ClientDisconnect: hung_up},
    )


def _error(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": sentence}, status_code=status, headers=headers)
