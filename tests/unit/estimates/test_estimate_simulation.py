"""Runs under quotas: what the simulation may never do, whatever it is given, and what it says of plain cases."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecs_feature.estimates.simulation import Bounds, Timeline, simulate
from ecs_feature.estimates.workload import LaunchSample, Run, Services, VariantWork
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.tasks.cost import Usage
from ecs_feature.tasks.relaunches import backoff_seconds

FREE = Bounds(launches=(1e9, 1e9), run_task_calls=(1e9, 1e9), max_active_runs=100)


def sample(seconds: float, vcpus: float = 0.5) -> LaunchSample:
    return LaunchSample(0.0, seconds, vcpus, Usage(vcpus * seconds, 2 * vcpus * seconds))


def fan_out(count: int, seconds: float, *, before: float = 0.0, after: float = 0.0, name: str = "control") -> Run:
    return Run((VariantWork(name, ((sample(seconds),),) * count, before),), after)


def taken(timeline: Timeline) -> list[float]:
    return [round(run.seconds, 6) for run in timeline.runs]


@pytest.mark.parametrize(
    ("runs", "bounds", "seconds"),
    [
        ([fan_out(1, 10)], Bounds(), [10.0]),
        ([fan_out(15, 10)], Bounds(), [10.0]),
        ([fan_out(16, 10)], Bounds(), [10.05]),
        # RunTask: fifteen at once, then 20 a second.
        ([fan_out(1000, 10)], Bounds(), [59.25]),
        # The launch bucket alone: 100 at once, then 20 a second.
        ([fan_out(1000, 10)], Bounds(run_task_calls=(1e9, 1e9)), [55.0]),
        ([fan_out(10, 10)], dataclasses.replace(FREE, parallelism=4), [30.0]),
        ([fan_out(10, 10)], dataclasses.replace(FREE, max_vcpus=2.0), [30.0]),
        ([fan_out(10, 10)], dataclasses.replace(FREE, variant_vcpus=2.0), [30.0]),
        ([fan_out(10, 10)], dataclasses.replace(FREE, max_shards=5), [20.0]),
        ([fan_out(1, 10)], dataclasses.replace(FREE, variant_vcpus=0.25), [10.0]),
        ([fan_out(2, 10, before=20, after=5)], FREE, [35.0]),
        ([fan_out(0, 10, before=20, after=5)], FREE, [25.0]),
        ([Run((), 3.0)], FREE, [3.0]),
        ([], FREE, []),
    ],
    ids=[
        "one shard",
        "what RunTask takes at once",
        "one more waits a twentieth of a second",
        "RunTask's rate",
        "the launch bucket",
        "parallelism",
        "the account's vCPUs",
        "the variant's vCPUs",
        "what the triggerers hold",
        "a task over the variant's vCPUs runs alone",
        "before and after",
        "no shard",
        "no variant",
        "no run",
    ],
)
def test_plain_runs_take_what_one_would_work_out_by_hand(runs: list[Run], bounds: Bounds, seconds: list[float]) -> None:
    assert taken(simulate(runs, bounds)) == seconds


def test_a_run_is_admitted_when_another_one_ends() -> None:
    timeline = simulate(
        [fan_out(1, seconds) for seconds in (10, 4, 3, 5)], dataclasses.replace(FREE, max_active_runs=2)
    )
    assert [(run.start, run.end) for run in timeline.runs] == [(0, 10), (0, 4), (4, 7), (7, 12)]
    assert timeline.seconds == 12


def test_runs_at_once_take_turns_at_the_launch_rate() -> None:
    ended = taken(simulate([fan_out(500, 10)] * 5, Bounds(max_active_runs=5)))
    assert max(ended) / min(ended) < 1.01


def test_a_relaunch_waits_keeps_its_place_and_is_paid_for() -> None:
    shard = (sample(5), sample(7), sample(1))
    run = Run((VariantWork("control", (shard, (sample(4),))),))
    timeline = simulate([run], dataclasses.replace(FREE, parallelism=1))
    assert timeline.seconds == 5 + backoff_seconds(0) + 7 + backoff_seconds(1) + 1 + 4
    assert timeline.runs[0].shards == Usage(0.5 * 17, 17)
    assert timeline.peak_tasks == 1


def test_services_are_held_from_their_lead_to_their_tail() -> None:
    services = Services(vcpus=1.0, gigabytes=2.0, lead_seconds=15.0, tail_seconds=3.0)
    run = Run((VariantWork("control", ((sample(10),),), 20.0, services),), after_seconds=1.0)
    timeline = simulate([run], FREE)
    assert timeline.runs[0].services == Usage(15 + 10 + 3, 2 * (15 + 10 + 3))
    assert timeline.seconds == 31
    assert timeline.peak_vcpus == 1.5


@pytest.mark.parametrize(("share", "seconds"), [(True, 40.0), (False, 20.0)], ids=["one quota", "Spot's own quota"])
def test_services_take_of_the_quota_that_they_share_with_the_shards(share: bool, seconds: float) -> None:
    run = Run((VariantWork("control", ((sample(10, 1.0),),) * 4, 0.0, Services(vcpus=1.0)),))
    bounds = dataclasses.replace(FREE, max_vcpus=2.0, services_share_quota=share)
    assert simulate([run], bounds).seconds == seconds


def test_a_quota_that_services_use_up_is_refused_with_one_sentence() -> None:
    run = Run((VariantWork("control", ((sample(1, 2.0),),), 0.0, Services(vcpus=3.0)),))
    with pytest.raises(ConfigurationError, match=r"max_vcpus: 6 vCPUs are too few: .* hold 6 and the next needs 2; "):
        simulate([run, run], dataclasses.replace(FREE, max_vcpus=6.0))


samples = st.builds(
    sample, st.floats(0.5, 300).map(lambda value: round(value, 2)), st.sampled_from([0.25, 0.5, 1.0, 2.0])
)
shards = st.lists(st.lists(samples, min_size=1, max_size=3).map(tuple), max_size=12).map(tuple)
services = st.builds(Services, st.sampled_from([0.0, 0.5, 1.0]), st.just(1.0), st.floats(0, 5), st.floats(0, 5))
works = st.builds(VariantWork, st.sampled_from(["control", "treatment"]), shards, st.floats(5, 60), services)
run_lists = st.lists(st.builds(Run, st.lists(works, max_size=2).map(tuple), st.floats(0, 30)), min_size=1, max_size=5)
bounds_of_all_kinds = st.builds(
    Bounds,
    launches=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    run_task_calls=st.tuples(st.integers(1, 10), st.integers(1, 20)),
    max_vcpus=st.none() | st.integers(16, 32),
    parallelism=st.none() | st.integers(1, 10),
    variant_vcpus=st.none() | st.integers(2, 10),
    max_shards=st.none() | st.integers(1, 20),
    max_active_runs=st.integers(1, 5),
)


def shard_seconds(shard: tuple[LaunchSample, ...]) -> float:
    return sum(each.seconds for each in shard) + sum(backoff_seconds(i) for i in range(len(shard) - 1))


def critical(run: Run) -> float:
    """The run alone, with nothing in its way."""
    longest = (work.before_seconds + max(map(shard_seconds, work.shards), default=0.0) for work in run.variants)
    return max(longest, default=0.0) + run.after_seconds


def least(runs: list[Run], bounds: Bounds) -> float:
    """No schedule is faster: each bound alone, and all the runs' own times."""
    every = [each for run in runs for each in run.samples()]
    lasts = [critical(run) for run in runs]
    answers = [max(lasts), sum(lasts) / bounds.max_active_runs]
    for burst, rate in (bounds.launches, bounds.run_task_calls):
        answers.append((len(every) - burst) / rate)
    if bounds.max_vcpus:
        answers.append(sum(each.vcpus * each.seconds for each in every) / bounds.max_vcpus)
    for name in ("control", "treatment"):
        mine = [shard for run in runs for work in run.variants if work.name == name for shard in work.shards]
        if bounds.parallelism:
            answers.append(sum(map(shard_seconds, mine)) / bounds.parallelism)
    if bounds.max_shards:
        everyone = [shard for run in runs for work in run.variants for shard in work.shards]
        answers.append(sum(map(shard_seconds, everyone)) / bounds.max_shards)
    return max(answers)


