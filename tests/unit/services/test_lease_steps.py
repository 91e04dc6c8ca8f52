"""What acquiring and releasing do when something goes wrong in between, call by call."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import pytest
from lease_world import START, Scalable, World, acquiring, finish_all, releasing, settling

from ecs_feature.aws.resources import EcsService
from ecs_feature.exceptions import AwsError, LeaseError, ServiceNotFoundError
from ecs_feature.services.lease_steps import Call, Pause, Reading, ServiceSteps, active_service
from ecs_feature.services.leases import CLOCK_SKEW, MAX_LEASES, Decision, Lease, SharingPolicy, holder_prefix

HOUR = timedelta(hours=1)
DESCRIBE = Call(
    "ecs",
    "describe_services",
    {"cluster": "features", "services": ["encoder"], "include": ["TAGS"]},
    "Service 'encoder'",
)
TARGET = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/features/encoder",
    "ScalableDimension": "ecs:service:DesiredCount",
}
DESCRIBE_TARGET = Call(
    "application-autoscaling",
    "describe_scalable_targets",
    {
        "ServiceNamespace": "ecs",
        "ResourceIds": ["service/features/encoder"],
        "ScalableDimension": "ecs:service:DesiredCount",
    },
    "Service 'encoder'",
)


def described(desired: int, policy: SharingPolicy | None = None) -> dict[str, Any]:
    """DescribeServices' answer, read from JSON as off the wire."""
    tags = [policy.to_tag()] if policy else []
    service = {"serviceName": "encoder", "serviceArn": "arn", "status": "ACTIVE", "desiredCount": desired, "tags": tags}
    answer: dict[str, Any] = json.loads(json.dumps({"services": [service | {"runningCount": 0, "pendingCount": 0}]}))
    return answer


def steps(cluster: str = "features", *, autoscaling: bool = True) -> ServiceSteps:
    return ServiceSteps(cluster, "encoder", lambda: START, autoscaling=autoscaling)


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


WIDE, NARROW = SharingPolicy(baseline=2, cap=10, sharing="max"), SharingPolicy(cap=3)


def test_a_pipeline_does_not_narrow_the_policy_of_a_service_that_another_holds() -> None:
    world = World()
    counts = []
    acquiring(world, "a", 8, policy=WIDE).finish()
    counts.append(world.held)
    acquiring(world, "b", 1, policy=NARROW).finish()
    counts.append(world.held)
    for holder in "ba":
        releasing(world, holder).finish()
        counts.append(world.held)
    assert counts == [8, 9, 8, 2]
    acquiring(world, "b", 4, policy=NARROW).finish()  # nobody else holds it: the policy is b's alone
    assert world.held == 3


def test_a_pipeline_whose_file_has_changed_gives_its_own_run_the_new_policy() -> None:
    world = World()
    acquiring(world, "a", 8, policy=WIDE).finish()
    acquiring(world, "a", 8, policy=NARROW).finish()
    assert world.held == 3


def test_two_policies_written_at_the_same_moment_become_the_wider_one() -> None:
    world = World()
    finish_all([acquiring(world, "a", 8, policy=WIDE), acquiring(world, "b", 1, policy=NARROW)])
    assert world.service.tags["ecs-feature:policy"] == "baseline 2 cap 10 sum"
    assert world.held == 9


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


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("readable", [True, False])
def test_a_release_tells_of_all_leases_of_a_process_that_died_while_it_renewed(order: int, readable: bool) -> None:
    world = World()
    acquiring(world, "a", 1).finish()
    begun = world.now
    pairs = [(begun, Lease("a", 5, begun - HOUR, begun + HOUR)), (begun + HOUR, Lease("a", 2, begun, begun + 2 * HOUR))]
    for written, lease in pairs[::order]:
        tag = lease.to_tag(written)
        world.service.tags[tag["key"]] = tag["value"]
    if not readable:
        world.service.tags[f"{holder_prefix('a')}20261121T000000.000000Z"] = "not one of ours"
    held, settled = releasing(world, "a").finish()
    assert held == Lease("a", 5, begun - HOUR, begun + 2 * HOUR)
    assert (world.of("a"), settled.service.desired) == ([], 0)


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
    finish_all([acquiring(world, f"run {number}", 1) for number in range(MAX_LEASES)])
    assert (world.held, len(world.service.tags)) == (48, 49)
    with pytest.raises(LeaseError, match=r"^Service 'encoder' has 49 tags and ECS allows 50 .* lower the"):
        acquiring(world, "run 49", 1).finish()
    acquiring(world, "run 0", 2).finish()
    assert (world.held, len(world.service.tags)) == (49, 49)
    finish_all([releasing(world, f"run {number}") for number in range(MAX_LEASES)])
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


