"""How the job waits for an encoder that is briefly not there: a fake clock, answers from a scripted
server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flight_features.encoder_client import BATCH_ROWS, EncoderClient
from flight_features.errors import JobError

GOOD = {"variant": "control", "dimensions": 1, "encodings": [[1.0]]}


class Encoder:
    """Answers each request with the next of `script`: (status, JSON)."""

    def __init__(self) -> None:
        self.script: list[tuple[int, Any]] = []
        self.asked: list[dict[str, Any]] = []
        encoder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                encoder.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                status, answer = encoder.script.pop(0)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


class Clock:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def encoder() -> Iterator[Encoder]:
    scripted = Encoder()
    thread = threading.Thread(target=scripted.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield scripted
    scripted.server.shutdown()
    scripted.server.server_close()
    thread.join()


def client(encoder: Encoder, clock: Clock, patience_seconds: float = 60) -> EncoderClient:
    return EncoderClient(encoder.url, "token", "control", patience_seconds, sleep=clock.sleep, clock=lambda: clock.now)


def test_a_load_balancer_without_targets_is_waited_for(encoder: Encoder) -> None:
    clock = Clock()
    encoder.script = [(503, {}), (502, {}), (500, {}), (200, GOOD)]
    assert client(encoder, clock).encode([{"carrier": "UA"}]) == [[1.0]]
    assert encoder.asked == [{"rows": [{"carrier": "UA"}]}] * 4
    assert all(least <= pause <= 2 * least for pause, least in zip(clock.pauses, (0.1, 0.2, 0.4), strict=True))


def test_patience_ends(encoder: Encoder) -> None:
    clock = Clock()
    encoder.script = [(503, {})] * 100
    with pytest.raises(JobError, match=r"was not available for 60 seconds \(last answer: HTTP 503\)"):
        client(encoder, clock).encode([{"carrier": "UA"}])
    assert 50 < clock.now <= 60
    assert max(clock.pauses) <= 5


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((422, {"error": "no."}), 'refused the rows (HTTP 422): {"error": "no."}'),
        ((404, {}), "refused the rows (HTTP 404): {}"),
        ((200, []), "answered no JSON object."),
        ((200, {**GOOD, "encodings": []}), "did not answer one encoding for each of 1 rows."),
        ((200, {**GOOD, "dimensions": 2}), "answered encodings that are not all 2 numbers long."),
        ((200, {**GOOD, "encodings": [["1.0"]]}), "answered encodings that are not all 1 numbers long."),
        ((200, {**GOOD, "encodings": [[None]]}), "answered encodings that are not all 1 numbers long."),
    ],
)
def test_a_wrong_answer_fails_at_once(encoder: Encoder, answer: tuple[int, Any], sentence: str) -> None:
    clock = Clock()
    encoder.script = [answer]
    with pytest.raises(JobError) as failed:
        client(encoder, clock).encode([{"carrier": "UA"}])
    assert str(failed.value) == f"encoder {encoder.url}/encode {sentence}"
    assert clock.pauses == []


def test_rows_are_sent_in_batches_and_come_back_in_order(encoder: Encoder) -> None:
    rows: list[dict[str, str | int]] = [{"hour": index} for index in range(2 * BATCH_ROWS + 1)]
    batches = [rows[:BATCH_ROWS], rows[BATCH_ROWS : 2 * BATCH_ROWS], rows[2 * BATCH_ROWS :]]
    encoder.script = [(200, {**GOOD, "encodings": [[row["hour"]] for row in batch]}) for batch in batches]
    done: list[int] = []
    encodings = client(encoder, Clock()).encode(rows, on_batch=done.append)
    assert [batch["rows"] for batch in encoder.asked] == batches
    assert encodings == [[index] for index in range(len(rows))]
    assert done == [BATCH_ROWS, 2 * BATCH_ROWS, 2 * BATCH_ROWS + 1]


def test_replicas_that_disagree_on_the_dimensions_are_refused(encoder: Encoder) -> None:
    encoder.script = [
        (200, {**GOOD, "encodings": [[1.0]] * BATCH_ROWS}),
        (200, {**GOOD, "dimensions": 2, "encodings": [[1.0, 2.0]]}),
    ]
    with pytest.raises(JobError, match="answered encodings that are not all 1 numbers long"):
        client(encoder, Clock()).encode([{"hour": 1}] * (BATCH_ROWS + 1))
