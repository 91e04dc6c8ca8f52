"""A web server for the tests: GET answers with its address, POST echoes; some paths misbehave."""

import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

stopping = threading.Event()


def stop(*_):
    """End, after the answers of /until-stopped."""
    stopping.set()
    threading.Timer(0.2, os._exit, [0]).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.misbehave()
        self.answer(os.environ["HOST"].encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.misbehave()
        self.answer(body)

    def misbehave(self):
        """/die-once/<file> ends the first process that it reaches, /half-once/<file> amid its answer;
        /until-stopped/<file> answers when the process has to end, /never/<file> not at all."""
        way, _, rest = self.path[1:].partition("/")
        if way in ("die-once", "half-once") and not os.path.exists(f"/{rest}"):
            open(f"/{rest}", "w").close()
            if way == "half-once":
                self.answer(b"half", missing=4)
            os._exit(1)
        if way in ("until-stopped", "never"):
            open(f"/{rest}", "w").close()
            (stopping if way == "until-stopped" else threading.Event()).wait()

    def answer(self, body, missing=0):
        self.send_response(200)
        self.send_header("content-length", str(len(body) + missing))
        self.send_header("x-path", self.path)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Quiet."""


signal.signal(signal.SIGTERM, stop)
ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
