"""Clusters."""

from __future__ import annotations

from typing import Any

from fargate_local import limits
from fargate_local.api.capacity_providers import cluster_capacity
from fargate_local.api.context import Context, page
from fargate_local.api.tags import checked_tags
from fargate_local.errors import ApiError, invalid
from fargate_local.resources import BEFORE_RUNNING, Cluster
from fargate_local.shapes import JsonObject, tags_to_aws, without_none


def create_cluster(ecs: Context, request: JsonObject) -> JsonObject:
    name = request.get("clusterName", "default")
    if not limits.NAME.fullmatch(name):
        raise invalid(
            f"Invalid clusterName {name!r}: up to 255 letters (uppercase and lowercase), numbers, hyphens, "
            "and underscores are allowed."
        )
    tags = checked_tags(request.get("tags"))
    providers, strategy = cluster_capacity(ecs.state, request)
    cluster = ecs.state.clusters.get(name)
    if cluster is None or cluster.status != "ACTIVE":
        cluster = Cluster(name=name, arn=ecs.arn(f"cluster/{name}"), tags=tags)
        cluster.capacity_providers, cluster.default_strategy = providers, strategy
        cluster.settings = request.get("settings", [{"name": "containerInsights", "value": "disabled"}])
        cluster.configuration = request.get("configuration")
        ecs.state.clusters[name] = cluster
        for spec in ecs.settings.instances.get(name, ()):
            ecs.launcher.placement.register(cluster, spec)
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
    listed, token = page(arns, request)
    return without_none({"clusterArns": listed, "nextToken": token})


def delete_cluster(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request["cluster"])
    if any(service.status != "INACTIVE" for service in cluster.services.values()):
        raise ApiError("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
    if any(task.last_status != "STOPPED" for task in cluster.tasks.values()):
        raise ApiError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
    if cluster.instances:
        raise ApiError(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
    cluster.status = "INACTIVE"
    return {"cluster": _to_aws(cluster, set())}


def put_cluster_capacity_providers(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request["cluster"])
    cluster.capacity_providers, cluster.default_strategy = cluster_capacity(ecs.state, request)
    return {"cluster": _to_aws(cluster, {"TAGS", "SETTINGS"})}


def _to_aws(cluster: Cluster, include: set[str]) -> JsonObject:
    tasks = list(cluster.tasks.values())
    return without_none(
        {
            "clusterArn": cluster.arn,
            "clusterName": cluster.name,
            "status": cluster.status,
            "registeredContainerInstancesCount": len(cluster.instances),
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
