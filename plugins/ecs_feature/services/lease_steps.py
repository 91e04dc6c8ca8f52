"""The lease mechanism, as steps: each generator yields the API calls that it needs, one at a time.

``EcsServices`` makes the calls; a test can run several generators at once and stop any of them, or lose an answer,
between any two calls. ECS has no compare-and-set, so the order of calls makes concurrent runs safe: a lease is
written before the service is read, and **after every write the service is read again**, until nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from ecs_feature.aws import limits
from ecs_feature.aws.resources import EcsService
from ecs_feature.exceptions import AwsError, LeaseError, ServiceNotFoundError
from ecs_feature.services.leases import (
    Decision,
    Lease,
    RunIsActive,
    ScalableTarget,
    SharingPolicy,
    active_leases,
    effective_policy,
    free_lease_slots,
    held_by,
    last_written,
    leases_of,
    never_active,
    policy_of,
    reconcile,
    what_is_lost,
)

SETTLE_ROUNDS: Final = 40
"""Readings before an error. 48 runs that acquire at the same time need about eight."""
PAUSE_AFTER: Final = 3
"""Rounds without a pause; later ones let the others finish."""
PAUSE_SECONDS: Final = 0.5
WRITES: Final = 3
"""How often a lease is written or removed that the reading after it shows otherwise."""
REASSERT_SECONDS: Final = 60.0
"""How long an acquire that finds no policy tag does not lower the count: something else may have removed the tags, and
runs whose leases were among them write them again within this time, see :mod:`ecs_feature.services.guard`."""

DIMENSION: Final = "ecs:service:DesiredCount"

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """One API call: a boto3 client's name, its method, and the arguments."""

    client: str
    method: str
    arguments: Mapping[str, Any]
    subject: str = ""


@dataclass(frozen=True)
class Pause:
    """Wait before the next call: a random time of at most ``seconds``, or (``whole``) all of them."""

    seconds: float
    whole: bool = False


Steps = Generator[Call | Pause, Any, T]


@dataclass(frozen=True)
class Reading:
    """A service as it was read, and what its leases want."""

    service: EcsService
    decision: Decision