def test_a_lease_that_had_ended_begins_anew_and_one_that_cannot_be_read_is_replaced() -> None:
    world = World()
    acquiring(world, "a", 2).finish()
    world.now += HOUR + CLOCK_SKEW
    world.service.tags[f"{holder_prefix('a')}1"] = "nonsense"
    acquiring(world, "a", 3).finish()
    (lease,) = world.leases.values()
    assert lease is not None
    assert (lease.count, lease.since) == (3, world.now)


@pytest.mark.parametrize(
    ("autoscaling", "policy", "asks"),
    [
        pytest.param(True, None, False, id="never leased"),
        pytest.param(True, SharingPolicy(), False, id="the leases move the desired count"),
        pytest.param(True, SharingPolicy(autoscaled=True), True, id="the leases move MinCapacity"),
        pytest.param(False, SharingPolicy(autoscaled=True), False, id="not to be asked for"),
    ],
)
def test_the_scalable_target_is_read_only_where_the_leases_move_it(
    autoscaling: bool, policy: SharingPolicy | None, asks: bool
) -> None:
    reading = steps(autoscaling=autoscaling).inspect()
    assert reading.send(None) == DESCRIBE
    if asks:
        assert reading.send(described(0, policy)) == DESCRIBE_TARGET
    else:
        with pytest.raises(StopIteration) as done:
            reading.send(described(0, policy))
        assert done.value.value.decision == Decision(0, 0)


@pytest.mark.parametrize("cluster", ["features", "arn:aws:ecs:us-east-1:123456789012:cluster/features"])
def test_a_scalable_target_is_addressed_by_the_clusters_name(cluster: str) -> None:
    settling_ = steps(cluster).settle()
    settling_.send(None)
    assert settling_.send(described(0, SharingPolicy(2, autoscaled=True))) == DESCRIBE_TARGET
    change = settling_.send({"ScalableTargets": [{"MinCapacity": 1, "MaxCapacity": 9}]})
    assert change == Call(
        "application-autoscaling", "register_scalable_target", {**TARGET, "MinCapacity": 2}, "Service 'encoder'"
    )


def test_an_acquire_asks_for_the_scalable_target_first_unless_it_is_told_not_to() -> None:
    until, policy = START + HOUR, SharingPolicy()
    told = ServiceSteps("features", "encoder", lambda: START).acquire(holder="a", count=1, until=until, policy=policy)
    assert told.send(None) == DESCRIBE_TARGET
    assert told.send({"ScalableTargets": []}) == DESCRIBE
    quiet = steps(autoscaling=False).acquire(holder="a", count=1, until=until, policy=policy)
    assert quiet.send(None) == DESCRIBE


def test_the_first_three_readings_follow_at_once_and_later_ones_after_a_pause() -> None:
    seen: list[Any] = []

    def disturbed() -> None:
        settling_, answer = steps(autoscaling=False).settle(), None
        while True:
            step = settling_.send(answer)
            seen.append(step if isinstance(step, Pause) else step.method)
            answer = described(7, SharingPolicy()) if step == DESCRIBE else None

    with pytest.raises(LeaseError):
        disturbed()
    reading = ["describe_services", "update_service"]
    assert seen == reading * 3 + [Pause(0.5, whole=False), *reading] * 37


@pytest.mark.parametrize(
    ("code", "again"),
    [("InvalidParameterException", True), ("ThrottlingException", False), ("ClientException", False)],
)
def test_the_tags_are_counted_again_only_after_a_refusal_that_they_can_explain(code: str, again: bool) -> None:
    acquire = steps(autoscaling=False).acquire(holder="a", count=1, until=START + HOUR, policy=SharingPolicy())
    acquire.send(None)
    tag = acquire.send(described(0))
    assert isinstance(tag, Call)
    assert tag.method == "tag_resource"
    refusal = AwsError("no", "".join(list(code)), "TagResource")
    if again:
        assert acquire.throw(refusal) == DESCRIBE
    else:
        with pytest.raises(AwsError, match="no"):
            acquire.throw(refusal)


@pytest.mark.parametrize("other", ["a-service", "z-service"])
def test_a_service_is_found_by_its_own_name_among_others(other: str) -> None:
    (raw,) = described(3)["services"]
    assert active_service([raw | {"serviceName": other, "desiredCount": 9}, raw], "encoder", "features").desired == 3
    with pytest.raises(ServiceNotFoundError) as error:
        active_service([raw | {"serviceName": other}], "encoder", "features")
    assert (error.value.code, error.value.operation) == ("ServiceNotFoundException", "DescribeServices")


@pytest.mark.parametrize(
    "value",
    [DESCRIBE, Pause(1), Reading(EcsService("encoder", "arn", "ACTIVE", 0, 0, 0, 0), Decision(0, 0)), steps()],
    ids=lambda value: type(value).__name__,
)
def test_a_step_does_not_change(value: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        value.seconds = 2
