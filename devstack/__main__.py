"""``python -m devstack demo|rt-live|backfill-demo|compose-demo|compose-down|up``."""

from __future__ import annotations

import sys

from devstack import interrupts

INTERRUPTED = 130
"""The exit code that shells give a command ended by Ctrl-C."""


def main(arguments: list[str]) -> int:
    """Run one command; the exit code is 0, 1 (failed), 2 (refused) or 130 (interrupted)."""
    interrupts.install()
    try:
        from devstack import cli  # the heavy imports, where Ctrl-C already leaves no traceback

        return cli.run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped; nothing is left running.\n")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
