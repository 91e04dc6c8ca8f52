"""When a service is steady, and what is told of one that is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ecs_feature.aws.resources import EcsContainer, EcsService, EcsTask
from ecs_feature.services.steadiness import Steadiness, of_descent, of_service, with_death

LAST_CHECKED = datetime(2026, 11, 21, tzinfo=UTC)
SERVICE = EcsService("encoder", "arn", "ACTIVE", desired=2, running=2, pending=0, deployments=1)
DEAD = EcsTask(
    "arn:aws:ecs:us-east-1:1:task/features/abc",
    "",
    "",
    "STOPPED",
    "STOPPED",
    stopped_reason="Essential container in task exited",
    containers=(EcsContainer("encoder", "STOPPED", 9),),
    stopped_at=LAST_CHECKED + timedelta(seconds=1),
)
SAID = "its last one stopped, task abc: Essential container in task exited, encoder exited with code 9"


@pytest.mark.parametrize(
    ("changes", "healthy", "missing"),
    [
        ({}, 2, ""),
        ({"running": 1}, 1, "1 of 2 tasks are running, 0 are pending"),
        ({"pending": 1}, 2, "2 of 2 tasks are running, 1 are pending"),
        ({"deployments": 2}, 2, "2 deployments are going on"),
        ({}, 1, "1 of 2 tasks are healthy"),
        ({"desired": 0, "running": 0}, 0, ""),
    ],
)
def test_steady_is_running_as_desired_in_one_deployment_and_healthy(
    changes: dict[str, int], healthy: int, missing: str
) -> None:
    assert of_service(replace(SERVICE, **changes), healthy) == Steadiness(not missing, missing)


@pytest.mark.parametrize(("running", "pending", "down"), [(2, 0, True), (3, 0, False), (2, 1, False), (0, 0, True)])
def test_down_is_when_no_more_run_than_are_wanted(running: int, pending: int, down: bool) -> None:
    assert of_descent(replace(SERVICE, running=running, pending=pending)).steady is down


def test_a_service_is_not_steady_when_a_task_died_since_the_last_look() -> None:
    assert with_death(Steadiness(True), DEAD, last_checked=LAST_CHECKED) == Steadiness(
        False, f"its tasks do not stay up; {SAID}"
    )


def test_a_death_before_the_last_look_is_forgiven() -> None:
    assert with_death(
        Steadiness(True), replace(DEAD, stopped_at=LAST_CHECKED), last_checked=LAST_CHECKED
    ) == Steadiness(True)
    assert with_death(Steadiness(True), None, last_checked=LAST_CHECKED) == Steadiness(True)


def test_a_service_that_is_not_steady_says_what_its_tasks_died_of() -> None:
    assert with_death(Steadiness(False, "0 of 2 run"), DEAD, last_checked=LAST_CHECKED).missing == f"0 of 2 run; {SAID}"