@dataclass(frozen=True)
class ServiceSteps:
    """The steps for one service.

    :param now: the clock by which leases expire.
    :param run_is_active: asked about the holders of leases that are past their end time.
    :param autoscaling: whether to ask Application Auto Scaling for a scalable target.
    :param known: the service's policy by the caller's own knowledge; applies when the policy tag is gone.
    """

    cluster: str
    name: str
    now: Callable[[], datetime]
    autoscaling: bool = field(default=True)
    run_is_active: RunIsActive = never_active
    known: SharingPolicy | None = None

    def acquire(
        self, *, holder: str, count: int, until: datetime, policy: SharingPolicy, lowers: bool = True
    ) -> Steps[tuple[EcsService, Reading]]:
        """Write the holder's lease, then settle. Returns the service before and after.

        While other runs hold leases, their policy is only widened: they rely on what it allows.

        :param lowers: as for :meth:`settle`.
        """
        first = None
        for _ in range(WRITES):
            before, reading = yield from self._acquire(holder, count, until, policy, lowers)
            first = first or before
            if held_by(holder, reading.service.tags):
                break  # else something else has removed it, or what took the write was not ECS
        return first or before, reading

    def _acquire(
        self, holder: str, count: int, until: datetime, policy: SharingPolicy, lowers: bool
    ) -> Steps[tuple[EcsService, Reading]]:
        # Read the target before the tags: a run writes the policy before it raises MinCapacity.
        target = (yield from self._target()) if self.autoscaling else None
        before = yield from self.describe()
        old = held_by(holder, before.tags)
        now = self.now()
        since = min((lease.since for lease in active_leases(old, now, self.run_is_active).values()), default=now)
        tag = Lease(holder, count, since, until).to_tag(now)
        found = policy_of(before.tags)
        policy = policy.with_scalable_baseline(target, found)
        if active_leases(leases_of(before.tags), now, self.run_is_active).keys() - old.keys():
            policy = policy.widened_for(found)
        check_room(before, renewing=bool(old))
        try:
            yield self._ecs("tag_resource", resourceArn=before.arn, tags=[policy.to_tag(), tag])
        except AwsError as error:
            if error.code == "InvalidParameterException":
                check_room((yield from self.describe()), renewing=bool(old))
            raise
        if replaced := sorted(set(old) - {tag["key"]}):
            yield self._ecs("untag_resource", resourceArn=before.arn, tagKeys=replaced)
        if found is None and lowers:
            kept = [pair for pair in before.tags if pair[0] not in old]
            tagged = replace(before, tags=(*kept, *((each["key"], each["value"]) for each in (policy.to_tag(), tag))))
            if reconcile(tagged, now, target, self.run_is_active).lowers:
                yield Pause(REASSERT_SECONDS, whole=True)
        reading = yield from self.settle(lowers=lowers)
        for _ in range(PAUSE_AFTER):
            # Another run may have written its policy at the same time; then both write the wider one.
            found = policy_of(reading.service.tags)
            wider = policy.widened_for(found)
            if found is None or found == wider:
                break
            yield self._ecs("tag_resource", resourceArn=before.arn, tags=[wider.to_tag()])
            reading = yield from self.settle(lowers=lowers)
        return before, reading

    def release(self, *, holder: str) -> Steps[tuple[Lease | None, Reading]]:
        """Remove the holder's lease, then settle. Returns the lease that was held and the service after."""
        held: dict[str, Lease | None] = {}
        for _ in range(WRITES):
            found, reading = yield from self._release(holder)
            held |= found
            if not held_by(holder, reading.service.tags):
                break
        return _merged([lease for lease in held.values() if lease is not None]), reading

    def _release(self, holder: str) -> Steps[tuple[dict[str, Lease | None], Reading]]:
        service = yield from self.describe()
        held = held_by(holder, service.tags)
        if held:
            yield self._ecs("untag_resource", resourceArn=service.arn, tagKeys=sorted(held))
        if policy_of(service.tags) is None and self.known is not None and not self.known.autoscaled:
            yield from self._check_minimum(self.known.baseline)
        found, policy = policy_of(service.tags), effective_policy(service.tags, self.known)
        if found is not None and policy is not None and policy.baseline < found.baseline:
            yield self._ecs("tag_resource", resourceArn=service.arn, tags=[policy.to_tag()])
        reading = yield from self.settle()
        return held, reading

    def hold(self, *, holder: str, count: int, until: datetime, policy: SharingPolicy) -> Steps[tuple[str, Reading]]:
        """Write the holder's lease again when it or the policy tag is gone, then settle. It never pauses for long.

        Where the lease was gone, those of other runs may be, too. So a count is not lowered within a minute of any
        lease's writing: a later look does it.

        Returns what something else had changed, empty when nothing, and the service after.
        """
        found = yield from self.inspect()
        if lost := what_is_lost(found.service.tags, holder, count, self.now()):
            _, after = yield from self.acquire(holder=holder, count=count, until=until, policy=policy, lowers=False)
            return f"{lost}; leased {count} again", after
        lowers = self.now() - last_written(found.service.tags) >= timedelta(seconds=REASSERT_SECONDS)
        after = found if found.decision.at_rest else (yield from self.settle(lowers=lowers))
        raised = found.decision.count - found.decision.found
        lever = "MinCapacity" if found.decision.autoscaled else "desired count"
        if raised <= 0:
            return "", after
        return f"its {lever} was {found.decision.found} where its leases want {found.decision.count}", after

    def settle(self, *, lowers: bool = True) -> Steps[Reading]:
        """Apply :func:`ecs_feature.services.leases.reconcile` until a reading shows nothing to do.

        :param lowers: whether a count may be lowered; if not, one that is too high stays.
        """
        for round_number in range(SETTLE_ROUNDS):
            if round_number >= PAUSE_AFTER:
                yield Pause(PAUSE_SECONDS)
            reading = yield from self.inspect()
            service, decision = reading.service, reading.decision
            changes = decision.change and (lowers or not decision.lowers)
            if not changes and not decision.expired:
                return reading
            if decision.expired:
                yield self._ecs("untag_resource", resourceArn=service.arn, tagKeys=list(decision.expired))
            if changes and decision.autoscaled:
                # MaxCapacity is not given, so it stays as it is.
                yield self._autoscaling("register_scalable_target", MinCapacity=decision.count)
            elif changes:
                yield self._ecs("update_service", cluster=self.cluster, service=self.name, desiredCount=decision.count)
        raise LeaseError(
            f"Service {self.name!r} did not come to rest after {SETTLE_ROUNDS} readings; is something else changing "
            "its desired count or its tags?"
        )

    def describe(self) -> Steps[EcsService]:
        """The service with its tags.

        :raises ServiceNotFoundError: when it does not exist or is not active.
        """
        answer = yield self._ecs("describe_services", cluster=self.cluster, services=[self.name], include=["TAGS"])
        return active_service(answer["services"], self.name, self.cluster)

    def inspect(self) -> Steps[Reading]:
        """Read the service, and its scalable target if the policy is ``autoscaled``."""
        service = yield from self.describe()
        policy = effective_policy(service.tags, self.known)
        target = (yield from self._target()) if self.autoscaling and policy is not None and policy.autoscaled else None
        decision = reconcile(service, self.now(), target, self.run_is_active, self.known)
        return Reading(replace(service, minimum=decision.count) if decision.autoscaled else service, decision)

    def _check_minimum(self, baseline: int) -> Steps[None]:
        """:raises LeaseError: when a scalable target keeps more; the MinCapacity that it had was in the tag."""
        target = (yield from self._target()) if self.autoscaling else None
        if target is not None and target.minimum > baseline:
            raise LeaseError(
                f"Service {self.name!r}: its policy tag is gone, so the MinCapacity that its scalable target had "
                f"before the run is not known; it is {target.minimum} now: set it, and keep other programs from "
                "removing the service's tags (docs/aws.md)."
            )

    def _target(self) -> Steps[ScalableTarget | None]:
        answer = yield Call(
            "application-autoscaling",
            "describe_scalable_targets",
            {"ServiceNamespace": "ecs", "ResourceIds": [self._resource_id], "ScalableDimension": DIMENSION},
            f"Service {self.name!r}",
        )
        targets = [ScalableTarget(raw["MinCapacity"], raw["MaxCapacity"]) for raw in answer["ScalableTargets"]]
        return targets[0] if targets else None

    @property
    def _resource_id(self) -> str:
        return f"service/{self.cluster.rpartition('/')[2]}/{self.name}"

    def _ecs(self, method: str, **arguments: Any) -> Call:
        return Call("ecs", method, arguments, f"Service {self.name!r}")

    def _autoscaling(self, method: str, **arguments: Any) -> Call:
        common = {"ServiceNamespace": "ecs", "ResourceId": self._resource_id, "ScalableDimension": DIMENSION}
        return Call("application-autoscaling", method, common | arguments, f"Service {self.name!r}")


