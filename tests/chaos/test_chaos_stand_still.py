"""One of two triggerers stands still, as on a machine that was suspended, and goes on when the other has its shards."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from devstack.stack import Stack
from ecs_feature.shards.records import shard_record

from .two_triggerers import DAG_ID, SHARDS, launches, running, tasks_of_run, triggerers, wait

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack(chaos_stack: Any) -> Iterator[Stack]:
    stack: Stack = chaos_stack.stack
    stack.wait_for_dag(DAG_ID)
    yield stack
    for name in stack.triggerers:
        if not stack.is_running(name):
            stack.start_component(name)


def test_shards_that_it_stops_after_it_has_lost_them_are_launched_again_and_cost_no_retry(
    stack: Stack, tmp_path: Path
) -> None:
    stack.processes.kill({"triggerer-2"})
    run_id = stack.trigger(DAG_ID, datetime(2013, 1, 2, tzinfo=UTC), {"gates": str(tmp_path)})
    wait(stack, lambda: running(stack, tmp_path) == set(SHARDS), "The shards do not run")
    alive = triggerers(stack)
    stack.start_component("triggerer-2")
    wait(stack, lambda: bool(triggerers(stack) - alive), "The second triggerer is not there")
    tree = psutil.Process(stack.processes.pid("triggerer-1"))
    processes = [tree, *tree.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        wait(stack, lambda: all(len(launches(stack, tmp_path, name)) == 2 for name in SHARDS), "Nobody has taken over")
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)
    wait(stack, lambda: len(tasks_of_run(stack, tmp_path)) == 2 * len(SHARDS), "They were not launched again")
    for name in SHARDS:
        (tmp_path / name).touch()
    wait(stack, lambda: stack.api.run_state(DAG_ID, run_id) in ("success", "failed"), "The run has not ended")
    assert stack.api.run_state(DAG_ID, run_id) == "success"
    tries = {task["task_id"]: task["try_number"] for task in stack.api.task_instances(DAG_ID, run_id)}
    assert tries == {"register": 1, **dict.fromkeys(SHARDS, 1)}
    assert len(tasks_of_run(stack, tmp_path)) == 2 * len(SHARDS)
    for name in SHARDS:
        record = shard_record(stack.api.xcom(DAG_ID, run_id, name))
        assert record is not None
        assert [launch["outcome"] for launch in record["launches"]] == ["lost", "succeeded"]
