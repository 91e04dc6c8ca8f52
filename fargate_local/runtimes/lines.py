"""A container's output, cut into lines."""

from __future__ import annotations

from collections.abc import Callable

from fargate_local import limits

READ_BYTES = 64 * 1024


class Lines:
    """Gives each line to `on_line`; a longer one than CloudWatch Logs takes comes in parts."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._on_line(line.removesuffix(b"\r"))
        if len(self._rest) > limits.LOG_LINE_BYTES - limits.LOG_EVENT_OVERHEAD_BYTES - READ_BYTES:
            self.end()

    def end(self) -> None:
        """There are no more: what is left is a line."""
        if self._rest:
            self._on_line(self._rest)
        self._rest = b""
