"""``dag.test()``: a quick look from an editor, in one process, without a scheduler or a triggerer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devstack.processes import ROOT

SCRIPT = """
import pendulum
from flight_delay_features import dag

run = dag.test(
    logical_date=pendulum.datetime(2013, 3, 1), run_conf={"shards": ["OO"], "variants": ["control"]}
)
states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
print("STATES", str(run.state), states["control.shards.OO"], states["control.shards.UA"], states["treatment.register"])
"""


@pytest.mark.slow
def test_a_day_runs_in_one_process(stack: Any, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        **stack.stack.settings,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "dags"), str(ROOT / "plugins")]),
    }

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    python("-m", "airflow", "db", "migrate")
    python("-m", "airflow", "dags", "reserialize")
    printed = python("-c", SCRIPT)
    assert "STATES success success skipped skipped" in printed.splitlines(), printed[-6000:]
    assert {service["desiredCount"] for service in stack.stack.services()} == {0}