@settings(max_examples=150, deadline=None)
@given(run_lists, bounds_of_all_kinds)
def test_no_estimate_beats_any_bound_and_none_uses_more_than_allowed(runs: list[Run], bounds: Bounds) -> None:
    timeline = simulate(runs, bounds)
    assert timeline.seconds >= least(runs, bounds) - 1e-6
    assert all(run.seconds >= critical(of) - 1e-6 for run, of in zip(timeline.runs, runs, strict=True))
    assert timeline.peak_vcpus <= (bounds.max_vcpus or math.inf) + 1e-6
    assert timeline.peak_tasks <= (bounds.max_shards or math.inf)


@settings(max_examples=100, deadline=None)
@given(run_lists, bounds_of_all_kinds)
def test_every_launch_is_billed_once_in_its_own_run(runs: list[Run], bounds: Bounds) -> None:
    timeline = simulate(runs, bounds)
    for run, of in zip(timeline.runs, runs, strict=True):
        assert run.shards.vcpu_seconds == pytest.approx(sum(each.used.vcpu_seconds for each in of.samples()))
        assert run.shards.gb_seconds == pytest.approx(sum(each.used.gb_seconds for each in of.samples()))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.5, 300), min_size=1, max_size=40), st.floats(0.5, 300), bounds_of_all_kinds)
