"""Shards cleared in a finished run, a backfill that shares its services with another run, and a crash in mid-run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from .conftest import FINISHED_DAY
from .service_watch import Look, watched_services

DAG_ID = "rerun_features"
ENCODERS = ["encoder-control", "encoder-treatment"]
BACKFILL_DAYS = [date(2013, 2, 18) + timedelta(days=n) for n in range(3)]
MANUAL_DAY = datetime(2013, 2, 25, tzinfo=UTC)
CRASH_DAY = datetime(2013, 2, 27, tzinfo=UTC)
RUN_SECONDS = 200


def test_clearing_two_shards_of_a_finished_run_computes_these_and_keeps_the_rest(stack: Any, finished_run: str) -> None:
    run_id = finished_run
    before = {variant: manifest(stack, FINISHED_DAY, variant) for variant in ("control", "treatment")}
    version = before["treatment"]["version"]
    first_receipt = stack.api.xcom(DAG_ID, run_id, "receipt")
    runs_task, updates = len(stack.calls("RunTask")), len(stack.calls("UpdateService"))

    cleared = clear_as_the_ui_does(stack, run_id, ["treatment.shards.HA", "treatment.shards.OO"])
    assert cleared == {
        *(f"treatment.{name}" for name in ("register", "scale_up", "services_steady", "shards.HA", "shards.OO")),
        *("treatment.publish", "treatment.scale_down", "receipt"),
    }
    stack.succeed(run_id, RUN_SECONDS)

    calls = stack.calls("RunTask")[runs_task:]
    assert sorted((env["VARIANT"], env["SHARD"]) for env in map(environment, calls)) == [
        ("treatment", "HA"),
        ("treatment", "OO"),
    ]
    assert scalings(stack.calls("UpdateService")[updates:]) == {"encoder-treatment": [1, 0]}
    after = manifest(stack, FINISHED_DAY, "treatment")
    assert (after["version"], after["previous"]) == (version + 1, version)
    assert after["rows"] == before["treatment"]["rows"]
    kept, new = before["treatment"]["shards"], after["shards"]
    assert new["UA"] == kept["UA"]
    assert {name for name in new if new[name]["result_uri"] != kept[name]["result_uri"]} == {"HA", "OO"}
    assert manifest(stack, FINISHED_DAY, "control") == before["control"]
    assert manifest(stack, FINISHED_DAY, "treatment", version=version) == before["treatment"]

    receipt = stack.api.xcom(DAG_ID, run_id, "receipt")
    assert receipt["state"] == "success"
    assert receipt["variants"]["control"] == first_receipt["variants"]["control"]
    treatment = receipt["variants"]["treatment"]
    assert treatment["manifest_uri"].endswith(f"/manifest/v={version + 1:04d}.json")
    assert treatment["services"] == [{"name": "encoder-treatment", "before": 0, "peak": 1, "after": 0, "others": 0}]
    assert_at_rest(stack)


def test_a_backfill_and_a_run_in_its_middle_share_their_services(stack: Any) -> None:
    stack.stack.wait_for_dag(DAG_ID)
    updates = len(stack.calls("UpdateService"))
    with watched_services(stack.ecs, ENCODERS) as looks:
        stack.stack.backfill(DAG_ID, BACKFILL_DAYS[0], BACKFILL_DAYS[-1], max_active_runs=2)
        stack.stack.processes.wait_until(
            lambda: sum(look.running for look in looks[-2:]) > 0, what="No service came up", timeout_seconds=RUN_SECONDS
        )
        manual = stack.run(DAG_ID, MANUAL_DAY, {"shards": ["HA", "OO"]})
        stack.succeed(manual, RUN_SECONDS)
        assert [run["state"] for run in backfill_runs(stack)].count("success") < 3
        stack.stack.processes.wait_until(
            lambda: all(run["state"] in ("success", "failed") for run in backfill_runs(stack)),
            what="The backfill has not ended",
            timeout_seconds=RUN_SECONDS,
        )
    runs = backfill_runs(stack)
    assert [(run["logical_date"][:10], run["state"]) for run in runs] == [
        (f"{day}", "success") for day in BACKFILL_DAYS
    ]
    assert most_at_once(runs) == 2

    run_ids = [manual, *(run["dag_run_id"] for run in runs)]
    tasks = {run_id: stack.api.task_instances(DAG_ID, run_id) for run_id in run_ids}
    shards = [task for run_id in run_ids for task in tasks[run_id] if ".shards." in task["task_id"]]
    assert Counter(task["state"] for task in shards) == {"success": 3 * 6 + 4, "skipped": 2}
    assert {(task["task_id"], task["try_number"]) for task in shards if task["try_number"] != 1} == set()

    spans = {holder: span for run_id in run_ids for holder, span in relied_on(run_id, tasks[run_id]).items()}
    floors = [(look, floor(look, spans)) for look in looks]
    assert [each for each in floors if each[0].running < each[1]] == []
    assert max(least for _, least in floors) >= 2
    for call in stack.calls("UpdateService")[updates:]:
        variant = call["request"]["service"].removeprefix("encoder-")
        live = [start < call["at"] < end for holder, (start, end) in spans.items() if holder.endswith(f"/{variant}")]
        assert call["request"]["desiredCount"] >= sum(live)
    assert_at_rest(stack)


def test_after_a_kill_of_all_of_airflow_the_run_goes_on_and_launches_no_shard_twice(stack: Any) -> None:
    throttled = {"error": "ThrottlingException", "message": "Rate exceeded"}
    launch = {"operation": "RunTask", "environment": {"LOGICAL_DATE": f"{CRASH_DAY:%Y-%m-%d}"}}
    all_launches = stack.faults.add_fault({"match": launch, **throttled})
    run_id = stack.run(DAG_ID, CRASH_DAY, {"variants": ["control"]})
    wait_for(
        stack, lambda: len({env["SHARD"] for env in launches(stack, CRASH_DAY)}) == 3, "The shards are not launched"
    )

    # In the middle: HA runs unknown to Airflow, OO runs, UA could not be launched yet; nobody learns of an end.
    stack.faults.add_fault({"match": {"operation": "DescribeTasks"}, **throttled})
    stack.faults.add_fault({"match": launch_of("HA"), "drop_answer": True})
    stack.faults.add_fault({"match": launch_of("UA"), **throttled})
    stack.faults.remove_fault(all_launches)
    wait_for(stack, lambda: {"HA", "OO"} <= started(stack), "HA and OO have not started")
    stack.stack.kill_airflow()
    shards = started(stack)
    stack.faults.clear_faults()

    stack.stack.start_airflow()
    assert shards == {"HA", "OO"}
    stack.succeed(run_id, RUN_SECONDS)
    tasks = stack.tasks(run_id)
    assert {tasks[f"control.shards.{shard}"]["try_number"] for shard in ("HA", "OO", "UA")} == {1}
    tokens = {env["SHARD"]: set() for env in launches(stack, CRASH_DAY)}
    for env in launches(stack, CRASH_DAY):
        tokens[env["SHARD"]].add(env["token"])
    assert {shard: len(each) for shard, each in tokens.items()} == {"HA": 1, "OO": 1, "UA": 1}
    assert sorted(ecs_tasks_of_the_crash(stack)) == ["HA", "OO", "UA"]
    assert manifest(stack, CRASH_DAY, "control")["version"] == 1
    assert stack.api.xcom(DAG_ID, run_id, "receipt")["state"] == "success"
    assert_at_rest(stack)


def clear_as_the_ui_does(stack: Any, run_id: str, task_ids: list[str]) -> set[str]:
    """Clear ticked task instances with the dialog's defaults (Airflow 3.3.2); returns the tasks that it cleared."""
    body = {
        "dag_run_id": run_id,
        "dry_run": False,
        "include_downstream": True,
        "include_future": False,
        "include_past": False,
        "include_upstream": False,
        "note": None,
        "only_failed": False,
        "prevent_running_task": True,
        "task_ids": task_ids,
    }
    answer = stack.api.post(f"/dags/{DAG_ID}/clearTaskInstances", body)
    return {task["task_id"] for task in answer["task_instances"]}


