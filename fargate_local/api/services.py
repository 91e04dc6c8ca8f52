"""Services."""

from __future__ import annotations

from typing import Any

from fargate_local import limits
from fargate_local.api.capacity_providers import capacity_of
from fargate_local.api.context import Context, page
from fargate_local.api.fargate_rules import check_network
from fargate_local.api.tags import checked_tags
from fargate_local.api.tasks import task_tags
from fargate_local.engine.scheduler import make_deployment
from fargate_local.errors import ApiError, invalid
from fargate_local.resources import BEFORE_RUNNING, Deployment, Service, Task
from fargate_local.shapes import JsonObject, tags_to_aws, without_none

KEPT = (
    "loadBalancers", "serviceRegistries", "launchType", "capacityProviderStrategy", "platformVersion",
    "deploymentConfiguration", "placementConstraints", "placementStrategy", "networkConfiguration",
    "healthCheckGracePeriodSeconds", "schedulingStrategy", "deploymentController", "enableECSManagedTags",
    "propagateTags", "enableExecuteCommand", "availabilityZoneRebalancing",
)  # fmt: skip
REDEPLOYING = ("networkConfiguration", "platformVersion", "loadBalancers", "capacityProviderStrategy", "launchType")


async def create_service(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request.get("cluster"))
    name = request["serviceName"]
    if not limits.NAME.fullmatch(name):
        raise invalid(
            f"Invalid serviceName {name!r}: up to 255 letters (uppercase and lowercase), numbers, hyphens, and "
            "underscores are allowed."
        )
    existing = cluster.services.get(name)
    if existing is not None and existing.status != "INACTIVE":
        raise invalid("Creation of service was not idempotent.")
    if "taskDefinition" not in request:
        raise invalid("TaskDefinition can not be blank.")
    definition = ecs.runnable_definition(request["taskDefinition"])
    desired = _checked_desired(request.get("desiredCount", 0))
    launch_type, strategy = capacity_of(cluster, definition, request)
    check_network(definition.document, request.get("networkConfiguration"))
    tags = checked_tags(request.get("tags"))
    task_tags(cluster, definition, {"propagateTags": request.get("propagateTags")}, tags)
    for balancer in request.get("loadBalancers", []):
        _check_balancer(balancer, definition.containers)
    spec = {member: request[member] for member in KEPT if member in request}
    spec |= without_none({"launchType": launch_type, "capacityProviderStrategy": strategy or None})
    service = Service(
        name=name,
        arn=ecs.arn(f"service/{cluster.name}/{name}"),
        cluster=cluster,
        desired_count=desired,
        created_at=ecs.now(),
        spec=_with_defaults(spec),
        deployments=[make_deployment(definition, ecs.now())],
        tags=tags,
    )
    for balancer in service.load_balancers:
        await ecs.scheduler.balancers.open(balancer["targetGroupArn"])
    cluster.services[name] = service
    ecs.scheduler.kick(service)
    return {"service": to_aws(service, with_tags=True)}


def _with_defaults(spec: JsonObject) -> JsonObject:
    configuration = {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
    }
    defaults = {
        "loadBalancers": [],
        "serviceRegistries": [],
        "placementConstraints": [],
        "placementStrategy": [],
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "enableECSManagedTags": False,
        "propagateTags": "NONE",
        "enableExecuteCommand": False,
        "platformVersion": "LATEST",
    }
    return defaults | spec | {"deploymentConfiguration": configuration | spec.get("deploymentConfiguration", {})}


def _checked_desired(count: int) -> int:
    if not 0 <= count <= limits.MAX_DESIRED_COUNT:
        raise invalid(f"desiredCount must be between 0 and {limits.MAX_DESIRED_COUNT}: {count}")
    return count


def _check_balancer(balancer: JsonObject, containers: list[JsonObject]) -> None:
    name, port = balancer.get("containerName"), balancer.get("containerPort")
    if not balancer.get("targetGroupArn"):
        raise invalid("targetGroupArn can not be blank: fargate_local knows target groups only.")
    container = next((c for c in containers if c["name"] == name), None)
    if container is None:
        raise invalid(f"The container {name} does not exist in the task definition.")
    if port not in [mapping.get("containerPort") for mapping in container["portMappings"]]:
        raise invalid(f"The container {name} did not have a container port {port} defined.")


