"""Whoever takes a shard out of Airflow's hands stops its container; whoever stops a triggerer stops nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from devstack.errors import StackError
from tests.system.sleeping_shards import KILL_SECONDS, NAMES, SECONDS, Shards

DAG_ID, DELETED = "killed_shards", "deleted_shards"


@pytest.fixture(scope="module")
def shards(stack: Any) -> Iterator[Shards]:
    run = Shards(stack, DAG_ID, datetime(2013, 5, 1, tzinfo=UTC))
    yield run
    run.fail()


def test_marking_a_shard_failed_stops_its_container(shards: Shards) -> None:
    shards.set_state("one", "failed")
    shards.wait_for_kill("one")


def test_marking_a_shard_successful_stops_its_container(shards: Shards) -> None:
    shards.set_state("two", "success")
    shards.wait_for_kill("two")


def test_clearing_a_shard_stops_its_container_and_starts_another(shards: Shards) -> None:
    shards.clear("three")
    shards.wait_for_kill("three")
    shards.wait(lambda: len(shards.ecs_tasks()["three"]) == 2, "The cleared shard is not launched again")


def test_a_run_that_is_marked_failed_leaves_no_container(shards: Shards) -> None:
    shards.fail()
    shards.wait_for_kill("four")
    shards.wait(
        lambda: [task["lastStatus"] for task in shards.ecs_tasks()["three"]] == ["STOPPED"] * 2,
        "The second container of three goes on",
        KILL_SECONDS,
    )


def test_a_triggerer_that_is_stopped_leaves_the_containers_to_the_next_one(stack: Any) -> None:
    run = Shards(stack, DAG_ID, datetime(2013, 5, 3, tzinfo=UTC), seconds=20)
    stack.stack.processes.end({"triggerer"})
    assert {tasks[0]["desiredStatus"] for tasks in run.ecs_tasks().values()} == {"RUNNING"}
    stack.stack.start_component("triggerer")
    stack.succeed(run.run_id, SECONDS)
    assert {name: [task["taskArn"] for task in tasks] for name, tasks in run.ecs_tasks().items()} == {
        name: [arn] for name, arn in run.arns.items()
    }
    assert {task["try_number"] for task in stack.tasks(run.run_id).values()} == {1}


@pytest.fixture(scope="module")
def deleted(stack: Any) -> Iterator[dict[str, Shards]]:
    """A run and a DAG that were deleted while their shards ran.

    No scheduler runs meanwhile: Airflow 3.3.2's ends when a run is deleted that it works on just then.
    """
    runs = {
        "run": Shards(stack, DAG_ID, datetime(2013, 5, 4, tzinfo=UTC)),
        "dag": Shards(stack, DELETED, datetime(2013, 5, 2, tzinfo=UTC)),
    }
    with pytest.raises(StackError, match=r"409.*cannot be deleted in running state"):
        runs["run"].delete()
    stack.stack.processes.end({"scheduler"})
    try:
        runs["run"].delete("/taskInstances/one")
        runs["run"].wait_for_kill("one")
        runs["run"].fail()
        runs["run"].delete()
        stack.api.delete(f"/dags/{DELETED}")
        yield runs
    finally:
        stack.stack.start_component("scheduler")


@pytest.mark.parametrize("what", ["run", "dag"])
def test_deleting_a_run_or_a_dag_stops_the_containers_of_its_shards(deleted: dict[str, Shards], what: str) -> None:
    for name in NAMES:
        deleted[what].wait_for_kill(name)
