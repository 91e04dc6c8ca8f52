"""A web server for the tests: GET answers with its address, POST echoes, /die-once/<file> does not answer."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.die_once()
        self.answer(os.environ["HOST"].encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.die_once()
        self.answer(body)

    def die_once(self):
        """/die-once/<file> ends the first process that it reaches."""
        if self.path.startswith("/die-once/"):
            mark = self.path.removeprefix("/die-once")
            if not os.path.exists(mark):
                open(mark, "w").close()
                os._exit(1)

    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Quiet."""


ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
