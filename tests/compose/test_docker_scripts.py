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

from devstack.provision import BUCKET, CLUSTER
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
def api() -> Iterator[str]:
    """An API server that knows one triggerer, of the host `here`, and the password `secret`."""

    class Monitor(BaseHTTPRequestHandler):
        def answer(self, answer: object) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def do_GET(self) -> None:
            if self.path == "/api/v2/monitor/health":
                self.answer(HEALTH)
            else:
                assert self.headers["Authorization"] == "Bearer token"
                known = "job_type=TriggererJob&hostname=here&is_alive=true"
                self.answer({"total_entries": int(self.path == f"/api/v2/jobs?{known}")})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert (self.path, body) == ("/auth/token", {"username": "admin", "password": "secret"})
            self.answer({"access_token": "token"})

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Monitor) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("component", "expected"),
    [("metadatabase", "healthy"), ("scheduler", "healthy"), ("triggerer", "unhealthy"), ("dag_processor", "None")],
)
def test_a_component_is_as_healthy_as_airflow_says(api: str, component: str, expected: str) -> None:
    assert load_script("healthy").status(component, api) == expected


@pytest.mark.parametrize(("host", "expected"), [("here", True), ("elsewhere", False)])
def test_a_job_is_healthy_when_its_own_host_has_a_heartbeat(
    api: str, tmp_path: Path, host: str, expected: bool
) -> None:
    (tmp_path / "admin_password").write_text("secret")
    assert load_script("healthy").has_heartbeat("TriggererJob", host, api, tmp_path) is expected


def test_every_secret_is_made_once_and_each_container_sees_its_own(tmp_path: Path) -> None:
    step = load_script("first_start")
    stack, own, given = tmp_path / "stack", tmp_path / "own", tmp_path / "given"
    for folder in (stack, own / "postgres", own / "redis"):
        folder.mkdir(parents=True)
    step.main(stack, own, given)
    first = {**_files(stack), **_files(own)}
    step.main(stack, own, given)
    assert {**_files(stack), **_files(own)} == first
    password = first["postgres/password"]
    assert len(password) > 30
    assert first["keys/database_url"] == f"postgresql+psycopg2://airflow:{password}@postgres/airflow"
    (required,) = [line for line in first["redis/redis.conf"].splitlines() if line.startswith("requirepass ")]
    assert first["keys/broker_url"] == f"redis://:{required.split()[1]}@redis:6379/0"
    assert json.loads(first["keys/passwords.json"]) == {"admin": first["keys/admin_password"]}
    assert len({first["postgres/password"], required.split()[1], first["keys/admin_password"]}) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in (stack / "keys").iterdir()} == {0o600}


def test_a_given_secret_is_taken_and_one_that_is_no_word_is_refused(tmp_path: Path) -> None:
    step = load_script("first_start")
    stack, own, given = tmp_path / "stack", tmp_path / "own", tmp_path / "given"
    for folder in (stack, own / "postgres", own / "redis", given):
        folder.mkdir(parents=True)
    (given / "postgres_password").write_text("p@ss/word\n")
    step.main(stack, own, given)
    assert (own / "postgres" / "password").read_text() == "p@ss/word"
    assert "airflow:p%40ss%2Fword@postgres" in (stack / "keys" / "database_url").read_text()
    (given / "redis_password").write_text("two words")
    with pytest.raises(SystemExit, match="redis_password in SECRETS_DIR is empty or has spaces in it"):
        step.main(stack, own, given)


@pytest.fixture
def environ(fargate: LocalFargate, tmp_path: Path) -> dict[str, str]:
    taskdefs = ROOT / "include" / "taskdefs"
    return {**fargate.environ, "STACK_FOLDER": str(tmp_path), "TASKDEFS_FOLDER": str(taskdefs)}


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_local_fargate_is_provisioned_with_the_same_token_each_time_and_values_set_by_hand_stay(
    fargate: LocalFargate, environ: dict[str, str], tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "broker_url").write_text("redis://:pw@redis:6379/0")
    step = load_script("provision_stack")
    step.main((), environ)
    first = _files(tmp_path)
    step.main(["RT_LIVE_DISPATCH=workers"], environ)
    step.main((), environ)
    values = json.loads(_files(tmp_path)["environment.json"])
    assert values.pop("RT_LIVE_DISPATCH") == "workers"
    assert values == json.loads(first["environment.json"])
    assert _files(tmp_path)["keys/encoder_token"] == first["keys/encoder_token"]
    assert values["CLUSTER"] == CLUSTER
    services = fargate.client("ecs").describe_services(
        cluster=CLUSTER, services=["encoder-control", "encoder-treatment", "rt-live-workers"]
    )["services"]
    assert [service["desiredCount"] for service in services] == [0, 0, 0]
    workers = fargate.client("s3").get_object(Bucket=BUCKET, Key="config/airflow-workers.env")["Body"].read().decode()
    assert "AIRFLOW__CELERY__BROKER_URL=redis://:pw@redis:6379/0" in workers.splitlines()


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
    load_script("provision_stack").main((), {**environ, "TASKDEFS_FOLDER": str(taskdefs)})
    values = json.loads((tmp_path / "environment.json").read_text())
    assert values["TENANT_EMBEDDER_URL"].startswith("http://127.0.0.1:")
    (service,) = fargate.client("ecs").describe_services(cluster=CLUSTER, services=["tenant-embedder"])["services"]
    assert service["desiredCount"] == 0
    assert [(one["containerName"], one["containerPort"]) for one in service["loadBalancers"]] == [("embedder", 9000)]
