"""A pipeline as a task group in a user's own DAG, on a real Airflow; and a job before and after it was migrated."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

WHOLE, CHOSEN, MISSPELT = (datetime(2013, 5, day, tzinfo=UTC) for day in (1, 2, 3))
MIGRATED = datetime(2013, 5, 4, tzinfo=UTC)
RUN_SECONDS = 300


@pytest.fixture(scope="module")
def runs(stack: Any) -> dict[datetime, str]:
    """The runs of this module, all ended: their ids by day."""
    ids = {
        WHOLE: stack.run("own_dag", WHOLE),
        CHOSEN: stack.run("own_dag", CHOSEN, {"states_shards": ["NY"], "mine": 2}),
        MISSPELT: stack.run("own_dag", MISSPELT, {"states_shard": ["NY"]}),
    }
    # The stock operator registers nothing, so it comes after the pipeline, which does.
    after = stack.run("after_migrating", MIGRATED)
    stack.succeed(after, RUN_SECONDS)
    before = stack.run("before_migrating", MIGRATED)
    stack.succeed(before, RUN_SECONDS)
    for run_id in ids.values():
        stack.wait(run_id, RUN_SECONDS)
    return ids


def containers(stack: Any, day: datetime) -> list[dict[str, Any]]:
    """The container overrides of the RunTask calls whose command names the day."""
    found = [
        call["request"]["overrides"]["containerOverrides"][0]
        for call in stack.calls("RunTask")
        if not call["error"] and call["request"].get("overrides", {}).get("containerOverrides")
    ]
    return [each for each in found if f"{day:%Y-%m-%d}" in each.get("command", ())]


def states(stack: Any, run_id: str) -> dict[str, str]:
    return {task_id: task["state"] for task_id, task in stack.tasks(run_id).items()}


def test_the_group_runs_between_what_is_before_and_behind_it(stack: Any, runs: dict[datetime, str]) -> None:
    tasks = stack.tasks(runs[WHOLE])
    assert stack.api.run_state("own_dag", runs[WHOLE]) == "success"
    assert tasks["raw"]["end_date"] <= tasks["states.scale_up"]["start_date"]
    assert tasks["states.publish"]["end_date"] <= tasks["train"]["start_date"]
    assert tasks["states.receipt"]["end_date"] <= tasks["tidy"]["start_date"]
    assert tasks["states.shards.NY"]["state"] == "success"
    read = stack.api.xcom("own_dag", runs[WHOLE], "train")
    assert [uri.split("/")[5:7] for uri in read] == [["ds=2013-05-01", f"shard={name}"] for name in ("CA", "NY")]
    assert all(uri.endswith("/part-0.csv") for uri in read)


def test_the_receipt_is_the_groups(stack: Any, runs: dict[datetime, str]) -> None:
    receipt = stack.api.xcom("own_dag", runs[WHOLE], "states.receipt")
    assert (receipt["task_group"], receipt["state"]) == ("states", "success")
    (service,) = receipt["variants"][""]["services"]
    # The run of the chosen shards shares it, and may have raised it before.
    assert service["before"] in (0, 1)
    assert service["after"] == 0
    assert service["peak"] >= 1
    assert receipt["variants"][""]["shards"] == {"total": 2, "succeeded": 2, "failed": 0, "skipped": 0}


def test_the_container_gets_the_users_command_and_environment(stack: Any, runs: dict[datetime, str]) -> None:
    launched = containers(stack, WHOLE)
    assert sorted(each["command"][3] for each in launched) == ["CA", "NY", "bad", "good"]
    (newest,) = [each for each in launched if each["command"][3] == "NY"]
    environment = {item["name"]: item["value"] for item in newest["environment"]}
    assert environment["MINE"] == "NY-1"
    assert newest["command"][5] == environment["OUTPUT_URI"]
    assert "RESULT_URI" not in environment
    assert "VARIANT" not in environment


def test_the_rest_is_published_without_the_shard_that_failed(stack: Any, runs: dict[datetime, str]) -> None:
    found = states(stack, runs[WHOLE])
    assert (found["tenants.shards.bad"], found["tenants.shards.good"]) == ("failed", "success")
    assert found["tenants.publish"] == "success"
    published = stack.api.xcom("own_dag", runs[WHOLE], "tenants.publish")
    assert (published["shards"], published["missing"], published["files"]) == (["good"], ["bad"], 1)


def test_chosen_shards_of_one_group_leave_the_other_and_what_follows_as_they_are(
    stack: Any, runs: dict[datetime, str]
) -> None:
    found = states(stack, runs[CHOSEN])
    assert (found["states.shards.CA"], found["states.shards.NY"]) == ("skipped", "success")
    assert (found["train"], found["tenants.shards.good"]) == ("success", "success")
    assert sorted(each["command"][3] for each in containers(stack, CHOSEN)) == ["NY", "bad", "good"]


def test_a_misspelt_param_launches_nothing(stack: Any, runs: dict[datetime, str]) -> None:
    found = states(stack, runs[MISSPELT])
    assert found["states.plan"] == "failed"
    assert containers(stack, MISSPELT) == []
    said = "\n".join(stack.api.log("own_dag", runs[MISSPELT], "states.plan", 1))
    assert "did you mean states_shards?" in said


def test_the_migrated_job_gets_what_it_got_before(stack: Any, runs: dict[datetime, str]) -> None:
    launched = containers(stack, MIGRATED)
    # Only the pipeline's launches have an environment; a retry of the stock operator launches once more.
    before, after = (
        {tuple(each["command"]) for each in launched if ("environment" in each) is ours} for ours in (False, True)
    )
    assert before == after
    assert {command[3] for command in after} == {"CA", "NY"}
