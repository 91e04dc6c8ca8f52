"""Who needs how much of a service, until when. Pure: the service's tags in, the desired count out.

A run writes its own lease as a tag on the ECS service, so that no run sets ``desiredCount`` by itself:

    ecs-feature:lease:0f3a...   = 2 since 2026-11-21T22:10:00Z until 2026-11-22T04:10:00Z by flights/run/control
    ecs-feature:policy          = baseline 0 cap 10 sum

wanted = min(cap, max(baseline, sum (or max) of the live leases)). Acquire, release, the steady wait and the
janitor all apply the same :func:`reconcile`; there is no other store, and the console shows who holds what.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from ecs_feature import limits
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.resources import EcsService

LEASE_PREFIX: Final = "ecs-feature:lease:"
POLICY_TAG: Final = "ecs-feature:policy"
CLOCK_SKEW: Final = timedelta(minutes=1)
"""Clocks of two triggerers or workers may differ by this much; a lease counts until then after its end."""

_LEASE: Final = re.compile(r"(?P<count>\d+) since (?P<since>\S+) until (?P<until>\S+) by (?P<holder>.*)")
_POLICY: Final = re.compile(r"baseline (?P<baseline>\d+) cap (?P<cap>\d+) (?P<sharing>sum|max)")


@dataclass(frozen=True)
class Lease:
    """One run's claim on a service.

    :param holder: who holds it, e.g. ``dag/run/variant``.
    :param count: how many tasks of the service it needs.
    :param since: when it was first acquired; ``until``: when it ends by itself.
    """

    holder: str
    count: int
    since: datetime
    until: datetime

    @property
    def key(self) -> str:
        """The tag's key: the same for the same holder, so acquiring again renews."""
        return lease_key(self.holder)

    def to_tag(self) -> dict[str, str]:
        value = f"{self.count} since {_stamp(self.since)} until {_stamp(self.until)} by {self.holder}"
        return {"key": self.key, "value": limits.tag_text(value)}

    @classmethod
    def from_tag(cls, value: str) -> Lease | None:
        """None when the value is not one that :meth:`to_tag` writes."""
        match = _LEASE.fullmatch(value)
        if match is None:
            return None
        try:
            since, until = (datetime.fromisoformat(match[name]) for name in ("since", "until"))
        except ValueError:
            return None
        return cls(match["holder"], int(match["count"]), since, until)

    def live(self, now: datetime) -> bool:
        return now < self.until + CLOCK_SKEW


@dataclass(frozen=True)
class SharingPolicy:
    """How a service's leases add up.

    :param baseline: tasks that always run, leases or not.
    :param cap: never more than this many.
    :param sharing: ``sum``: every lease gets its own tasks; ``max``: leases share the same tasks.
    """

    baseline: int = 0
    cap: int = limits.SERVICE_DESIRED_COUNT
    sharing: Literal["sum", "max"] = "sum"

    def __post_init__(self) -> None:
        for field in ("baseline", "cap"):
            check_count(getattr(self, field), field)
        if self.baseline > self.cap:
            raise ConfigurationError(
                f"baseline: {self.baseline} is more than the cap of {self.cap}; lower one of them."
            )

    def to_tag(self) -> dict[str, str]:
        return {"key": POLICY_TAG, "value": f"baseline {self.baseline} cap {self.cap} {self.sharing}"}

    @classmethod
    def from_tag(cls, value: str) -> SharingPolicy:
        match = _POLICY.fullmatch(value)
        if match is None:
            return cls()
        sharing: Literal["sum", "max"] = "max" if match["sharing"] == "max" else "sum"
        return cls(int(match["baseline"]), int(match["cap"]), sharing)


@dataclass(frozen=True)
class Decision:
    """What a service needs now.

    :param desired: the desired count that its leases ask for.
    :param change: whether that differs from what the service has.
    :param expired: tag keys of leases that have ended by themselves.
    """

    desired: int
    change: bool
    expired: tuple[str, ...] = ()


def check_count(count: int, field: str) -> int:
    """``count`` if a service can have that desired count.

    :raises ConfigurationError: when it is negative or above the quota.
    """
    if not 0 <= count <= limits.SERVICE_DESIRED_COUNT:
        raise ConfigurationError(
            f"{field}: {count} is not a desired count; give 0 to {limits.SERVICE_DESIRED_COUNT} ({limits.QUOTAS_PAGE})."
        )
    return count


def lease_key(holder: str) -> str:
    return LEASE_PREFIX + hashlib.sha256(holder.encode()).hexdigest()[:16]


def leases_of(tags: Iterable[tuple[str, str]]) -> dict[str, Lease | None]:
    """The leases among a service's tags, by tag key; None for a value that cannot be read."""
    return {key: Lease.from_tag(value) for key, value in tags if key.startswith(LEASE_PREFIX)}


def policy_of(tags: Mapping[str, str]) -> SharingPolicy | None:
    """The sharing policy among a service's tags; None when no run has ever leased the service."""
    value = tags.get(POLICY_TAG)
    return None if value is None else SharingPolicy.from_tag(value)


def wanted(leases: Iterable[Lease], policy: SharingPolicy, now: datetime) -> int:
    """The desired count that the live leases ask for."""
    counts = [lease.count for lease in leases if lease.live(now)]
    total = sum(counts) if policy.sharing == "sum" else max(counts, default=0)
    return min(policy.cap, max(policy.baseline, total))


def reconcile(service: EcsService, now: datetime) -> Decision:
    """What to do about a service as it was read, tags included.

    A service without our tags is left as it is. A lease that cannot be read counts as expired.
    """
    policy = policy_of(dict(service.tags))
    if policy is None:
        return Decision(service.desired, change=False)
    leases = leases_of(service.tags)
    expired = tuple(sorted(key for key, lease in leases.items() if lease is None or not lease.live(now)))
    desired = wanted((lease for lease in leases.values() if lease is not None), policy, now)
    return Decision(desired, change=desired != service.desired, expired=expired)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
