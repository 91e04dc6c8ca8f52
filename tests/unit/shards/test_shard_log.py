"""What a shard's task log says of its container's lines, and of what it waits for."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from scripted_fleet import Fleet, RefusedLaunch, shard_run, stopped

from ecs_feature.aws.resources import EcsContainer
from ecs_feature.exceptions import AwsError, LaunchError
from ecs_feature.logs.cursor import LogLine
from ecs_feature.logs.tail import LastLines
from ecs_feature.tasks.outcomes import Kind

FIRELENS = "its log goes to awsfirelens, so there are no lines here"
INIT = {
    "containerDefinitions": [
        {"name": "init", "essential": False},
        {"name": "features", "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}]},
    ]
}


@pytest.mark.parametrize(
    ("tail", "said", "hint"),
    [
        (LastLines((LogLine(1, "Traceback"),)), ["[features] Traceback"], "the task log has its last lines"),
        (LastLines(), ["The container features of shard UA left no log lines."], "it left no log lines"),
        (LastLines(missing=FIRELENS), [f"Container features of shard UA: {FIRELENS}."], FIRELENS),
        (LastLines(missing="its log cannot be read", error=AwsError("denied.")), [], "its log cannot be read"),
    ],
    ids=["lines", "none", "elsewhere", "unreadable"],
)
async def test_a_failed_shard_says_where_its_lines_are(
    tail: LastLines, said: list[str], hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fleet = Fleet(stopped(1))
    fleet.tail = tail
    outcome = await shard_run(fleet).run()
    assert outcome.sentence("UA") == f"Shard UA: container features exited with code 1; {hint}."
    assert [record.message for record in caplog.records if "runs as ECS task" not in record.message] == said


async def test_a_log_that_could_not_be_followed_is_not_told_of_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fleet = Fleet(stopped(1))
    fleet.tail, fleet.trouble, fleet.live = LastLines(missing=FIRELENS), True, []
    outcome = await shard_run(fleet, live=True).run()
    assert outcome.hint == FIRELENS
    assert [record.message for record in caplog.records if "awsfirelens" in record.message] == []


async def test_lines_that_were_copied_live_are_lines() -> None:
    fleet = Fleet(stopped(1))
    fleet.tail = LastLines((LogLine(0, "first words"),))
    assert (await shard_run(fleet, live=True).run()).hint == "the task log has its last lines"
    fleet = Fleet(stopped(1))
    fleet.tail = LastLines()
    assert (await shard_run(fleet, live=True).run()).hint == "the task log has its last lines"


async def test_without_log_lines_nothing_is_promised() -> None:
    outcome = await shard_run(Fleet(stopped(1)), log_lines=0).run()
    assert outcome.sentence("UA") == "Shard UA: container features exited with code 1."


@pytest.mark.parametrize("code", [1, None])
async def test_the_log_of_an_init_container_that_failed_is_copied_although_the_task_never_started(
    code: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    containers = EcsContainer("init", "STOPPED", code), EcsContainer("features", "STOPPED", 143)
    ended = replace(stopped(143, "TaskFailedToStart"), containers=containers, started_at=None)
    fleet = Fleet(ended, stopped(0))
    fleet.definition = INIT
    outcome = await shard_run(fleet).run()
    copied = [record.message for record in caplog.records if record.message.startswith("[init]")]
    if code == 1:
        assert (outcome.kind, outcome.container, outcome.exit_code) == (Kind.APPLICATION_FAILURE, "init", 1)
        assert copied == ["[init] last words"]
        assert len(fleet.tokens) == 1
    else:
        assert outcome.kind is Kind.SUCCEEDED
        assert copied == []


@pytest.mark.parametrize(
    "refusal",
    [
        LaunchError("RESOURCE:MEMORY"),
        RefusedLaunch("RunTask failed: Tasks provisioning capacity limit exceeded (ClientException)."),
    ],
    ids=["failure", "error"],
)
async def test_what_is_waited_for_is_said_at_least_once_a_minute(
    refusal: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = Fleet(*[refusal] * 12, stopped(0))
    run = shard_run(fleet, max_relaunches=0)
    assert (await run.run()).kind is Kind.SUCCEEDED
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == len(run.pauses) == 12  # type: ignore[attr-defined]
    assert max(run.pauses) <= 60  # type: ignore[attr-defined]
    assert all(str(refusal).rstrip(".") in message and "; the launch is repeated; " in message for message in told)
    assert len(set(fleet.tokens)) == 1


async def test_what_a_shard_waits_for_before_it_runs_is_information_in_its_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    fleet = Fleet(stopped(0))
    fleet.notes = ["It has waited 60 s for a slot.", "It has waited 60 s for its turn.", "ECS task 1 is PENDING."]
    assert (await shard_run(fleet).run()).kind is Kind.SUCCEEDED
    assert [record.message for record in caplog.records if record.levelno == logging.INFO][:3] == [
        "Shard UA: It has waited 60 s for a slot.",
        "Shard UA: It has waited 60 s for its turn.",
        "Shard UA runs as ECS task arn:aws:ecs:us-east-1:1:task/features/1 (launch 1).",
    ]
    assert "Shard UA: ECS task 1 is PENDING." in [record.message for record in caplog.records]
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
