"""The last one to leave: ends the stack's processes when the command that started them is gone without a word.

A command that is killed with -9 cannot clean up. So it starts this guard beside its children, in a session of
its own, and tells it over a pipe whom to watch: ``+PID`` and ``-PID``. When the pipe breaks, for whatever
reason, the guard ends every process that is still on its list, and itself.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable

from devstack import trees

GRACE_SECONDS = 5.0


def watched(lines: Iterable[str]) -> set[int]:
    """Read the pipe to its end; return the ids that were added and not taken off."""
    pids: set[int] = set()
    for line in lines:
        sign, number = line[:1], line[1:].strip()
        if sign == "+" and number.isdigit():
            pids.add(int(number))
        elif sign == "-" and number.isdigit():
            pids.discard(int(number))
    return pids


def main() -> None:
    """Wait for the pipe to break, then end what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    trees.end(watched(sys.stdin), grace_seconds=GRACE_SECONDS)


if __name__ == "__main__":
    main()
