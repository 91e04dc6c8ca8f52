"""A container agent for tests: it answers what it is told to, and keeps what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Agent:
    """:ivar sent: the bodies of PUT requests, oldest first.
    :ivar answers: path -> JSON, or a status with its text.
    """

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {}
        self.url = ""


@contextmanager
def agent() -> Iterator[Agent]:
    """An agent that listens on the loopback interface."""
    mine = Agent()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply()

        def do_PUT(self) -> None:
            mine.sent.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.reply()

        def reply(self) -> None:
            answer = mine.answers.get(self.path, (404, "not here"))
            status, text = answer if isinstance(answer, tuple) else (200, json.dumps(answer))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    mine.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield mine
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
