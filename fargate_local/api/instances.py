"""Container instances: RegisterContainerInstance, ListContainerInstances, DescribeContainerInstances, Deregister…"""

from __future__ import annotations

from typing import Any

from fargate_local import limits
from fargate_local.api.context import Context, page
from fargate_local.api.tags import checked_tags
from fargate_local.engine.placement import DEREGISTERED, tasks_on
from fargate_local.errors import invalid
from fargate_local.instances import ContainerInstance, InstanceSpec
from fargate_local.resources import BEFORE_RUNNING, Cluster
from fargate_local.shapes import JsonObject, without_none

PROVIDER_ATTRIBUTE = "fargate_local.capacity-provider"
"""Of RegisterContainerInstance: AWS knows an instance's capacity provider from its Auto Scaling group."""


def register_container_instance(ecs: Context, request: JsonObject) -> JsonObject:
    """What the agent of a new instance calls; here also tests and users, to give a cluster room."""
    cluster = ecs.cluster(request.get("cluster"))
    tags = checked_tags(request.get("tags"))
    resources = {each.get("name"): each.get("integerValue", 0) for each in request.get("totalResources", [])}
    attributes = request.get("attributes", [])
    provider = next((each.get("value", "") for each in attributes if each["name"] == PROVIDER_ATTRIBUTE), "")
    try:
        spec = InstanceSpec(resources.get("CPU", 0) / 1024, resources.get("MEMORY", 0), provider)
    except ValueError as error:
        raise invalid(f"totalResources: the {error}, as INTEGER resources CPU (1024 to a vCPU) and MEMORY") from None
    others = [each for each in attributes if each["name"] != PROVIDER_ATTRIBUTE]
    instance = ecs.launcher.placement.register(cluster, spec, others, tags)
    return {"containerInstance": _to_aws(cluster, instance, with_tags=True)}


def list_container_instances(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request.get("cluster"))
    if request.get("filter"):
        raise invalid("fargate_local has no cluster query language: leave filter out.")
    status = request.get("status", "ACTIVE")
    arns = [each.arn for each in cluster.instances.values() if each.status == status]
    listed, token = page(arns, request)
    return without_none({"containerInstanceArns": listed, "nextToken": token})


def describe_container_instances(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request.get("cluster"))
    references = request["containerInstances"]
    if not references:
        raise invalid("Container instances cannot be empty.")
    if len(references) > limits.MAX_DESCRIBED_INSTANCES:
        raise invalid(f"Container instances can not have more than {limits.MAX_DESCRIBED_INSTANCES} elements.")
    with_tags = "TAGS" in request.get("include", [])
    found, failures = [], []
    for reference in references:
        instance = ecs.instance(cluster, reference)
        if instance is None:
            arn = ecs.arn(f"container-instance/{cluster.name}/{reference.rpartition('/')[2]}")
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(_to_aws(cluster, instance, with_tags=with_tags))
    return {"containerInstances": found, "failures": failures}


def deregister_container_instance(ecs: Context, request: JsonObject) -> JsonObject:
    """With `force` its tasks stop for ECS, but their containers run on, as nobody tells the agent.

    Source: AmazonECS/latest/APIReference/API_DeregisterContainerInstance (force).
    """
    cluster = ecs.cluster(request.get("cluster"))
    instance = ecs.instance(cluster, request["containerInstance"])
    if instance is None:
        raise invalid("Referenced container instance was not found.")
    tasks = tasks_on(cluster, instance)
    if tasks and not request.get("force", False):
        raise invalid("Found running tasks on the instance.")
    instance.status = "INACTIVE"
    answer = _to_aws(cluster, instance, with_tags=True)
    del cluster.instances[instance.id]
    for task in tasks:
        ecs.launcher.lifecycle.orphan(task, DEREGISTERED)
    return {"containerInstance": answer}


def _to_aws(cluster: Cluster, instance: ContainerInstance, *, with_tags: bool) -> JsonObject:
    statuses = [task.last_status for task in tasks_on(cluster, instance)]
    pending = sum(status in BEFORE_RUNNING for status in statuses)
    return instance.to_aws(statuses.count("RUNNING"), pending, with_tags=with_tags)


OPERATIONS: dict[str, Any] = {
    "RegisterContainerInstance": register_container_instance,
    "ListContainerInstances": list_container_instances,
    "DescribeContainerInstances": describe_container_instances,
    "DeregisterContainerInstance": deregister_container_instance,
}
