"""``airflow ecs-feature rerun`` on a real Airflow: a chosen shard of a finished run, with its raw data brought anew."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from devstack.processes import ROOT

from .conftest import FINISHED_DAY

DAG_ID = "rerun_features"
RUN_SECONDS = 200


def test_one_shard_runs_again_with_fresh_input_and_its_times_are_those_of_the_rerun(
    stack: Any, finished_run: str
) -> None:
    run_id = finished_run
    before, launched = stack.tasks(run_id), len(stack.calls("RunTask"))

    done = rerun(
        stack, "--date", f"{FINISHED_DAY:%Y-%m-%d}", "--shards", "HA", "--variants", "treatment", "--fresh-input", "-y"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "8 tasks cleared."
    stack.succeed(run_id, RUN_SECONDS)

    calls = [call["request"]["overrides"]["containerOverrides"][0] for call in stack.calls("RunTask")[launched:]]
    values = [{item["name"]: item["value"] for item in call.get("environment", ())} for call in calls]
    assert [(each["VARIANT"], each["SHARD"]) for each in values] == [("treatment", "HA")]
    after = stack.tasks(run_id)
    again = {name for name in after if after[name]["try_number"] > before[name]["try_number"]}
    lane = ("register", "scale_up", "services_steady", "shards.HA", "publish", "scale_down")
    assert again == {"ingest", "receipt", *(f"treatment.{name}" for name in lane)}
    assert {name: after[name]["duration"] for name in again if after[name]["duration"] < 0} == {}
    assert after["treatment.shards.HA"]["start_date"] > before["receipt"]["end_date"]

    log = stack.api.log(DAG_ID, run_id, "treatment.shards.HA", after["treatment.shards.HA"]["try_number"])
    assert "It had succeeded before; this was a rerun with the raw data that is there." in str(log)


def rerun(stack: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airflow", "ecs-feature", "rerun", DAG_ID, *arguments],
        env=stack.stack.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
