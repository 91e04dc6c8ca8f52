"""The real thing for system tests: the same stack as ``make demo``, started once for all of them."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devstack import airflow
from devstack.api import AirflowApi
from devstack.fargate import SideDoor
from devstack.processes import ROOT, Processes
from devstack.runs import failure
from devstack.stack import Stack, clear
from devstack.ui.stack import migrated

FOLDER = ROOT / "build" / "test" / f"system-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
EXTRA_DAGS = Path(__file__).parent / "dags"
"""DAG files in here are parsed beside those of dags/; their bundle is called ``system-tests``."""
FINISHED_DAY = datetime(2013, 2, 15, tzinfo=UTC)
ENDED = frozenset({"success", "failed"})
OPTIONS = {
    # How long nobody has heard of a killed triggerer before the next one takes its triggers: 30 s by default.
    "triggerer": {"triggerer_health_check_threshold": "10"},
    # No DAG file changes while the tests run: it is not looked for changes, and an unchanged file is not parsed again,
    # which are a tenth of a core for each stack.
    "dag_processor": {"min_file_process_interval": "900", "refresh_interval": "900"},
    "scheduler": {
        # As Airflow has it; users of `make up` wait half as long.
        "scheduler_idle_sleep_time": "1",
        # How long nobody has heard of a killed worker's task before it fails: 300 s by default.
        "task_instance_heartbeat_timeout": "45",
        "task_instance_heartbeat_timeout_detection_interval": "3",
    },
}


class SystemStack:
    """What a system test works with.

    :ivar api: Airflow's REST API.
    :ivar ecs: a boto3 ECS client of the local Fargate; ``client("s3")`` makes others.
    :ivar faults: ``add_fault(rule)`` and ``clear_faults()``, see fargate_local.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.api: AirflowApi = stack.api
        self.client = stack.client
        self.ecs: Any = stack.client("ecs")
        self.faults: SideDoor = stack.side_door
        self._dag_ids: dict[str, str] = {}

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """The calls of one operation, oldest first: ``operation``, ``at``, ``request``, ``status``, ``error``."""
        return self.stack.side_door.calls(operation)

    def run(self, dag_id: str, logical_date: datetime, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run (its DAG is waited for and unpaused); returns the run id."""
        run_id = self.stack.trigger(dag_id, logical_date, conf)
        self._dag_ids[run_id] = dag_id
        return run_id

    def wait(self, run_id: str, timeout: float = 240) -> str:
        """Wait for the end of a run that :meth:`run` started; returns its state.

        :param timeout: in seconds.
        :raises StackError: it is over, or a part of the stack has ended.
        """
        dag_id = self._dag_ids[run_id]
        self.stack.processes.wait_until(
            lambda: self.api.run_state(dag_id, run_id) in ENDED,
            what=f"Run {run_id} of {dag_id} has not ended",
            timeout_seconds=timeout,
        )
        return self.api.run_state(dag_id, run_id)

    def succeed(self, run_id: str, timeout: float = 240) -> None:
        """Wait for the end of a run that must succeed; its failure names the tasks and ends with the first one's log.

        :param timeout: in seconds.
        """
        state = self.wait(run_id, timeout)
        dag_id = self._dag_ids[run_id]
        instances = self.api.task_instances(dag_id, run_id) if state != "success" else []
        assert state == "success", f"{dag_id}: {failure(self.stack, run_id, instances, dag_id)}"

    def tasks(self, run_id: str) -> dict[str, dict[str, Any]]:
        """The task instances of a run by task id; a mapped one by ``task_id[map_index]``."""
        found = self.api.task_instances(self._dag_ids[run_id], run_id)
        return {
            each["task_id"] if each["map_index"] < 0 else f"{each['task_id']}[{each['map_index']}]": each
            for each in found
        }


@pytest.fixture(scope="package")
def stack() -> Iterator[SystemStack]:
    """A healthy Airflow and a local Fargate, with the DAGs of dags/ and of tests/system/dags/."""
    clear(FOLDER)
    _give_database(FOLDER)
    extra = {"system-tests": EXTRA_DAGS}
    with Stack(FOLDER, extra_dags=extra, options=OPTIONS, grace_seconds=2, workers=True) as running:
        yield SystemStack(running)


def _give_database(folder: Path) -> None:
    """The one of an earlier stack, as ``make demo`` finds it the second time; that of the chaos tests is made anew."""
    home, logs = folder / "airflow", folder / "logs"
    for each in (home, logs):
        each.mkdir(parents=True)
    processes = Processes(logs)
    try:
        database = migrated(
            processes,
            lambda url: {
                **airflow.inherited(os.environ),
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            },
        )
    finally:
        processes.stop()
    shutil.copy(database, home / "airflow.db")
    (home / "migrated").write_text(importlib.metadata.version("apache-airflow-core"))


@pytest.fixture(scope="package")
def finished_run(stack: SystemStack) -> str:
    """The id of a run of :data:`FINISHED_DAY` of the DAG rerun_features, for the tests that run parts of it again."""
    run_id = stack.run("rerun_features", FINISHED_DAY)
    stack.succeed(run_id)
    return run_id


@pytest.fixture(autouse=True)
def _no_faults_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Faults of one test never reach the next."""
    yield
    if "stack" in request.fixturenames:
        request.getfixturevalue("stack").faults.clear_faults()
