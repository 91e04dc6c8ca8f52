"""Leases on a service that something else writes to: tags removed, the desired count reset, between any two calls."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lease_world import Actor, Scalable, World, acquiring, finish_all, holding, releasing, settling

from ecs_feature.exceptions import LeaseError
from ecs_feature.services.lease_steps import REASSERT_SECONDS, Pause
from ecs_feature.services.leases import POLICY_TAG, SharingPolicy, policy_of

HOLDERS = ("a", "b", "c")
ALL, LEASES, POLICY = "ecs-feature:", "ecs-feature:lease:", POLICY_TAG
POLICIES = (SharingPolicy(), SharingPolicy(baseline=1), SharingPolicy(cap=4), SharingPolicy(baseline=1, sharing="max"))


class Meddled(RuleBasedStateMachine):
    """Three runs, their guards, one service and somebody who writes to it.

    ``held``: holder -> count of the runs between their acquire and their release. ``right``: since the guards of
    all runs looked last, none of them in its acquire, nobody has written.
    """

    @initialize(policy=st.sampled_from(POLICIES))
    def begin(self, policy: SharingPolicy) -> None:
        self.policy = policy
        self.world = World(policy.baseline)
        self.actors: list[Actor] = []
        self.held: dict[str, int] = {}
        self.right = True

    def busy(self, holder: str) -> bool:
        return any(actor.holder == holder for actor in self.actors)

    @rule(holder=st.sampled_from(HOLDERS), count=st.integers(1, 3), steps=st.integers(0, 7))
    def acquire(self, holder: str, count: int, steps: int) -> None:
        if not self.busy(holder) and holder not in self.held:
            self.go(acquiring(self.world, holder, count, policy=self.policy), count, steps)

    @rule(holder=st.sampled_from(HOLDERS), steps=st.integers(0, 7))
    def release(self, holder: str, steps: int) -> None:
        if not self.busy(holder) and self.held.pop(holder, None):
            self.go(releasing(self.world, holder, known=self.policy), 0, steps)

    @precondition(lambda self: self.actors)
    @rule(number=st.integers(0, 9), steps=st.integers(1, 7))
    def step(self, number: int, steps: int) -> None:
        self.proceed(self.actors[number % len(self.actors)], steps)

    @rule(tags=st.sampled_from(["", ALL, LEASES, POLICY]), count=st.sampled_from([None, 0, 1, 2, 7]))
    def meddle(self, tags: str, count: int | None) -> None:
        self.world.meddle(tags=tags, count=count)
        self.right = False

    @rule()
    def a_guard_period_passes(self) -> None:
        """Every run's guard looks once, at the same time as the others."""
        finish_all([holding(self.world, holder, count, policy=self.policy) for holder, count in self.held.items()])
        self.right = not self.actors

    def go(self, actor: Actor, count: int, steps: int) -> None:
        actor.count = count  # type: ignore[attr-defined]
        self.actors.append(actor)
        self.proceed(actor, steps)

    def proceed(self, actor: Actor, steps: int) -> None:
        for _ in range(steps):
            if not actor.done:
                actor.step()
        if actor.done:
            assert actor.error is None, actor.error
            self.actors.remove(actor)
            if actor.kind == "acquire":
                self.held[actor.holder] = actor.count  # type: ignore[attr-defined]

    @invariant()
    def after_a_guard_period_every_run_has_what_it_holds(self) -> None:
        if self.actors or not self.right:
            return
        counts = self.held.values()
        wanted = sum(counts) if self.policy.sharing == "sum" else max(counts, default=0)
        assert self.world.held >= min(self.policy.cap, wanted)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        finish_all(self.actors)
        finish_all([releasing(self.world, holder, known=self.policy) for holder in HOLDERS])
        assert (self.world.leases, self.world.held) == ({}, self.policy.baseline)


Meddled.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=20,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
TestMeddled = Meddled.TestCase


@pytest.mark.parametrize("tags", [ALL, LEASES, POLICY])
@pytest.mark.parametrize("count", [None, 0, 2, 7])
@pytest.mark.parametrize("baseline", [0, 1])
def test_a_release_ends_at_the_baseline_whatever_was_removed(tags: str, count: int | None, baseline: int) -> None:
    policy = SharingPolicy(baseline=baseline)
    world = World(baseline)
    acquiring(world, "a", 2, policy=policy).finish()
    world.meddle(tags=tags, count=count)
    releasing(world, "a", known=policy).finish()
    assert (world.held, world.leases) == (baseline, {})


def test_a_release_by_a_caller_who_knows_nothing_leaves_a_service_without_tags_as_it_is() -> None:
    world = World(2)
    releasing(world, "a").finish()
    assert world.held == 2


def test_a_release_counts_the_leases_of_other_runs_that_are_still_there() -> None:
    world = World()
    acquiring(world, "a", 2).finish()
    acquiring(world, "b", 3).finish()
    world.meddle(tags=POLICY)
    releasing(world, "a", known=SharingPolicy()).finish()
    assert world.held == 3


