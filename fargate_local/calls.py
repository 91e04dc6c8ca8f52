"""The calls that reached the server, so that tests can count them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

KEPT_CALLS = 100_000


@dataclass(frozen=True)
class Call:
    """One API call.

    :param at: when it came in, in seconds since the epoch.
    :param status: HTTP status of the answer; 0 when the answer was dropped.
    :param error: AWS's error code, or None.
    """

    operation: str
    at: float
    request: dict[str, Any]
    status: int
    error: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "operation": self.operation,
            "at": self.at,
            "request": self.request,
            "status": self.status,
            "error": self.error,
        }


class CallLog:
    """The last `KEPT_CALLS` calls, oldest first."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT_CALLS)

    def add(self, call: Call) -> None:
        self._calls.append(call)

    def of(self, operation: str | None = None) -> list[Call]:
        """The calls of one operation, or all."""
        return [call for call in list(self._calls) if operation is None or call.operation == operation]
