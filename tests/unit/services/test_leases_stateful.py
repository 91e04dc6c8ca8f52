"""Runs that lease one service at once, in any interleaving of single API calls, with crashes and lost answers.

Hypothesis chooses who makes the next call. ECS_FEATURE_HISTORIES sets how many histories: 400 without it.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lease_world import Actor, Scalable, World, acquiring, finish_all, releasing, settling

from ecs_feature.services.leases import CLOCK_SKEW, SharingPolicy

HISTORIES = int(os.environ.get("ECS_FEATURE_HISTORIES", "400"))
LEASE = timedelta(hours=1)
HOLDERS = ("a", "b", "c")
POLICIES = (
    SharingPolicy(),
    SharingPolicy(baseline=1),
    SharingPolicy(cap=4),
    SharingPolicy(baseline=1, cap=5, sharing="max"),
)
PAIRS = [("acquire", "acquire"), ("acquire", "release"), ("release", "release")]
SKEWS = (timedelta(), CLOCK_SKEW, -CLOCK_SKEW)


class Leases(RuleBasedStateMachine):
    """Three runs, a janitor and one service.

    ``certain``: holder -> (count, end) of the leases whose acquire has returned and that nobody has begun to give
    back. ``disturbed``: something was cut off, and nobody has read the service since and found it at rest.
    """

    @initialize(policy=st.sampled_from(POLICIES), scalable=st.sampled_from([None, None, Scalable(1, 6)]))
    def begin(self, policy: SharingPolicy, scalable: Scalable | None) -> None:
        self.policy = policy
        target = None if scalable is None else Scalable(scalable.minimum, scalable.maximum)
        self.most = policy.cap if target is None else min(policy.cap, target.maximum)
        self.baseline = policy.baseline if target is None else target.minimum
        self.world = World(self.baseline, target)
        self.actors: list[Actor] = []
        self.counts: dict[str, int] = {}
        self.certain: dict[str, tuple[int, datetime]] = {}
        self.gone: set[str] = set(HOLDERS)
        self.disturbed = False

    def busy(self, holder: str) -> set[str]:
        return {actor.kind for actor in self.actors if actor.holder == holder}

    @rule(
        holder=st.sampled_from(HOLDERS),
        count=st.integers(1, 3),
        skew=st.sampled_from(SKEWS),
        steps=st.integers(0, 6),
    )
    def acquire(self, holder: str, count: int, skew: timedelta, steps: int) -> None:
        """A run begins, is cleared, or tries again."""
        if self.busy(holder):
            return
        self.gone.discard(holder)
        self.counts[holder] = count
        self.certain.pop(holder, None)
        self.go(acquiring(self.world, holder, count, policy=self.policy, lease=LEASE, skew=skew), steps)

    @rule(holder=st.sampled_from(HOLDERS), skew=st.sampled_from(SKEWS), steps=st.integers(0, 6))
    def release(self, holder: str, skew: timedelta, steps: int) -> None:
        """A run ends; a first try that is still at it does not stop a second one."""
        if "acquire" in self.busy(holder):
            return
        self.certain.pop(holder, None)
        self.go(releasing(self.world, holder, skew=skew), steps)

    @rule(skew=st.sampled_from(SKEWS), steps=st.integers(0, 6))
    def settle(self, skew: timedelta, steps: int) -> None:
        """A poll of the steady wait, or the janitor."""
        if len(self.busy("janitor")) < 2:
            self.go(settling(self.world, skew=skew), steps)

    @precondition(lambda self: self.actors)
    @rule(number=st.integers(0, 9), steps=st.integers(1, 6))
    def step(self, number: int, steps: int) -> None:
        self.proceed(self.actors[number % len(self.actors)], steps)

    @precondition(lambda self: self.actors)
    @rule(number=st.integers(0, 9))
    def lose_the_answer(self, number: int) -> None:
        actor = self.actors[number % len(self.actors)]
        actor.step(lost=True)
        self.ended(actor)

    @precondition(lambda self: self.actors)
    @rule(number=st.integers(0, 9))
    def crash(self, number: int) -> None:
        actor = self.actors[number % len(self.actors)]
        actor.crash()
        self.ended(actor)

    @rule(minutes=st.sampled_from([1, 20, 59, 61, 65]))
    def wait(self, minutes: int) -> None:
        self.world.now += timedelta(minutes=minutes)

    def go(self, actor: Actor, steps: int) -> None:
        self.actors.append(actor)
        self.proceed(actor, steps)

    def proceed(self, actor: Actor, steps: int) -> None:
        for _ in range(steps):
            if not actor.done:
                actor.step()
        self.ended(actor)

    def ended(self, actor: Actor) -> None:
        if not actor.done or actor not in self.actors:
            return
        self.actors.remove(actor)
        if actor.error is not None:
            self.world.disturbances += 1
            self.disturbed = True
            return
        if actor.has_seen == self.world.disturbances:
            self.disturbed = False
        if actor.kind == "acquire":
            self.certain[actor.holder] = (self.counts[actor.holder], actor.until)
        elif actor.kind == "release" and not self.busy(actor.holder):
            self.gone.add(actor.holder)

    @invariant()
    def all_holds(self) -> None:
        self.never_beyond_the_bounds()
        self.no_lease_disappears_while_it_holds()
        self.no_lease_is_left_by_a_run_that_gave_it_back()
        self.at_rest_it_is_what_the_leases_want()

    def never_beyond_the_bounds(self) -> None:
        assert min(self.baseline, self.most) <= self.world.held <= self.most

    def no_lease_disappears_while_it_holds(self) -> None:
        for holder in self.live():
            assert self.world.of(holder), f"{holder}'s lease is gone"

    def no_lease_is_left_by_a_run_that_gave_it_back(self) -> None:
        assert not [holder for holder in self.gone if self.world.of(holder)]

    def at_rest_it_is_what_the_leases_want(self) -> None:
        if self.actors or self.disturbed:
            return
        assert self.world.held >= self.floor()
        ends = [lease.until for lease in self.world.leases.values() if lease is not None]
        if all(self.world.now < end for end in ends):
            assert self.world.held == self.world.wanted()

    def live(self) -> dict[str, int]:
        """What is certainly held now, whatever clock one looks at."""
        return {holder: count for holder, (count, end) in self.certain.items() if self.world.now < end}

    def floor(self) -> int:
        counts = self.live().values()
        return min(self.most, sum(counts) if self.policy.sharing == "sum" else max(counts, default=0))

    def teardown(self) -> None:
        """All come to an end; who was cut off is followed by the janitor; then every run gives back."""
        if not hasattr(self, "world"):
            return
        actors = list(self.actors)
        finish_all(actors)
        for actor in actors:
            self.ended(actor)
        if self.disturbed:
            settling(self.world).finish()
            self.disturbed = False
        self.all_holds()
        releases = [releasing(self.world, holder) for holder in HOLDERS]
        finish_all(releases)
        if not self.world.leases:
            assert self.world.held == self.baseline
        self.world.now += LEASE + 3 * CLOCK_SKEW
        settling(self.world).finish()
        assert self.world.leases == {}
        assert self.world.held == self.baseline


Leases.TestCase.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=16,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    report_multiple_bugs=False,
)
TestAnyInterleaving = pytest.mark.timeout(300)(Leases.TestCase)


def interleavings(first: int, second: int) -> list[frozenset[int]]:
    """Every order of two sequences of calls: at which places the first one calls."""
    return [frozenset(places) for places in combinations(range(first + second), first)]


def pair(world: World, kinds: tuple[str, str]) -> list[Actor]:
    for holder, kind in zip("ab", kinds, strict=True):
        if kind == "release":
            acquiring(world, holder, 2).finish()
    return [
        acquiring(world, holder, 2) if kind == "acquire" else releasing(world, holder)
        for holder, kind in zip("ab", kinds, strict=True)
    ]


@pytest.mark.parametrize(
    "kinds", [("acquire", "acquire"), ("acquire", "release"), ("release", "release")], ids="-".join
)
def test_two_at_once_end_right_in_every_order_of_their_calls(kinds: tuple[str, str]) -> None:
    for places in interleavings(6, 6):
        world = World()
        actors = pair(world, kinds)
        for place in range(12):
            actor = actors[0] if place in places else actors[1]
            if not actor.done:
                actor.step()
        finish_all(actors)
        assert world.held == 2 * kinds.count("acquire"), sorted(places)


@pytest.mark.parametrize(
    "kinds", [("acquire", "acquire"), ("acquire", "release"), ("release", "release")], ids="-".join
)
def test_one_that_dies_anywhere_is_put_right_by_the_next_reading(kinds: tuple[str, str]) -> None:
    """The first one dies after any number of calls, in every order; its lease ends by itself."""
    for dies in range(6):
        for places in interleavings(dies, 6):
            world = World()
            dying, other = pair(world, kinds)
            for place in range(dies + 6):
                actor = dying if place in places else other
                if not actor.done:
                    actor.step()
            dying.crash()
            finish_all([other])
            settling(world).finish()
            assert world.held == world.wanted() >= (2 if kinds[1] == "acquire" else 0)
            world.now += 2 * LEASE
            settling(world).finish()
            assert (world.held, world.leases) == (0, {})