def active_service(described: list[dict[str, Any]], name: str, cluster: str) -> EcsService:
    """The service of that name among those that DescribeServices answered with.

    :raises ServiceNotFoundError: when it is not there, or not active.
    """
    for raw in described:
        if raw["serviceName"] == name and raw["status"] == "ACTIVE":
            return EcsService.from_aws(raw)
    raise ServiceNotFoundError(
        f"Service {name!r} does not exist in cluster {cluster!r} or is not active; create it or correct the "
        "variant's services.",
        "ServiceNotFoundException",
        "DescribeServices",
    )


def check_room(service: EcsService, *, renewing: bool) -> None:
    """:raises LeaseError: when the service has no room for another lease."""
    if free_lease_slots(service.tags, renewing=renewing) < 1:
        raise LeaseError(
            f"Service {service.name!r} has {len(service.tags)} tags and ECS allows {limits.TAGS_PER_RESOURCE} "
            "(AmazonECS/latest/APIReference/API_Tag.html), one of them kept for renewals, so no further run can lease "
            "it; lower the number of runs at once (max_active_runs) or remove tags."
        )


def _merged(leases: list[Lease]) -> Lease | None:
    """One lease for all of a holder's leases: the earliest start, the latest end, the largest count."""
    if not leases:
        return None
    first = min(leases, key=lambda lease: lease.since)
    return replace(first, count=max(lease.count for lease in leases), until=max(lease.until for lease in leases))
