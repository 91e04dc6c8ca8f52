"""A shard's try: who pays for which ending, against a fleet that plays a script."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecs_feature import outcomes
from ecs_feature.exceptions import LaunchError
from ecs_feature.launch import Launch, Network, client_token
from ecs_feature.outcomes import Kind
from ecs_feature.resources import EcsContainer, EcsTask
from ecs_feature.shard_run import ShardPolicy, ShardRun, backoff_seconds

LAUNCH = Launch("features", "f:1", "features", Network(("subnet-0a",)))
NOW = datetime(2026, 11, 21, tzinfo=UTC)
RUNNING = EcsTask("", "", "f:1", "RUNNING", "RUNNING", cpu=512, memory_mib=1024, created_at=datetime.now(UTC))


def stopped(exit_code: int | None, stop_code: str = "EssentialContainerExited", reason: str = "") -> EcsTask:
    return replace(
        RUNNING,
        last_status="STOPPED",
        stop_code=stop_code,
        stopped_reason=reason,
        containers=(EcsContainer("features", "STOPPED", exit_code),),
        pull_started_at=NOW,
        started_at=NOW,
        stopped_at=NOW + timedelta(seconds=120),
    )


class Fleet:
    """Plays one ending per launch; an exception is raised by the launch itself."""

    def __init__(self, *endings: EcsTask | Exception | None) -> None:
        self.endings = list(endings)
        self.tokens: list[str] = []
        self.stopped: list[str] = []

    @asynccontextmanager
    async def slot(self, group: str, most: int | None) -> Any:
        yield

    async def launch(self, launch: Launch) -> EcsTask:
        self.tokens.append(launch.client_token)
        if isinstance(self.endings[0], LaunchError):
            raise self.endings.pop(0)
        return replace(RUNNING, arn=f"arn:aws:ecs:us-east-1:1:task/features/{len(self.tokens)}")

    async def ended(self, cluster: str, task: EcsTask, *, poll_seconds: float) -> EcsTask | None:
        ending = self.endings.pop(0)
        if isinstance(ending, TimeoutError):
            raise ending
        return replace(ending, arn=task.arn) if isinstance(ending, EcsTask) else None

    async def stop(self, cluster: str, task_arn: str, reason: str) -> None:
        self.stopped.append(f"{task_arn} {reason}")

    async def log_tail(self, task: EcsTask, container: str, lines: int) -> list[str]:
        return ["last words"]


def shard_run(fleet: Fleet, **policy: Any) -> ShardRun:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    run = ShardRun(fleet, "UA", LAUNCH, ShardPolicy(**policy), "uuid", logging.getLogger("test"), sleep=sleep)  # type: ignore[arg-type]
    run.pauses = pauses  # type: ignore[attr-defined]
    return run


async def test_a_success_is_one_launch_with_the_tries_token() -> None:
    fleet = Fleet(stopped(0))
    run = shard_run(fleet)
    assert (await run.run()).kind is Kind.SUCCEEDED
    assert fleet.tokens == [client_token("uuid", 0)]
    record = run.record(outcomes.Outcome(Kind.SUCCEEDED), {"result_uri": "s3://b/k"})
    assert record["result_uri"] == "s3://b/k"
    assert record["launches"][0]["vcpu_seconds"] == 60.0
    assert record["launches"][0]["gb_seconds"] == 120.0


async def test_an_application_failure_is_not_launched_again() -> None:
    fleet = Fleet(stopped(3))
    outcome = await shard_run(fleet).run()
    assert (outcome.kind, outcome.exit_code) == (Kind.APPLICATION_FAILURE, 3)
    assert len(fleet.tokens) == 1


@pytest.mark.parametrize(
    "ending",
    [
        stopped(143, "SpotInterruption"),
        stopped(None, "TaskFailedToStart", "Timeout waiting for network interface provisioning to complete."),
        LaunchError("Capacity is unavailable at this time."),
        None,
    ],
    ids=["spot", "start failure", "no capacity", "vanished"],
)
async def test_infrastructure_pays_with_a_new_launch_under_a_new_token(ending: Any) -> None:
    fleet = Fleet(ending, stopped(0))
    run = shard_run(fleet)
    assert (await run.run()).kind is Kind.SUCCEEDED
    assert fleet.tokens == [client_token("uuid", 0), client_token("uuid", 1)]
    assert len(run.launches) == 2


async def test_relaunches_end_and_the_last_outcome_stands() -> None:
    fleet = Fleet(*[LaunchError("Capacity is unavailable at this time.")] * 3)
    run = shard_run(fleet, max_relaunches=2)
    assert (await run.run()).kind is Kind.CAPACITY_UNAVAILABLE
    assert [record.outcome for record in run.launches] == ["capacity_unavailable"] * 3
    assert len(run.pauses) == 2  # type: ignore[attr-defined]


async def test_a_permanent_fault_is_not_launched_again() -> None:
    fleet = Fleet(stopped(None, "TaskFailedToStart", "CannotPullContainerError: repository does not exist"))
    assert (await shard_run(fleet).run()).kind is Kind.START_FAILED_PERMANENT
    assert len(fleet.tokens) == 1


async def test_a_shard_past_its_timeout_is_stopped_and_says_so() -> None:
    fleet = Fleet(TimeoutError(), stopped(143, "UserInitiated", outcomes.STOP_REASON_TIMEOUT))
    outcome = await shard_run(fleet, timeout_seconds=1000).run()
    assert outcome.kind is Kind.TIMED_OUT
    assert fleet.stopped == [f"arn:aws:ecs:us-east-1:1:task/features/1 {outcomes.STOP_REASON_TIMEOUT}"]


async def test_a_kill_stops_the_task_of_this_try() -> None:
    fleet = Fleet(stopped(0))
    run = shard_run(fleet)
    await run.run()
    await run.kill()
    assert fleet.stopped == [f"arn:aws:ecs:us-east-1:1:task/features/1 {outcomes.STOP_REASON_KILLED}"]


async def test_a_kill_before_any_launch_stops_nothing() -> None:
    fleet = Fleet()
    await shard_run(fleet).kill()
    assert fleet.tokens == fleet.stopped == []


async def test_a_kill_between_run_task_and_its_answer_finds_the_task_by_its_token() -> None:
    fleet = Fleet(stopped(0))
    run = shard_run(fleet)
    run.current = replace(LAUNCH, client_token=client_token("uuid", 0))
    await run.kill()
    assert fleet.tokens == [client_token("uuid", 0)]
    assert fleet.stopped == [f"arn:aws:ecs:us-east-1:1:task/features/1 {outcomes.STOP_REASON_KILLED}"]


@pytest.mark.parametrize(("relaunch", "least", "most"), [(0, 0.5, 1), (3, 4, 8), (20, 30, 60)])
def test_pauses_grow_to_a_minute_with_jitter(relaunch: int, least: float, most: float) -> None:
    assert all(least <= backoff_seconds(relaunch) <= most for _ in range(100))
