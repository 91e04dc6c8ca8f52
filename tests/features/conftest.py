"""What the tests of the example's data side share: an S3 (moto over HTTP), the raw days in it, and two
running encoders."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "include" / "images"
MODELS_DIR = ROOT / "include" / "efs" / "shared-models"
for folder in (
    Path(__file__).parent,
    IMAGES / "flight_features",
    IMAGES / "encoder",
    IMAGES / "rt_live",
    ROOT / "dags",
):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

BUCKET = "flights-under-test"
TOKEN = "token-under-test"
DAYS = ("2013-01-01", "2013-01-03", "2013-02-08", "2013-11-03", "2013-12-31")
"""First day (no history), a short history, a storm, the day clocks go back, the last day (its weather is
missing)."""


@dataclass(frozen=True)
class S3:
    """An S3 over HTTP, and the environment that leads an SDK to it."""

    environ: dict[str, str]
    client: Any

    def read(self, uri: str) -> bytes:
        """The object's content."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        content: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def keys(self, prefix: str) -> list[str]:
        """The keys under a prefix of the test bucket."""
        listed = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"] for each in listed.get("Contents", [])]


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A fresh S3 with an empty bucket."""
    requests = logging.getLogger("werkzeug")
    level = requests.level
    requests.setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environ = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }
    client = botocore.session.get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    client.create_bucket(Bucket=BUCKET)
    yield S3(environ, client)
    server.stop()
    requests.setLevel(level)


@pytest.fixture
def aws_environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leads the SDKs of this process to the test's S3, for one test."""
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture(scope="session")
def raw_uri(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The raw prefix with all days of DAYS and their history, put there by the DAG's own ingest."""
    from flights.ingest import ingest_day

    uri = f"s3://{BUCKET}/raw/"
    with pytest.MonkeyPatch.context() as patch:
        if "AIRFLOW_HOME" not in os.environ:
            patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        for name, value in s3.environ.items():
            patch.setenv(name, value)
        for day in DAYS:
            ingest_day(day, uri, aws_conn_id=None)
    return uri


@dataclass(frozen=True)
class Process:
    """A finished process."""

    exit_code: int
    lines: list[str]
    errors: str


@pytest.fixture(scope="session")
def run_module() -> Callable[..., Process]:
    """Runs `python -m module` of an image's folder with just the given environment, to its end."""

    def run(image: str, module: str, environ: Mapping[str, str]) -> Process:
        done = subprocess.run(
            [sys.executable, "-m", module],
            cwd=IMAGES / image,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Process(done.returncode, done.stdout.splitlines(), done.stderr)

    return run


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_encoder(variant: str, port: int) -> subprocess.Popen[str]:
    """A running encoder process that listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "encoder"],
        cwd=IMAGES / "encoder",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "VARIANT": variant,
            "ENCODER_TOKEN": TOKEN,
            "MODELS_DIR": str(MODELS_DIR),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    if not first.startswith("listening"):
        process.kill()
        process.wait()
        raise AssertionError(f"the encoder did not start: {first}{process.stdout.read()}")
    return process


@pytest.fixture(scope="session")
def encoders() -> Iterator[dict[str, str]]:
    """Variant -> URL of a running encoder."""
    ports = {"control": free_port(), "treatment": free_port()}
    running = [start_encoder(variant, port) for variant, port in ports.items()]
    yield {variant: f"http://127.0.0.1:{port}" for variant, port in ports.items()}
    for process in running:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture
def job_environment(s3: S3, raw_uri: str, encoders: dict[str, str]) -> Callable[..., dict[str, str]]:
    """The environment of a shard's container, by the job contract."""

    def make(
        shard: str = "UA", day: str = "2013-01-01", variant: str = "control", run: str = "manual", **changes: str
    ) -> dict[str, str]:
        stem = f"s3://{BUCKET}/features/{run}/variant={variant}/ds={day}/{shard}"
        return {
            **s3.environ,
            "SHARD": shard,
            "LOGICAL_DATE": day,
            "VARIANT": variant,
            "RUN_ID": run,
            "ATTEMPT": "1",
            "INPUT_URI": raw_uri,
            "OUTPUT_URI": f"{stem}.parquet",
            "RESULT_URI": f"{stem}.json",
            "MODELS_DIR": str(MODELS_DIR),
            "ENCODER_URL": encoders[variant],
            "ENCODER_TOKEN": TOKEN,
            "ENCODER_PATIENCE_SECONDS": "1",
            **changes,
        }

    return make


@pytest.fixture
def result_of(s3: S3) -> Callable[[Mapping[str, str]], dict[str, Any]]:
    """The result file that a job with this environment wrote."""

    def read(environ: Mapping[str, str]) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(s3.read(environ["RESULT_URI"]))
        return content

    return read
