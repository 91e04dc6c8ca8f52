"""A shard on a worker: what it runs, what it leaves, and which retries are used up."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from ecs_feature.pipeline import WorkerService
from ecs_feature.shards.records import shard_record
from ecs_feature.workers.host import Host
from ecs_feature.workers.tries import KEY
from tests.pipelines import pipeline

DAY = datetime(2020, 6, 15, tzinfo=UTC)
HOST = Host("here", "arn:aws:ecs:us-east-1:123456789012:task/features/0a1b", "features", "FARGATE")


class Store(dict[str, Any]):
    """Airflow's task state store."""

    def set(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))


class Ecs:
    """:ivar described: the worker's task as DescribeTasks shows it."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.described: list[dict[str, Any]] = []

    def describe_task_definition(self, taskDefinition: str) -> dict[str, Any]:
        assert taskDefinition == "arn:definition"
        return {"taskDefinition": {"containerDefinitions": [{"name": "features", "command": self.command}]}}

    def describe_tasks(self, cluster: str, tasks: list[str]) -> dict[str, Any]:
        return {"tasks": self.described}


class Try:
    """One shard that can be tried again and again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, command: str = "", **changes: Any) -> None:
        arguments: dict[str, Any] = {
            "variants": (),
            "task_definition": "features",
            "workers": WorkerService("w"),
            "dispatch": "workers",
            "retries": 1,
            "max_relaunches": 2,
            "result": "exit_code",
        }
        dag = pipeline(**{**arguments, **changes}).dag()
        self.task = dag.get_task("shards.AA")
        self.dag, self.store, self.pushed, self.number = dag, Store(), {}, 0
        self.max_tries = self.task.retries
        self.ecs = Ecs([sys.executable, "-c", command])
        monkeypatch.setattr("ecs_feature.aws.connection.AwsConnection.client", lambda connection, service: self.ecs)
        monkeypatch.setattr("ecs_feature.operators.worker_shard.this_host", lambda: HOST)

    def run(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Its record."""
        self.number += 1
        self.pushed.clear()
        ti = SimpleNamespace(
            id=f"uuid-{self.number}",
            try_number=self.number,
            max_tries=self.max_tries,
            map_index=-1,
            xcom_push=lambda key, value: self.pushed.__setitem__(key, value),
            xcom_pull=lambda task_ids, map_indexes: "arn:definition",
        )
        run = SimpleNamespace(logical_date=DAY, start_date=DAY, run_id="r", partition_key=None, run_after=DAY, conf={})
        context = {
            "ti": ti,
            "dag_run": run,
            "run_id": "r",
            "dag": self.dag,
            "ds": "2020-06-15",
            "logical_date": DAY,
            "params": {"shards": [], **(params or {})},
            "task_state_store": self.store,
        }
        returned = self.task.execute(context)
        return shard_record(returned) or {}

    def outcomes(self) -> list[str]:
        return [row["outcome"] for row in self.store[KEY]]


def test_the_containers_command_runs_with_the_contracts_environment(monkeypatch, tmp_path):
    out = tmp_path / "out"
    shown = (
        "json.dumps({k: os.environ.get(k) for k in ('SHARD', 'LOGICAL_DATE', 'PARTITION', 'ATTEMPT', 'OUTPUT_URI')})"
    )
    one = Try(monkeypatch, f"import json, os; open({str(out)!r}, 'w').write({shown})")
    record = one.run()
    uri = "s3://b/features/ds=2020-06-15/shard=AA/uuid-1"
    assert json.loads(out.read_text()) == {
        "SHARD": "AA", "LOGICAL_DATE": "2020-06-15", "PARTITION": "2020-06-15", "ATTEMPT": "1", "OUTPUT_URI": uri,
    }  # fmt: skip
    assert (record["shard"], record["outcome"], record["exit_code"], record["output_uri"]) == (
        "AA",
        "succeeded",
        0,
        uri,
    )
    (launch,) = record["launches"]
    assert (launch["task_arn"], launch["attempt"], launch["capacity"]) == (HOST.task_arn, 1, "FARGATE")
    assert launch["started_at"] <= launch["stopped_at"]


def test_failures_of_the_code_use_up_the_retries_of_the_user(monkeypatch):
    one = Try(monkeypatch, "raise SystemExit(3)")
    with pytest.raises(AirflowException, match="Shard AA: container features exited with code 3") as first:
        one.run()
    assert not isinstance(first.value, AirflowFailException)
    with pytest.raises(AirflowFailException, match="code 3"):
        one.run()
    record = shard_record(one.pushed["return_value"])
    assert record is not None
    assert [launch["attempt"] for launch in record["launches"]] == [1, 2]
    one.max_tries += 2  # cleared
    one.number = 2
    with pytest.raises(AirflowException) as again:
        one.run()
    assert not isinstance(again.value, AirflowFailException)


@pytest.mark.parametrize(
    ("codes", "code", "error", "outcome"),
    [
        ({"skip_exit_codes": [4]}, 4, AirflowSkipException, "skipped"),
        ({"non_retryable_exit_codes": [5]}, 5, AirflowFailException, "not_retryable"),
    ],
)
def test_exit_codes_mean_what_they_mean_elsewhere(monkeypatch, codes, code, error, outcome):
    one = Try(monkeypatch, f"raise SystemExit({code})", **codes)
    with pytest.raises(error):
        one.run()
    assert one.outcomes() == [outcome]


def lost(one: Try, **task: Any) -> None:
    """A try whose worker is killed in mid-shard."""

    def killed(*arguments: Any) -> Any:
        raise SystemExit  # stands for SIGKILL: nothing that follows may count

    whole, one.task._run = one.task._run, killed
    with pytest.raises(SystemExit):
        one.run()
    one.task._run = whole
    stopped = {"taskArn": HOST.task_arn, "lastStatus": "STOPPED", "desiredStatus": "STOPPED", "startedAt": DAY}
    one.ecs.described = [{**stopped, **task}]


SPOT = {"stopCode": "SpotInterruption", "stoppedReason": "Your Spot Task was interrupted."}
MEMORY = {"name": "w", "exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"}


def test_a_lost_worker_costs_no_retry_and_is_in_the_record(monkeypatch):
    one = Try(monkeypatch)
    lost(one, **SPOT)
    lost(one, **SPOT)
    record = one.run()
    assert [launch["outcome"] for launch in record["launches"]] == [
        "spot_interruption",
        "spot_interruption",
        "succeeded",
    ]
    assert "Your Spot Task was interrupted" in record["launches"][0]["reason"]


def test_more_lost_workers_than_relaunches_fail_the_shard(monkeypatch):
    one = Try(monkeypatch)
    for _ in range(3):
        lost(one, **SPOT)
    with pytest.raises(AirflowFailException, match=r"3 workers ended in mid-shard.*max_relaunches is 2"):
        one.run()


def test_a_worker_without_memory_costs_a_retry(monkeypatch):
    one = Try(monkeypatch)
    for _ in range(2):
        lost(one, stopCode="EssentialContainerExited", containers=[MEMORY])
    with pytest.raises(AirflowFailException, match=r"2 tries failed, the last one: .*OutOfMemoryError.*retries are 1"):
        one.run()


def test_work_is_called_with_the_shard(monkeypatch):
    calls = []

    def work(shard: str, day: str, output_uri: str) -> None:
        calls.append((shard, day, output_uri))

    one = Try(monkeypatch, work=work)
    assert one.run()["outcome"] == "succeeded"
    assert calls == [("AA", "2020-06-15", "s3://b/features/ds=2020-06-15/shard=AA/uuid-1")]


@pytest.mark.parametrize(
    ("raised", "error", "outcome"),
    [
        (AirflowSkipException("nothing today"), AirflowSkipException, "skipped"),
        (AirflowFailException("wrong"), AirflowFailException, "not_retryable"),
        (AirflowTaskTimeout("late"), AirflowException, "timed_out"),
        (ZeroDivisionError("by zero"), AirflowException, "application_failure"),
    ],
)
def test_what_work_raises_is_an_outcome(monkeypatch, raised, error, outcome):
    def work() -> None:
        raise raised

    one = Try(monkeypatch, work=work)
    with pytest.raises(error):
        one.run()
    assert one.outcomes() == [outcome]


def test_a_shard_that_the_run_leaves_out_is_skipped(monkeypatch):
    one = Try(monkeypatch, "raise SystemExit(1)")
    with pytest.raises(AirflowSkipException, match="not among the shards of this run"):
        one.run({"shards": ["BB"]})
    assert KEY not in one.store


def test_without_a_store_each_try_stands_for_itself(monkeypatch):
    one = Try(monkeypatch)
    one.store = None
    assert one.run()["outcome"] == "succeeded"