def test_one_more_shard_at_the_end_of_the_line_never_makes_it_faster(
    durations: list[float], more: float, bounds: Bounds
) -> None:
    def seconds(values: list[float]) -> float:
        run = Run((VariantWork("control", tuple((sample(value),) for value in values)),))
        return simulate([run, run], dataclasses.replace(bounds, max_active_runs=1)).seconds

    assert seconds([*durations, more]) >= seconds(durations) - 1e-6


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.floats(1, 100), bounds_of_all_kinds)
def test_equal_shards_never_go_slower_when_a_bound_is_lifted(count: int, seconds: float, bounds: Bounds) -> None:
    runs = [fan_out(count, seconds)] * 3
    bound = simulate(runs, bounds).seconds
    for change in (
        {"parallelism": None},
        {"max_vcpus": None},
        {"variant_vcpus": None},
        {"max_shards": None},
        {"launches": (1e9, 1e9)},
        {"run_task_calls": (1e9, 1e9)},
        {"max_active_runs": 3},
    ):
        assert simulate(runs, dataclasses.replace(bounds, **change)).seconds <= bound + 1e-6, change


def handed(seconds: float, *, before: float, handover: float, services: Services | None = None) -> Run:
    return Run((VariantWork("control", ((sample(seconds),),), before, services or Services(), handover),))


@pytest.mark.parametrize(
    ("runs", "seconds"),
    [
        ([handed(5, before=10, handover=4)], [15.0]),
        # Together they take twice as long, and each waits for both.
        ([handed(5, before=10, handover=4)] * 2, [19.0, 19.0]),
        # The second comes when half of the first is done; two seconds later both have two seconds left, then one.
        ([handed(5, before=10, handover=4), handed(5, before=12, handover=4)], [17.0, 19.0]),
        ([handed(5, before=10, handover=4), handed(5, before=20, handover=4)], [15.0, 25.0]),
        ([handed(5, before=3, handover=4)], [8.0]),
    ],
    ids=["alone", "together", "one after the other", "apart", "never longer than what precedes the shards"],
)
def test_a_triggerer_takes_on_the_shards_of_all_runs_together(runs: list[Run], seconds: list[float]) -> None:
    assert taken(simulate(runs, FREE)) == seconds


def test_services_are_held_while_their_shards_wait_to_be_taken_on() -> None:
    services = Services(vcpus=1.0, lead_seconds=6.0)
    alone = simulate([handed(5, before=10, handover=4, services=services)], FREE)
    assert [run.services.vcpu_seconds for run in alone.runs] == [pytest.approx(11.0)]
    both = simulate([handed(5, before=10, handover=4, services=services)] * 2, FREE)
    assert [run.services.vcpu_seconds for run in both.runs] == [pytest.approx(15.0)] * 2


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 20)), min_size=1, max_size=8))
def test_taking_shards_on_never_takes_longer_than_one_after_the_other_nor_less_than_alone(
    times: list[tuple[float, float]],
) -> None:
    runs = [handed(1, before=before, handover=handover) for before, handover in times]
    ends = taken(simulate(runs, FREE))
    most = max(before for before, _ in times) + sum(handover for _, handover in times)
    assert max(ends) <= most + 1.001
    assert all(end >= before + 0.999 for end, (before, _) in zip(ends, times, strict=True))


def test_a_place_is_free_only_when_the_end_was_seen() -> None:
    seen = dataclasses.replace(sample(10), detection_lag_seconds=2.0)
    run = Run((VariantWork("control", ((seen,),) * 3),))
    assert taken(simulate([run], dataclasses.replace(FREE, parallelism=1))) == [36.0]
