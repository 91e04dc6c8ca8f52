"""The bars of a run's services, also after a clear: what a task's row says of its last try is no bar of the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from ecs_feature.ui.pipelines import Lane
from ecs_feature.ui.run import _services
from ecs_feature.ui.timeline import Axis

START = datetime(2026, 11, 28, tzinfo=UTC)
LANE = Lane("control", services={"encoder": 2})
STEPS = ("control.scale_up", "control.services_steady", "control.scale_down")


def step(state: str | None, start: float | None, end: float | None) -> Any:
    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else START + timedelta(seconds=seconds)

    return SimpleNamespace(state=state, start_date=at(start), end_date=at(end))


DONE = step("success", 1, 2), step("success", 2, 30), step("success", 90, 95)


@pytest.mark.parametrize(
    ("steps", "active", "bars"),
    [
        (DONE, False, [("scaling up", 1, 30), ("steady", 30, 90), ("scaling down", 90, 95)]),
        ((step(None, 1, 2), step(None, 2, 30), step(None, 90, 95)), True, []),
        ((step("queued", 1, 2), step("scheduled", 2, 30), step(None, 90, 95)), True, []),
        ((step("running", 200, None), step(None, 2, 30), step(None, 90, 95)), True, [("scaling up", 200, 300)]),
        (
            (step("success", 200, 201), step("success", 201, 230), step(None, 90, 95)),
            True,
            [("scaling up", 200, 230), ("steady", 230, 300)],
        ),
        ((step("failed", 1, 9), step("upstream_failed", 9, 9), step("success", 9, 12)), False,
         [("scaling up", 1, 9), ("scaling down", 9, 12)]),
    ],
    ids=["done", "cleared", "cleared-and-queued", "up-again", "steady-again", "up-failed"],
)  # fmt: skip
def test_bars(steps: tuple[Any, ...], active: bool, bars: list[tuple[str, float, float]]) -> None:
    run = SimpleNamespace(state="running" if active else "success", end_date=START + timedelta(seconds=100))
    rows = dict(zip(STEPS, steps, strict=True))
    (service,) = _services(LANE, rows, SimpleNamespace(), Axis(START), START + timedelta(seconds=300), run)  # type: ignore[arg-type]
    assert [segment[:3] for segment in service["segments"]] == bars
