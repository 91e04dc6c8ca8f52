"""The job as a process, end to end: what it leaves in S3, what it says, and how it ends."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import BUCKET, IMAGES, MODELS_DIR, S3, TOKEN, Process, free_port
from flight_features import schema

Environment = Callable[..., dict[str, str]]
Run = Callable[..., Process]
Result = Callable[[Mapping[str, str]], dict[str, Any]]


def run_job(run_module: Run, environ: Mapping[str, str]) -> Process:
    """The job, to its end."""
    return run_module("flight_features", "flight_features", environ)


def assert_nothing_written(s3: S3, environ: Mapping[str, str]) -> None:
    """Neither the output nor the result is there, nor a part of one beside them."""
    assert s3.keys(environ["OUTPUT_URI"].removeprefix(f"s3://{BUCKET}/").removesuffix(".parquet")) == []


def test_a_shard_leaves_its_file_and_a_result_with_size_rows_and_checksum(
    job_environment: Environment, run_module: Run, result_of: Result, s3: S3
) -> None:
    environ = job_environment("UA", "2013-01-01", "treatment")
    done = run_job(run_module, environ)
    content = s3.read(environ["OUTPUT_URI"])
    assert (done.exit_code, done.errors) == (0, "")
    assert pl.read_parquet(io.BytesIO(content)).height == 165
    assert result_of(environ) == {
        "shard": "UA",
        "rows": 165,
        "files": [
            {
                "uri": environ["OUTPUT_URI"],
                "bytes": len(content),
                "rows": 165,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        ],
    }


def test_the_log_tells_the_progress_line_by_line(job_environment: Environment, run_module: Run) -> None:
    done = run_job(run_module, job_environment("UA", "2013-01-01"))
    assert [line.split(" ")[0] for line in done.lines] == [
        *("start", "read", "encoded", "encoded", "computed", "written", "written", "done")
    ]
    assert done.lines[0] == "start shard=UA logical_date=2013-01-01 variant=control attempt=1 run=manual"
    assert done.lines[1].startswith("read flights=842 shard_flights=165 weather=67 history_days=0 history_flights=0")
    assert done.lines[2:4] == ["encoded rows=100/165", "encoded rows=165/165"]
    assert done.lines[-1].startswith("done rows=165 seconds=")


def test_the_same_input_gives_the_same_bytes(job_environment: Environment, run_module: Run, result_of: Result) -> None:
    results = []
    for run in ("first", "second"):
        environ = job_environment("B6", "2013-02-08", run=run)
        assert run_job(run_module, environ).exit_code == 0
        results.append(result_of(environ)["files"][0])
    assert results[0]["sha256"] == results[1]["sha256"]
    assert results[0]["rows"] == 148


def test_a_carrier_without_flights_that_day_succeeds_with_zero_rows_and_needs_no_encoder(
    job_environment: Environment, run_module: Run, result_of: Result, s3: S3
) -> None:
    environ = job_environment("OO", "2013-02-08", ENCODER_URL=f"http://127.0.0.1:{free_port()}")
    done = run_job(run_module, environ)
    content = s3.read(environ["OUTPUT_URI"])
    assert done.exit_code == 0
    assert (result_of(environ)["rows"], result_of(environ)["files"][0]["rows"]) == (0, 0)
    assert pl.read_parquet(io.BytesIO(content)).schema == schema.POLARS


VARIABLES = (
    *("SHARD", "LOGICAL_DATE", "VARIANT", "RUN_ID", "ATTEMPT", "INPUT_URI", "OUTPUT_URI", "RESULT_URI"),
    *("MODELS_DIR", "ENCODER_URL", "ENCODER_TOKEN"),
)


@pytest.mark.parametrize("name", VARIABLES)
def test_a_missing_variable_is_one_sentence_and_exit_code_2(
    name: str, job_environment: Environment, run_module: Run
) -> None:
    environ = job_environment()
    del environ[name]
    done = run_job(run_module, environ)
    sentence = f"error environment variable {name} is missing or empty: the job contract requires it."
    assert (done.exit_code, done.lines, done.errors) == (2, [sentence], "")


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        ("SHARD", "UA;DL", "it must be a carrier such as UA, or a destination such as LAX."),
        ("LOGICAL_DATE", "01.01.2013", "it must be a date, YYYY-MM-DD."),
        ("LOGICAL_DATE", "2013-02-30", "there is no such day."),
        ("ATTEMPT", "0", "it must be a whole number from 1."),
        ("INPUT_URI", "s3://bucket/raw", "it must be an S3 prefix, s3://bucket/raw/."),
        ("OUTPUT_URI", "s3://bucket/out.csv", "it must be an S3 object, s3://….parquet."),
        ("ENCODER_URL", "127.0.0.1:8080", "it must be a URL, http://host:port."),
        ("ENCODER_PATIENCE_SECONDS", "soon", "it must be seconds, such as 120."),
    ],
)
def test_a_malformed_variable_is_one_sentence_and_exit_code_2(
    name: str, value: str, form: str, job_environment: Environment, run_module: Run
) -> None:
    done = run_job(run_module, job_environment(**{name: value}))
    sentence = f"error environment variable {name} is {value!r}: {form}"
    assert (done.exit_code, done.lines, done.errors) == (2, [sentence], "")


def test_a_token_that_no_header_carries_is_refused_without_being_printed(
    job_environment: Environment, run_module: Run
) -> None:
    done = run_job(run_module, job_environment(ENCODER_TOKEN="secret\r\nx-other: 1"))
    sentence = "error environment variable ENCODER_TOKEN must be printable ASCII without spaces."
    assert (done.exit_code, done.lines, done.errors) == (2, [sentence], "")


def test_an_encoder_that_stays_down_fails_the_shard_and_nothing_is_written(
    job_environment: Environment, run_module: Run, s3: S3
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    environ = job_environment("HA", run="encoder-down", ENCODER_URL=url)
    done = run_job(run_module, environ)
    assert (done.exit_code, done.errors) == (1, "")
    assert done.lines[-1] == (
        f"error encoder {url}/encode was not available for 1 seconds (last answer: NewConnectionError): "
        "is its service scaled up and healthy?"
    )
    assert_nothing_written(s3, environ)


def test_a_wrong_token_fails_at_once_and_nothing_is_written(
    job_environment: Environment, run_module: Run, encoders: dict[str, str], s3: S3
) -> None:
    environ = job_environment("HA", run="wrong-token", ENCODER_TOKEN="other", ENCODER_PATIENCE_SECONDS="60")
    done = run_job(run_module, environ)
    assert done.exit_code == 1
    assert done.lines[-1] == (
        f"error encoder {encoders['control']}/encode refused the bearer token (HTTP 401): check ENCODER_TOKEN's secret."
    )
    assert_nothing_written(s3, environ)


def test_the_other_variants_encoder_is_refused(
    job_environment: Environment, run_module: Run, encoders: dict[str, str], s3: S3
) -> None:
    environ = job_environment("HA", run="wrong-encoder", ENCODER_URL=encoders["treatment"])
    done = run_job(run_module, environ)
    assert done.exit_code == 1
    assert done.lines[-1] == (
        f"error encoder {encoders['treatment']}/encode is of variant 'treatment', the job of 'control': "
        "check ENCODER_URL."
    )
    assert_nothing_written(s3, environ)


def test_missing_shared_models_fail_the_shard(job_environment: Environment, run_module: Run, tmp_path: Path) -> None:
    done = run_job(run_module, job_environment("HA", MODELS_DIR=str(tmp_path)))
    assert done.exit_code == 1
    assert done.lines[-1] == (
        f"error feature specification {tmp_path}/features.json cannot be read (No such file or directory): "
        "mount the shared-models file system at MODELS_DIR."
    )


def test_a_day_that_was_not_ingested_fails_the_shard(
    job_environment: Environment, run_module: Run, raw_uri: str, s3: S3
) -> None:
    environ = job_environment("HA", "2013-06-01")
    done = run_job(run_module, environ)
    assert done.exit_code == 1
    assert done.lines[-1] == (
        f"error {raw_uri}ds=2013-06-01/ has no flights.parquet or no weather.parquet: run ingest for that day."
    )
    assert_nothing_written(s3, environ)


def test_a_gap_in_the_history_fails_the_shard(
    job_environment: Environment, run_module: Run, raw_uri: str, s3: S3
) -> None:
    for key in s3.keys("raw/ds=2013-01-0"):
        if "ds=2013-01-02" not in key:
            s3.client.copy_object(
                Bucket=BUCKET, Key=key.replace("raw/", "gap/"), CopySource={"Bucket": BUCKET, "Key": key}
            )
    done = run_job(run_module, job_environment("HA", "2013-01-03", INPUT_URI=f"s3://{BUCKET}/gap/"))
    assert done.exit_code == 1
    assert done.lines[-1] == (
        f"error s3://{BUCKET}/gap/ds=2013-01-02/flights.parquet is missing though earlier days are there: "
        "run ingest again."
    )


def test_a_broken_raw_file_and_a_missing_bucket_are_one_sentence_each(
    job_environment: Environment, run_module: Run, s3: S3
) -> None:
    s3.client.put_object(Bucket=BUCKET, Key="broken/ds=2013-01-01/flights.parquet", Body=b"not parquet")
    broken = run_job(run_module, job_environment("HA", INPUT_URI=f"s3://{BUCKET}/broken/"))
    missing = run_job(run_module, job_environment("HA", INPUT_URI="s3://no-such-bucket/raw/"))
    assert (broken.exit_code, missing.exit_code) == (1, 1)
    assert broken.lines[-1].startswith(
        f"error s3://{BUCKET}/broken/ds=2013-01-01/flights.parquet is no Parquet file with the columns carrier, "
    )
    assert missing.lines[-1].startswith("error s3://no-such-bucket/raw/ds=2013-01-01/flights.parquet could not be read")
    assert (broken.errors, missing.errors) == ("", "")


def test_an_output_that_cannot_be_written_leaves_no_result(
    job_environment: Environment, run_module: Run, s3: S3
) -> None:
    environ = job_environment("HA", run="no-output", OUTPUT_URI="s3://no-such-bucket/HA.parquet")
    done = run_job(run_module, environ)
    assert done.exit_code == 1
    assert done.lines[-1].startswith("error s3://no-such-bucket/HA.parquet could not be written: ")
    assert s3.keys("features/no-output/") == []


def test_sigterm_ends_the_job_at_once_with_143_and_a_line(job_environment: Environment, s3: S3) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an encoder that takes the request and never answers
        environ = job_environment("HA", run="stopped", ENCODER_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        process = subprocess.Popen(
            [sys.executable, "-m", "flight_features"],
            cwd=IMAGES / "flight_features",
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environ},
            stdout=subprocess.PIPE,
            text=True,
        )
        silent.settimeout(30)
        connection, _ = silent.accept()
        connection.recv(1)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=5)
        connection.close()
    assert process.returncode == 143
    assert output.splitlines()[-1] == "stopped by SIGTERM before the result was whole"
    assert_nothing_written(s3, environ)


def test_the_shared_specification_decides_the_window_and_the_threshold(
    job_environment: Environment, run_module: Run, tmp_path: Path, s3: S3
) -> None:
    text = (MODELS_DIR / "features.json").read_text()
    shutil.copy(MODELS_DIR / "features.json", tmp_path)
    changed = text.replace('"window_days": 7', '"window_days": 2').replace(
        '"delay_threshold_minutes": 15', '"delay_threshold_minutes": 1440'
    )
    (tmp_path / "features.json").write_text(changed)
    environ = job_environment("HA", "2013-02-08", run="specification", MODELS_DIR=str(tmp_path))
    assert run_job(run_module, environ).exit_code == 0
    rows = pl.read_parquet(io.BytesIO(s3.read(environ["OUTPUT_URI"]))).to_dicts()
    assert [(row["history_days"], row["carrier_hist_flights"], row["carrier_hist_share_delayed"]) for row in rows] == [
        (2, 2, 0.0)
    ]


def test_the_token_is_in_no_line_of_the_log(job_environment: Environment, run_module: Run) -> None:
    done = run_job(run_module, job_environment("HA"))
    assert TOKEN not in "\n".join(done.lines) + done.errors
