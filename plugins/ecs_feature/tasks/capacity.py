"""What a launch runs on: Fargate, Fargate Spot, EC2, capacity providers, or the cluster's default. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from ecs_feature.aws.resources import MANAGED_INSTANCES
from ecs_feature.exceptions import ConfigurationError

ON_DEMAND: Final = "on_demand"
SPOT: Final = "spot"
EC2: Final = "ec2"
CLUSTER_DEFAULT: Final = "cluster_default"
SPOT_WITH_FALLBACK: Final = "spot_with_fallback"

_REQUESTS: Final[dict[str, dict[str, Any]]] = {
    ON_DEMAND: {"launchType": "FARGATE"},
    SPOT: {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]},
    EC2: {"launchType": "EC2"},
    CLUSTER_DEFAULT: {},
}
_BUCKETS: Final = {ON_DEMAND: "FARGATE", SPOT: "FARGATE_SPOT"}
_OF_FARGATE: Final = frozenset(_BUCKETS.values())
# AmazonECS/latest/APIReference/API_RunTask.html (capacityProviderStrategy), API_CapacityProviderStrategyItem.html
STRATEGY_ITEMS: Final = 20
_MAX_WEIGHT: Final = 1000
_MAX_BASE: Final = 100_000

Strategy = Sequence[Mapping[str, Any]]
"""Items of a capacity provider strategy as RunTask takes them: ``capacityProvider``, ``weight``, ``base``."""


@dataclass(frozen=True)
class Fallback:
    """When a shard switches from Spot to on demand for the rest of its try.

    :param interruptions: after this many interruptions.
    :param wait: after this long without Spot capacity.
    """

    interruptions: int = 2
    wait: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        if self.interruptions < 1:
            raise ConfigurationError(f"fallback.interruptions: {self.interruptions} is too small; give 1 or more.")
        if self.wait < timedelta(0):
            raise ConfigurationError(f"fallback.wait: {self.wait} is not a time to wait; give 0 or more.")


def request_of(capacity: str | Strategy) -> dict[str, Any]:
    """The parameters of RunTask for it: ``launchType``, ``capacityProviderStrategy``, or neither."""
    if isinstance(capacity, str):
        return dict(_REQUESTS[capacity])
    return {"capacityProviderStrategy": [dict(item) for item in capacity]}


def providers_of(capacity: str | Strategy) -> tuple[str, ...]:
    """The capacity providers that the cluster must be associated with."""
    asked = SPOT if capacity == SPOT_WITH_FALLBACK else capacity
    return tuple(str(item["capacityProvider"]) for item in request_of(asked).get("capacityProviderStrategy", ()))


def bucket_of(capacity: str | Strategy, default: Strategy | None = None) -> str:
    """Which launch quota it uses: ``FARGATE``, ``FARGATE_SPOT``, or neither (empty).

    A strategy counts as the provider with the greatest weight.

    :param default: the cluster's default strategy; empty: it has none, so tasks run on EC2; None: not known, counts as
        Fargate on demand.
    """
    if capacity == CLUSTER_DEFAULT:
        return "FARGATE" if default is None else bucket_of(default or EC2)
    if isinstance(capacity, str):
        return _BUCKETS.get(capacity, "")
    heaviest = max(capacity, key=lambda item: int(item.get("weight", 0)) + int(item.get("base", 0)))
    name = str(heaviest["capacityProvider"])
    return name if name in _OF_FARGATE else ""


def kind_of(provider: Mapping[str, Any]) -> str:
    """The kind of a capacity provider, as DescribeCapacityProviders shows it.

    :returns: ``EC2_AUTOSCALING``, ``FARGATE``, ``FARGATE_SPOT``, ``MANAGED_INSTANCES`` where it is on demand, else
        ``MANAGED_INSTANCES/SPOT`` or ``/RESERVED``: what has another price; empty when AWS does not say.
    """
    managed = provider.get("managedInstancesProvider")
    kind = str(provider.get("type") or ("" if managed is None else MANAGED_INSTANCES))
    if kind != MANAGED_INSTANCES:
        return kind or ("EC2_AUTOSCALING" if "autoScalingGroupProvider" in provider else "")
    option = ((managed or {}).get("instanceLaunchTemplate") or {}).get("capacityOptionType") or "ON_DEMAND"
    return kind if option == "ON_DEMAND" else f"{kind}/{option}"


def may_be_instances(capacity: str | Strategy) -> bool:
    """Whether tasks may run on EC2 instances; they need no Fargate size there, and perhaps no network interface."""
    if isinstance(capacity, str):
        return capacity in (EC2, CLUSTER_DEFAULT)
    return any(item["capacityProvider"] not in _OF_FARGATE for item in capacity)


def check_capacity(capacity: str | Strategy) -> None:
    """:raises ConfigurationError: when RunTask would refuse it."""
    if isinstance(capacity, str):
        known = (*_REQUESTS, SPOT_WITH_FALLBACK)
        if capacity not in known:
            raise ConfigurationError(
                f"capacity: {capacity!r} is not known; give one of {', '.join(known)}, or a capacity provider strategy."
            )
        return
    if not 1 <= len(capacity) <= STRATEGY_ITEMS:
        raise ConfigurationError(
            f"capacity: a strategy of {len(capacity)} items; RunTask takes 1 to {STRATEGY_ITEMS} "
            "(AmazonECS/latest/APIReference/API_RunTask.html)."
        )
    for item in capacity:
        _check_item(item)
    if not any(item.get("weight", 0) for item in capacity):
        raise ConfigurationError("capacity: no item of the strategy has a weight; give at least one 1 or more.")
    if sum(bool(item.get("base", 0)) for item in capacity) > 1:
        raise ConfigurationError(
            "capacity: several items of the strategy have a base; only one may "
            "(AmazonECS/latest/APIReference/API_CapacityProviderStrategyItem.html)."
        )
    if len({item["capacityProvider"] in _OF_FARGATE for item in capacity}) > 1:
        raise ConfigurationError(
            "capacity: the strategy mixes Fargate and providers of instances; give one or the other "
            "(AmazonECS/latest/APIReference/API_PutClusterCapacityProviders.html)."
        )


def _check_item(item: Mapping[str, Any]) -> None:
    if not item.get("capacityProvider"):
        raise ConfigurationError(f"capacity: {dict(item)!r} names no capacityProvider; give one, e.g. FARGATE_SPOT.")
    unknown = set(item) - {"capacityProvider", "weight", "base"}
    if unknown:
        raise ConfigurationError(
            f"capacity: {', '.join(sorted(unknown))} is not part of a strategy's item; "
            "give capacityProvider, weight, base."
        )
    for name, maximum in (("weight", _MAX_WEIGHT), ("base", _MAX_BASE)):
        if not 0 <= int(item.get(name, 0)) <= maximum:
            raise ConfigurationError(
                f"capacity: {name} {item[name]} of {item['capacityProvider']} is out of range; give 0 to {maximum} "
                "(AmazonECS/latest/APIReference/API_CapacityProviderStrategyItem.html)."
            )
