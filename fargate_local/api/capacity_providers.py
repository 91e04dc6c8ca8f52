"""Capacity providers and strategies: what there is, and what a request may ask for."""

from __future__ import annotations

from typing import Any

from fargate_local import limits
from fargate_local.api.context import Context, page
from fargate_local.api.tags import checked_tags
from fargate_local.api.unsupported import unsupported
from fargate_local.errors import ApiError, client, invalid
from fargate_local.instances import CapacityProvider
from fargate_local.resources import Cluster, State, TaskDefinition
from fargate_local.shapes import JsonObject, Tags, without_none

FARGATE = ("FARGATE", "FARGATE_SPOT")

# AmazonECS/latest/APIReference/API_ManagedScaling: what is filled in.
_SCALING: JsonObject = {
    "status": "DISABLED",
    "targetCapacity": 100,
    "minimumScalingStepSize": 1,
    "maximumScalingStepSize": 10000,
    "instanceWarmupPeriod": 300,
}
_SCALING_RANGES = {
    "targetCapacity": (1, 100),
    "minimumScalingStepSize": (1, 10000),
    "maximumScalingStepSize": (1, 10000),
    "instanceWarmupPeriod": (0, 10000),
}
MAX_STRATEGY_ITEMS = 20
MAX_WEIGHT, MAX_BASE = 1000, 100_000
"""AmazonECS/latest/APIReference/API_CapacityProviderStrategyItem, API_CreateService (capacityProviderStrategy)."""


def create_capacity_provider(ecs: Context, request: JsonObject) -> JsonObject:
    name = request["name"]
    if not limits.NAME.fullmatch(name) or name.lower().startswith(("aws", "ecs", "fargate")):
        raise invalid(
            f"Invalid capacity provider name {name!r}: up to 255 letters (uppercase and lowercase), numbers, hyphens, "
            "and underscores are allowed, and it can not begin with aws, ecs or fargate."
        )
    group, managed = request.get("autoScalingGroupProvider"), request.get("managedInstancesProvider")
    if (group is None) == (managed is None):
        raise invalid("Specify either an autoScalingGroupProvider or a managedInstancesProvider.")
    if name in ecs.state.capacity_providers:
        raise invalid(f"A capacity provider with the name {name} already exists. Specify another name and try again.")
    tags = checked_tags(request.get("tags"))
    if group is None:
        return _create_managed(ecs, request, tags)
    filled = {"managedTerminationProtection": "DISABLED", "managedDraining": "ENABLED"} | group
    filled["managedScaling"] = _SCALING | group.get("managedScaling", {})
    _check_scaling(filled["managedScaling"])
    made = CapacityProvider(name, _arn(ecs, name), filled, tags)
    ecs.state.capacity_providers[name] = made
    return {"capacityProvider": made.to_aws(with_tags=True)}


def _check_scaling(scaling: JsonObject) -> None:
    for name, (low, high) in _SCALING_RANGES.items():
        if not low <= scaling[name] <= high:
            raise invalid(f"The {name} of managed scaling must be between {low} and {high}: {scaling[name]}")
    if scaling["minimumScalingStepSize"] > scaling["maximumScalingStepSize"]:
        raise invalid("The minimum or maximum scaling step size value is invalid: the minimum is above the maximum.")


def _create_managed(ecs: Context, request: JsonObject, tags: Tags) -> JsonObject:
    """A capacity provider of Managed Instances belongs to one cluster (API_CreateCapacityProvider, cluster)."""
    if not request.get("cluster"):
        raise invalid("A cluster must be specified for a capacity provider with managedInstancesProvider.")
    cluster, managed = ecs.cluster(request["cluster"]), request["managedInstancesProvider"]
    name = request["name"]
    made = CapacityProvider(name, _arn(ecs, name), {}, tags, managed, cluster.name)
    ecs.state.capacity_providers[name] = made
    cluster.capacity_providers = [*cluster.capacity_providers, name]
    cluster.managed_providers.add(name)
    return {"capacityProvider": made.to_aws(with_tags=True)}


