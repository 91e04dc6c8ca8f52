"""Estimates: what is drawn from past runs, the ranges, the cost, and which bound binds."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest
from hypothesis import given as any_of
from hypothesis import settings
from hypothesis import strategies as st

from ecs_feature.estimates.estimate import SHARDS, Estimate, Range, estimate
from ecs_feature.estimates.past_runs import Draw, EstimateRequest, PastRun, PastVariant, alone, calibrated, given
from ecs_feature.estimates.simulation import Bounds
from ecs_feature.estimates.workload import LaunchSample, Services
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.tasks.cost import Price, Usage

ON_DEMAND = Price(vcpu_hour_usd=0.04048, gb_hour_usd=0.004445)
SPOT = Price(0.3 * 0.04048, 0.3 * 0.004445)

FREE = Bounds(launches=(1e9, 1e9), run_task_calls=(1e9, 1e9), max_active_runs=100)


def shard(seconds: float) -> tuple[LaunchSample, ...]:
    return (LaunchSample(0.0, seconds, 0.5, Usage(0.5 * seconds, seconds)),)


def past_run(run_id: str, seconds: dict[str, float], *, before: float | None = 20.0, after: float = 10.0) -> PastRun:
    shards = {name: shard(each) for name, each in seconds.items()}
    return PastRun(run_id, {"control": PastVariant(shards, before, Services(1.0, 2.0, 15.0, 5.0))}, after)


PAST = [past_run("quiet", {"AA": 10.0, "UA": 20.0}), past_run("busy", {"AA": 30.0, "UA": 60.0})]


def test_a_past_run_is_drawn_whole_because_a_busy_day_is_slow_for_all() -> None:
    draw = Draw(EstimateRequest(200, ["control"], ["AA", "UA"]), PAST, random.Random(0))
    pairs = {tuple(each[0].run_seconds for each in run.variants[0].shards) for run in draw.runs()}
    assert pairs == {(10.0, 20.0), (30.0, 60.0)}
    assert draw.notes() == []


def test_what_a_past_run_lacks_comes_from_the_others() -> None:
    past = [past_run("all", {"AA": 10.0, "UA": 20.0}), past_run("some", {"UA": 60.0})]
    runs = Draw(EstimateRequest(50, ["control"], ["AA", "UA"]), past, random.Random(0)).runs()
    assert {run.variants[0].shards[0][0].run_seconds for run in runs} == {10.0}


def test_a_failed_run_lends_durations_but_not_its_stages() -> None:
    failed = dataclasses.replace(past_run("failed", {"UA": 99.0}, before=None), after_seconds=None)
    runs = Draw(
        EstimateRequest(50, ["control"], ["UA"]), [past_run("good", {"AA": 1.0}), failed], random.Random(0)
    ).runs()
    assert {(run.variants[0].before_seconds, run.after_seconds) for run in runs} == {(20.0, 10.0)}
    assert {run.variants[0].shards[0][0].run_seconds for run in runs} == {99.0}


def test_a_shard_or_variant_without_a_past_borrows_one_and_says_so() -> None:
    draw = Draw(EstimateRequest(1, ["control", "treatment"], ["ZZ"]), PAST, random.Random(0))
    draw.runs()
    assert draw.notes() == [
        "Shard ZZ has no past in control; the variant's other shards stand in.",
        "Variant treatment has no past; that of control stands in.",
    ]


def test_chosen_shards_are_those_of_each_variant_and_an_unknown_name_is_any_one_of_its_shards() -> None:
    both = [dataclasses.replace(run, variants={name: run.variants["control"] for name in ("a", "b")}) for run in PAST]
    draw = Draw(EstimateRequest(40, ["a", "b"], chosen={"a": ["AA"], "b": ["UA", "", ""]}), both, random.Random(0))
    drawn = [[[each[0].run_seconds for each in work.shards] for work in run.variants] for run in draw.runs()]
    assert {(tuple(a), b[0]) for a, b in drawn} == {((10.0,), 20.0), ((30.0,), 60.0)}
    assert {len(b) for _, b in drawn} == {3}
    assert {seconds for _, b in drawn for seconds in b[1:]} == {10.0, 20.0, 30.0, 60.0}
    assert draw.notes() == []


def test_chosen_shards_may_be_learnt_from_a_run_of_some_shards() -> None:
    part = dataclasses.replace(past_run("part", {"AA": 5.0}), partial=True)
    drawn = Draw(EstimateRequest(20, ["control"], chosen={"control": ["AA"]}), [*PAST, part], random.Random(0)).runs()
    assert {run.variants[0].shards[0][0].run_seconds for run in drawn} == {5.0, 10.0, 30.0}


def test_shards_found_at_run_time_are_as_many_as_a_past_run_had_or_as_many_as_asked() -> None:
    past = [past_run("few", {"a": 1.0}), past_run("many", {"a": 1.0, "b": 1.0, "c": 1.0})]
    drawn = Draw(EstimateRequest(50, ["control"]), past, random.Random(0)).runs()
    assert {len(run.variants[0].shards) for run in drawn} == {1, 3}
    asked = Draw(EstimateRequest(2, ["control"], shard_count=40), past, random.Random(0)).runs()
    assert [len(run.variants[0].shards) for run in asked] == [40, 40]


def test_without_a_shard_that_succeeded_there_is_no_estimate() -> None:
    with pytest.raises(ConfigurationError, match="no past run has a shard that succeeded; give --shard-seconds"):
        estimate(EstimateRequest(1, ["control"]), [PastRun("r", {})], FREE)


def test_an_estimate_is_the_run_with_its_stages_and_costs_what_shards_and_services_do() -> None:
    request = EstimateRequest(1, ["control"], ["AA", "UA"])
    answer = estimate(request, PAST[:1], FREE, shard_price=ON_DEMAND, service_price=ON_DEMAND)
    assert answer.run_seconds == answer.seconds == Range(50.0, 50.0)
    shards, services = Usage(15.0, 30.0), Usage(40.0, 80.0)
    assert answer.shards_usd.p50 == pytest.approx(ON_DEMAND.of(shards))
    assert answer.services_usd.p50 == pytest.approx(ON_DEMAND.of(services))
    assert answer.usd.p50 == answer.run_usd.p50 == pytest.approx(ON_DEMAND.of(shards + services))
    assert (answer.vcpu_seconds.p50, answer.gb_seconds.p50) == (55.0, 110.0)
    assert (answer.peak_tasks, answer.peak_vcpus) == (2, 2.0)


def test_only_the_shards_are_cheaper_on_spot() -> None:
    request = EstimateRequest(1, ["control"], ["AA", "UA"])
    spot, on_demand = (
        estimate(request, PAST[:1], FREE, shard_price=price, service_price=ON_DEMAND) for price in (SPOT, ON_DEMAND)
    )
    assert spot.shards_usd.p50 == pytest.approx(0.3 * on_demand.shards_usd.p50)
    assert spot.services_usd == on_demand.services_usd


def test_the_range_goes_from_the_middle_to_nine_in_ten() -> None:
    assert Range.of(range(101)) == Range(50, 90)
    assert Range.of([7.0]) == Range(7.0, 7.0)
    answer = estimate(
        EstimateRequest(1, ["control"], ["UA"]), [*PAST, *[past_run(f"q{i}", {"UA": 20.0}) for i in range(3)]], FREE
    )
    assert (answer.run_seconds.p50, answer.run_seconds.p90) == (50.0, 90.0)


@pytest.mark.parametrize("shards", [1, 62])
def test_two_past_runs_count_alike_and_the_middle_is_between_them(shards: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # A tenth of the work at the same number of draws as with 620 shards.
    monkeypatch.setattr("ecs_feature.estimates.estimate.SHARDS", SHARDS // 10)
    past = [past_run("slow", {"UA": 20.0}, before=60.0), past_run("fast", {"UA": 20.0}, before=40.0)]
    answer = estimate(EstimateRequest(1, ["control"], shard_count=shards), past, FREE)
    fast, slow = (estimate(EstimateRequest(1, ["control"], shard_count=shards), [run], FREE) for run in reversed(past))
    assert answer.draws % 2 == 0
    assert answer.seconds.p50 == pytest.approx((fast.seconds.p50 + slow.seconds.p50) / 2)
    assert answer.seconds.p90 == pytest.approx(slow.seconds.p90)


def test_a_past_run_comes_again_when_all_have_come_once() -> None:
    past = [past_run(f"r{i}", {"UA": 10.0 * (i + 1)}) for i in range(5)]
    drawn = Draw(EstimateRequest(15, ["control"]), past, random.Random(3)).runs()
    seconds = [run.variants[0].shards[0][0].run_seconds for run in drawn]
    assert all(sorted(seconds[i : i + 5]) == [10.0, 20.0, 30.0, 40.0, 50.0] for i in (0, 5, 10))
    assert len({tuple(seconds[i : i + 5]) for i in (0, 5, 10)}) > 1


def test_the_same_seed_gives_the_same_answer() -> None:
    request = EstimateRequest(20, ["control"], ["AA", "UA"])
    assert estimate(request, PAST, FREE, seed=7) == estimate(request, PAST, FREE, seed=7)


@pytest.mark.parametrize(
    ("bounds", "runs", "shards", "binding"),
    [
        (Bounds(max_active_runs=1), 1, 800, "launch rate"),
        (dataclasses.replace(FREE, max_vcpus=3.0), 1, 100, "vCPU quota"),
        (dataclasses.replace(FREE, parallelism=2), 1, 100, "parallelism"),
        (dataclasses.replace(FREE, max_shards=2), 1, 100, "triggerer capacity"),
        (dataclasses.replace(FREE, max_active_runs=1), 10, 2, "runs at once"),
        (FREE, 1, 1, "before the shards"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_the_binding_bound_is_the_one_that_costs_most_time(
    bounds: Bounds, runs: int, shards: int, binding: str
) -> None:
    request = EstimateRequest(runs, ["control"], shard_count=shards)
    answer = estimate(request, [past_run("r", {"AA": 10.0}, before=20.0, after=2.0)], bounds)
    assert answer.binding == binding
    assert list(answer.bounds.values()) == sorted(answer.bounds.values(), reverse=True)


def test_one_slow_shard_among_fast_ones_is_named_as_the_bound() -> None:
    past = [past_run("r", {**{f"S{i}": 10.0 for i in range(9)}, "UA": 500.0})]
    answer = estimate(EstimateRequest(1, ["control"], list(past[0].variants["control"].shards)), past, FREE)
    assert answer.binding == "slowest shard"
    assert answer.bounds["slowest shard"] == pytest.approx(490.0)


def test_what_the_simulation_does_not_explain_of_a_past_run_is_added_after_its_shards() -> None:
    run = dataclasses.replace(PAST[0], start=1000.0, seconds=57.0)
    (after,) = calibrated([run], FREE)
    assert after.after_seconds == pytest.approx(10.0 + 7.0)
    assert estimate(EstimateRequest(1, ["control"], ["AA", "UA"]), [after], FREE).seconds.p50 == pytest.approx(57.0)


def test_time_that_past_runs_waited_for_each_other_is_not_taken_for_their_own() -> None:
    bounds = dataclasses.replace(FREE, parallelism=1)
    one = past_run("a", {"AA": 10.0})
    first = dataclasses.replace(one, start=0.0, seconds=40.0)
    second = dataclasses.replace(one, run_id="b", start=5.0, seconds=45.0)
    assert [run.after_seconds for run in calibrated([first, second], bounds)] == [10.0, 10.0]


def test_runs_whose_stages_are_unknown_are_left_as_they_are() -> None:
    failed = dataclasses.replace(PAST[0], after_seconds=None, seconds=500.0)
    assert calibrated([failed], FREE) == [failed]


def test_given_durations_are_a_past_whose_shards_are_billed_at_least_a_minute() -> None:
    past = given(
        {"AA": [10.0], "UA": [100.0, 200.0], "*": [50.0]},
        {"control": (0.5, 1.0, Services(1.0, 2.0))},
        start_seconds=30.0,
        before_seconds=60.0,
        after_seconds=20.0,
    )
    assert len(past) == 2
    works = [run.variants["control"] for run in past]
    assert [work.shards["UA"][0].run_seconds for work in works] == [100.0, 200.0]
    assert works[0].shards["AA"][0].used == Usage(30.0, 60.0)
    assert works[0].shards["UA"][0].used == Usage(65.0, 130.0)
    assert works[0].services == Services(1.0, 2.0, lead_seconds=60.0)
    answer = estimate(EstimateRequest(1, ["control"], ["AA", "BB"]), past, FREE)
    assert answer.seconds.p50 == 60 + 30 + 50 + 20
    assert answer.notes == []


def test_an_estimate_is_json() -> None:
    answer = estimate(EstimateRequest(3, ["control"], ["AA", "ZZ"]), PAST, Bounds(max_active_runs=2)).to_dict()
    assert json.loads(json.dumps(answer)) == answer
    assert set(answer) == {field.name for field in dataclasses.fields(Estimate)} | {"binding"}


@settings(max_examples=15, deadline=None)
@any_of(st.lists(st.floats(1, 100), min_size=1, max_size=6), st.integers(1, 20), st.integers(1, 5))
def test_cost_adds_up_over_runs_and_parts(durations: list[float], runs: int, at_once: int) -> None:
    past = [past_run("r", {f"S{i}": each for i, each in enumerate(durations)})]
    bounds = dataclasses.replace(FREE, max_active_runs=at_once)
    answer = estimate(EstimateRequest(runs, ["control"], list(past[0].variants["control"].shards)), past, bounds)
    assert answer.usd.p50 == pytest.approx(runs * answer.run_usd.p50)
    assert answer.usd.p50 == pytest.approx(answer.shards_usd.p50 + answer.services_usd.p50)


def taken_on(run_id: str, start: float, handover: float, tasks: int) -> PastRun:
    work = PastVariant({"AA": shard(10.0)}, 20.0, Services(1.0, 2.0, 15.0, 5.0), handover, tasks)
    return PastRun(run_id, {"control": work}, 10.0, start=start)


def test_what_a_triggerer_took_to_take_shards_on_is_shared_by_those_it_took_on_together() -> None:
    together = [taken_on("a", 0.0, 12.0, 30), taken_on("b", 1.0, 12.0, 10), taken_on("c", 100.0, 12.0, 10)]
    works = [run.variants["control"] for run in alone(together)]
    assert [work.handover_seconds for work in works] == [9.0, 3.0, 12.0]
    assert [work.before_seconds for work in works] == [17.0, 11.0, 20.0]
    assert [work.services.lead_seconds for work in works] == [12.0, 6.0, 15.0]


def test_past_runs_that_were_taken_on_together_are_replayed_as_they_went() -> None:
    past = [dataclasses.replace(taken_on(name, 0.0, 12.0, 10), seconds=40.0) for name in "ab"]
    assert [run.after_seconds for run in calibrated(past, FREE)] == [10.0, 10.0]


def test_more_runs_at_once_wait_for_the_triggerer_and_that_is_a_bound() -> None:
    past = [taken_on("a", 0.0, 12.0, 10)]
    assert estimate(EstimateRequest(1, ["control"]), past, FREE).seconds.p50 == pytest.approx(40.0)
    three = estimate(EstimateRequest(3, ["control"]), past, FREE)
    assert three.seconds.p50 == pytest.approx(40.0 + 24.0)
    assert three.bounds["hand-over"] == pytest.approx(36.0)


def test_taking_more_shards_on_takes_longer_in_proportion() -> None:
    work = Draw(
        EstimateRequest(1, ["control"], shard_count=40), [taken_on("a", 0.0, 12.0, 10)], random.Random(0)
    ).runs()[0]
    (variant,) = work.variants
    assert (variant.handover_seconds, variant.before_seconds, variant.services.lead_seconds) == (48.0, 56.0, 51.0)


def test_the_past_is_replayed_under_the_quota_it_was_under_unless_it_needed_more() -> None:
    run = past_run("a", {"AA": 10.0, "UA": 10.0})
    waited = dataclasses.replace(run, seconds=50.0)  # 20 before, 10 and 10 after each other, 10 after them
    under = dataclasses.replace(FREE, max_vcpus=1.5)  # a vCPU of services leaves one shard's
    assert [each.after_seconds for each in calibrated([waited], under)] == [10.0]
    assert [each.after_seconds for each in calibrated([waited], FREE)] == [20.0]
    assert [each.after_seconds for each in calibrated([waited], dataclasses.replace(FREE, max_vcpus=0.5))] == [20.0]


def test_a_run_of_some_shards_is_drawn_only_where_shards_are_named() -> None:
    some = dataclasses.replace(past_run("some", {"AA": 30.0}), partial=True)
    past = [past_run("all", {"AA": 10.0, "UA": 20.0}), some]
    whole = Draw(EstimateRequest(50, ["control"]), past, random.Random(0)).runs()
    assert {len(run.variants[0].shards) for run in whole} == {2}
    named = Draw(EstimateRequest(50, ["control"], ["AA"]), past, random.Random(0)).runs()
    assert {run.variants[0].shards[0][0].run_seconds for run in named} == {10.0, 30.0}
    only = Draw(EstimateRequest(1, ["control"]), [some], random.Random(0)).runs()
    assert [len(run.variants[0].shards) for run in only] == [1]
