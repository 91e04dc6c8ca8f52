"""The cells of the board: codes, columns, and what a receipt leaves of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecs_feature.operators.receipt import VariantTasks
from ecs_feature.results.cells import Cells, Launched, code_of, lane_summary, summary
from ecs_feature.tasks.prices import package_prices

PRICES = package_prices()
START = datetime(2013, 2, 8, tzinfo=UTC)


def launch(attempt: int = 1, created: float = 0, stopped: float = 10, **changes: Any) -> dict[str, Any]:
    return {
        "task_arn": "arn:aws:ecs:us-east-1:123456789012:task/features/1",
        "outcome": "succeeded",
        "attempt": attempt,
        "capacity": "FARGATE",
        "created_at": (START + timedelta(seconds=created)).isoformat(),
        "stopped_at": (START + timedelta(seconds=stopped)).isoformat(),
        "vcpu_seconds": 60.0,
        "gb_seconds": 120.0,
        **changes,
    }


@pytest.mark.parametrize(
    ("state", "more", "code"),
    [
        ("success", {"outcome": "succeeded", "published": True}, "P"),
        ("success", {"outcome": "succeeded"}, "R"),
        ("success", {}, "M"),
        ("success", {"outcome": "application_failure"}, "M"),
        ("failed", {"outcome": "application_failure"}, "F"),
        ("failed", {"published": True}, "F"),
        ("upstream_failed", {}, "F"),
        ("skipped", {"outcome": "skipped"}, "n"),
        ("skipped", {}, "-"),
        ("skipped", {"outcome": "succeeded"}, "-"),
        ("running", {}, "r"),
        ("deferred", {}, "r"),
        ("deferred", {"waits": True}, "w"),
        ("queued", {}, "w"),
        ("scheduled", {}, "w"),
        ("up_for_retry", {"outcome": "application_failure"}, "w"),
        ("removed", {"outcome": "succeeded", "published": True}, " "),
        (None, {"active": True}, "w"),
        (None, {}, "M"),
        ("of a later Airflow", {}, "w"),
    ],
)
def test_a_cell_has_one_code_for_each_state(state: str | None, more: dict[str, Any], code: str) -> None:
    assert code_of(state, **more) == code


def test_seconds_are_of_the_last_try_and_dollars_of_all() -> None:
    record = {"launches": [launch(1, 0, 5), launch(2, 20, 25.5), launch(2, 30, 42)]}
    found = Launched.of(record, PRICES)
    assert (found.seconds, found.micro_usd, found.relaunched, found.attempt) == (22, 2468, True, 2)
    assert Launched.of({"launches": [launch(1, 0, 5), launch(2, 20, 25.5)]}, PRICES).relaunched is False
    assert Launched.of({"launches": [launch(1, 0, 5.25)]}, PRICES).seconds == 5.2
    for nothing in (None, {}, {"launches": []}, {"launches": [{"task_arn": "", "outcome": "refused"}]}):
        assert Launched.of(nothing, PRICES).seconds is None
    assert Launched.of({"launches": [launch(platform="PLAN9/VAX")]}, PRICES).micro_usd is None


def test_columns_come_back_as_they_were_left() -> None:
    tasks = VariantTasks(["c.shards.a", "c.shards.b"], "c.publish", names=["a", "b"])
    shards = list(tasks.cells({"c.shards.b": "failed", "c.shards.a": "success", "other": "success"}, None))
    assert shards == [("a", -1, "success"), ("b", -1, "failed")]
    records = {"a": {"outcome": "succeeded", "launches": [launch(), launch(2, 20, 30)]}}
    published = {"version": 3, "previous": 1, "shards": ["a"], "manifest_uri": "s3://b/o/ds=1/manifest/v=0003.json"}
    left = json.loads(json.dumps(lane_summary(shards, records, published, PRICES, START)))
    assert left == {
        "shards": ["a", "b"],
        "states": "PF",
        "seconds": [10, None],
        "micro_usd": [1646, None],
        "changed": [30, None],
        "relaunched": [],
        "tries": {"0": 2},
        "version": 3,
        "previous": 1,
        "prefix": "s3://b/o/ds=1",
    }
    assert Cells.from_dict(left).to_dict() == {
        key: left[key] for key in left if key not in ("version", "previous", "prefix")
    }


def test_mapped_columns_say_their_indexes_only_where_they_are_not_in_order() -> None:
    tasks = VariantTasks(["c.shard"], "c.publish")
    states = {"c.shard_0": "success", "c.shard_2": "removed", "c.shard_10": "failed"}
    shards = list(tasks.cells(states, [f"s{index}" for index in range(11)]))
    assert shards == [("s0", 0, "success"), ("s2", 2, "removed"), ("s10", 10, "failed")]
    left = lane_summary(shards, {}, None, PRICES, START)
    assert (left["map"], left["states"]) == ([0, 2, 10], "M F")
    whole = lane_summary(shards[:1], {}, None, PRICES, START)
    assert (whole["map"], Cells.from_dict(whole).map) == (None, [0])


def test_a_summary_knows_the_run_s_cost_only_when_all_of_it_is_known() -> None:
    receipt: dict[str, Any] = {"partition": "p", "variants": {"a": {"cost_usd": 0.5}, "b": {"cost_usd": None}}}
    assert summary({}, receipt, START)["usd"] is None
    receipt["variants"]["b"]["cost_usd"] = 0.25
    assert summary({}, receipt, START)["usd"] == 0.75


def of(*names: str) -> Cells:
    cells = Cells()
    for number, name in enumerate(names):
        cells.add(
            name, "P", Launched(number, number, number == 1, 1, ""), changed=number, tries=1 + (number == 1), index=-1
        )
    return cells


def test_sorted_columns_keep_what_belongs_together() -> None:
    cells = of("a", "b", "c")
    cells.sort([1, 2, 0])
    assert (cells.shards, cells.seconds) == (["b", "c", "a"], [1, 2, 0])
    assert (cells.relaunched, cells.tries) == ([0], {0: 2})


def test_a_shard_takes_the_place_of_an_older_state_of_itself_or_a_new_one() -> None:
    cells = of("a", "b")
    cells.put(1, of("x"), 0)
    assert (cells.shards, cells.relaunched, cells.tries) == (["a", "x"], [], {})
    cells.put(None, of("a", "b"), 1)
    assert (cells.shards, cells.relaunched, cells.tries) == (["a", "x", "b"], [2], {2: 2})


def test_what_is_left_out_has_no_launches_of_an_earlier_pass() -> None:
    cells = Cells()
    cells.add("a", "-", Launched(1, 1, True, 1, ""), changed=None, tries=1, index=-1)
    assert (cells.seconds, cells.micro_usd, cells.relaunched) == ([None], [None], [])


@pytest.mark.parametrize(
    "odd",
    [{"created_at": "yesterday"}, {"vcpu_seconds": "1"}, {"attempt": "one"}, {"stopped_at": 7}],
    ids=lambda odd: next(iter(odd)),
)
def test_an_odd_record_has_no_numbers_and_takes_down_nothing(odd: dict[str, Any]) -> None:
    assert Launched.of({"launches": [launch(**odd)]}, PRICES) in (Launched(), Launched.of({"launches": []}, PRICES))
    assert Launched.of({"launches": ["a"]}, PRICES) == Launched()


def test_columns_of_different_lengths_are_refused() -> None:
    columns = Cells(["a"], ["P"], [1.0], [2], [3]).to_dict()
    assert Cells.from_dict(columns).shards == ["a"]
    for name in ("states", "seconds", "micro_usd", "changed"):
        with pytest.raises(ValueError, match="different lengths"):
            Cells.from_dict({**columns, name: columns[name][:0]})


def test_a_mapped_task_after_a_named_one_keeps_its_own_map_index() -> None:
    cells = Cells()
    for name, index in (("a", -1), ("b", 0)):
        cells.add(name, "P", Launched(), changed=None, tries=1, index=index)
    assert cells.map == [-1, 0]
