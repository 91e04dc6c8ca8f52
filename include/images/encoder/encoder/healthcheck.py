"""`python -m encoder.healthcheck`: the container's health check, exit code 0 when `/health` answers 200.

The image has no curl; only `http.client` is imported, since this starts anew every few seconds.
"""

from __future__ import annotations

import http.client
import os
import sys


def main() -> int:
    """0 healthy, 1 not."""
    host = os.environ.get("HOST") or "0.0.0.0"
    reached = "127.0.0.1" if host == "0.0.0.0" else host
    connection = http.client.HTTPConnection(reached, int(os.environ.get("PORT") or 8080), timeout=3)
    try:
        connection.request("GET", "/health")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