def describe_capacity_providers(ecs: Context, request: JsonObject) -> JsonObject:
    with_tags = "TAGS" in request.get("include", [])
    shown: dict[str, JsonObject] = {
        name: {"capacityProviderArn": _arn(ecs, name), "name": name, "status": "ACTIVE", "type": name, "tags": []}
        for name in FARGATE
    }
    shown |= {each.name: each.to_aws(with_tags=with_tags) for each in ecs.state.capacity_providers.values()}
    if "cluster" in request:
        own = ecs.cluster(request["cluster"]).capacity_providers
        shown = {name: each for name, each in shown.items() if name in own}
    asked = request.get("capacityProviders") or list(shown)
    if len(asked) > limits.MAX_DESCRIBED_PROVIDERS:
        raise invalid(f"Capacity providers can not have more than {limits.MAX_DESCRIBED_PROVIDERS} elements.")
    listed, token = page(asked, request)
    found, missing = [], []
    for reference in listed:
        name = reference.rpartition("/")[2]
        if name in shown and reference in (name, _arn(ecs, name)):
            found.append(shown[name])
        else:
            arn = reference if reference.startswith("arn:") else _arn(ecs, reference)
            missing.append({"arn": arn, "reason": "MISSING"})
    return without_none({"capacityProviders": found, "failures": missing, "nextToken": token})


def _arn(ecs: Context, name: str) -> str:
    return ecs.arn(f"capacity-provider/{name}")


def delete_capacity_provider(ecs: Context, request: JsonObject) -> JsonObject:
    name = request["capacityProvider"].rpartition("/")[2]
    if name not in ecs.state.capacity_providers or request["capacityProvider"] not in (name, _arn(ecs, name)):
        raise invalid("The specified capacity provider does not exist. Specify a valid name or ARN and try again.")
    if any(name in cluster.capacity_providers for cluster in ecs.state.clusters.values() if cluster.status == "ACTIVE"):
        raise client("The capacity provider is in use by a cluster. Remove it from the cluster and try again.")
    return {"capacityProvider": ecs.state.capacity_providers.pop(name).to_aws() | {"status": "INACTIVE"}}


def cluster_capacity(state: State, request: JsonObject) -> tuple[list[str], list[JsonObject]]:
    """The capacity providers and the default strategy that a request gives a cluster.

    :raises ApiError: ClientException or InvalidParameterException.
    """
    providers = request.get("capacityProviders", [])
    strategy = request.get("defaultCapacityProviderStrategy", [])
    known = (*FARGATE, *state.capacity_providers)
    for provider in providers:
        if provider not in known:
            raise client(f"The specified capacity provider {provider!r} was not found; there are {', '.join(known)}.")
    if strategy:
        check_strategy(strategy, providers)
    return providers, strategy


def check_strategy(strategy: list[JsonObject], allowed: list[str]) -> None:
    """Check a capacity provider strategy.

    Sources: AmazonECS/latest/APIReference/API_CapacityProviderStrategyItem, API_PutClusterCapacityProviders.

    :param allowed: the providers that the cluster has.
    :raises ApiError: InvalidParameterException.
    """
    names = [item["capacityProvider"] for item in strategy]
    if len(strategy) > MAX_STRATEGY_ITEMS or len(names) != len(set(names)):
        raise invalid(f"A capacity provider strategy has each provider once, and at most {MAX_STRATEGY_ITEMS}.")
    for item in strategy:
        if not 0 <= item.get("weight", 0) <= MAX_WEIGHT or not 0 <= item.get("base", 0) <= MAX_BASE:
            raise invalid(f"A weight must be between 0 and {MAX_WEIGHT}, and a base between 0 and {MAX_BASE}.")
        if item["capacityProvider"] not in allowed:
            raise invalid(
                f"The specified capacity provider {item['capacityProvider']} was not found. Specify a valid "
                "name or ARN and try again."
            )
    if len({item["capacityProvider"] in FARGATE for item in strategy}) > 1:
        raise invalid(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and "
            "Fargate providers. Specify one or the other and try again."
        )
    if strategy and not any(item.get("weight", 0) > 0 for item in strategy):
        raise invalid("The specified capacity provider strategy must have at least one weight greater than zero.")
    if sum(1 for item in strategy if item.get("base", 0) > 0) > 1:
        raise invalid("Only one capacity provider in a strategy can have a base.")


