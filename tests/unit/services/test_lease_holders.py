"""When the run that holds a lease counts as active: what Airflow is asked, how often, and what is concluded."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_feature.services import lease_holders
from ecs_feature.services.lease_holders import active_run_checker

STATES = ["scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule"]


class Airflow:
    """Answers with the given numbers of runs and tasks, one pair a check."""

    def __init__(self, *checks: tuple[int, int]) -> None:
        self.checks = list(checks)
        self.asked: list[dict[str, Any]] = []

    def get_dr_count(self, **asked: Any) -> int:
        self.asked.append(asked)
        return self.checks[0][0]

    def get_ti_count(self, **asked: Any) -> int:
        self.asked.append(asked)
        return self.checks.pop(0)[1]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(lease_holders.time, "sleep", pauses.append)
    return pauses


@pytest.mark.parametrize(
    ("checks", "active", "pauses"),
    [
        ([(0, 0)], False, 0),
        ([(1, 1)], True, 0),
        ([(1, 0), (1, 1)], True, 1),
        ([(1, 0), (0, 0)], False, 1),
        ([(1, 0), (1, 0), (1, 0), (1, 2)], True, 3),
        ([(1, 0)] * 4, False, 3),
    ],
)
def test_a_run_is_active_when_one_of_its_tasks_is_at_one_of_four_looks(
    checks: list[tuple[int, int]], active: bool, pauses: int, slept: list[float]
) -> None:
    airflow = Airflow(*checks)
    assert active_run_checker(airflow)("dag/run 1/control") is active
    assert slept == [10.0] * pauses
    run = {"dag_id": "dag", "run_ids": ["run 1"]}
    assert (
        airflow.asked[:2] == [{**run, "states": ["queued", "running"]}, {**run, "states": STATES}][: len(airflow.asked)]
    )


def test_a_run_that_was_found_idle_is_not_asked_for_again(slept: list[float]) -> None:
    airflow = Airflow(*[(1, 0)] * 4, (1, 1))
    checker = active_run_checker(airflow)
    assert (checker("dag/run"), checker("dag/run/control")) == (False, False)
    assert (len(airflow.asked), len(slept)) == (8, 3)
    assert checker("dag/other") is True
