"""Removes the containers of a server that died without removing them itself (kill -9).

Runs as a process of its own, in its own session, with nothing but the standard library: when its input ends, it
removes every container and network with the label. `docker_guardian.py unix:///path|tcp://host:port LABEL=VALUE`
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import urllib.parse


def main() -> None:
    """Wait for the end of the input, then remove what has the label."""
    url, label = sys.argv[1:]
    sys.stdin.read()
    query = urllib.parse.urlencode({"all": "1", "filters": json.dumps({"label": [label]})})
    for each in json.loads(call(url, "GET", f"/containers/json?{query}") or b"[]"):
        call(url, "DELETE", f"/containers/{each['Id']}?force=1&v=1")
    for each in json.loads(call(url, "GET", f"/networks?{query}") or b"[]"):
        call(url, "DELETE", f"/networks/{each['Id']}")


def call(url: str, method: str, path: str) -> bytes:
    """The answer of the engine; nothing when none answers."""
    scheme, _, rest = url.partition("://")
    connection = http.client.HTTPConnection("engine" if scheme == "unix" else rest, timeout=60)
    try:
        if scheme == "unix":
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.connect(rest)
        connection.request(method, path)
        return connection.getresponse().read()
    except OSError:
        return b""
    finally:
        connection.close()


if __name__ == "__main__":
    main()
