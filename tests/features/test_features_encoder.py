"""The encoder service over real HTTP: who may ask, what may be asked, and that the answer is always the
same."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import features_oracle
import pytest
from conftest import IMAGES, MODELS_DIR, TOKEN, Process, free_port, start_encoder

ROW = {"carrier": "UA", "origin": "EWR", "dest": "IAH", "hour": 5}


def ask(url: str, method: str, path: str, body: bytes = b"", token: str | None = TOKEN) -> tuple[int, Any]:
    """Status and JSON of one request."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    try:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    return answer.status, json.loads(content) if content.startswith(b"{") else content.decode()


def encode(url: str, content: object) -> tuple[int, Any]:
    """POST /encode with the token."""
    return ask(url, "POST", "/encode", json.dumps(content).encode())


@pytest.mark.parametrize("variant", ["control", "treatment"])
def test_health_needs_no_token_and_names_the_variant(encoders: dict[str, str], variant: str) -> None:
    assert ask(encoders[variant], "GET", "/health", token=None) == (200, {"status": "ok", "variant": variant})


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", "tökén"])
def test_encode_without_the_bearer_token_is_401(encoders: dict[str, str], token: str | None) -> None:
    status, answer = ask(encoders["control"], "POST", "/encode", json.dumps({"rows": [ROW]}).encode(), token)
    assert (status, answer) == (401, {"error": "the bearer token is missing or wrong."})


def test_control_is_the_signed_hash_of_the_columns_in_8_dimensions(encoders: dict[str, str]) -> None:
    status, answer = encode(encoders["control"], {"rows": [ROW]})
    assert status == 200
    assert answer == {
        "variant": "control",
        "dimensions": 8,
        "encodings": [features_oracle.expected_encoding("control", "UA", "EWR", "IAH", 5)],
    }


def test_treatment_adds_crosses_in_16_dimensions_and_has_length_one(encoders: dict[str, str]) -> None:
    status, answer = encode(encoders["treatment"], {"rows": [ROW]})
    assert status == 200
    assert answer == {
        "variant": "treatment",
        "dimensions": 16,
        "encodings": [features_oracle.expected_encoding("treatment", "UA", "EWR", "IAH", 5)],
    }
    assert sum(each**2 for each in answer["encodings"][0]) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("variant", ["control", "treatment"])
def test_a_row_is_encoded_the_same_alone_again_and_among_others(encoders: dict[str, str], variant: str) -> None:
    others = [{**ROW, "hour": hour, "dest": dest} for hour in range(24) for dest in ("LAX", "BOS")]
    alone = encode(encoders[variant], {"rows": [ROW]})[1]["encodings"]
    again = encode(encoders[variant], {"rows": [ROW]})[1]["encodings"]
    among = encode(encoders[variant], {"rows": [*others, ROW]})[1]["encodings"]
    assert again == alone
    assert among[-1:] == alone
    assert len(among) == 49


def test_no_rows_and_the_most_rows_are_answered(encoders: dict[str, str]) -> None:
    empty = encode(encoders["control"], {"rows": []})
    assert empty == (200, {"variant": "control", "dimensions": 8, "encodings": []})
    status, answer = encode(encoders["control"], {"rows": [ROW] * 1000})
    assert (status, len(answer["encodings"])) == (200, 1000)


NEEDED = "each row needs carrier, origin, dest, hour."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], 'the body is not an object with a list "rows".'),
        ({"rows": "UA"}, 'the body is not an object with a list "rows".'),
        ({"rows": [ROW, 7]}, "rows[1] is not an object."),
        ({"rows": [{"carrier": "UA", "origin": "EWR", "hour": 5}]}, f"rows[0] has no 'dest': {NEEDED}"),
        ({"rows": [{**ROW, "dest": None}]}, "rows[0] has 'dest' = None: it must be a text or a whole number."),
        ({"rows": [{**ROW, "hour": 5.5}]}, "rows[0] has 'hour' = 5.5: it must be a text or a whole number."),
        ({"rows": [{**ROW, "hour": True}]}, "rows[0] has 'hour' = True: it must be a text or a whole number."),
        (
            {"rows": [{**ROW, "dep_delay": 3}]},
            "rows[0] has unknown columns dep_delay: only carrier, origin, dest, hour are encoded.",
        ),
        (
            {"rows": [ROW] * 1001},
            "rows has 1001 entries, at most 1000 are encoded at once: send smaller batches.",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)
