"""The containers for real: up, a run, its receipt, down.

Takes minutes, an engine and, at its first time, images from a registry, so it is run only where it is asked for:
``ECS_FEATURE_DOCKER=1 make test ARGS=tests/compose``. BASE_IMAGE and its kin (docs/docker.md) count here too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from devstack import compose
from devstack.api import AirflowApi
from devstack.ports import free
from devstack.receipt import problems

from .conftest import COMPOSE_FILE

DAG_ID = "flight_delay_features"
UP_SECONDS = 1200
RUN_SECONDS = 900
LOOK_SECONDS = 2.0
PROJECT = "ecs-feature-test"


def _asked_for() -> bool:
    if not os.environ.get("ECS_FEATURE_DOCKER") or shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=60).returncode == 0


pytestmark = [
    pytest.mark.skipif(not _asked_for(), reason="ECS_FEATURE_DOCKER is not set, or no engine answers `docker info`"),
    pytest.mark.timeout(UP_SECONDS + RUN_SECONDS + 300),
]


class Compose:
    """`docker compose` for a project of its own."""

    def __init__(self, port: int) -> None:
        group = {"DOCKER_GROUP": os.environ.get("DOCKER_GROUP") or compose.group(os.environ)}
        ports = {"PORT": str(port), "METRICS_PORT": str(free(1)[0]), "COMPOSE_PROJECT_NAME": PROJECT}
        self._environ = os.environ | group | ports

    def __call__(self, *arguments: str, timeout: float = 300) -> str:
        command = ["docker", "compose", "-p", PROJECT, "-f", str(COMPOSE_FILE), *arguments]
        done = subprocess.run(command, env=self._environ, capture_output=True, text=True, check=False, timeout=timeout)
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def port() -> int:
    return free(1)[0]


@pytest.fixture(scope="module")
def compose_cli(port: int) -> Iterator[Compose]:
    cli = Compose(port)
    try:
        cli("up", "--build", "--wait", timeout=UP_SECONDS)
        yield cli
    finally:
        cli("down", "--volumes", "--timeout", "10")


@pytest.fixture(scope="module")
def api(compose_cli: Compose, port: int) -> Iterator[AirflowApi]:
    password = compose_cli("exec", "-T", "api-server", "cat", "/var/lib/stack/keys/admin_password")
    api = AirflowApi(f"http://127.0.0.1:{port}", password)
    yield api
    api.close()


def _wait_for_end(api: AirflowApi, run_id: str) -> str:
    deadline = time.monotonic() + RUN_SECONDS
    while (state := api.run_state(DAG_ID, run_id)) not in ("success", "failed"):
        assert time.monotonic() < deadline, f"{run_id} is still {state}"
        time.sleep(LOOK_SECONDS)
    return state


def test_up_wait_returns_when_every_component_is_healthy(api: AirflowApi) -> None:
    assert api.health() == dict.fromkeys(("metadatabase", "scheduler", "triggerer", "dag_processor"), "healthy")


def test_a_run_in_containers_gives_the_receipt_of_the_demo(compose_cli: Compose, api: AirflowApi) -> None:
    deadline = time.monotonic() + 60
    while DAG_ID not in api.dag_ids():
        assert time.monotonic() < deadline, api.import_errors()
        time.sleep(LOOK_SECONDS)
    api.unpause(DAG_ID)
    run_id = api.trigger(DAG_ID, datetime(2013, 1, 1, tzinfo=UTC))
    state = _wait_for_end(api, run_id)
    unlucky = {
        instance["task_id"]: instance["state"]
        for instance in api.task_instances(DAG_ID, run_id)
        if instance["state"] != "success"
    }
    assert (state, unlucky) == ("success", {})
    receipt: dict[str, Any] = api.xcom(DAG_ID, run_id, "receipt")
    assert problems(receipt) == []
    assert {name: variant["rows"] for name, variant in receipt["variants"].items()} == {
        "control": 842,
        "treatment": 842,
    }
    assert api.log(DAG_ID, run_id, "control.shards.UA", 1), "the API server reads the triggerer's logs"


def test_airflow_runs_the_wheel(compose_cli: Compose) -> None:
    where = compose_cli("exec", "-T", "scheduler", "python", "-c", "import ecs_feature; print(ecs_feature.__file__)")
    assert "/site-packages/ecs_feature/" in where
    assert "ecs-feature" in compose_cli("exec", "-T", "scheduler", "airflow", "providers", "list", "--output", "plain")
