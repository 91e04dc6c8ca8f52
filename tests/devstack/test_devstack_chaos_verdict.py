from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devstack.chaos.evidence import (
    Evidence,
    Execution,
    Instance,
    Launched,
    Run,
    executions,
    instances,
    launched,
    recorded,
    run_of,
)
from devstack.chaos.verdict import LEFT_SECONDS, judge

FIRST = Execution("r1", "s01", 1, "t1", 10.0, 15.0, "done")
TASK = Launched("t1", "r1", "s01", 1, 9.0, 10.0, 16.0, "EssentialContainerExited (exit 0)")
SUCCESS = Instance("r1", "s01", "success", 1)
RUN = Run("r1", "success", 20.0)


def evidence(**changed: Any) -> Evidence:
    whole: dict[str, Any] = {
        "runs": (RUN,), "instances": (SUCCESS,), "launched": (TASK,), "executions": (FIRST,), "services_up": (),
    }  # fmt: skip
    return Evidence(**{**whole, **changed})


def test_one_execution_that_is_done_for_a_success_passes() -> None:
    verdict = judge(evidence())
    assert verdict.passed
    assert (verdict.runs, verdict.shards, verdict.launches) == (1, 1, 1)
    assert (verdict.duplicates, verdict.lost, verdict.retries_consumed) == (0, 0, 0)
    assert (verdict.left_running, verdict.services_left_up, verdict.endings) == (
        0, 0, {"EssentialContainerExited (exit 0)": 1},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("earlier", "later_start", "count"),
    [
        pytest.param(FIRST, 12.0, 1, id="while the first one works"),
        pytest.param(FIRST, 17.0, 1, id="after the first one was done"),
        pytest.param(replace(FIRST, end="failed"), 17.0, 0, id="after the first one failed"),
        pytest.param(replace(FIRST, end="terminated"), 17.0, 0, id="after the first one was interrupted"),
        pytest.param(replace(FIRST, end="", ended_at=None), 16.5, 0, id="after the first one was killed"),
        pytest.param(replace(FIRST, end="", ended_at=None), 15.5, 1, id="while ECS still has the first one"),
        pytest.param(replace(FIRST, run="r2"), 12.0, 0, id="of another run"),
        pytest.param(replace(FIRST, shard="s02"), 12.0, 0, id="of another shard"),
    ],
)
def test_a_duplicate_begins_while_another_works_or_after_the_result_is_there(
    earlier: Execution, later_start: float, count: int
) -> None:
    later = Execution("r1", "s01", 1, "t2", later_start, later_start + 5, "done")
    verdict = judge(evidence(executions=(earlier, later)))
    assert verdict.duplicates == count
    assert verdict.passed is not bool(count)


def test_a_duplicate_of_a_later_try_counts_as_well() -> None:
    later = Execution("r1", "s01", 2, "t2", 12.0, 17.0, "done")
    verdict = judge(evidence(executions=(FIRST, later), instances=(replace(SUCCESS, try_number=2),)))
    assert verdict.duplicates == 1
    assert "ECS task t2 (try 2) began while t1 (try 1) was still at work" in verdict.problems[0]


@pytest.mark.parametrize(
    ("instance", "seen", "words"),
    [
        pytest.param(SUCCESS, (), "but it has no result", id="success without a result"),
        pytest.param(replace(SUCCESS, state="deferred"), (), "still deferred at the deadline", id="not ended"),
        pytest.param(replace(SUCCESS, state=""), (), "still without a state", id="not begun"),
        pytest.param(replace(SUCCESS, state="failed"), (FIRST,), "Airflow calls it failed", id="nobody knows"),
        pytest.param(SUCCESS, (replace(FIRST, end="failed"),), "but it has no result", id="failed, called a success"),
    ],
)
def test_a_shard_is_lost(instance: Instance, seen: tuple[Execution, ...], words: str) -> None:
    verdict = judge(evidence(instances=(instance,), executions=seen))
    assert verdict.lost == 1
    assert any(words in problem for problem in verdict.problems)


@pytest.mark.parametrize(
    ("state", "try_number", "ends", "consumed"),
    [
        pytest.param("success", 1, ("done",), 0, id="nothing failed"),
        pytest.param("success", 2, ("failed", "done"), 0, id="its own code failed once"),
        pytest.param("success", 3, ("failed", "failed", "done"), 0, id="its own code failed twice"),
        pytest.param("success", 2, ("", "done"), 1, id="it was killed once"),
        pytest.param("success", 3, ("failed", "", "done"), 1, id="one of each"),
        pytest.param("failed", 3, ("", "", ""), 3, id="all tries"),
        pytest.param("success", 2, ("done",), 1, id="a try without any execution"),
    ],
)
def test_a_retry_is_consumed_by_infrastructure_unless_the_shards_own_code_failed(
    state: str, try_number: int, ends: tuple[Any, ...], consumed: int
) -> None:
    seen = tuple(
        Execution("r1", "s01", number, f"t{number}", number * 10.0, number * 10.0 + 5, end)
        for number, end in enumerate(ends, start=1)
    )
    verdict = judge(evidence(instances=(Instance("r1", "s01", state, try_number),), executions=seen))
    assert verdict.retries_consumed == consumed
    assert verdict.application_failures == ends.count("failed")


