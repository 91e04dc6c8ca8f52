"""rt_live on a real Airflow: a day of five states, then a correction of two that is ingested and rerun alone."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from devstack.processes import ROOT
from devstack.provision import BUCKET

DAG_ID = "rt_live"
DAY = datetime(2020, 6, 15, tzinfo=UTC)
STATES = ["CA", "NJ", "NY", "TX", "WY"]
"""Five, to be cheap; `make rt-live` runs all 51."""
CORRECTED = {"NJ", "NY"}
RUN_SECONDS = 240


class Day:
    """What is to be seen of the run from outside: S3, the XComs, and the calls that ECS got."""

    def __init__(self, stack: Any, run_id: str) -> None:
        self._stack = stack
        self.run_id = run_id
        self.tasks: dict[str, Any] = stack.tasks(run_id)
        self.receipt: dict[str, Any] = stack.api.xcom(DAG_ID, run_id, "receipt")
        self.manifest = json.loads(self.read(self.receipt["variants"][""]["manifest_uri"]))
        self.files = {name: shard["files"][0] for name, shard in self.manifest["shards"].items()}
        self.table = list(csv.DictReader(io.StringIO(self.read(self.receipt["artifacts"]["table"]).decode())))
        self.picture = self.read(self.receipt["artifacts"]["picture"])

    def read(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        content: bytes = self._stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return content


@pytest.fixture(scope="module")
def day(stack: Any) -> Day:
    """The day as it was published."""
    run_id = stack.run(DAG_ID, DAY, {"shards": STATES})
    stack.succeed(run_id, RUN_SECONDS)
    return Day(stack, run_id)


@pytest.fixture(scope="module")
def corrected(stack: Any, day: Day) -> Day:
    """The day after the correction of two states."""
    rows = f"date,state,positive\n{DAY:%Y-%m-%d},NY,384000\n{DAY:%Y-%m-%d},NJ,167500\n"
    key = f"raw/covid_tracking/corrections/ds={DAY:%Y-%m-%d}.csv"
    stack.client("s3").put_object(Bucket=BUCKET, Key=key, Body=rows.encode())
    done = subprocess.run(
        [
            *(sys.executable, "-m", "airflow", "ecs-feature", "rerun", DAG_ID, "--date", f"{DAY:%Y-%m-%d}"),
            *("--shards", ",".join(sorted(CORRECTED)), "--fresh-input", "-y"),
        ],
        env=stack.stack.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    stack.succeed(day.run_id, RUN_SECONDS)
    return Day(stack, day.run_id)


def test_a_day_has_a_file_a_state_one_table_and_a_picture_in_its_receipt(day: Day) -> None:
    assert day.receipt["state"] == "success"
    shards = day.receipt["variants"][""]["shards"]
    assert (shards["succeeded"], shards["failed"], shards["skipped"]) == (5, 0, 46)
    assert sorted(day.files) == STATES
    assert sorted(row["state"] for row in day.table) == STATES
    rts = [float(row["rt"]) for row in day.table]
    assert rts == sorted(rts)
    assert {row["date"] for row in day.table} == {"2020-06-15"}
    assert day.picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert day.receipt["artifacts"]["picture"].endswith("/features/rt_live/ds=2020-06-15/summary/v=0001/rt_live.png")


def test_a_correction_of_two_states_computes_these_alone(stack: Any, day: Day, corrected: Day) -> None:
    tries = {name: task["try_number"] for name, task in corrected.tasks.items()}
    again = {name for name in tries if tries[name] > day.tasks[name]["try_number"]}
    assert again == {"ingest", "register", "shards.NJ", "shards.NY", "publish", "picture", "receipt"}
    assert stack.api.xcom(DAG_ID, day.run_id, "ingest")["corrected"] == sorted(CORRECTED)
    changed = {name for name in STATES if day.files[name]["sha256"] != corrected.files[name]["sha256"]}
    assert changed == CORRECTED
    for name in set(STATES) - CORRECTED:
        assert corrected.files[name] == day.files[name]
    assert (day.manifest["version"], corrected.manifest["version"]) == (1, 2)


def test_table_and_picture_are_made_anew_and_the_old_ones_stay(day: Day, corrected: Day) -> None:
    before, after = ({row["state"]: row for row in each.table} for each in (day, corrected))
    assert {name for name in STATES if before[name] != after[name]} == CORRECTED
    assert {name: after[name]["new_cases"] for name in sorted(CORRECTED)} == {"NJ": "619.000", "NY": "676.000"}
    assert corrected.receipt["artifacts"]["picture"].endswith("/summary/v=0002/rt_live.png")
    assert corrected.picture != day.picture
    assert corrected.read(day.receipt["artifacts"]["picture"]) == day.picture