def capacity_of(
    cluster: Cluster, definition: TaskDefinition, request: JsonObject
) -> tuple[str | None, list[JsonObject]]:
    """The launch type or the capacity provider strategy that a request (or else the cluster) asks for.

    :raises ApiError: InvalidParameterException, the two do not fit or there is no such capacity.
    """
    launch_type: str | None = request.get("launchType")
    strategy: list[JsonObject] = request.get("capacityProviderStrategy", [])
    if launch_type and strategy:
        raise invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    if strategy:
        check_strategy(strategy, cluster.capacity_providers)
    elif launch_type is None:
        strategy = cluster.default_strategy
        launch_type = None if strategy else "EC2"
    if launch_type not in (None, "FARGATE", "EC2"):
        raise invalid(f"fargate_local has no launch type {launch_type}: it has FARGATE and EC2.")
    check_fit(definition, request, cluster, strategy, fargate=is_fargate(launch_type, strategy))
    return launch_type, strategy


def check_fit(
    definition: TaskDefinition, request: JsonObject, cluster: Cluster, strategy: list[JsonObject], *, fargate: bool
) -> None:
    """Check that tasks of a definition can run on a capacity.

    :raises ApiError: InvalidParameterException, PlatformUnknownException or UnsupportedFeatureException.
    """
    wanted = "FARGATE" if fargate else "EC2"
    if strategy and strategy[0]["capacityProvider"] in cluster.managed_providers:
        wanted = "MANAGED_INSTANCES"
    if wanted not in definition.document["compatibilities"]:
        raise invalid(f"Task definition does not support launch_type {wanted}.")
    check_platform_version(request.get("platformVersion"), fargate=fargate)
    if not fargate and definition.document.get("placementConstraints"):
        raise unsupported("placement constraints", "the task definition's placementConstraints")


def check_platform_version(version: str | None, *, fargate: bool) -> None:
    """Check that tasks can have this platform version.

    :raises ApiError: InvalidParameterException, it is not for EC2; PlatformUnknownException, there is none.
    """
    if version and not fargate:
        raise invalid("The platform version must be null when specifying an EC2 launch type.")
    if version and version not in limits.PLATFORM_VERSIONS:
        raise ApiError("PlatformUnknownException", f"The specified platform version does not exist: {version}")


def is_fargate(launch_type: str | None, strategy: list[JsonObject]) -> bool:
    """Whether tasks of that launch type or strategy, of which one is given, run on Fargate."""
    return launch_type == "FARGATE" or bool(strategy and strategy[0]["capacityProvider"] in FARGATE)


def check_room(ecs: Context, cluster: Cluster, strategy: list[JsonObject]) -> None:
    """Check that an EC2 launch has instances to run on, or that its capacity provider starts some.

    :raises ApiError: InvalidParameterException.
    """
    placement = ecs.launcher.placement
    if not strategy and not placement.candidates(cluster, None):
        raise invalid("No Container Instances were found in your cluster.")
    names = [item["capacityProvider"] for item in strategy]
    if names and not any(
        placement.is_managed(name) or placement.waits(name) or placement.candidates(cluster, name) for name in names
    ):
        raise invalid("No Container Instances were found in your capacity provider.")


OPERATIONS: dict[str, Any] = {
    "CreateCapacityProvider": create_capacity_provider,
    "DescribeCapacityProviders": describe_capacity_providers,
    "DeleteCapacityProvider": delete_capacity_provider,
}
