"""The calls that reached the server, so that tests can count them."""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

KEPT_CALLS = 100_000
KEPT_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Call:
    """One API call.

    :param at: when it came in, in seconds since the epoch.
    :param body: the request as it came in.
    :param status: HTTP status of the answer; 0 when the answer was dropped.
    :param error: AWS's error code, or None.
    """

    operation: str
    at: float
    body: bytes
    status: int
    error: str | None

    @property
    def request(self) -> dict[str, Any]:
        """The request's parameters; {} when they are not a JSON object."""
        return json_object(self.body) or {}

    def to_json(self) -> dict[str, Any]:
        return {
            "operation": self.operation,
            "at": self.at,
            "request": self.request,
            "status": self.status,
            "error": self.error,
        }


class CallLog:
    """The last calls, oldest first: `KEPT_CALLS` of them, or as many as fit into `KEPT_BYTES`; and how many there were.

    Only calls whose request is JSON are kept; those of other protocols, S3's among them, are counted.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._calls: deque[Call] = deque()
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._counts: Counter[str] = Counter()

    def add(self, call: Call) -> None:
        self.count(call.operation)
        self._calls.append(call)
        self._bytes += len(call.body)
        while len(self._calls) > KEPT_CALLS or self._bytes > self._kept_bytes:
            self._bytes -= len(self._calls.popleft().body)

    def count(self, operation: str) -> None:
        """Count a call that is not kept."""
        self._counts[operation] += 1

    @property
    def counts(self) -> dict[str, int]:
        """How many calls of each operation there were since the start."""
        return dict(self._counts)

    def of(self, operation: str | None = None) -> list[Call]:
        """The calls of one operation, or all."""
        return [call for call in list(self._calls) if operation is None or call.operation == operation]


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a request's body, {} in an empty one; None when it is something else."""
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
