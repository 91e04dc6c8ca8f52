"""What the shards of a run wait for: one row for all, and what Airflow itself knows."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecs_feature.fleet.waits import Wait
from ecs_feature.shards.waits_row import MOST, Waiting, row, waits_for, waits_in

NOW = datetime(2026, 11, 28, 6, 0, 30, tzinfo=UTC)
GOOD = timedelta(seconds=90)
RATE = Wait("launch rate", "for its turn to be launched: 312 launches on FARGATE wait, at 20.0 a second.")
QUOTA = Wait("vCPU quota", "for a slot: 4 of 4 vCPUs are in use; 9 shards wait.")


def waiting(cell: tuple[str, int], wait: Wait = RATE, seconds: float = 20) -> Waiting:
    return Waiting(cell, wait, NOW - timedelta(seconds=seconds))


def test_a_row_has_an_entry_for_each_reason_with_ranges_of_map_indexes() -> None:
    made = row(
        [
            *(waiting(("control.shard", index)) for index in (3, 1, 2, 7)),
            waiting(("control.shards.CA", -1), QUOTA, 41),
            waiting(("treatment.shard", 0), RATE, 19.5),
        ],
        NOW,
        GOOD,
    )
    assert json.loads(json.dumps(made)) == {
        "at": "2026-11-28T06:00:30+00:00",
        "until": "2026-11-28T06:02:00+00:00",
        "waits": [
            {"what": "vCPU quota", "words": QUOTA.words, "since": "2026-11-28T05:59:40+00:00",
             "tasks": {"control.shards.CA": [[-1, -1]]}},
            {"what": "launch rate", "words": RATE.words, "since": "2026-11-28T06:00:10+00:00",
             "tasks": {"control.shard": [[1, 3], [7, 7]], "treatment.shard": [[0, 0]]}},
        ],
    }  # fmt: skip


def test_what_is_written_is_what_is_read() -> None:
    some = [waiting(("a.shard", index), QUOTA if index % 3 else RATE, 20 + index) for index in range(200)]
    some += [waiting((f"b.shards.{name}", -1)) for name in ("CA", "é", "x" * 200)]
    left = waits_in([row(some, NOW, GOOD)], NOW)
    assert set(left) == {one.cell for one in some}
    for one in some:
        said = left[one.cell]
        assert (said["what"], said["words"]) == one.wait
        assert timedelta(0) <= one.since - datetime.fromisoformat(said["since"]) < timedelta(seconds=10)


def test_5000_shards_are_a_row_of_a_few_hundred_bytes_read_in_milliseconds() -> None:
    some = [waiting(("control.shard", index), seconds=20 + index / 100) for index in range(MOST)]
    began = time.process_time()
    made = row(some, NOW, GOOD)
    left = waits_in([made], NOW)
    assert time.process_time() - began < 0.5
    assert len(left) == MOST
    assert len(json.dumps(made)) < 2000


def test_no_more_than_5000_shards_are_named_and_those_that_wait_longest_are() -> None:
    some = [waiting(("control.shard", index), seconds=20 + index) for index in range(MOST + 7)]
    left = waits_in([row(some, NOW, GOOD)], NOW)
    assert len(left) == MOST
    assert ("control.shard", 6) not in left
    assert ("control.shard", MOST + 6) in left


def test_of_two_triggerers_rows_each_shard_has_its_newest() -> None:
    """A triggerer that died had both; another has taken the first on."""
    dead = row([waiting(("s", 0), RATE), waiting(("s", 1), RATE)], NOW, GOOD)
    alive = row([waiting(("s", 0), QUOTA)], NOW + timedelta(seconds=30), GOOD)
    for values in ([dead, alive], [alive, dead]):
        left = waits_in(values, NOW + timedelta(seconds=40))
        assert {cell: said["what"] for cell, said in left.items()} == {("s", 0): "vCPU quota", ("s", 1): "launch rate"}
    assert set(waits_in([dead, alive], NOW + timedelta(seconds=91))) == {("s", 0)}
    assert waits_in([dead, alive], NOW + timedelta(seconds=121)) == {}


def test_an_empty_row_names_no_shard() -> None:
    assert waits_in([row([], NOW, GOOD)], NOW) == {}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "soon",
        7,
        [],
        {},
        {"until": None},
        {"until": "tomorrow", "at": "now", "waits": []},
        {"until": "2026-11-28T06:02:00+00:00", "at": "2026-11-28T06:02:00+00:00", "waits": [{"what": "x"}]},
        {"until": "2026-11-28T06:02:00+00:00", "at": "2026-11-28T06:02:00+00:00", "waits": 3},
        {
            "until": "2026-11-28T06:02:00+00:00",
            "at": "2026-11-28T06:02:00+00:00",
            "waits": [{"what": "x", "since": "y", "words": "z", "tasks": {"t": [[1]]}}],
        },
    ],
    ids=str,
)
def test_what_another_task_leaves_under_the_key_is_passed_over(value: Any) -> None:
    assert set(waits_in([value, row([waiting(("s", 0))], NOW, GOOD)], NOW)) == {("s", 0)}


LEFT = {"what": "vCPU quota", "since": "2026-11-28T06:00:00+00:00", "words": QUOTA.words}
STATES: list[tuple[str | None, Any, dict[str, Any], str | None]] = [
    (None, None, {}, "upstream"),
    (None, None, {"services": None}, "upstream"),
    (None, None, {"services": "deferred"}, "services"),
    (None, None, {"services": "running"}, "services"),
    (None, None, {"services": "up_for_retry"}, "services"),
    (None, None, {"services": "failed"}, "upstream"),
    ("scheduled", None, {}, "trigger"),
    ("queued", None, {"services": "success"}, "trigger"),
    ("deferred", None, {}, None),
    ("deferred", None, {"taken": False}, "trigger"),
    ("deferred", LEFT, {"taken": False}, "trigger"),  # of an earlier triggerer
    ("deferred", LEFT, {}, "vCPU quota"),
    ("up_for_retry", LEFT, {}, "retry"),
    ("running", LEFT, {}, None),
    ("success", LEFT, {}, None),
    ("failed", LEFT, {}, None),
    ("skipped", LEFT, {}, None),
    ("upstream_failed", None, {}, None),
]


@pytest.mark.parametrize(("state", "left", "more", "what"), STATES)
def test_a_shard_waits_for(state: str | None, left: Any, more: dict[str, Any], what: str | None) -> None:
    said = waits_for(state, left, since="2026-11-28T05:00:00+00:00", **more)
    assert (said and said["what"]) == what
    if said is not None:
        assert set(said) == {"what", "since", "words"}
        assert said["since"] == (LEFT["since"] if what == "vCPU quota" else "2026-11-28T05:00:00+00:00")
        assert str(said["words"]).startswith("for ")
