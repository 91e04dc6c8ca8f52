"""Services."""

from __future__ import annotations

from typing import Any

from fargate_local import limits
from fargate_local.api.capacity_providers import capacity_of, check_fit, is_fargate
from fargate_local.api.context import Context, page
from fargate_local.api.fargate_rules import check_network
from fargate_local.api.idempotency import fingerprint
from fargate_local.api.tags import checked_tags
from fargate_local.api.tasks import task_tags
from fargate_local.definitions.network_rules import mapped_ports
from fargate_local.engine.scheduler import make_deployment
from fargate_local.errors import ApiError, invalid
from fargate_local.resources import BEFORE_RUNNING, Cluster, Deployment, Service, Task, TaskDefinition
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
    again = _created_before(cluster, request)
    if again is not None:
        return {"service": to_aws(again, with_tags=True)}
    if "taskDefinition" not in request:
        raise invalid("TaskDefinition can not be blank.")
    definition = ecs.runnable_definition(request["taskDefinition"])
    desired = _checked_desired(request.get("desiredCount", 0))
    launch_type, strategy = capacity_of(cluster, definition, request)
    fargate = is_fargate(launch_type, strategy)
    check_network(definition.document, request.get("networkConfiguration"), fargate=fargate)
    _check_deployment(request.get("deploymentConfiguration", {}))
    _check_grace(request)
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
    _created_before(cluster, request)
    cluster.services[name] = service
    if "clientToken" in request:
        cluster.service_tokens[request["clientToken"]] = (fingerprint(request), service)
    ecs.scheduler.kick(service)
    return {"service": to_aws(service, with_tags=True)}


def _created_before(cluster: Cluster, request: JsonObject) -> Service | None:
    """The service that an equal request with this client token has made; None when there was none.

    :raises ApiError: InvalidParameterException, the name or the token is taken by another request.
    """
    token, existing = request.get("clientToken"), cluster.services.get(request["serviceName"])
    if token is not None and not limits.SERVICE_CLIENT_TOKEN.fullmatch(token):
        raise invalid("clientToken must be 1 to 36 ASCII characters in the range 33-126.")
    used, made = cluster.service_tokens.get(token or "", (b"", None))
    if made is not None and made.status != "INACTIVE":
        if used == fingerprint(request):
            return made
        raise invalid("Creation of service was not idempotent.")
    if existing is not None and existing.status != "INACTIVE":
        raise invalid("Creation of service was not idempotent.")
    return None


def _check_deployment(configuration: JsonObject) -> None:
    """Check how many tasks may run during a deployment: AmazonECS/latest/APIReference/API_DeploymentConfiguration."""
    minimum, maximum = configuration.get("minimumHealthyPercent", 100), configuration.get("maximumPercent", 200)
    if not 0 <= minimum <= 100:
        raise invalid("minimumHealthyPercent must be at most 100, and at least 0.")
    if maximum < 100:
        raise invalid("maximumPercent must be at least 100.")
    if minimum == maximum == 100:
        raise invalid("Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block any deployment.")


def _check_grace(request: JsonObject) -> None:
    if request.get("healthCheckGracePeriodSeconds", 0) < 0:
        raise invalid("healthCheckGracePeriodSeconds must be 0 or more.")


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
    ports = [port for mapping in container["portMappings"] for port in mapped_ports(mapping)]
    if port not in ports:
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
    fargate = _checked_fit(cluster, service, definition, request)
    _check_grace(request)
    configuration = service.spec["deploymentConfiguration"] | request.get("deploymentConfiguration", {})
    _check_deployment(configuration)
    for balancer in request.get("loadBalancers", service.load_balancers if "taskDefinition" in request else []):
        _check_balancer(balancer, definition.containers)
        await ecs.scheduler.balancers.open(balancer["targetGroupArn"])
    if request.get("capacityProviderStrategy"):
        service.spec.pop("launchType", None)
    if not fargate:
        service.spec.pop("platformVersion", None)
    changed = {name: request[name] for name in KEPT if name in request}
    if not changed.get("capacityProviderStrategy"):
        changed.pop("capacityProviderStrategy", None)
    changed["deploymentConfiguration"] = configuration
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


def _checked_fit(cluster: Cluster, service: Service, definition: TaskDefinition, request: JsonObject) -> bool:
    """Whether an updated service runs on Fargate; what the request changes is checked to fit there.

    :raises ApiError: as capacity_of and check_network do.
    """
    fargate = _on_fargate(service)
    if request.get("capacityProviderStrategy"):
        fargate = is_fargate(*capacity_of(cluster, definition, request))
    elif {"taskDefinition", "platformVersion"} & set(request):
        check_fit(definition, request, cluster, service.spec.get("capacityProviderStrategy", []), fargate=fargate)
    if {"taskDefinition", "networkConfiguration", "capacityProviderStrategy"} & set(request):
        network = request.get("networkConfiguration", service.spec.get("networkConfiguration"))
        check_network(definition.document, network, fargate=fargate)
    return fargate


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
    arns = [service.arn for service in cluster.services.values() if _is_listed(service, request)]
    listed, token = page(arns, request, default_size=10)
    return without_none({"serviceArns": listed, "nextToken": token})


def _is_listed(service: Service, request: JsonObject) -> bool:
    """Whether ListServices' filters let an active service through. fargate_local has no services that ECS manages."""
    spec = service.spec
    kind = "FARGATE" if _on_fargate(service) else "EC2"
    return (
        service.status != "INACTIVE"
        and request.get("launchType", kind) == kind
        and request.get("schedulingStrategy", "REPLICA") == spec.get("schedulingStrategy", "REPLICA")
        and request.get("resourceManagementType", "CUSTOMER") == "CUSTOMER"
    )


def _on_fargate(service: Service) -> bool:
    return is_fargate(service.spec.get("launchType"), service.spec.get("capacityProviderStrategy", []))


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
    return without_none(
        service.spec
        | _platform(service, "LATEST")
        | {
            "serviceArn": service.arn,
            "serviceName": service.name,
            "clusterArn": service.cluster.arn,
            "status": service.status,
            "desiredCount": service.desired_count,
            "runningCount": _running(tasks),
            "pendingCount": _pending(tasks),
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
            **_platform(service, "1.4.0"),
            "networkConfiguration": spec.get("networkConfiguration"),
            "rolloutState": deployment.rollout_state,
            "rolloutStateReason": deployment.rollout_reason,
        }
    )


def _platform(service: Service, default: str) -> JsonObject:
    """The members that only services on Fargate have."""
    if not _on_fargate(service):
        return {}
    return {"platformVersion": service.spec.get("platformVersion", default), "platformFamily": "Linux"}


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
