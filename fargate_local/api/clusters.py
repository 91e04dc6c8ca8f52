"""Clusters."""

from __future__ import annotations

from typing import Any

from fargate_local import limits
from fargate_local.api.context import Context, page
from fargate_local.api.tags import checked_tags
from fargate_local.errors import ApiError, client, invalid
from fargate_local.resources import BEFORE_RUNNING, Cluster, JsonObject, tags_to_aws, without_none

CAPACITY_PROVIDERS = ("FARGATE", "FARGATE_SPOT")


def create_cluster(ecs: Context, request: JsonObject) -> JsonObject:
    name = request.get("clusterName", "default")
    if not limits.NAME.fullmatch(name):
        raise invalid(
            f"Invalid clusterName {name!r}: up to 255 letters (uppercase and lowercase), numbers, hyphens, "
            "and underscores are allowed."
        )
    tags = checked_tags(request.get("tags"))
    providers, strategy = _capacity(request)
    cluster = ecs.state.clusters.get(name)
    if cluster is None or cluster.status != "ACTIVE":
        cluster = Cluster(name=name, arn=ecs.arn(f"cluster/{name}"), tags=tags)
        cluster.capacity_providers, cluster.default_strategy = providers, strategy
        cluster.settings = request.get("settings", [{"name": "containerInsights", "value": "disabled"}])
        cluster.configuration = request.get("configuration")
        ecs.state.clusters[name] = cluster
    return {"cluster": _to_aws(cluster, {"TAGS", "SETTINGS"})}


def describe_clusters(ecs: Context, request: JsonObject) -> JsonObject:
    references = request.get("clusters") or ["default"]
    if len(references) > limits.MAX_DESCRIBED_CLUSTERS:
        raise invalid("Clusters cannot have more than 100 elements.")
    found, failures = [], []
    for reference in references:
        cluster = ecs.state.clusters.get(reference.rpartition("/")[2])
        if cluster is None or reference not in (cluster.name, cluster.arn):
            arn = reference if reference.startswith("arn:") else ecs.arn(f"cluster/{reference}")
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(_to_aws(cluster, set(request.get("include", []))))
    return {"clusters": found, "failures": failures}


def list_clusters(ecs: Context, request: JsonObject) -> JsonObject:
    arns = [cluster.arn for cluster in ecs.state.clusters.values() if cluster.status == "ACTIVE"]
    listed, token = page(arns, request.get("nextToken"), request.get("maxResults", limits.MAX_LIST_RESULTS))
    return without_none({"clusterArns": listed, "nextToken": token})


def delete_cluster(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request["cluster"])
    if any(service.status != "INACTIVE" for service in cluster.services.values()):
        raise ApiError("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
    if any(task.last_status != "STOPPED" for task in cluster.tasks.values()):
        raise ApiError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
    cluster.status = "INACTIVE"
    return {"cluster": _to_aws(cluster, set())}


def put_cluster_capacity_providers(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request["cluster"])
    cluster.capacity_providers, cluster.default_strategy = _capacity(request)
    return {"cluster": _to_aws(cluster, {"TAGS", "SETTINGS"})}


def check_strategy(strategy: list[JsonObject], allowed: list[str]) -> None:
    """Check a capacity provider strategy.

    :param allowed: the providers that the cluster has.
    :raises ApiError: InvalidParameterException.
    """
    for item in strategy:
        if item["capacityProvider"] not in allowed:
            raise invalid(
                f"The specified capacity provider {item['capacityProvider']} was not found. Specify a valid "
                "name or ARN and try again."
            )
    if strategy and not any(item.get("weight", 0) > 0 for item in strategy):
        raise invalid("The specified capacity provider strategy must have at least one weight greater than zero.")
    if sum(1 for item in strategy if item.get("base", 0) > 0) > 1:
        raise invalid("Only one capacity provider in a strategy can have a base.")


def _capacity(request: JsonObject) -> tuple[list[str], list[JsonObject]]:
    providers = request.get("capacityProviders", [])
    strategy = request.get("defaultCapacityProviderStrategy", [])
    for provider in providers:
        if provider not in CAPACITY_PROVIDERS:
            raise client(
                f"The specified capacity provider {provider!r} was not found; there are FARGATE and FARGATE_SPOT."
            )
    if strategy:
        check_strategy(strategy, providers)
    return providers, strategy


def _to_aws(cluster: Cluster, include: set[str]) -> JsonObject:
    tasks = list(cluster.tasks.values())
    return without_none(
        {
            "clusterArn": cluster.arn,
            "clusterName": cluster.name,
            "status": cluster.status,
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": sum(1 for task in tasks if task.last_status == "RUNNING"),
            "pendingTasksCount": sum(1 for task in tasks if task.last_status in BEFORE_RUNNING),
            "activeServicesCount": sum(1 for service in cluster.services.values() if service.status == "ACTIVE"),
            "statistics": [],
            "tags": tags_to_aws(cluster.tags) if "TAGS" in include else [],
            "settings": cluster.settings if "SETTINGS" in include else [],
            "configuration": cluster.configuration if "CONFIGURATIONS" in include else None,
            "capacityProviders": cluster.capacity_providers,
            "defaultCapacityProviderStrategy": cluster.default_strategy,
        }
    )


OPERATIONS: dict[str, Any] = {
    "CreateCluster": create_cluster,
    "DescribeClusters": describe_clusters,
    "ListClusters": list_clusters,
    "DeleteCluster": delete_cluster,
    "PutClusterCapacityProviders": put_cluster_capacity_providers,
}
