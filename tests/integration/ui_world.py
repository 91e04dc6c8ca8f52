"""An Airflow with runs of pipelines in its database, and its real API server, for the routes of the Shards tab."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from airflow_home import SYNC_DAGS, environment, home_with
from forks import Forks

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = ("<img src=x onerror=alert(1)>", "../../etc", "e" * 200, "🚀 emoji", "שלום", 'it\'s "quoted"')
DAGS = '''"""Airflow DAGs of the board's tests."""
from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant

COMMON = dict(
    cluster="features", container="features", taskdefs=TASKDEFS, subnets="subnet-0a", security_groups="",
    start_date=datetime(2013, 1, 1),
)


def found(**_):
    return ["acme", "acme-eu"]


def variant(name):
    return Variant(name, "flight-features-control", [ScaledService("encoder-control", 2)])


named = FeaturePipeline(
    dag_id="named", schedule="@daily", shards=("zeta", "acme", "acme-eu", *HOSTILE),
    variants=[variant("control"), variant("treatment")], output_uri="s3://b/out", **COMMON,
).dag()
mapped = FeaturePipeline(
    dag_id="mapped", schedule=None, shards=found, variants=[variant("control")], output_uri="s3://b/out", **COMMON,
).dag()
alone = FeaturePipeline(
    dag_id="alone", schedule=None, shards=("acme",), task_definition="flight-features-control",
    output_uri="s3://b/out", **COMMON,
).dag()
empty = FeaturePipeline(
    dag_id="empty", schedule=None, shards=("acme",), task_definition="flight-features-control",
    output_uri="s3://b/out", **COMMON,
).dag()
with DAG("own", start_date=datetime(2013, 1, 1)):
    del COMMON["start_date"]
    groups = [
        FeaturePipeline(
            shards=("acme", "globex"), task_definition="flight-features-control", output_uri="s3://b/" + name, **COMMON,
        ).task_group(name)
        for name in ("first", "second")
    ]
    groups[0] >> groups[1] >> EmptyOperator(task_id="train")
with DAG("ecs_feature_rollback", start_date=datetime(2013, 1, 1)):
    EmptyOperator(task_id="make_current")
with DAG("foreign", start_date=datetime(2013, 1, 1)):
    EmptyOperator(task_id="shards") >> EmptyOperator(task_id="receipt")
