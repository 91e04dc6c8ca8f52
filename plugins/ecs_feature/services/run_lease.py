"""What one run holds of a cluster's services, in a form that triggers can be given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ecs_feature.aws.resources import EcsService
from ecs_feature.services.client import EcsServices
from ecs_feature.services.leases import SharingPolicy


@dataclass(frozen=True)
class RunLease:
    """A run's claim on services.

    :param holder: see :class:`ecs_feature.services.leases.Lease`.
    :param counts: service -> how many of its tasks the run needs.
    :param policies: service -> how its leases add up; default: sum, from a baseline of 0.
    :param seconds: how long a lease lives that nobody gives back.
    """

    cluster: str
    holder: str
    counts: Mapping[str, int]
    policies: Mapping[str, SharingPolicy]
    seconds: float

    def policy(self, name: str) -> SharingPolicy:
        return self.policies.get(name, SharingPolicy())

    def hold(self, services: EcsServices, name: str, applied: SharingPolicy | None = None) -> tuple[str, EcsService]:
        """:meth:`EcsServices.hold` for one service of the claim.

        :param applied: the policy that its tag had when it was last seen.
        """
        policy = applied if applied is not None and applied.autoscaled else self.policy(name)
        until = services.now() + timedelta(seconds=self.seconds)
        return services.hold(name, holder=self.holder, count=self.counts[name], until=until, policy=policy)

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe; the policies as their tags spell them."""
        return {
            "cluster": self.cluster,
            "holder": self.holder,
            "counts": dict(self.counts),
            "policies": {name: policy.to_tag()["value"] for name, policy in self.policies.items()},
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> RunLease:
        read = {name: SharingPolicy.from_tag(value) for name, value in raw["policies"].items()}
        policies = {name: policy for name, policy in read.items() if policy is not None}
        return cls(raw["cluster"], raw["holder"], raw["counts"], policies, raw["seconds"])
