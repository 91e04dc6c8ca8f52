"""What past launches, and those to come, cost an estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ecs_feature.aws.resources import DEFAULT_REGION, LINUX_X86, MANAGED_INSTANCES, region_of
from ecs_feature.estimates.facts import PipelineFacts
from ecs_feature.tasks import cost
from ecs_feature.tasks.capacity import kind_of
from ecs_feature.tasks.cost import Price, Usage
from ecs_feature.tasks.prices import SPOT_SHARE, PriceTable

_SHARES = {"FARGATE": 1.0, "FARGATE_SPOT": SPOT_SHARE}


@dataclass(eq=False)
class Pricing:
    """The prices of one estimate: the user's own, else those of the table.

    :param vcpu_hour_usd: on demand, instead of the table's; likewise ``gb_hour_usd``. None: the table's.
    :param platforms: variant -> its tasks' platform, where there are no records.
    :ivar region: of the newest past launch, else the pipeline's.
    :ivar unknown: what has no known price.
    :ivar kind: of the capacity provider; None: not read yet.
    """

    table: PriceTable
    facts: PipelineFacts
    vcpu_hour_usd: float | None = None
    gb_hour_usd: float | None = None
    platforms: Mapping[str, str] = field(default_factory=dict)
    region: str = ""
    unknown: set[str] = field(default_factory=set)
    kind: str | None = None

    def of_record(self, launch: Mapping[str, Any]) -> Price:
        """The price of a past launch, if it were on what the pipeline runs on now."""
        if not self.region and launch.get("task_arn"):
            self.region = region_of(launch["task_arn"])
        of_fargate = {"capacity": self.facts.bucket, "kind": ""} if self.facts.bucket else {}
        price = self._own(
            self.table.of_row({**launch, **of_fargate}), self.facts.bucket or launch.get("capacity") or ""
        )
        self.unknown.update(price.unknown(Usage.from_dict(launch)))
        return price

    def of_variant(self, variant: str, used: Usage, seconds: float) -> Usage:
        """The usage of a launch that is assumed, with what it has beside vCPUs and memory, and what it costs.

        :param seconds: that it is billed for.
        """
        metered = cost.of_volumes(self.facts.volumes, seconds)
        extra = max(0, self.facts.ephemeral_gib - cost.FREE_EPHEMERAL_GB)
        if extra and self.facts.bucket:
            metered[cost.EPHEMERAL] = extra * seconds
        used = replace(used, metered=metered)
        capacity = self.facts.bucket or "EC2"
        platform = self.platforms.get(variant, LINUX_X86)
        price = self.table.price(self._region(), capacity, platform=platform, kind=self._kind())
        price = self._own(price, capacity)
        self.unknown.update(price.unknown(used))
        return replace(used, usd=price.of(used))

    def of_services(self) -> Price:
        """The price of the services' tasks, as of Linux on X86 on demand."""
        price = self._own(self.table.price(self._region(), "FARGATE"), "FARGATE")
        self.unknown.update(price.unknown(Usage(1.0, 1.0)))
        return price

    def notes(self) -> list[str]:
        return [
            f"The price of {what} is not known and not included; [ecs_feature] prices_file can give it."
            for what in sorted(self.unknown)
        ]

    def _own(self, price: Price, capacity: str) -> Price:
        share = _SHARES.get(capacity)
        if share is None or price.gb_per_vcpu:
            return price
        vcpu = price.vcpu_hour_usd if self.vcpu_hour_usd is None else self.vcpu_hour_usd * share
        gb = price.gb_hour_usd if self.gb_hour_usd is None else self.gb_hour_usd * share
        return replace(price, vcpu_hour_usd=vcpu, gb_hour_usd=gb)

    def _kind(self) -> str:
        """The kind of the capacity provider that launches name; empty on Fargate, and where they name none."""
        if self.kind is None:
            providers = () if self.facts.bucket else self.facts.providers
            self.kind = _kind_of(self.facts, providers) if providers else ""
        return self.kind

    def _region(self) -> str:
        self.region = self.region or self.facts.aws.region_name or _region_of(self.facts) or DEFAULT_REGION
        return self.region


def _kind_of(facts: PipelineFacts, providers: Sequence[str]) -> str:
    """The kind of the first provider; where it cannot be read here, one whose price is not known."""
    try:
        ecs = facts.aws.client("ecs")
        answer = ecs.describe_capacity_providers(cluster=facts.cluster, capacityProviders=list(providers))
        return next(kind_of(one) for one in answer["capacityProviders"])
    except Exception:  # a missing connection, no access: the estimate goes on without
        return f"{MANAGED_INSTANCES}/UNKNOWN"


def _region_of(facts: PipelineFacts) -> str:
    """The connection's region; empty when it cannot be looked up here."""
    try:
        return str(facts.aws.hook("ecs").region_name or "")
    except Exception:  # a missing connection: the estimate goes on without
        return ""