def manifest(stack: Any, day: datetime, variant: str, version: int | None = None) -> dict[str, Any]:
    """A version of the manifest as a reader gets it; by default the one that ``current`` names."""
    s3 = stack.client("s3")
    folder = f"features/rerun/variant={variant}/ds={day:%Y-%m-%d}/manifest"

    def read(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            s3.get_object(Bucket="ecs-feature-local", Key=f"{folder}/{name}.json")["Body"].read()
        )
        return found

    return read(f"v={version or read('current')['version']:04d}")


def environment(call: dict[str, Any]) -> dict[str, str]:
    """Of a RunTask call: what the shard's container was told, and the client token."""
    (container,) = call["request"]["overrides"]["containerOverrides"]
    values = {item["name"]: item["value"] for item in container.get("environment", ())}
    return {**values, "token": call["request"].get("clientToken")}


def launches(stack: Any, day: datetime) -> list[dict[str, str]]:
    """Every RunTask call of a day, whatever was answered."""
    every = map(environment, stack.calls("RunTask"))
    return [env for env in every if env.get("LOGICAL_DATE") == f"{day:%Y-%m-%d}"]


def launch_of(shard: str) -> dict[str, Any]:
    return {"operation": "RunTask", "environment": {"LOGICAL_DATE": f"{CRASH_DAY:%Y-%m-%d}", "SHARD": shard}}