'''
FIRST = """
import datetime as dt
import json

import airflow.models.serialized_dag
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskmap import TaskMap
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

UTC = dt.timezone.utc
START = dt.datetime(2013, 2, 1, tzinfo=UTC)


def at(seconds):
    return START + dt.timedelta(seconds=seconds)


def launch(attempt=1, created=0, stopped=10, outcome="succeeded", number=1):
    return {
        "task_arn": f"arn:aws:ecs:us-east-1:123456789012:task/features/{attempt}{number}", "outcome": outcome,
        "reason": "" if outcome == "succeeded" else "Essential container in task exited", "attempt": attempt,
        "cpu": 1024, "memory_mib": 2048, "capacity": "FARGATE", "created_at": at(created).isoformat(),
        "started_at": at(created + 2).isoformat(), "stopped_at": at(stopped).isoformat(),
        "vcpu_seconds": 60.0, "gb_seconds": 120.0,
    }


def record(shard, *launches, outcome="succeeded", variant="control"):
    launches = launches or (launch(),)
    return {"shard": shard, "outcome": outcome, "exit_code": 0 if outcome == "succeeded" else 1,
            "container": "features", "variant": variant, "launches": list(launches)}


def create(session, dag_id, run_id, day, state=DagRunState.SUCCESS, hour=0):
    date = dt.datetime(2013, 1, day, hour, tzinfo=UTC)
    run = SerializedDagModel.get_dag(dag_id).create_dagrun(
        run_id=run_id, logical_date=date, data_interval=(date, date), run_after=date, session=session,
        run_type=DagRunType.MANUAL, triggered_by=DagRunTriggeredByType.TEST, state=state,
    )
    run.start_date, run.end_date = START, at(100)
    session.flush()
    for ti in run.task_instances:
        ti.state, ti.start_date, ti.end_date, ti.try_number = "success", at(1), at(11), 1
    return run


def left(session, run, task_id, value, map_index=-1, key="return_value"):
    session.flush()
    session.query(XComModel).filter_by(dag_run_id=run.id, task_id=task_id, map_index=map_index, key=key).delete()
    session.add(XComModel(dag_run_id=run.id, dag_id=run.dag_id, run_id=run.run_id, task_id=task_id,
                          map_index=map_index, key=key, value=value))


def task(session, run, task_id, map_index=-1):
    return session.query(TaskInstance).filter_by(
        dag_id=run.dag_id, run_id=run.run_id, task_id=task_id, map_index=map_index
    ).one()


def run_of(session, dag_id, run_id):
    return session.query(DagRun).filter_by(dag_id=dag_id, run_id=run_id).one()


def expand(session, run, task_id, names, found_by="find_shards"):
    dag = SerializedDagModel.get_dag(run.dag_id)
    first = task(session, run, task_id)
    session.flush()
    session.query(TaskInstance).filter_by(id=first.id).update({"map_index": 0})
    for index in range(1, len(names)):
        more = TaskInstance(dag.get_task(task_id), run_id=run.run_id, map_index=index,
                            dag_version_id=first.dag_version_id)
        more.state, more.start_date, more.end_date, more.try_number = "success", at(1), at(11), 1
        session.add(more)
    session.flush()
    session.add(TaskMap(run.dag_id, found_by, run.run_id, -1, len(names), None))
    left(session, run, found_by, names)
"""
SERVER = """
import sys
import uvicorn
from airflow.api_fastapi.app import cached_app

uvicorn.run(cached_app(apps="core"), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""
TOKENS = """
import json
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

manager = create_auth_manager()
made = {}
for name, role in (("admin", "ADMIN"), ("viewer", "VIEWER"), ("nobody", None)):
    made[name] = manager.generate_jwt(SimpleAuthManagerUser(username=name, role=role))
print(json.dumps(made))
"""


class World:
    """Its database is made by programs that begin with :data:`FIRST`; its server is asked over HTTP."""

    def __init__(self, home: Path, path: str = "") -> None:
        dags = DAGS.replace("TASKDEFS", repr(str(ROOT / "include" / "taskdefs"))).replace("HOSTILE", repr(HOSTILE))
        home_with(home, dags)
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.variables = {
            **environment(home),
            "PYTHONPATH": str(ROOT / "plugins"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{self.port}{path}",
            "AIRFLOW__API_AUTH__JWT_SECRET": "of-this-test-" * 6,
            "AIRFLOW__API__SECRET_KEY": "another-secret-of-this-test",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer,nobody:",
        }
        self.root = f"http://127.0.0.1:{self.port}"
        self.forks = Forks(FIRST, home, self.variables)
        self._server: subprocess.Popen[bytes] | None = None
        self.tokens: dict[str, str] = {}

    def start(self) -> None:
        """Fill the database, and start the server."""
        self.program(SYNC_DAGS)
        self.tokens = json.loads(self.program(TOKENS)[-1])
        self._log = (self.home / "server.log").open("wb")
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(self.port)],
            env=self.variables | {"_AIRFLOW_PROCESS_CONTEXT": "server"},
            cwd=self.home,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        until = time.monotonic() + 50
        while time.monotonic() < until and self._server.poll() is None:
            try:
                self.ask("/api/v2/version")
                return
            except OSError:
                time.sleep(0.2)
        raise AssertionError((self.home / "server.log").read_text()[-3000:])

    def stop(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(20)
            self._log.close()

    def program(self, text: str) -> list[str]:
        """What a program prints in this Airflow."""
        done = self.forks.run(text)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.splitlines()

    def ask(self, path: str, user: str | None = "viewer", *, body: Any = None, method: str = "") -> tuple[int, Any]:
        """Status and JSON (or text)."""
        request = urllib.request.Request(self.root + path, method=method or ("GET" if body is None else "POST"))
        if user is not None and user in self.tokens:
            request.add_header("Authorization", f"Bearer {self.tokens[user]}")
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, data, timeout=30) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def get(self, route: str, user: str = "viewer", **query: Any) -> Any:
        """The JSON of one of our routes; it must succeed."""
        status, answer = self.ask(f"/ecs_feature/api/{route}?{urllib.parse.urlencode(query)}", user)
        assert status == 200, (status, answer, (self.home / "server.log").read_text()[-3000:])
        return answer


def hidden() -> None:
    """No proxy of this machine's between the test and its server."""
    os.environ["NO_PROXY"] = "127.0.0.1"
