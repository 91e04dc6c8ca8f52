"""How many tasks a service should have, from the leases on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from ecs_feature.aws import limits
from ecs_feature.aws.resources import EcsService
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.services.lease_holders import active_run_checker
from ecs_feature.services.leases import (
    CUT,
    MAX_LEASES,
    Decision,
    Lease,
    ScalableTarget,
    SharingPolicy,
    active_leases,
    asked,
    free_lease_slots,
    held_by,
    holder_prefix,
    last_written,
    leased,
    policy_of,
    reconcile,
)
from ecs_feature.services.steadiness import Steadiness, of_service

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
Tags = tuple[tuple[str, str], ...]


def lease(holder: str, count: int, until: datetime = NOW + HOUR) -> Lease:
    return Lease(holder, count, NOW - HOUR, until)


def key(holder: Lease | str, written: datetime = NOW) -> str:
    return (holder if isinstance(holder, Lease) else lease(holder, 1)).to_tag(written)["key"]


def by_key(*leases: Lease) -> dict[str, Lease | None]:
    return {key(one, NOW + timedelta(seconds=number)): one for number, one in enumerate(leases)}


def service(desired: int, *leases: Lease, policy: SharingPolicy | None = None, more: Tags = ()) -> EcsService:
    tags = [one.to_tag(NOW) for one in leases] + ([policy.to_tag()] if policy else [])
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
        ((), SharingPolicy(sharing="max"), 0),
        ((0,), SharingPolicy(), 0),
    ],
)
def test_the_leases_add_up_between_baseline_and_cap(
    counts: tuple[int, ...], policy: SharingPolicy, expected: int
) -> None:
    leases = [lease(str(i), count) for i, count in enumerate(counts)]
    assert reconcile(service(0, *leases, policy=policy), NOW).count == expected


def test_an_expired_lease_counts_until_the_clocks_may_differ() -> None:
    ended = by_key(lease("run", 2, until=NOW))
    assert asked(active_leases(ended, NOW + timedelta(seconds=59)), SharingPolicy()) == 2
    for sharing in (SharingPolicy(), SharingPolicy(sharing="max")):
        assert asked(active_leases(ended, NOW + timedelta(minutes=1)), sharing) == 0


@pytest.mark.parametrize("holder", ["d/manual__2013~1+00:00/control", "données/r=1%41", "a b/@._-:"])
def test_a_holder_is_read_back_as_it_was_whatever_characters_a_tag_may_have(holder: str) -> None:
    tag = lease(holder, 2).to_tag(NOW)
    assert not limits.TAG_FORBIDDEN.search(tag["value"])
    assert Lease.from_tag(tag["value"]) == lease(holder, 2)


def test_a_lease_past_its_time_counts_while_its_run_goes_on() -> None:
    late, over, live = lease("a/1/control", 2, until=NOW - HOUR), lease("b/1", 3, until=NOW - HOUR), lease("c/1", 4)
    asked_about: list[str] = []

    def run_is_active(holder: str) -> bool:
        asked_about.append(holder)
        return holder == "a/1/control"

    decision = reconcile(service(9, late, over, live, policy=SharingPolicy()), NOW, run_is_active=run_is_active)
    assert decision == Decision(9, 6, expired=(key(over),))
    assert sorted(asked_about) == ["a/1/control", "b/1"], "nobody asks about a lease that lives"


LONG = [f"dag/{'r' * 250}/control", f"dag/{'r' * 250}/treatment", f"{'d' * 250}/run/control", f"dag/{'é' * 60}/control"]


@pytest.mark.parametrize("holder", LONG)
def test_a_holder_too_long_for_its_tag_keeps_its_beginning_and_is_still_one_of_its_own(holder: str) -> None:
    tag = Lease(holder, 5000, NOW, NOW).to_tag(NOW)
    assert len(tag["value"]) <= limits.TAG_VALUE_CHARACTERS
    read = Lease.from_tag(tag["value"])
    assert read is not None
    begin, cut, digest = read.holder.partition(CUT)
    assert holder.startswith(begin)
    assert len(begin) > 20
    assert (cut, digest) == (CUT, holder_prefix(holder).split(":")[-2])
    assert held_by(holder, [(tag["key"], tag["value"])])


def test_two_long_holders_are_told_apart() -> None:
    read = [Lease.from_tag(Lease(holder, 1, NOW, NOW).to_tag(NOW)["value"]) for holder in LONG]
    assert len({one.holder for one in read if one}) == len(LONG)


@pytest.mark.parametrize(
    ("holder", "active", "asked_for"),
    [
        ("dag/run/control", True, {"dag_id": "dag", "run_ids": ["run"]}),
        (f"dag/ru{CUT}0123", True, {"dag_id": "dag"}),
        (f"dag/ru{CUT}0123", False, {"dag_id": "dag"}),
        (f"dag/run/con{CUT}0123", True, {"dag_id": "dag", "run_ids": ["run"]}),
        (f"da{CUT}0123", True, None),
    ],
)
def test_a_run_whose_holder_was_cut_is_active_while_a_run_of_its_dag_is(
    holder: str, active: bool, asked_for: dict[str, Any] | None
) -> None:
    calls: list[dict[str, Any]] = []

    def count(states: list[str], **runs: Any) -> int:
        calls.append(runs)
        return int(active)

    task_instance = SimpleNamespace(get_dr_count=count, get_ti_count=count)
    assert active_run_checker(task_instance)(holder) is active
    assert all(call == asked_for for call in calls)
    assert bool(calls) is (asked_for is not None)


def test_a_holder_that_has_two_leases_for_a_moment_counts_once_with_the_larger() -> None:
    leases = active_leases(by_key(lease("a", 2), lease("a", 3), lease("b", 1)), NOW)
    assert asked(leases, SharingPolicy()) == 4


@pytest.mark.parametrize("policy", [SharingPolicy(1, 7, "max"), SharingPolicy(0, 5, autoscaled=True)])
def test_a_lease_and_a_policy_survive_the_way_through_tags(policy: SharingPolicy) -> None:
    original = lease("dag/run 1/control", 3)
    assert Lease.from_tag(original.to_tag(NOW)["value"]) == original
    assert SharingPolicy.from_tag(policy.to_tag()["value"]) == policy


def test_the_tag_of_a_lease_is_written_as_it_always_was() -> None:
    # Services carry such tags from one release of this package to the next.
    east = NOW.astimezone(timezone(timedelta(hours=2)))
    assert Lease("dag/run", 3, east, east + HOUR).to_tag(east + timedelta(microseconds=7)) == {
        "key": "ecs-feature:lease:878ecb95d804a3e8:20261121T120000.000007Z",
        "value": "3 since 2026-11-21T12:00:00Z until 2026-11-21T13:00:00Z by dag/run",
    }
    assert SharingPolicy(1, 7, autoscaled=True).to_tag() == {
        "key": "ecs-feature:policy",
        "value": "baseline 1 cap 7 sum MinCapacity",
    }


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2",
        "2 since yesterday until tomorrow by dag/run",
        "two since 2026-11-21T12:00:00Z until x by a",
        "2 since 2026-11-21T12:00:00Z until 2026-11-21T13:00:00 by dag/run",
        "2 since 2026-11-21T12:00:00 until 2026-11-21T13:00:00Z by dag/run",
    ],
)
def test_a_lease_that_is_not_one_is_none(value: str) -> None:
    assert Lease.from_tag(value) is None


@pytest.mark.parametrize("value", [lease("a", 1), SharingPolicy(), ScalableTarget(0, 1), Decision(0, 0)])
def test_what_was_read_does_not_change(value: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        value.count = 2


def test_every_writing_of_a_lease_has_a_tag_of_its_own_and_every_holder_a_prefix() -> None:
    later = NOW + timedelta(microseconds=1)
    assert len({key("a"), key("a", later), key("b")}) == 3
    assert {key("a"), key("a", later)} == {
        k for k in (key("a"), key("a", later), key("b")) if k.startswith(holder_prefix("a"))
    }
    tags = [(key("a"), "nonsense"), (key("b"), lease("b", 1).to_tag(NOW)["value"])]
    assert held_by("a", tags) == {key("a"): None}


def test_reconcile_raises_to_what_the_leases_want_and_rests_there() -> None:
    two = (lease("a", 2), lease("b", 2))
    assert reconcile(service(2, *two, policy=SharingPolicy()), NOW) == Decision(2, 4)
    rest = reconcile(service(4, *two, policy=SharingPolicy()), NOW)
    assert (rest, rest.at_rest) == (Decision(4, 4), True)


def test_reconcile_tells_how_many_tasks_the_cap_withholds() -> None:
    two = (lease("a", 3), lease("b", 3))
    assert reconcile(service(4, *two, policy=SharingPolicy(cap=4)), NOW) == Decision(4, 4, withheld=2)
    assert reconcile(service(5, *two, policy=SharingPolicy(cap=5)), NOW) == Decision(5, 5, withheld=1)


def test_a_thousand_tasks_rest_like_one() -> None:
    assert reconcile(service(int("1000"), policy=SharingPolicy(baseline=1000)), NOW).at_rest


def test_reconcile_drops_expired_and_unreadable_leases() -> None:
    old = lease("a", 2, until=NOW - HOUR)
    decision = reconcile(service(2, old, policy=SharingPolicy(), more=(("ecs-feature:lease:zz:1", "nonsense"),)), NOW)
    assert decision == Decision(2, 0, expired=tuple(sorted([key(old), "ecs-feature:lease:zz:1"])))


@pytest.mark.parametrize(
    "tags", [(("team", "x"),), (("ecs-feature:policy", "whatever"),), (("ecs-feature:policy", "baseline 9 cap 1 sum"),)]
)
def test_a_service_without_tags_that_we_can_read_is_left_alone(tags: Tags) -> None:
    assert reconcile(service(7, more=tags), NOW) == Decision(7, 7)


def test_with_a_scalable_target_the_leases_move_its_minimum_and_leave_the_desired_count() -> None:
    policy = SharingPolicy(baseline=1, autoscaled=True)
    busy = service(9, lease("a", 2), lease("b", 2), policy=policy)
    assert reconcile(busy, NOW, ScalableTarget(1, 10)) == Decision(1, 4, autoscaled=True)
    assert reconcile(busy, NOW, ScalableTarget(4, 10)) == Decision(4, 4, autoscaled=True)
    assert reconcile(busy, NOW, ScalableTarget(3, 3)) == Decision(3, 3, autoscaled=True, withheld=1)
    assert reconcile(busy, NOW, ScalableTarget(2, 2)) == Decision(2, 2, autoscaled=True, withheld=2)
    assert reconcile(service(9, policy=policy), NOW, ScalableTarget(4, 10)) == Decision(4, 1, autoscaled=True)


def test_a_scalable_target_counts_only_where_it_is_there_and_the_policy_says_so() -> None:
    plain = service(9, lease("a", 2), policy=SharingPolicy())
    assert reconcile(plain, NOW, ScalableTarget(1, 10)) == Decision(9, 2)
    gone = service(9, lease("a", 2), policy=SharingPolicy(autoscaled=True))
    assert reconcile(gone, NOW, None) == Decision(9, 2)


def test_the_baseline_is_the_targets_original_minimum_however_often_it_is_leased() -> None:
    asked_for = SharingPolicy(cap=8)
    assert asked_for.with_scalable_baseline(None, None) == asked_for
    first = asked_for.with_scalable_baseline(ScalableTarget(1, 10), None)
    assert first == SharingPolicy(1, 8, autoscaled=True)
    assert asked_for.with_scalable_baseline(ScalableTarget(4, 10), first) == first
    assert asked_for.with_scalable_baseline(ScalableTarget(9, 10), SharingPolicy(0)) == SharingPolicy(
        9, 9, autoscaled=True
    )


def test_a_service_is_not_steady_before_its_scalable_target_has_raised_it() -> None:
    waiting = EcsService("encoder", "arn", "ACTIVE", 1, 1, 0, 1, minimum=2)
    assert of_service(waiting, 1) == Steadiness(
        False,
        "Application Auto Scaling has not yet raised its desired count of 1 to its MinCapacity of 2",
    )


def test_there_is_room_for_48_leases_and_a_spare_tag_for_one_that_is_renewed() -> None:
    tags = [("ecs-feature:policy", "baseline 0 cap 5000 sum"), ("aws:cloudformation:stack-name", "x")]
    leases = [(key(str(number)), "") for number in range(MAX_LEASES)]
    assert MAX_LEASES == 48
    assert free_lease_slots(tags + leases[:-1], renewing=False) == 1
    assert free_lease_slots(tags + leases, renewing=False) == 0
    assert free_lease_slots(tags + leases, renewing=True) == 1
    assert free_lease_slots(tags + leases[:38], renewing=False) == 10
    assert policy_of(tags) == SharingPolicy()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: SharingPolicy(baseline=-1),
            r"^baseline: -1 is not a desired count; give 0 to 5000 \(AmazonECS/.*/service-quotas\.html\)\.$",
        ),
        (lambda: SharingPolicy(baseline=3, cap=2), r"^baseline: 3 is more than the cap of 2; lower one of them\.$"),
        (lambda: SharingPolicy(cap=5001), "cap: 5001 is not a desired count"),
    ],
)
def test_a_policy_that_cannot_hold_is_refused(make: Callable[[], SharingPolicy], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(service(9, lease("a", 2)), 0, id="not-ours"),
        pytest.param(service(9, policy=SharingPolicy(baseline=3)), 0, id="the-baseline-is-nobodys"),
        pytest.param(service(9, lease("a", 2), lease("b", 3), policy=SharingPolicy(baseline=1)), 5, id="sum"),
        pytest.param(service(9, lease("a", 2), lease("b", 3), policy=SharingPolicy(cap=4)), 4, id="capped"),
        pytest.param(service(9, lease("a", 2, NOW - HOUR), policy=SharingPolicy()), 0, id="expired"),
    ],
)
def test_what_the_live_leases_of_a_service_want(found: EcsService, expected: int) -> None:
    assert leased(found.tags, NOW) == expected


MAX, TARGET = SharingPolicy(1, 5, "max"), SharingPolicy(3, 4, "sum", autoscaled=True)


@pytest.mark.parametrize(
    ("policy", "other", "wider"),
    [
        (MAX, None, MAX),
        (MAX, MAX, MAX),
        (MAX, SharingPolicy(0, 9, "max"), SharingPolicy(1, 9, "max")),
        (MAX, SharingPolicy(2, 4, "sum"), SharingPolicy(2, 5, "sum")),
        (SharingPolicy(2, 4, "sum"), MAX, SharingPolicy(2, 5, "sum")),
        (MAX, TARGET, SharingPolicy(1, 5, "sum")),
        (TARGET, SharingPolicy(4, 9, "max"), SharingPolicy(3, 9, "sum", autoscaled=True)),
        (TARGET, SharingPolicy(4, 9, "max", autoscaled=True), SharingPolicy(4, 9, "sum", autoscaled=True)),
    ],
)
def test_a_policy_is_widened_to_what_both_runs_need(
    policy: SharingPolicy, other: SharingPolicy | None, wider: SharingPolicy
) -> None:
    assert policy.widened_for(other) == wider


@pytest.mark.parametrize(
    ("policy", "target", "before", "made"),
    [
        (MAX, None, TARGET, MAX),
        (MAX, ScalableTarget(2, 9), None, SharingPolicy(2, 5, "max", autoscaled=True)),
        (MAX, ScalableTarget(7, 9), None, SharingPolicy(7, 7, "max", autoscaled=True)),
        (MAX, ScalableTarget(7, 9), SharingPolicy(4), SharingPolicy(7, 7, "max", autoscaled=True)),
        (MAX, ScalableTarget(7, 9), TARGET, SharingPolicy(3, 5, "max", autoscaled=True)),
        (TARGET, ScalableTarget(7, 9), None, TARGET),
        (TARGET, ScalableTarget(7, 9), MAX, TARGET),
        (
            TARGET,
            ScalableTarget(7, 9),
            SharingPolicy(0, 9, autoscaled=True),
            SharingPolicy(0, 4, "sum", autoscaled=True),
        ),
    ],
)
def test_the_baseline_under_a_scalable_target_is_the_minimum_before_the_first_lease(
    policy: SharingPolicy, target: ScalableTarget | None, before: SharingPolicy | None, made: SharingPolicy
) -> None:
    assert policy.with_scalable_baseline(target, before) == made


def test_when_the_newest_lease_was_written_is_in_its_tags_key() -> None:
    long_ago = datetime(1970, 1, 1, tzinfo=UTC)
    written = [(key("a", NOW + timedelta(seconds=1.5)), "x"), (key("b"), ""), ("ecs-feature:lease:0:nonsense", "")]
    assert last_written([*written, ("team", "x")]) == NOW + timedelta(seconds=1.5)
    assert last_written(written[2:]) == last_written([]) == long_ago
