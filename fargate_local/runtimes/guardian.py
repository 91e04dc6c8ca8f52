"""Ends the children of a server that died without ending them itself (kill -9).

Runs as a process of its own, in its own session, with nothing but the standard library: it reads `+<pgid>` and
`-<pgid>` lines, and when its input ends it kills every process group that is still there.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Read process groups from stdin until it ends, then kill the rest."""
    groups: set[int] = set()
    for line in sys.stdin:
        if line.startswith("+"):
            groups.add(int(line[1:]))
        elif line.startswith("-"):
            groups.discard(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


if __name__ == "__main__":
    main()
