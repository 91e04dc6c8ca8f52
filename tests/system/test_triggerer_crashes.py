"""A triggerer that is killed with -9 where it hurts most: its shards go on as if nothing had been."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from ecs_feature.janitor.sweep import ClusterJanitor
from ecs_feature.services.client import EcsServices
from ecs_feature.shards.records import RUNNING_KEY, shard_record
from ecs_feature.tasks.outcomes import STOP_REASON_JANITOR, STOP_REASON_KILLED

CRASHED, AGED, ORPHANED, CLEARED = "crashed_shards", "aged_shards", "orphaned_shards", "cleared_shards"
BEFORE, UNHEARD, WAITING, ENDED = ((f"{point}-1", f"{point}-2") for point in ("before", "unheard", "waiting", "ended"))
KEPT, GONE = "kept", "gone"
AGAIN = "again"
CLUSTER = "features"
SECONDS = 60
AGE = timedelta(hours=2)


@dataclass
class Crash:
    """Four runs, whose triggerer was killed with -9 and started again.

    :ivar killed: the ECS tasks right after the kill, by shard: nothing of Airflow that launches was alive.
    :ivar states: what Airflow took the shards of the crashed run for then.
    :ivar forgotten: the ECS tasks that ECS did not show any more when the triggerer came back, by shard.
    """

    stack: Any
    gates: Path
    runs: dict[str, str] = field(default_factory=dict)
    killed: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    forgotten: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        self.stack.stack.processes.wait_until(condition, what=what, timeout_seconds=SECONDS)

    def start(self, dag_id: str, shards: int) -> None:
        day = datetime(2013, 6, 1, tzinfo=UTC)
        self.runs[dag_id] = self.stack.run(dag_id, day, {"gates": str(self.gates / dag_id)})
        (self.gates / dag_id).mkdir()
        self.wait(lambda: len(self.running(dag_id)) == shards, f"{dag_id} has not {shards} containers")

    def open(self, dag_id: str, shards: tuple[str, ...]) -> None:
        """Let the containers of shards end."""
        for shard in shards:
            (self.gates / dag_id / shard).touch()

    def ecs_tasks(self, dag_id: str) -> dict[str, list[dict[str, Any]]]:
        """Every ECS task that was ever made for the run, by shard, oldest first."""
        found: dict[str, list[dict[str, Any]]] = {}
        for task in self.stack.faults.tasks():
            if task["environment"].get("RUN_ID") == self.runs[dag_id] and _dag_id(task["started_by"]) == dag_id:
                found.setdefault(task["environment"]["SHARD"], []).append(task)
        return found

    def running(self, dag_id: str) -> set[str]:
        tasks = self.ecs_tasks(dag_id)
        return {shard for shard in tasks if any(task["last_status"] == "RUNNING" for task in tasks[shard])}

    def launches(self, dag_id: str, shard: str) -> list[dict[str, Any]]:
        """The RunTask calls of a shard, oldest first; one that nobody heard the answer of has the status 0."""
        return [
            call
            for call in self.stack.calls("RunTask")
            if _dag_id(call["request"].get("startedBy", "")) == dag_id and _environment(call)["SHARD"] == shard
        ]

    def statuses(self, dag_id: str, shard: str) -> list[int]:
        return [call["status"] for call in self.launches(dag_id, shard)]

    def log(self, dag_id: str, shard: str) -> str:
        return "\n".join(self.stack.api.log(dag_id, self.runs[dag_id], shard, 1))

    def record(self, dag_id: str, shard: str) -> dict[str, Any]:
        record = shard_record(self.stack.api.xcom(dag_id, self.runs[dag_id], shard))
        assert record is not None
        return record

    def has_left_word(self) -> bool:
        entries = f"/dags/{CLEARED}/dagRuns/{self.runs[CLEARED]}/taskInstances/{AGAIN}/xcomEntries"
        return RUNNING_KEY in {entry["key"] for entry in self.stack.api.get(entries)["xcom_entries"]}

    def fault(self, rule: dict[str, Any]) -> Callable[[], int]:
        """Add a fault; returns what tells how often it has struck."""
        fault_id = self.stack.faults.add_fault(rule)
        url = f"{self.stack.stack.aws['AWS_ENDPOINT_URL']}/_fargate_local/faults/{fault_id}"
        return lambda: int(httpx.get(url, trust_env=False).raise_for_status().json()["fired"])


def _dag_id(started_by: str) -> str:
    """Of the DAG that launched a task; empty for another operator's."""
    return [*started_by.split("/"), ""][1]


