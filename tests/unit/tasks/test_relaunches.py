"""What follows on the end of a launch, case by case."""

from __future__ import annotations

import random
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecs_feature.aws.resources import EcsContainer, EcsTask
from ecs_feature.tasks.outcomes import PAYERS, Kind, Outcome, Payer
from ecs_feature.tasks.relaunches import Ended, RelaunchPolicy, backoff_seconds, next_launch, relaunches_used
from ecs_feature.tasks.sizes import Size

START = datetime(2026, 11, 22, tzinfo=UTC)
TASK = EcsTask("arn", "", "", "STOPPED", "STOPPED", cpu=256, memory_mib=512)
GROWN = (Kind.OUT_OF_MEMORY, Kind.DISK_FULL)
WAITS = (Kind.CAPACITY_UNAVAILABLE,)
FORGIVEN = [kind for kind, payer in PAYERS.items() if payer is Payer.INFRASTRUCTURE and kind not in WAITS]
FINAL = [kind for kind, payer in PAYERS.items() if payer is not Payer.INFRASTRUCTURE and kind not in GROWN]


class Highest(random.Random):
    """Jitter at its upper end."""

    def random(self) -> float:
        return 1.0


def ended(kind: Kind, seconds: float = 0, capacity: str = "on_demand", task: EcsTask | None = TASK) -> Ended:
    return Ended(Outcome(kind), task, capacity, START + timedelta(seconds=seconds))


def following(*history: Ended, **policy: Any) -> Any:
    return next_launch(history, RelaunchPolicy(**policy), Highest())


@pytest.mark.parametrize("kind", FINAL)
def test_what_infrastructure_is_not_to_blame_for_ends_the_try(kind: Kind) -> None:
    assert following(ended(kind)) is None


@pytest.mark.parametrize("kind", FORGIVEN)
def test_what_infrastructure_is_to_blame_for_is_launched_again_as_often_as_is_forgiven(kind: Kind) -> None:
    pauses = [following(*[ended(kind)] * times, max_relaunches=3).pause_seconds for times in (1, 2, 3)]
    assert pauses == [1, 2, 4]
    assert following(*[ended(kind)] * 4, max_relaunches=3) is None


def test_nothing_is_forgiven_when_the_budget_is_0() -> None:
    assert following(ended(Kind.LOST), max_relaunches=0) is None


def test_every_kind_of_infrastructure_uses_the_same_budget_and_waiting_for_capacity_none_of_it() -> None:
    history = [ended(Kind.LOST), ended(Kind.CAPACITY_UNAVAILABLE, task=None), ended(Kind.STUCK)]
    assert relaunches_used(history) == 2
    assert following(*history, max_relaunches=2).pause_seconds == 2
    assert following(*history, max_relaunches=1) is None


def test_capacity_is_waited_for_with_growing_pauses_until_its_time_is_over() -> None:
    moments = (0, 1, 3, 7, 15)
    history = [ended(Kind.CAPACITY_UNAVAILABLE, at, task=None) for at in moments]
    pauses = [
        following(*history[: n + 1], max_relaunches=0, capacity_seconds=20).pause_seconds for n in range(len(moments))
    ]
    assert pauses == [1, 2, 4, 8, 5]
    for at in (20, 21):
        late = ended(Kind.CAPACITY_UNAVAILABLE, at, task=None)
        assert following(*history, late, max_relaunches=0, capacity_seconds=20) is None


def test_without_a_word_five_endings_are_forgiven_and_capacity_is_waited_for_an_hour() -> None:
    assert following(*[ended(Kind.LOST)] * 5).pause_seconds == 16
    assert following(*[ended(Kind.LOST)] * 6) is None
    first = ended(Kind.CAPACITY_UNAVAILABLE, task=None)
    assert following(first, ended(Kind.CAPACITY_UNAVAILABLE, 3599.5, task=None)).pause_seconds == 0.5
    assert following(first, ended(Kind.CAPACITY_UNAVAILABLE, 3600, task=None)) is None


def test_only_what_infrastructure_is_to_blame_for_uses_the_budget() -> None:
    assert [kind for kind in Kind if relaunches_used([ended(kind)])] == FORGIVEN


def test_the_time_without_capacity_counts_from_the_first_failure_in_a_row() -> None:
    history = [
        ended(Kind.CAPACITY_UNAVAILABLE, 0, task=None),
        ended(Kind.SPOT_INTERRUPTION, 100),
        ended(Kind.CAPACITY_UNAVAILABLE, 110, task=None),
    ]
    assert following(*history, capacity_seconds=60).pause_seconds == 1