def test_bad_input_is_422_with_one_sentence(encoders: dict[str, str], content: object, sentence: str) -> None:
    assert encode(encoders["control"], content) == (422, {"error": sentence})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_json_is_422(encoders: dict[str, str], body: bytes) -> None:
    assert ask(encoders["control"], "POST", "/encode", body) == (422, {"error": "the body is not JSON."})


def test_a_lone_surrogate_is_422_and_not_a_crash(encoders: dict[str, str]) -> None:
    body = b'{"rows": [{"carrier": "\\ud800", "origin": "EWR", "dest": "IAH", "hour": 5}]}'
    status, answer = ask(encoders["control"], "POST", "/encode", body)
    assert (status, answer["error"]) == (422, "rows[0] has 'carrier' = '\\ud800': it is no Unicode text.")


def test_a_body_over_a_mebibyte_is_413(encoders: dict[str, str]) -> None:
    status, answer = ask(encoders["control"], "POST", "/encode", b" " * (1024 * 1024 + 1))
    assert (status, answer) == (413, {"error": "the body is longer than 1048576 bytes: send smaller batches."})


def test_other_methods_and_paths_are_refused(encoders: dict[str, str]) -> None:
    assert ask(encoders["control"], "GET", "/encode")[0] == 405
    assert ask(encoders["control"], "GET", "/")[0] == 404


@pytest.fixture
def port_of_own() -> int:
    return free_port()


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_service_within_two_seconds_also_with_an_idle_connection(
    port_of_own: int, signal_number: signal.Signals
) -> None:
    process = start_encoder("control", port_of_own)
    idle = http.client.HTTPConnection("127.0.0.1", port_of_own, timeout=10)
    idle.request("GET", "/health")
    idle.getresponse().read()
    began = time.monotonic()
    os.kill(process.pid, signal_number)
    output, _ = process.communicate(timeout=10)
    assert time.monotonic() - began < 2
    assert process.returncode == 0
    assert output.splitlines() == ["stopping", "stopped"]
    idle.close()


def test_the_health_check_of_the_container_is_0_while_it_serves_and_1_when_not(
    encoders: dict[str, str], port_of_own: int, run_module: Callable[..., Process]
) -> None:
    serving = str(urlsplit(encoders["control"]).port)
    assert run_module("encoder", "encoder.healthcheck", {"PORT": serving}).exit_code == 0
    assert run_module("encoder", "encoder.healthcheck", {"PORT": str(port_of_own)}).exit_code == 1


COMPLETE = {"HOST": "127.0.0.1", "VARIANT": "control", "ENCODER_TOKEN": TOKEN, "MODELS_DIR": str(MODELS_DIR)}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"VARIANT": ""}, "environment variable VARIANT is missing or empty: the encoder needs it to start."),
        (
            {"ENCODER_TOKEN": ""},
            "environment variable ENCODER_TOKEN is missing or empty: the encoder needs it to start.",
        ),
        ({"PORT": "80a"}, "environment variable PORT is '80a': it must be a port, 1 to 65535."),
        (
            {"VARIANT": "other"},
            f"environment variable VARIANT is 'other': {MODELS_DIR}/features.json knows control, treatment.",
        ),
        (
            {"MODELS_DIR": str(IMAGES)},
            f"feature specification {IMAGES}/features.json cannot be read (No such file or directory): "
            "mount the shared-models file system at MODELS_DIR.",
        ),
    ],
    ids=["no variant", "no token", "bad port", "unknown variant", "no specification"],
)
def test_a_wrong_environment_is_one_sentence_and_exit_code_2(
    changes: dict[str, str], sentence: str, run_module: Callable[..., Process]
) -> None:
    done = run_module("encoder", "encoder", COMPLETE | changes)
    assert (done.exit_code, done.lines, done.errors) == (2, [f"error {sentence}"], "")


def test_a_port_in_use_is_one_sentence_and_exit_code_1(
    encoders: dict[str, str], run_module: Callable[..., Process]
) -> None:
    port = str(urlsplit(encoders["control"]).port)
    done = run_module("encoder", "encoder", {**COMPLETE, "PORT": port})
    assert (done.exit_code, done.errors) == (1, "")
    assert done.lines == [f"error 127.0.0.1:{port} cannot be listened on: Address already in use."]