async def update_service(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request.get("cluster"))
    service = ecs.service(cluster, request["service"])
    if service.status != "ACTIVE":
        raise ApiError("ServiceNotActiveException", "Service was not ACTIVE.")
    definition = service.primary.definition
    if "taskDefinition" in request:
        definition = ecs.runnable_definition(request["taskDefinition"])
    desired = _checked_desired(request.get("desiredCount", service.desired_count))
    if "networkConfiguration" in request:
        check_network(definition.document, request["networkConfiguration"])
    if request.get("capacityProviderStrategy"):
        capacity_of(cluster, definition, {"capacityProviderStrategy": request["capacityProviderStrategy"]})
        service.spec.pop("launchType", None)
    for balancer in request.get("loadBalancers", []):
        _check_balancer(balancer, definition.containers)
        await ecs.scheduler.balancers.open(balancer["targetGroupArn"])
    changed = {name: request[name] for name in KEPT if name in request}
    if "deploymentConfiguration" in changed:
        changed["deploymentConfiguration"] = (
            service.spec["deploymentConfiguration"] | changed["deploymentConfiguration"]
        )
    redeploy = (
        request.get("forceNewDeployment", False)
        or definition is not service.primary.definition
        or any(service.spec.get(name) != changed[name] for name in REDEPLOYING if name in changed)
    )
    service.spec.update(changed)
    if desired != service.desired_count or redeploy:
        service.announced_steady = False
    service.desired_count = desired
    if redeploy:
        ecs.scheduler.new_deployment(service, definition)
    ecs.scheduler.kick(service)
    return {"service": to_aws(service, with_tags=True)}


def describe_services(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request.get("cluster"))
    references = request["services"]
    if not references:
        raise invalid("Services can not be empty.")
    if len(references) > limits.MAX_DESCRIBED_SERVICES:
        raise invalid(f"Services can not have more than {limits.MAX_DESCRIBED_SERVICES} elements.")
    with_tags = "TAGS" in request.get("include", [])
    found, failures = [], []
    for reference in references:
        try:
            found.append(to_aws(ecs.service(cluster, reference), with_tags=with_tags))
        except ApiError:
            arn = reference if reference.startswith("arn:") else ecs.arn(f"service/{cluster.name}/{reference}")
            failures.append({"arn": arn, "reason": "MISSING"})
    return {"services": found, "failures": failures}


def list_services(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request.get("cluster"))
    arns = [service.arn for service in cluster.services.values() if service.status != "INACTIVE"]
    listed, token = page(arns, request.get("nextToken"), request.get("maxResults", 10))
    return without_none({"serviceArns": listed, "nextToken": token})


def delete_service(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request.get("cluster"))
    service = ecs.service(cluster, request["service"])
    if service.status == "INACTIVE":
        raise ApiError("ServiceNotFoundException", "Service not found.")
    if service.desired_count > 0 and not request.get("force", False):
        raise invalid("The service cannot be stopped while it is scaled above 0.")
    service.desired_count = 0
    service.status = "DRAINING"
    ecs.scheduler.kick(service)
    return {"service": to_aws(service, with_tags=True)}


def to_aws(service: Service, *, with_tags: bool) -> JsonObject:
    """A service as DescribeServices shows it."""
    tasks = service.cluster.tasks_of(service)
    spec = {name: value for name, value in service.spec.items() if name != "availabilityZoneRebalancing"}
    return without_none(
        spec
        | {
            "serviceArn": service.arn,
            "serviceName": service.name,
            "clusterArn": service.cluster.arn,
            "status": service.status,
            "desiredCount": service.desired_count,
            "runningCount": _running(tasks),
            "pendingCount": _pending(tasks),
            "platformFamily": "Linux",
            "taskDefinition": service.primary.definition.arn,
            "deployments": [
                _deployment_to_aws(service, deployment, tasks)
                for deployment in service.deployments
                if service.status != "INACTIVE"
            ],
            "events": list(service.events),
            "createdAt": service.created_at,
            "createdBy": f"arn:aws:iam::{service.arn.split(':')[4]}:root",
            "roleArn": f"arn:aws:iam::{service.arn.split(':')[4]}:role/aws-service-role/ecs.amazonaws.com/"
            "AWSServiceRoleForECS",
            "tags": tags_to_aws(service.tags) if with_tags else None,
        }
    )


def _deployment_to_aws(service: Service, deployment: Deployment, tasks: list[Task]) -> JsonObject:
    own = [task for task in tasks if task.started_by == deployment.id]
    spec = service.spec
    return without_none(
        {
            "id": deployment.id,
            "status": deployment.status,
            "taskDefinition": deployment.definition.arn,
            "desiredCount": service.desired_count if deployment.status == "PRIMARY" else 0,
            "pendingCount": _pending(own),
            "runningCount": _running(own),
            "failedTasks": deployment.failed_tasks,
            "createdAt": deployment.created_at,
            "updatedAt": deployment.updated_at,
            "launchType": spec.get("launchType"),
            "capacityProviderStrategy": spec.get("capacityProviderStrategy"),
            "platformVersion": "1.4.0",
            "platformFamily": "Linux",
            "networkConfiguration": spec.get("networkConfiguration"),
            "rolloutState": deployment.rollout_state,
            "rolloutStateReason": deployment.rollout_reason,
        }
    )


def _running(tasks: list[Task]) -> int:
    return sum(1 for task in tasks if task.last_status == "RUNNING")


def _pending(tasks: list[Task]) -> int:
    return sum(1 for task in tasks if task.last_status in BEFORE_RUNNING)


OPERATIONS: dict[str, Any] = {
    "CreateService": create_service,
    "UpdateService": update_service,
    "DescribeServices": describe_services,
    "ListServices": list_services,
    "DeleteService": delete_service,
}