def test_spot_stays_spot_without_a_fallback() -> None:
    step = following(*[ended(Kind.SPOT_INTERRUPTION, capacity="spot")] * 5)
    assert (step.capacity, step.change) == ("spot", "")
    waiting = [ended(Kind.CAPACITY_UNAVAILABLE, at, "spot", None) for at in (0, 1)]
    assert (following(*waiting).capacity, following(*waiting).pause_seconds) == ("spot", 2)


def test_spot_is_known_by_its_name_wherever_that_was_read() -> None:
    step = following(ended(Kind.SPOT_INTERRUPTION, capacity="".join(["sp", "ot"])), fallback_interruptions=1)
    assert step.capacity == "on_demand"


@pytest.mark.parametrize(("interruptions", "capacity"), [(1, "spot"), (2, "on_demand"), (3, "on_demand")])
def test_after_enough_interruptions_the_try_goes_on_on_demand(interruptions: int, capacity: str) -> None:
    step = following(*[ended(Kind.SPOT_INTERRUPTION, capacity="spot")] * interruptions, fallback_interruptions=2)
    assert step.capacity == capacity
    assert step.change == ("" if capacity == "spot" else f"on demand after {interruptions} Spot interruptions")


@pytest.mark.parametrize("kind", [kind for kind in FORGIVEN if kind is not Kind.SPOT_INTERRUPTION])
def test_only_interruptions_count_for_the_fallback(kind: Kind) -> None:
    step = following(*[ended(kind, capacity="spot")] * 2, fallback_interruptions=2, fallback_seconds=30)
    assert (step.capacity, step.change) == ("spot", "")


@pytest.mark.parametrize(
    ("waited", "capacity", "pause"), [(0, "spot", 1), (29, "spot", 1), (30, "on_demand", 2), (31, "on_demand", 2)]
)
def test_after_long_enough_without_spot_capacity_the_try_goes_on_on_demand(
    waited: float, capacity: str, pause: float
) -> None:
    history = [ended(Kind.CAPACITY_UNAVAILABLE, at, "spot", None) for at in sorted({0, waited})]
    step = following(*history, fallback_seconds=30)
    assert (step.capacity, step.pause_seconds) == (capacity, pause)
    assert step.change == (f"on demand after {waited} s without Spot capacity" if capacity == "on_demand" else "")


def test_once_on_demand_it_stays_on_demand() -> None:
    history = [ended(Kind.SPOT_INTERRUPTION, capacity="spot")] * 2 + [ended(Kind.LOST, capacity="on_demand")]
    step = following(*history, fallback_interruptions=2)
    assert (step.capacity, step.change) == ("on_demand", "")


def test_a_strategy_is_kept() -> None:
    strategy = ({"capacityProvider": "FARGATE_SPOT", "weight": 1},)
    assert following(replace(ended(Kind.SPOT_INTERRUPTION), capacity=strategy)).capacity == strategy


def test_out_of_memory_is_launched_again_at_once_in_the_next_size() -> None:
    step = following(ended(Kind.OUT_OF_MEMORY), max_relaunches=0)
    assert step.pause_seconds == 0
    assert step.size == Size(256, 1024)
    assert step.change == "with 1024 MiB instead of 512"


def test_a_bigger_cpu_is_told_when_memory_needs_it() -> None:
    big = replace(TASK, memory_mib=2048, containers=(EcsContainer("f", "STOPPED", 137, memory_mib=2048),))
    step = following(ended(Kind.OUT_OF_MEMORY, task=big))
    assert step.change == "with 3072 MiB instead of 2048, and so 0.5 vCPU instead of 0.25"
    assert step.size == Size(512, 3072, {"f": 3072})


def test_the_cpu_is_not_told_when_it_stays() -> None:
    step = following(ended(Kind.OUT_OF_MEMORY, task=replace(TASK, cpu=int("1024"), memory_mib=2048)))
    assert step.change == "with 3072 MiB instead of 2048"


@pytest.mark.parametrize(
    ("memory_mib", "container_mib", "size", "change"),
    [
        (700, 0, Size(0, 1400), "with 1400 MiB instead of 700"),
        (0, 300, Size(0, 0, {"f": 600}), "with 600 MiB instead of 300"),
    ],
    ids=["of the task", "of its container"],
)
def test_on_instances_memory_doubles_up_to_four_times_what_it_had(
    memory_mib: int, container_mib: int, size: Size, change: str
) -> None:
    containers = (EcsContainer("f", "STOPPED", 137, memory_mib=container_mib),)
    small = replace(TASK, launch_type="EC2", memory_mib=memory_mib, containers=containers)
    first = ended(Kind.OUT_OF_MEMORY, task=small)
    step = following(first)
    assert (step.size, step.change) == (size, change)
    limit = memory_mib or container_mib
    grown = replace(
        small, memory_mib=4 * memory_mib, containers=(replace(containers[0], memory_mib=4 * container_mib),)
    )
    assert following(first, ended(Kind.OUT_OF_MEMORY, task=grown)) is None
    assert following(first, ended(Kind.OUT_OF_MEMORY, task=grown), max_memory_mib=5 * limit) is not None