def ecs_tasks_of_the_crash(stack: Any) -> list[str]:
    """The shards of the ECS tasks of the day of the crash, running or stopped, one entry a task."""
    arns = [
        arn
        for status in ("RUNNING", "STOPPED")
        for page in stack.ecs.get_paginator("list_tasks").paginate(
            cluster="features", family="flight-features-control", desiredStatus=status
        )
        for arn in page["taskArns"]
    ]
    shards = []
    for start in range(0, len(arns), 100):
        for task in stack.ecs.describe_tasks(cluster="features", tasks=arns[start : start + 100])["tasks"]:
            (container,) = task["overrides"]["containerOverrides"]
            values = {item["name"]: item["value"] for item in container.get("environment", ())}
            if values.get("LOGICAL_DATE") == f"{CRASH_DAY:%Y-%m-%d}":
                shards.append(values["SHARD"])
    return shards


def started(stack: Any) -> set[str]:
    """The shards of the day of the crash whose RunTask call was not refused."""
    calls = [call for call in stack.calls("RunTask") if not call["error"]]
    return {env["SHARD"] for env in map(environment, calls) if env.get("LOGICAL_DATE") == f"{CRASH_DAY:%Y-%m-%d}"}


def scalings(calls: Iterable[dict[str, Any]]) -> dict[str, list[int]]:
    """The desired counts that services were given, in their order."""
    found: dict[str, list[int]] = {}
    for call in calls:
        found.setdefault(call["request"]["service"], []).append(call["request"]["desiredCount"])
    return found


def backfill_runs(stack: Any) -> list[dict[str, Any]]:
    """The runs of the backfill, by day."""
    runs = stack.api.pages(f"/dags/{DAG_ID}/dagRuns", "dag_runs", run_type="backfill")
    return sorted(runs, key=lambda run: run["logical_date"])


def most_at_once(runs: list[dict[str, Any]]) -> int:
    spans = [seconds(run["start_date"], run["end_date"]) for run in runs]
    return max(sum(start <= at < end for start, end in spans) for at, _ in spans)


def relied_on(run_id: str, tasks: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """By the holder of the lease: when the run's services were steady, and when its last shard had ended."""
    spans = {}
    for variant in ("control", "treatment"):
        (steady,) = (task["end_date"] for task in tasks if task["task_id"] == f"{variant}.services_steady")
        ends = [task["end_date"] for task in tasks if task["task_id"].startswith(f"{variant}.shards.")]
        spans[f"{DAG_ID}/{run_id}/{variant}"] = seconds(steady, max(ends))
    return spans


def floor(look: Look, spans: Mapping[str, tuple[float, float]]) -> int:
    """How many tasks the leases hold whose runs had seen the service steady before that look."""
    return sum(count for holder, count in look.leases.items() if spans[holder][0] < look.at)


def seconds(start: str, end: str) -> tuple[float, float]:
    return datetime.fromisoformat(start).timestamp(), datetime.fromisoformat(end).timestamp()


def wait_for(stack: Any, condition: Any, what: str) -> None:
    stack.stack.processes.wait_until(condition, what=what, timeout_seconds=RUN_SECONDS)


def assert_at_rest(stack: Any) -> None:
    """Every service is at 0, and no run holds one."""
    for service in stack.stack.services():
        assert (service["serviceName"], service["desiredCount"], service["runningCount"]) == (
            service["serviceName"],
            0,
            0,
        )
        tags = stack.ecs.list_tags_for_resource(resourceArn=service["serviceArn"])["tags"]
        assert [tag["key"] for tag in tags if tag["key"].startswith("ecs-feature:lease:")] == []
