"""What acquiring and releasing do when something goes wrong in between, call by call."""

from __future__ import annotations

from datetime import timedelta

import pytest
from lease_world import Scalable, World, acquiring, finish_all, releasing, settling

from ecs_feature.exceptions import AwsError, LeaseError, ServiceNotFoundError
from ecs_feature.leases import CLOCK_SKEW, MOST_LEASES

HOUR = timedelta(hours=1)


def test_two_runs_that_want_two_each_get_four_and_the_last_leaves_the_baseline() -> None:
    world = World()
    counts = []
    for actor in (acquiring, acquiring):
        actor(world, "ab"[len(counts)], 2).finish()
        counts.append(world.held)
    for holder in "ab":
        releasing(world, holder).finish()
        counts.append(world.held)
    assert (counts, world.leases) == ([2, 4, 2, 0], {})


def test_a_second_acquire_renews_the_lease_and_keeps_its_beginning() -> None:
    world = World()
    acquiring(world, "a", 2).finish()
    began, world.now = world.now, world.now + HOUR / 2
    acquiring(world, "a", 3).finish()
    (lease,) = world.of("a")
    assert (lease.count, lease.since, lease.until) == (3, began, world.now + HOUR)
    assert world.held == 3


def test_release_tells_what_was_held_and_may_be_repeated() -> None:
    world = World()
    acquiring(world, "a", 2).finish()
    (lease,) = world.of("a")
    held, settled = releasing(world, "a").finish()
    assert (held, settled.service.desired) == (lease, 0)
    held, settled = releasing(world, "a").finish()
    assert (held, settled.service.desired) == (None, 0)


@pytest.mark.parametrize("place", range(5), ids=["describe", "tag", "describe again", "update", "last describe"])
def test_an_acquire_whose_answer_is_lost_anywhere_is_whole_when_it_is_repeated(place: int) -> None:
    world = World()
    first = acquiring(world, "a", 2)
    for _ in range(place):
        first.step()
    first.step(lost=True)
    assert first.error is not None
    acquiring(world, "a", 2).finish()
    assert (world.held, len(world.leases)) == (2, 1)


@pytest.mark.parametrize("place", range(5), ids=["describe", "untag", "describe again", "update", "last describe"])
def test_a_release_whose_answer_is_lost_anywhere_is_whole_when_it_is_repeated(place: int) -> None:
    world = World()
    acquiring(world, "a", 2).finish()
    first = releasing(world, "a")
    for _ in range(place):
        first.step()
    first.step(lost=True)
    assert first.error is not None
    releasing(world, "a").finish()
    assert (world.held, world.leases) == (0, {})


def test_a_run_that_is_killed_between_acquire_and_release_holds_until_its_lease_ends() -> None:
    world = World()
    acquiring(world, "a", 2).finish()
    world.now += HOUR
    settling(world, skew=CLOCK_SKEW - timedelta(seconds=1)).finish()
    assert world.held == 2
    world.now += CLOCK_SKEW
    settling(world).finish()
    assert (world.held, world.leases) == (0, {})


def test_a_lease_that_is_renewed_while_the_janitor_drops_it_as_expired_stays() -> None:
    world = World()
    acquiring(world, "a", 2).finish()
    world.now += 2 * HOUR
    janitor = settling(world)
    janitor.step()
    acquiring(world, "a", 2).finish()
    finish_all([janitor])
    assert (world.held, len(world.of("a"))) == (2, 1)


def test_an_acquire_between_another_runs_read_and_write_is_not_lost() -> None:
    world = World()
    first = acquiring(world, "a", 2)
    while first.next is not None and first.next.method != "update_service":
        first.step()
    acquiring(world, "b", 2).finish()
    assert world.held == 4
    first.step()
    assert world.held == 2
    first.finish()
    assert world.held == 4


def test_48_runs_at_once_are_leased_and_the_49th_is_told_why_not() -> None:
    world = World()
    finish_all([acquiring(world, f"run {number}", 1) for number in range(MOST_LEASES)])
    assert (world.held, len(world.service.tags)) == (48, 49)
    with pytest.raises(LeaseError, match=r"^Service 'encoder' has 49 tags and ECS allows 50 .* lower the"):
        acquiring(world, "run 49", 1).finish()
    acquiring(world, "run 0", 2).finish()
    assert (world.held, len(world.service.tags)) == (49, 49)
    finish_all([releasing(world, f"run {number}") for number in range(MOST_LEASES)])
    assert (world.held, world.leases) == (0, {})


def test_two_that_take_the_last_tag_at_once_are_both_told_clearly() -> None:
    world = World(tags={f"team{number}": "x" for number in range(47)})
    acquiring(world, "a", 1).finish()
    late = acquiring(world, "b", 1)
    assert isinstance(late.error or _finish(late), LeaseError)
    world = World(tags={f"team{number}": "x" for number in range(46)})
    several = [acquiring(world, holder, 1) for holder in "abcde"]
    finish_all(several)
    assert [type(actor.error) for actor in several] == [type(None)] * 3 + [LeaseError] * 2
    assert world.held == 3


def _finish(actor):  # type: ignore[no-untyped-def]
    finish_all([actor])
    return actor.error


def test_a_service_that_is_gone_or_inactive_is_named_in_the_error() -> None:
    world = World()
    world.service.status = "INACTIVE"
    for actor in (acquiring(world, "a", 1), releasing(world, "a"), settling(world)):
        with pytest.raises(ServiceNotFoundError, match=r"^Service 'encoder' does not exist in cluster 'features'"):
            actor.finish()
    world.service.cluster.services.clear()
    with pytest.raises(ServiceNotFoundError):
        settling(world).finish()


def test_a_service_that_something_else_changes_all_the_time_is_given_up() -> None:
    world = World()
    actor = acquiring(world, "a", 2)
    while not actor.done:
        actor.step()
        world.service.desired_count = 7
    assert isinstance(actor.error, LeaseError)
    assert str(actor.error) == (
        "Service 'encoder' did not come to rest after 40 readings; is something else changing its desired count or "
        "its tags?"
    )


def test_another_refusal_than_the_number_of_tags_is_passed_on_as_it_is() -> None:
    world = World()
    actor = acquiring(world, "a", 1)
    actor.step()
    world.service.arn += "x"
    world.service.cluster.services["encoderx"] = world.service
    world.service.status = "DRAINING"
    actor.step()
    with pytest.raises(AwsError):
        actor.finish()


def test_a_scalable_targets_minimum_is_raised_and_put_back() -> None:
    world = World(desired=1, target=Scalable(1, 3))
    acquiring(world, "a", 2).finish()
    assert (world.held, world.service.desired_count) == (2, 2)
    _, settled = acquiring(world, "b", 2).finish()
    assert (world.held, settled.decision.withheld, settled.service.minimum) == (3, 1, 3)
    releasing(world, "a").finish()
    assert world.held == 2
    releasing(world, "b").finish()
    assert (world.held, world.service.desired_count, world.target) == (1, 3, Scalable(1, 3))