@pytest.mark.parametrize("value", [RelaunchPolicy(), ended(Kind.LOST), following(ended(Kind.LOST))])
def test_what_is_decided_does_not_change(value: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        value.capacity = "spot"


@pytest.mark.parametrize(
    ("memory_mib", "policy", "size_mib"),
    [
        (1024, {}, 2048),
        (2048, {}, None),
        (2048, {"max_memory_mib": 3072}, 3072),
        (2048, {"max_memory_mib": 3071}, None),
        (512, {"max_memory_mib": 0}, None),
    ],
    ids=["below four times", "at four times", "up to the given", "not above the given", "never"],
)
def test_memory_grows_up_to_the_most_and_then_the_try_ends(
    memory_mib: int, policy: dict[str, Any], size_mib: int | None
) -> None:
    history = [ended(Kind.OUT_OF_MEMORY)]
    if memory_mib != TASK.memory_mib:
        history.append(ended(Kind.OUT_OF_MEMORY, task=replace(TASK, memory_mib=memory_mib)))
    step = following(*history, **policy)
    assert (step and step.size.memory_mib) == size_mib


@pytest.mark.parametrize("task", [None, replace(TASK, memory_mib=0)], ids=["no task", "size unknown"])
def test_without_a_known_size_memory_cannot_grow(task: EcsTask | None) -> None:
    assert following(ended(Kind.OUT_OF_MEMORY, task=task)) is None


@pytest.mark.parametrize(("relaunch", "least", "most"), [(0, 0.5, 1), (3, 4, 8), (6, 30, 60), (2000, 30, 60)])
def test_pauses_grow_to_a_minute_with_jitter(relaunch: int, least: float, most: float) -> None:
    assert [backoff_seconds(relaunch, drawn) for drawn in (0, 1)] == [least, most]
    assert backoff_seconds(relaunch) == (least + most) / 2


def test_every_pause_is_drawn_anew() -> None:
    pauses = {next_launch([ended(Kind.SPOT_INTERRUPTION)], RelaunchPolicy()).pause_seconds for _ in range(200)}
    assert len(pauses) > 100
    assert 0.5 <= min(pauses) < 0.75 < max(pauses) <= 1


@pytest.mark.parametrize(
    ("had", "policy", "more"),
    [
        ([20], {}, 40),
        ([0], {}, 40),
        ([20, 40], {}, 80),
        ([20, 40, 80], {}, 0),
        ([100], {}, 200),
        ([150], {}, 200),
        ([200], {}, 0),
        ([20], {"max_ephemeral_gib": 30}, 30),
        ([20], {"max_ephemeral_gib": 20}, 0),
        ([20], {"max_ephemeral_gib": 0}, 0),
        ([21], {"max_ephemeral_gib": 500}, 42),
    ],
)
def test_storage_doubles_after_a_full_disk_up_to_four_times_or_the_bound(
    had: list[int], policy: dict[str, int], more: int
) -> None:
    history = [ended(Kind.DISK_FULL, task=replace(TASK, launch_type="FARGATE", ephemeral_gib=gib)) for gib in had]
    found = following(*history, **policy)
    assert ((found and found.size.ephemeral_gib) or 0) == more
    assert not more or (found.pause_seconds, found.size.memory_mib) == (0, 0)
    assert not more or found.change == f"with {more} GiB of ephemeral storage instead of {had[-1] or 20}"


def test_a_full_disk_of_an_instance_does_not_grow() -> None:
    assert following(ended(Kind.DISK_FULL, task=replace(TASK, launch_type="EC2"))) is None
    assert following(ended(Kind.DISK_FULL, task=None)) is None


def test_a_size_goes_over_an_earlier_one() -> None:
    earlier = Size(256, 1024, {"job": 900}, 40)
    assert Size(ephemeral_gib=80).over(earlier) == Size(256, 1024, {"job": 900}, 80)
    assert Size(512, 4096, {"job": 3900}).over(earlier) == Size(512, 4096, {"job": 3900}, 40)
    assert Size().over(earlier) == earlier
