"""What a call gets instead of an answer, when a fault rule says so: nonsense, or a connection that ends."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

WRONG: Final = frozenset({"answer", "close", "reset"})
"""The effects by which a call is not done, and its answer is none of the service's."""
_NO_LINGER: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0: closing the socket sends RST instead of FIN (man 7 socket)."""


class BrokenOff(Response):
    """No answer at all: the connection is closed.

    :param reset: with a TCP reset.
    """

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.status_code = 0
        self._reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # ASGI has no word for it; uvicorn's request knows its transport.
        transport = receive.__self__.transport  # type: ignore[attr-defined]
        connection = transport.get_extra_info("socket")
        if self._reset and connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
        await receive()


def wrong_answer(effect: Mapping[str, Any], media_type: str) -> Response | None:
    """What the effect of a rule puts in the place of an answer; None when it is no such effect.

    :param media_type: of the service's answers.
    """
    if WRONG.isdisjoint(effect):
        return None
    if "answer" not in effect:
        return BrokenOff(reset="reset" in effect)
    given = effect.get("media_type", media_type)
    return Response(effect["answer"], int(effect.get("status", 200)), media_type=given)
