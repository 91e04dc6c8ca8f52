"""A run on one time axis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ecs_feature.ui.timeline import MOST_POINTS, Axis, parallelism, segments

START = datetime(2013, 2, 8, tzinfo=UTC)
AXIS = Axis(START)


def launch(created: float, started: float | None, stopped: float | None) -> dict[str, Any]:
    def iso(seconds: float | None) -> str | None:
        return None if seconds is None else (START + timedelta(seconds=seconds)).isoformat()

    return {"created_at": iso(created), "started_at": iso(started), "stopped_at": iso(stopped)}


def test_a_shard_waits_launches_runs_and_is_relaunched() -> None:
    assert segments([launch(10, 15, 20), launch(25, 30, 60)], AXIS, 4) == [
        ("waited", 4, 10.0),
        ("launching", 10.0, 15.0),
        ("relaunched", 15.0, 20.0),
        ("backoff", 20.0, 25.0),
        ("launching", 25.0, 30.0),
        ("running", 30.0, 60.0),
    ]


def test_a_launch_that_never_started_only_launched_and_one_without_times_is_left_out() -> None:
    assert segments([launch(10, None, 20)], AXIS, None) == [("launching", 10.0, 20.0)]
    assert segments([launch(10, 12, None), {}, {"created_at": "soon", "stopped_at": "late"}], AXIS, None) == []


def test_clocks_that_disagree_make_no_segment_that_ends_before_it_begins() -> None:
    made = segments([launch(10, 8, 9.5), launch(10, 30, 20)], AXIS, 15)
    assert all(start <= end for _, start, end in made)


def test_parallelism_counts_tasks_and_not_waits() -> None:
    shards = [
        segments([launch(0, 2, 10)], AXIS, 0),
        segments([launch(5, 6, 12)], AXIS, 0),
    ]
    assert parallelism(shards) == [(0.0, 1), (5.0, 2), (10.0, 1), (12.0, 0)]
    assert parallelism([]) == []


def test_a_long_curve_is_thinned_and_keeps_its_peak_and_its_end() -> None:
    shards = [[("running", float(number), number + 0.5 + number % 7)] for number in range(5000)]
    whole = parallelism(shards[:200])
    assert len(whole) <= MOST_POINTS
    thin = parallelism(shards)
    assert len(thin) <= MOST_POINTS
    assert max(count for _, count in thin) == 4
    assert thin[-1][1] == 0
    assert [moment for moment, _ in thin] == sorted(moment for moment, _ in thin)