def test_several_executions_of_one_try_that_failed_cost_one_retry() -> None:
    seen = (
        replace(FIRST, end="terminated"),
        Execution("r1", "s01", 1, "t2", 17.0, 19.0, "failed"),
        Execution("r1", "s01", 2, "t3", 20.0, 22.0, "done"),
    )
    verdict = judge(evidence(instances=(replace(SUCCESS, try_number=2),), executions=seen))
    assert (verdict.retries_consumed, verdict.duplicates, verdict.passed) == (0, 0, True)


@pytest.mark.parametrize(
    ("stopped_at", "left"),
    [(20.0 + LEFT_SECONDS, 0), (20.1 + LEFT_SECONDS, 1), (None, 1)],
    ids=["soon after the run", "long after the run", "still there"],
)
def test_a_task_that_outlives_its_run_was_left_running(stopped_at: float | None, left: int) -> None:
    assert judge(evidence(launched=(replace(TASK, stopped_at=stopped_at),))).left_running == left


@pytest.mark.parametrize(("up", "count", "passed"), [((), 0, True), (("encoder",), 1, False), (None, None, True)])
def test_services_left_up_are_counted_where_there_are_services(
    up: tuple[str, ...] | None, count: int | None, passed: bool
) -> None:
    verdict = judge(evidence(services_up=up))
    assert (verdict.services_left_up, verdict.passed) == (count, passed)


def test_a_failed_shard_and_a_failed_run_are_not_passed() -> None:
    failed = judge(evidence(instances=(replace(SUCCESS, state="failed"),), runs=(replace(RUN, state="failed"),)))
    assert (failed.shards_failed, failed.runs_failed, failed.passed) == (1, 1, False)


def test_the_ledger_is_read_as_the_containers_write_it(tmp_path: Path) -> None:
    entry = {"dag": "d", "run": "r1", "shard": "s01", "attempt": 1, "task": "t1"}
    lines = [
        {**entry, "event": "started", "at": 10.0},
        {**entry, "event": "started", "at": 11.0, "task": "t2"},
        {**entry, "event": "started", "at": 11.0, "task": "t3", "dag": "other"},
        {**entry, "event": "done", "at": 15.0},
    ]
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert executions(ledger, "d") == (FIRST, Execution("r1", "s01", 1, "t2", 11.0))
    assert executions(tmp_path / "none", "d") == ()


def test_shard_tasks_are_told_from_those_of_services_and_other_clusters() -> None:
    task = {
        "arn": "arn:aws:ecs:us-east-1:123456789012:task/chaos-spot-ours/t1", "cluster": "chaos-spot-ours",
        "family": "chaos-shard", "environment": {"RUN_ID": "r1", "SHARD": "s01", "ATTEMPT": "1"},
        "created_at": 9.0, "started_at": 10.0, "stopped_at": 16.0, "last_status": "STOPPED",
        "stop_code": "EssentialContainerExited", "exit_codes": {"shard": 0},
    }  # fmt: skip
    others = [{**task, "cluster": "chaos-spot-stock"}, {**task, "family": "chaos-service", "environment": {}}]
    assert launched([task, *others], "chaos-spot-ours", "chaos-shard") == (TASK,)
    still = {**task, "stopped_at": None, "last_status": "PENDING"}
    assert launched([still], "chaos-spot-ours", "chaos-shard")[0].ending == "still PENDING"


def test_airflows_entries_are_read_by_shard() -> None:
    entries = [
        {"dag_run_id": "r1", "task_id": "control.shards.s01", "state": "success", "try_number": 1},
        {"dag_run_id": "r1", "task_id": "s02", "state": None, "try_number": 0},
        {"dag_run_id": "r1", "task_id": "control.publish", "state": "success", "try_number": 1},
    ]
    assert instances(entries, ("s01", "s02")) == (SUCCESS, Instance("r1", "s02", "", 0))
    ended = {"dag_run_id": "r1", "state": "success", "end_date": "1970-01-01T00:00:20Z"}
    assert run_of(ended) == RUN
    assert run_of({**ended, "state": "running", "end_date": None}) == Run("r1", "running", None)


def test_the_launches_that_the_shards_records_name_are_told_from_those_that_nobody_knows() -> None:
    arn = "arn:aws:ecs:us-east-1:123456789012:task/c/"
    known = recorded([{"launches": [{"task_arn": f"{arn}t1"}, {"task_arn": ""}]}, {"shard": "s02"}, None, "text"])
    assert known == {"t1"}
    text = json.dumps({"launches": [{"task_arn": f"{arn}t3"}]})
    assert recorded([text, json.dumps(text)]) == {"t3"}
    other = replace(TASK, task="t2")
    assert judge(evidence(launched=(TASK, other), recorded=known)).unrecorded == 1
    assert judge(evidence(launched=(TASK, other), recorded=None)).unrecorded is None
