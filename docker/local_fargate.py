"""The local Fargate's container: the server, provisioned anew at each start, since its resources live in its memory.

Where AWS_ENDPOINT_URL is not set, AWS is a real account: there is nothing to serve, and the container waits.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import provision_stack

PROVISIONED = Path("/tmp/provisioned")
HEALTH = "http://127.0.0.1:4566/_fargate_local/health"
START_SECONDS = 60.0


def main(arguments: list[str]) -> int:
    """Serve until a signal comes; the server's exit code."""
    PROVISIONED.unlink(missing_ok=True)
    if not os.environ.get("AWS_ENDPOINT_URL"):
        PROVISIONED.touch()
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
        return 0
    server = subprocess.Popen([sys.executable, "-m", "fargate_local", *arguments], stdout=subprocess.DEVNULL)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: server.send_signal(number))
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and not answers():
        if time.monotonic() > deadline:
            server.terminate()
        time.sleep(0.2)
    if server.poll() is None:
        provision_stack.main()
        PROVISIONED.touch()
    return server.wait()


def answers() -> bool:
    """Whether the server answers."""
    with contextlib.suppress(OSError):
        return bool(urllib.request.urlopen(HEALTH, timeout=5).status == 200)
    return False


def healthy() -> bool:
    """Whether the server answers and is provisioned; in a real account, whether the container waits."""
    return PROVISIONED.exists() and (not os.environ.get("AWS_ENDPOINT_URL") or answers())


if __name__ == "__main__":
    sys.exit(not healthy() if sys.argv[1:] == ["--healthy"] else main(sys.argv[1:]))