@pytest.mark.parametrize(
    ("tags", "count", "changed"),
    [
        pytest.param("", None, "", id="nothing"),
        pytest.param(ALL, None, "its policy tag and the run's lease were gone; leased 2 again", id="all-tags"),
        pytest.param(LEASES, 0, "the run's lease was gone; leased 2 again", id="lease-and-count"),
        pytest.param(POLICY, None, "its policy tag was gone; leased 2 again", id="policy"),
        pytest.param("", 1, "its desired count was 1 where its leases want 2", id="count"),
        pytest.param("", 5, "", id="count-above"),
    ],
)
def test_a_guard_puts_right_and_says_what_something_else_has_changed(
    tags: str, count: int | None, changed: str
) -> None:
    world = World()
    acquiring(world, "a", 2).finish()
    world.now += timedelta(seconds=REASSERT_SECONDS)
    world.meddle(tags=tags, count=count)
    said, reading = holding(world, "a", 2).finish()
    assert (said, world.held, len(world.of("a")), reading.service.desired) == (changed, 2, 1, 2)
    assert world.service.tags[POLICY_TAG] == "baseline 0 cap 5000 sum"


def test_a_guard_renews_a_lease_that_ends_while_its_run_goes_on() -> None:
    world = World()
    acquiring(world, "a", 2, lease=timedelta(minutes=1)).finish()
    world.now += timedelta(hours=1)
    said, _ = holding(world, "a", 2).finish()
    assert said == "the run's lease had ended; leased 2 again"
    assert world.held == 2
    acquiring(world, "a", 1).finish()
    assert holding(world, "a", 2).finish()[0].startswith("the run's lease was of less than 2 tasks")
    assert world.held == 2


def all_steps(world: World, steps: Any) -> list[Any]:
    """Make the calls that are left; returns them and the pauses."""
    seen: list[Any] = []
    answer = None
    while True:
        try:
            seen.append(steps.send(answer))
        except StopIteration:
            return seen
        answer = None if isinstance(seen[-1], Pause) else world.call(seen[-1])


def test_a_second_run_after_the_tags_were_removed_gives_the_first_a_minute_to_write_its_lease_again() -> None:
    """The second one wants one task; lowering the count at once would take the first one's second task."""
    world = World()
    acquiring(world, "a", 2).finish()
    world.meddle(tags=ALL)
    steps = world.steps().acquire(holder="b", count=1, until=world.now + timedelta(hours=1), policy=SharingPolicy())
    call: Any = steps.send(None)
    while not isinstance(call, Pause):
        call = steps.send(world.call(call))
    assert call == Pause(REASSERT_SECONDS, whole=True)
    assert world.held == 2
    holding(world, "a", 2).finish()
    all_steps(world, steps)
    assert world.held == 3


@pytest.mark.parametrize(("seconds", "held"), [(0, 5), (REASSERT_SECONDS - 1, 5), (REASSERT_SECONDS, 2)])
def test_a_guard_lowers_no_count_within_a_minute_of_any_leases_writing(seconds: float, held: int) -> None:
    world = World()
    acquiring(world, "a", 2).finish()
    world.meddle(count=5)
    world.now += timedelta(seconds=seconds)
    assert holding(world, "a", 2).finish()[0] == ""
    assert world.held == held


@pytest.mark.parametrize(("desired", "waits"), [(0, False), (2, False), (3, True)])
def test_a_first_lease_waits_only_before_it_lowers_a_count(desired: int, waits: bool) -> None:
    world = World(desired)
    steps = world.steps().acquire(holder="a", count=2, until=world.now + timedelta(hours=1), policy=SharingPolicy())
    assert any(isinstance(step, Pause) for step in all_steps(world, steps)) is waits
    assert world.held == 2


def test_a_scalable_targets_own_minimum_survives_the_removal_of_the_tags() -> None:
    """A run's own knowledge is the policy that its acquire has left."""
    world = World(desired=1, target=Scalable(1, 5))
    _, reading = acquiring(world, "a", 3).finish()
    known = policy_of(reading.service.tags)
    assert known == SharingPolicy(baseline=1, autoscaled=True)
    for tags_again in (False, True):
        world.meddle(tags=ALL)
        if tags_again:  # by another run, which takes the raised minimum for the target's own
            acquiring(world, "b", 1).finish()
            assert world.service.tags[POLICY_TAG] == "baseline 3 cap 5000 sum MinCapacity"
        holding(world, "a", 3, policy=known).finish()
        if tags_again:
            releasing(world, "a", known=known).finish()
            releasing(world, "b", known=SharingPolicy(3, autoscaled=True)).finish()
    assert (world.held, world.leases) == (1, {})


def test_a_scalable_target_whose_own_minimum_nobody_knows_fails_the_release() -> None:
    world = World(desired=1, target=Scalable(1, 5))
    acquiring(world, "a", 3).finish()
    world.meddle(tags=ALL)
    with pytest.raises(LeaseError, match=r"^Service 'encoder': its policy tag is gone, .* it is 3 now: set it"):
        releasing(world, "a", known=SharingPolicy()).finish()


@pytest.mark.parametrize("kind", [{"schedulingStrategy": "DAEMON"}, {"resourceManagementType": "ECS"}])
def test_a_service_of_a_kind_that_cannot_be_leased_is_left_as_it_is_by_a_release(kind: dict[str, str]) -> None:
    world = World(3)
    world.service.spec |= kind
    releasing(world, "a", known=SharingPolicy()).finish()
    settling(world).finish()
    assert world.held == 3