def _environment(call: dict[str, Any]) -> dict[str, str]:
    (container,) = call["request"]["overrides"]["containerOverrides"]
    return {item["name"]: item["value"] for item in container.get("environment", ())}


@pytest.fixture(scope="module")
def crash(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Crash:
    crash = Crash(stack, tmp_path_factory.mktemp("gates"))
    bring_to_the_points(crash)
    stack.stack.processes.kill({"triggerer"})
    look(crash)
    delete_a_run(crash)
    clear_a_shard(crash)
    let_two_hours_pass(crash)
    stack.stack.start_component("triggerer")
    # What was under way is found again by its client token.
    crash.wait(
        lambda: all(len(crash.launches(CRASHED, shard)) == 2 for shard in (*BEFORE, *UNHEARD, *WAITING, *ENDED)),
        "The triggerer has not come back to its shards",
    )
    crash.open(CRASHED, (*BEFORE, *UNHEARD, *WAITING))
    crash.wait(lambda: len(crash.ecs_tasks(CLEARED)[AGAIN]) == 2, "The cleared shard is not launched again")
    crash.open(CLEARED, (AGAIN,))
    for dag_id in (CRASHED, AGED, CLEARED):
        stack.succeed(crash.runs[dag_id], SECONDS)
    return crash


def bring_to_the_points(crash: Crash) -> None:
    """Each shard of the crashed run to its point; the others wait."""
    crash.start(CLEARED, 1)
    crash.start(AGED, 2)
    crash.start(ORPHANED, 2)
    held = [
        crash.fault({"match": {"operation": "RunTask", "environment": {"SHARD": shard}}, effect: True, "times": 1})
        for shards, effect in ((BEFORE, "hang"), (UNHEARD, "hang_answer"))
        for shard in shards
    ]
    crash.start(CRASHED, len((*UNHEARD, *WAITING, *ENDED)))
    crash.wait(lambda: [fired() for fired in held] == [1] * 4, "Not every call of RunTask is held")
    watched = (*WAITING, *ENDED)
    crash.wait(lambda: all(crash.statuses(CRASHED, shard) == [200] for shard in watched), "RunTask is not answered")
    reads = crash.fault({"match": {"operation": "*", "service_api": "logs"}, "hang": True})
    crash.open(CRASHED, ENDED)
    crash.wait(lambda: set(ENDED) <= seen_stopped(crash) and reads() > 0, "The ended shards' logs are not asked for")
    crash.wait(crash.has_left_word, "The shard that runs for long has not left word of its task")


def seen_stopped(crash: Crash) -> set[str]:
    """The shards whose end the triggerer was told: only it describes tasks here."""
    ended = {
        tasks[0]["arn"]: (shard, tasks[0]["stopped_at"])
        for shard, tasks in crash.ecs_tasks(CRASHED).items()
        if tasks[0]["stopped_at"] is not None
    }
    return {
        ended[arn][0]
        for call in crash.stack.calls("DescribeTasks")
        for arn in ended.keys() & set(call["request"]["tasks"])
        if call["at"] > ended[arn][1]
    }


def look(crash: Crash) -> None:
    """Note how things stand while there is no triggerer; then end the faults."""
    held = (*BEFORE, *UNHEARD)
    crash.wait(lambda: all(crash.statuses(CRASHED, shard) == [0] for shard in held), "Held calls were not given up")
    crash.killed = {**crash.ecs_tasks(CRASHED), **crash.ecs_tasks(AGED)}
    crash.states = {name: task["state"] for name, task in crash.stack.tasks(crash.runs[CRASHED]).items()}
    crash.stack.faults.clear_faults()


def delete_a_run(crash: Crash) -> None:
    path = f"/dags/{ORPHANED}/dagRuns/{crash.runs[ORPHANED]}"
    crash.stack.api.patch(path, {"state": "failed"})
    # A scheduler of Airflow 3.3.2 ends when a run is deleted that it works on. Of what it does after its second look
    # at another run from now, this one is no part.
    looks: set[str] = set()

    def looked_twice() -> bool:
        run = crash.stack.api.get(f"/dags/{CRASHED}/dagRuns/{crash.runs[CRASHED]}")
        looks.add(run["last_scheduling_decision"])
        return len(looks) > 2

    crash.wait(looked_twice, "The scheduler does nothing")
    crash.stack.api.delete(path)


def clear_a_shard(crash: Crash) -> None:
    body = {"dag_run_id": crash.runs[CLEARED], "dry_run": False, "only_failed": False, "task_ids": [AGAIN]}
    crash.stack.api.post(f"/dags/{CLEARED}/clearTaskInstances", body)


def let_two_hours_pass(crash: Crash) -> None:
    """The aged run's tasks end, ECS forgets them and their client tokens, and run and tries began two hours ago."""
    for shard in (KEPT, GONE):
        crash.fault({"match": {"environment": {"SHARD": shard}}, "forget": True, "after_seconds": 0})
    crash.open(AGED, (KEPT, GONE))
    arns = [tasks[0]["arn"] for tasks in crash.ecs_tasks(AGED).values()]
    crash.wait(
        lambda: not crash.stack.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"], "ECS still shows the tasks"
    )
    crash.forgotten = crash.ecs_tasks(AGED)
    crash.stack.faults.clear_faults()
    with sqlite3.connect(crash.stack.stack.home / "airflow.db", timeout=30) as database:
        key = (AGED, crash.runs[AGED])
        ((text,),) = database.execute("SELECT start_date FROM dag_run WHERE dag_id = ? AND run_id = ?", key)
        earlier = datetime.fromisoformat(text) - AGE
        database.execute(
            "UPDATE dag_run SET start_date = ? WHERE dag_id = ? AND run_id = ?",
            (earlier.strftime("%Y-%m-%d %H:%M:%S.%f"), *key),
        )
        where = "WHERE dag_id = ? AND run_id = ?"
        for (text,) in database.execute(f"SELECT id FROM task_instance {where}", key).fetchall():
            # The first 48 bits of a UUID of version 7 are the milliseconds since 1970.
            older = UUID(int=UUID(text).int - (int(AGE.total_seconds() * 1000) << 80))
            database.execute("UPDATE task_instance SET id = ? WHERE id = ?", (older.hex, text))
    database.close()


def check_one_task(crash: Crash, shard: str, statuses: list[int]) -> None:
    """One ECS task in all, one token in all calls, one launch in the record, and none of Airflow's retries."""
    (task,) = crash.ecs_tasks(CRASHED)[shard]
    calls = crash.launches(CRASHED, shard)
    assert [call["status"] for call in calls] == statuses
    assert len({json.dumps(call["request"], sort_keys=True) for call in calls}) == 1
    assert [launch["task_arn"] for launch in crash.record(CRASHED, shard)["launches"]] == [task["arn"]]
    airflow = crash.stack.tasks(crash.runs[CRASHED])[shard]
    assert (airflow["state"], airflow["try_number"]) == ("success", 1)
    assert crash.states[shard] == "deferred"


@pytest.mark.parametrize("shard", BEFORE)
def test_killed_before_run_task_is_done_the_shard_is_launched_by_the_next_triggerer(crash: Crash, shard: str) -> None:
    assert shard not in crash.killed
    check_one_task(crash, shard, [0, 200])


@pytest.mark.parametrize("shard", UNHEARD)
def test_killed_before_run_task_is_answered_the_task_is_found_and_not_doubled(crash: Crash, shard: str) -> None:
    (task,) = crash.killed[shard]
    assert task["last_status"] == "RUNNING"
    check_one_task(crash, shard, [0, 200])


@pytest.mark.parametrize("shard", WAITING)
def test_killed_while_it_waits_the_next_triggerer_waits_for_the_same_task(crash: Crash, shard: str) -> None:
    (task,) = crash.killed[shard]
    assert task["last_status"] == "RUNNING"
    check_one_task(crash, shard, [200, 200])


@pytest.mark.parametrize("shard", ENDED)
def test_killed_between_the_end_and_the_event_the_end_is_told_by_the_next_triggerer(crash: Crash, shard: str) -> None:
    (task,) = crash.killed[shard]
    assert (task["last_status"], task["exit_code"]) == ("STOPPED", 0)
    check_one_task(crash, shard, [200, 200])
    assert f"Shard {shard} is done." in crash.log(CRASHED, shard)


def test_hours_later_the_result_file_speaks_for_a_task_that_ecs_has_forgotten(crash: Crash) -> None:
    (task,) = crash.killed[KEPT]
    assert task["last_status"] == "RUNNING"
    assert [task["exit_code"] for task in crash.forgotten[KEPT]] == [0]
    assert [each["arn"] for each in crash.ecs_tasks(AGED)[KEPT]] == [task["arn"]]
    assert crash.statuses(AGED, KEPT) == [200]
    assert crash.stack.tasks(crash.runs[AGED])[KEPT]["try_number"] == 1
    assert crash.record(AGED, KEPT)["outcome"] == "succeeded"
    assert "ECS no longer shows its task, and its result file is there." in crash.log(AGED, KEPT)


def test_hours_later_a_forgotten_task_without_a_result_file_is_launched_once_more(crash: Crash) -> None:
    (first,) = crash.killed[GONE]
    assert [task["exit_code"] for task in crash.forgotten[GONE]] == [0]
    first_again, second = crash.ecs_tasks(AGED)[GONE]
    assert first_again["arn"] == first["arn"]
    assert crash.statuses(AGED, GONE) == [200, 200]
    airflow = crash.stack.tasks(crash.runs[AGED])[GONE]
    assert (airflow["state"], airflow["try_number"]) == ("success", 1)
    assert [launch["task_arn"] for launch in crash.record(AGED, GONE)["launches"]] == [second["arn"]]


def test_cleared_while_no_triggerer_lives_the_next_try_stops_what_the_cleared_one_left(crash: Crash) -> None:
    first, second = crash.ecs_tasks(CLEARED)[AGAIN]
    assert (first["stop_code"], first["stopped_reason"]) == ("UserInitiated", STOP_REASON_KILLED)
    assert first["stopped_at"] is not None
    assert second["exit_code"] == 0
    assert crash.stack.tasks(crash.runs[CLEARED])[AGAIN]["state"] == "success"
    [launch] = crash.record(CLEARED, AGAIN)["launches"]
    assert (launch["task_arn"], launch["attempt"]) == (second["arn"], 2)


def test_a_run_deleted_while_no_triggerer_lives_is_left_to_the_janitor(crash: Crash) -> None:
    assert crash.running(ORPHANED) == {"one", "two"}
    ours = {tasks[0]["arn"] for tasks in crash.ecs_tasks(ORPHANED).values()}
    after_timeout_and_grace = timedelta(hours=1, minutes=5)
    for later, found in ((timedelta(hours=1), set()), (after_timeout_and_grace, ours)):
        services = EcsServices(crash.stack.ecs, CLUSTER, now=lambda later=later: datetime.now(UTC) + later)
        janitor = ClusterJanitor(services, logging.getLogger(__name__))
        assert {row["arn"] for row in janitor.sweep()["tasks"]} & ours == found
    crash.wait(lambda: not crash.running(ORPHANED), "The janitor has stopped nothing")
    stops = [tasks[0] for tasks in crash.ecs_tasks(ORPHANED).values()]
    assert {(task["stop_code"], task["stopped_reason"]) for task in stops} == {("UserInitiated", STOP_REASON_JANITOR)}
