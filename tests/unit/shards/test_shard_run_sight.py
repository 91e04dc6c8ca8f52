"""A shard whose task cannot be seen or stopped: only AWS's word and the deadline end it, in bounded time."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from scripted_fleet import RUNNING, UNSEEN, Fleet, RefusedLaunch, shard_run, stopped

from ecs_feature.exceptions import AccessDeniedError, AwsError, CredentialsError, ThrottledError
from ecs_feature.shards import run as run_module
from ecs_feature.tasks import outcomes
from ecs_feature.tasks.outcomes import Kind, Payer

ARN = "arn:aws:ecs:us-east-1:1:task/features/1"
RESULT = "s3://bucket/shard=UA/uuid.json"
DENIED = AccessDeniedError("StopTask was denied (AccessDenied: no).", "AccessDeniedException", "StopTask")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STOP_SECONDS", "DEADLINE_STOP_SECONDS", "RESULT_SECONDS"):
        monkeypatch.setattr(run_module, name, 0.05)


def launched(*endings: Any, seconds_left: float = 0.05) -> Fleet:
    """Its task was created a minute ago, and has the deadline of a minute and ``seconds_left``."""
    fleet = Fleet(*endings)
    fleet.given_back = replace(RUNNING, created_at=datetime.now(UTC) - timedelta(seconds=60 - seconds_left))
    return fleet


async def outcome_of(run: Any) -> outcomes.Outcome:
    async with asyncio.timeout(10):
        outcome: outcomes.Outcome = await run.run()
        return outcome


async def test_a_task_that_cannot_be_seen_is_not_stopped_before_its_deadline(caplog: pytest.LogCaptureFixture) -> None:
    fleet = launched(UNSEEN, seconds_left=50)
    run = shard_run(fleet, timeout_seconds=60)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await run.run()
    assert fleet.stopped == []
    assert "Shard UA: ECS task cannot be seen." in [record.message for record in caplog.records]


@pytest.mark.parametrize(
    ("endings", "refused", "has_result", "kind"),
    [
        ([UNSEEN, stopped(0)], [], False, Kind.SUCCEEDED),
        ([UNSEEN, stopped(143, "UserInitiated", outcomes.STOP_REASON_TIMEOUT)], [], True, Kind.TIMED_OUT),
        ([UNSEEN, UNSEEN], [], False, Kind.TIMED_OUT),
        ([UNSEEN, UNSEEN], [], True, Kind.SUCCEEDED),
        ([UNSEEN], [DENIED], False, Kind.TIMED_OUT),
        ([UNSEEN], [DENIED], True, Kind.SUCCEEDED),
        ([UNSEEN, None], [], False, Kind.LOST),
        ([UNSEEN, None], [], True, Kind.SUCCEEDED),
    ],
    ids=[
        "it had ended",
        "it stops",
        "dead agent",
        "dead agent, result there",
        "stop denied",
        "stop denied, result there",
        "gone",
        "gone, result there",
    ],
)
async def test_at_the_deadline_a_stop_is_tried_and_then_the_result_file_decides(
    endings: list[Any], refused: list[Exception], has_result: bool, kind: Kind
) -> None:
    fleet = launched(*endings)
    fleet.refused_stops = list(refused)
    fleet.objects = {RESULT} if has_result else set()
    run = shard_run(fleet, timeout_seconds=60, max_relaunches=0, result_uri=RESULT)
    assert (await outcome_of(run)).kind is kind
    assert fleet.stopped == [f"{ARN} {outcomes.STOP_REASON_TIMEOUT}"]
    assert len(fleet.launched) == 1


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ([], "may still be stopping: ECS has not shown its end within 0 s"),
        ([DENIED], "may still run: StopTask was denied (AccessDenied: no)."),
    ],
    ids=["no end", "denied"],
)
async def test_the_log_says_that_the_task_may_still_run(
    refused: list[Exception], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = launched(UNSEEN)
    fleet.refused_stops = list(refused)
    outcome = await outcome_of(shard_run(fleet, timeout_seconds=60))
    assert outcome.payer is Payer.APPLICATION
    assert outcome.sentence("UA") == (
        "Shard UA: it ran longer than shard_timeout (ECS has not shown that its task has stopped); the janitor stops "
        "its task if it still runs; raise shard_timeout or make the shard smaller."
    )
    assert f"ECS task {ARN} of shard UA {said}" in [record.message for record in caplog.records]


@pytest.mark.parametrize("error", [DENIED, CredentialsError("m"), ThrottledError("m"), None])
async def test_a_result_file_that_cannot_be_read_is_none(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = launched(UNSEEN, UNSEEN)
    fleet.unreadable = error
    if error is None:
        monkeypatch.setattr(fleet, "object_exists", lambda uri: asyncio.Event().wait())
    assert (await outcome_of(shard_run(fleet, timeout_seconds=60, result_uri=RESULT))).kind is Kind.TIMED_OUT


async def test_a_late_task_that_cannot_be_stopped_is_not_replaced_because_it_may_still_start() -> None:
    late = replace(RUNNING, last_status="PENDING", created_at=datetime.now(UTC) - timedelta(seconds=900))
    fleet = Fleet(late, stopped(0))
    fleet.given_back, fleet.refused_stops = late, [DENIED]
    run = shard_run(fleet, start_seconds=600.0)
    assert (await outcome_of(run)).kind is Kind.SUCCEEDED
    assert len(fleet.launched) == 1
    assert fleet.waits[0] == 600
    assert fleet.waits[1] == pytest.approx(1500, abs=10)  # it is not tried again at once


async def test_a_late_task_whose_stop_ecs_took_is_replaced_although_its_end_is_not_seen() -> None:
    fleet = Fleet(replace(RUNNING, last_status="PROVISIONING"), UNSEEN, stopped(0))
    run = shard_run(fleet)
    assert (await outcome_of(run)).kind is Kind.SUCCEEDED
    assert [record.outcome for record in run.launches] == ["stuck", "succeeded"]


@pytest.mark.parametrize(
    ("error", "kind", "payer"),
    [
        (RefusedLaunch("RunTask was denied.", "AccessDeniedException"), Kind.NO_ACCESS, Payer.APPLICATION),
        (RefusedLaunch("The token has expired.", "ExpiredTokenException"), Kind.NO_ACCESS, Payer.APPLICATION),
        (RefusedLaunch("AWS could not be asked: KeyError: 'x'."), Kind.NO_ACCESS, Payer.APPLICATION),
        (RefusedLaunch("No.", "InvalidParameterException"), Kind.REFUSED, Payer.PERMANENT),
        (RefusedLaunch("No cluster.", "ClusterNotFoundException"), Kind.REFUSED, Payer.PERMANENT),
        (RefusedLaunch("Full.", "LimitExceededException"), Kind.CAPACITY_UNAVAILABLE, Payer.INFRASTRUCTURE),
        (RefusedLaunch("Capacity is unavailable.", "ClientException"), Kind.CAPACITY_UNAVAILABLE, Payer.INFRASTRUCTURE),
    ],
    ids=lambda value: getattr(value, "code", None),
)
async def test_a_launch_that_was_waited_for_in_vain_leaves_the_retries(
    error: AwsError, kind: Kind, payer: Payer
) -> None:
    outcome = await outcome_of(shard_run(Fleet(error), capacity_seconds=0))
    assert (outcome.kind, outcome.payer) == (kind, payer)


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        (AccessDeniedError("m", "AccessDeniedException"), True),
        (AwsError("no such definition.", "ClientException"), True),
        (CredentialsError("m", "ExpiredTokenException"), False),
        (AwsError("AWS could not be asked: KeyError."), False),
    ],
    ids=["denied", "unknown", "credentials", "nonsense"],
)
async def test_a_shard_begins_without_its_task_definition_only_when_it_may_not_read_it(
    error: AwsError, begins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def task_definition(name: str) -> Any:
        raise error

    fleet = Fleet(stopped(0))
    monkeypatch.setattr(fleet, "task_definition", task_definition)
    run = shard_run(fleet)
    if begins:
        assert (await outcome_of(run)).kind is Kind.SUCCEEDED
    else:
        with pytest.raises(AwsError):
            await run.run()
    assert len(fleet.launched) == begins


async def test_a_fault_in_copying_the_log_fails_no_shard(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def log_tail(*given: Any, **more: Any) -> Any:
        raise KeyError("events")

    fleet = Fleet(stopped(0))
    monkeypatch.setattr(fleet, "log_tail", log_tail)
    caplog.set_level(logging.WARNING)
    assert (await outcome_of(shard_run(fleet))).kind is Kind.SUCCEEDED
    assert [record.message for record in caplog.records] == [
        f"The log of ECS task {ARN} cannot be copied: KeyError('events')"
    ]
