"""Shards on the Celery workers of an ECS service: a real Redis, real workers as the service's tasks, some killed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest

from devstack import provision
from ecs_feature.shards.records import shard_record
from ecs_feature.tasks import definitions
from tests.system.conftest import EXTRA_DAGS

SERVICE = "state-workers"
STATES = [f"S{number:02}" for number in range(51)]


@pytest.fixture(scope="module")
def workers(stack: Any) -> Iterator[Any]:
    """The stack, with the service of the workers."""
    values = json.loads(stack.stack.environment_file.read_text())
    path = EXTRA_DAGS.parent / "taskdefs" / f"{SERVICE}.json"
    arn = definitions.register(stack.ecs, definitions.load(path, values)).arn
    network = {"subnets": values["SUBNETS"].split(","), "security_groups": values["SECURITY_GROUPS"].split(",")}
    provision.service(stack.ecs, SERVICE, arn, network)
    return stack


def service(stack: Any) -> dict[str, Any]:
    (found,) = stack.ecs.describe_services(cluster="features", services=[SERVICE])["services"]
    return dict(found)


def processes(stack: Any) -> list[psutil.Process]:
    """The first processes of the workers' containers; Celery gives itself a title."""
    server = psutil.Process(stack.stack.processes.pid("fargate-local"))
    found = [child for child in server.children() if "celery" in " ".join(child.cmdline()).lower()]
    return sorted(found, key=lambda process: process.create_time())


def busy(process: psutil.Process) -> bool:
    """Whether a worker runs a shard's command."""
    return any("-c" in child.cmdline() for child in process.children(recursive=True) if child.is_running())


def records(stack: Any, dag_id: str, run_id: str, states: list[str]) -> dict[str, dict[str, Any]]:
    found = {name: shard_record(stack.api.xcom(dag_id, run_id, f"shards.{name}")) for name in states}
    assert all(found.values())
    return {name: record for name, record in found.items() if record}


def stopped_by_scale_in(stack: Any) -> list[dict[str, Any]]:
    pages = stack.ecs.get_paginator("list_tasks").paginate(
        cluster="features", serviceName=SERVICE, desiredStatus="STOPPED"
    )
    arns = [arn for page in pages for arn in page["taskArns"]]
    tasks = stack.ecs.describe_tasks(cluster="features", tasks=arns)["tasks"]
    return [task for task in tasks if task["stopCode"] == "ServiceSchedulerInitiated"]


@pytest.mark.timeout(420)
@pytest.mark.parametrize(
    ("dag_id", "count", "killed", "beside"),
    [("states_on_workers", 5, 1, 2), pytest.param("states_on_five_workers", 51, 2, 12, marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def test_two_runs_share_the_workers_and_some_of_these_are_killed(
    workers: Any, dag_id: str, count: int, killed: int, beside: int
):
    day = datetime(2013, 3, count % 28 + 1, tzinfo=UTC)
    mine, others = STATES[:count], STATES[-beside:]
    first = workers.run(dag_id, day, {"shards": mine, "seconds": 4})
    second = workers.run(dag_id, day.replace(month=4), {"shards": others, "seconds": 1})
    wait = workers.stack.processes.wait_until
    dead: list[int] = []

    def all_killed() -> bool:
        for process in processes(workers):
            if len(dead) < killed and process.pid not in dead and busy(process):
                process.kill()
                dead.append(process.pid)
        return len(dead) == killed

    wait(all_killed, what="No worker has a shard", timeout_seconds=120)
    workers.succeed(second, 300)
    workers.succeed(first, 300)

    done = {**{("first", name): each for name, each in records(workers, dag_id, first, mine).items()},
            **{("second", name): each for name, each in records(workers, dag_id, second, others).items()}}  # fmt: skip
    assert {record["outcome"] for record in done.values()} == {"succeeded"}
    outcomes = Counter(launch["outcome"] for record in done.values() for launch in record["launches"])
    assert outcomes == {"succeeded": count + beside, "lost": killed}
    lost = [launch for record in done.values() for launch in record["launches"] if launch["outcome"] == "lost"]
    assert all("exited with code 137" in launch["reason"] for launch in lost)
    assert service(workers)["desiredCount"] == 0
    wait(lambda: service(workers)["runningCount"] == 0, what="Workers are left", timeout_seconds=60)

    at_work = [
        (datetime.fromisoformat(launch["started_at"]), datetime.fromisoformat(launch["stopped_at"]), launch["task_arn"])
        for record in done.values()
        for launch in record["launches"]
        if launch["outcome"] == "succeeded"
    ]
    for task in stopped_by_scale_in(workers):
        assert not [each for each in at_work if each[2] == task["taskArn"] and each[0] <= task["stoppingAt"] < each[1]]

    receipt = workers.api.xcom(dag_id, first, "receipt")["variants"][""]
    assert receipt["shards"] == {"total": 51, "succeeded": count, "failed": 0, "skipped": 51 - count}
    (held,) = receipt["services"]
    assert (held["name"], held["before"], held["after"]) == (SERVICE, 0, 0)
    assert held["peak"] >= 2
    assert sum(launch["outcome"] == "lost" for launch in receipt["launches"]) <= killed
    assert receipt["cost_usd"] > 0
