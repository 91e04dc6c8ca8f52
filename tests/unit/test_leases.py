"""How many tasks a service should have, from the leases on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.leases import CLOCK_SKEW, Decision, Lease, SharingPolicy, reconcile, wanted
from ecs_feature.resources import EcsService

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def lease(holder: str, count: int, until: datetime = NOW + HOUR) -> Lease:
    return Lease(holder, count, NOW - HOUR, until)


def service(desired: int, *leases: Lease, policy: SharingPolicy | None = None, more: tuple[tuple[str, str], ...] = ()) -> EcsService:
    tags = [lease.to_tag() for lease in leases] + ([policy.to_tag()] if policy else [])
    pairs = tuple((tag["key"], tag["value"]) for tag in tags) + more
    return EcsService("encoder", "arn", "ACTIVE", desired, desired, 0, 1, tags=pairs)


@pytest.mark.parametrize(
    ("counts", "policy", "expected"),
    [
        ((), SharingPolicy(), 0),
        ((2,), SharingPolicy(), 2),
        ((2, 2), SharingPolicy(), 4),
        ((2, 3), SharingPolicy(sharing="max"), 3),
        ((), SharingPolicy(baseline=1), 1),
        ((2,), SharingPolicy(baseline=5), 5),
        ((4, 4), SharingPolicy(cap=6), 6),
    ],
)
def test_the_leases_add_up_between_baseline_and_cap(counts: tuple[int, ...], policy: SharingPolicy, expected: int) -> None:
    assert wanted([lease(str(i), count) for i, count in enumerate(counts)], policy, NOW) == expected


def test_an_expired_lease_counts_until_the_clocks_may_differ() -> None:
    ended = lease("run", 2, until=NOW)
    assert wanted([ended], SharingPolicy(), NOW + CLOCK_SKEW - timedelta(seconds=1)) == 2
    assert wanted([ended], SharingPolicy(), NOW + CLOCK_SKEW) == 0


def test_a_lease_and_a_policy_survive_the_way_through_tags() -> None:
    original = lease("dag/run 1/control", 3)
    assert Lease.from_tag(original.to_tag()["value"]) == original
    policy = SharingPolicy(1, 7, "max")
    assert SharingPolicy.from_tag(policy.to_tag()["value"]) == policy


def test_the_same_holder_has_the_same_tag_and_others_another() -> None:
    assert lease("a", 1).key == lease("a", 9).key != lease("b", 1).key


def test_reconcile_raises_to_what_the_leases_want_and_rests_there() -> None:
    two = (lease("a", 2), lease("b", 2))
    assert reconcile(service(2, *two, policy=SharingPolicy()), NOW) == Decision(4, change=True)
    assert reconcile(service(4, *two, policy=SharingPolicy()), NOW) == Decision(4, change=False)


def test_reconcile_drops_expired_and_unreadable_leases() -> None:
    old = lease("a", 2, until=NOW - HOUR)
    decision = reconcile(
        service(2, old, policy=SharingPolicy(), more=(("ecs-feature:lease:zz", "nonsense"),)), NOW
    )
    assert decision == Decision(0, change=True, expired=tuple(sorted([old.key, "ecs-feature:lease:zz"])))


def test_a_service_without_our_tags_is_left_alone() -> None:
    assert reconcile(service(7, more=(("team", "x"),)), NOW) == Decision(7, change=False)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SharingPolicy(baseline=-1), "baseline: -1 is not a desired count; give 0 to 5000"),
        (lambda: SharingPolicy(baseline=3, cap=2), "baseline: 3 is more than the cap of 2"),
        (lambda: SharingPolicy(cap=5001), "cap: 5001 is not a desired count"),
    ],
)
def test_a_policy_that_cannot_hold_is_refused(make, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigurationError, match=said):
        make()
