"""What the containers run besides Airflow and the local Fargate: the provision step and the health check."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from devstack.provision import CLUSTER
from fargate_local import LocalFargate, Settings

from .conftest import ROOT, load_script

HEALTH = {
    "metadatabase": {"status": "healthy"},
    "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2013-01-01T00:00:00Z"},
    "triggerer": {"status": "unhealthy", "latest_triggerer_heartbeat": None},
    "dag_processor": {"status": None},
}


@pytest.fixture(scope="module")
def fargate() -> Iterator[LocalFargate]:
    with LocalFargate(Settings(images=ROOT / "include" / "images", pace=0)) as aws:
        yield aws


@pytest.fixture
def health_url() -> Iterator[str]:
    class Monitor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(HEALTH).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Monitor) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/v2/monitor/health"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("component", "expected"),
    [("metadatabase", "healthy"), ("scheduler", "healthy"), ("triggerer", "unhealthy"), ("dag_processor", "None")],
)
def test_a_component_is_as_healthy_as_airflow_says(health_url: str, component: str, expected: str) -> None:
    assert load_script("healthy").status(component, health_url) == expected


@pytest.fixture
def environ(fargate: LocalFargate, tmp_path: Path) -> dict[str, str]:
    taskdefs = ROOT / "include" / "taskdefs"
    return {**fargate.environ, "STACK_FOLDER": str(tmp_path), "TASKDEFS_FOLDER": str(taskdefs)}


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_provision_step_leaves_values_and_keys_and_changes_nothing_when_it_runs_again(
    fargate: LocalFargate, environ: dict[str, str], tmp_path: Path
) -> None:
    step = load_script("provision_stack")
    step.main(environ)
    first = _files(tmp_path)
    step.main(environ)
    assert _files(tmp_path) == first
    assert {"keys/fernet_key", "keys/jwt_secret", "keys/api_secret_key", "environment.json"} <= set(first)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()} == {0o600}
    values = json.loads(first["environment.json"])
    assert values["CLUSTER"] == CLUSTER
    # the tasks' own 127.0.0.1: they are processes in the container of the balancers
    assert values["ENCODER_CONTROL_URL"].startswith("http://127.0.0.1:")
    services = fargate.client("ecs").describe_services(
        cluster=CLUSTER, services=["encoder-control", "encoder-treatment"]
    )["services"]
    assert [service["desiredCount"] for service in services] == [0, 0]


def test_a_service_of_ones_own_is_there_when_its_task_definition_has_a_port(
    fargate: LocalFargate, environ: dict[str, str], tmp_path: Path
) -> None:
    taskdefs = tmp_path / "taskdefs"
    taskdefs.mkdir()
    shutil.copy(ROOT / "include" / "taskdefs" / "flight-features-control.json", taskdefs)
    mine = json.loads((ROOT / "include" / "taskdefs" / "encoder-control.json").read_text())
    mine["family"] = "tenant-embedder"
    mine["containerDefinitions"][0] |= {"name": "embedder", "portMappings": [{"containerPort": 9000}]}
    (taskdefs / "tenant-embedder.json").write_text(json.dumps(mine))
    load_script("provision_stack").main({**environ, "TASKDEFS_FOLDER": str(taskdefs)})
    values = json.loads((tmp_path / "environment.json").read_text())
    assert values["TENANT_EMBEDDER_URL"].startswith("http://127.0.0.1:")
    (service,) = fargate.client("ecs").describe_services(cluster=CLUSTER, services=["tenant-embedder"])["services"]
    assert service["desiredCount"] == 0
    assert [(one["containerName"], one["containerPort"]) for one in service["loadBalancers"]] == [("embedder", 9000)]


@pytest.mark.parametrize(
    ("written", "load_balancers", "expected"),
    [
        (None, {}, False),
        (None, {"arn": "http://127.0.0.1:1"}, False),
        ({"A": "http://127.0.0.1:1"}, {}, False),
        ({"A": "http://127.0.0.1:1"}, {"arn": "http://127.0.0.1:2"}, False),
        ({"A": "http://127.0.0.1:1"}, {"arn": "http://127.0.0.1:1"}, True),
    ],
    ids=["all new", "values lost", "fargate started anew", "other balancers", "provisioned"],
)
def test_a_local_fargate_that_was_started_anew_is_provisioned_again(
    tmp_path: Path, written: dict[str, str] | None, load_balancers: dict[str, str], expected: bool
) -> None:
    path = tmp_path / "environment.json"
    if written is not None:
        path.write_text(json.dumps(written))
    assert load_script("provision_stack").is_provisioned(path, load_balancers) is expected
