"""Nothing is dropped in silence: every member of a request is simulated, refused, or named as without effect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

import fargate_local
from fargate_local.api.dispatch import OPERATIONS
from fargate_local.api.unsupported import UNSUPPORTED, WITHOUT_EFFECT, Unsupported, as_markdown, check_support
from fargate_local.errors import ApiError

from .conftest import CLUSTER, NETWORK, Stack

MODEL = ServiceModel(Loader().load_service_model("ecs", "service-2"), "ecs")

# Members of requests that a call looks at, by their beginnings.
SIMULATED: dict[str, tuple[str, ...]] = {
    "CreateCapacityProvider": ("name", "cluster", "autoScalingGroupProvider", "managedInstancesProvider", "tags"),
    "DescribeCapacityProviders": ("capacityProviders", "cluster", "include", "maxResults", "nextToken"),
    "DeleteCapacityProvider": ("capacityProvider",),
    "CreateCluster": (
        "clusterName", "tags", "settings", "configuration", "capacityProviders", "defaultCapacityProviderStrategy",
    ),
    "DescribeClusters": ("clusters", "include"),
    "ListClusters": ("nextToken", "maxResults"),
    "DeleteCluster": ("cluster",),
    "PutClusterCapacityProviders": ("cluster", "capacityProviders", "defaultCapacityProviderStrategy"),
    "DescribeTaskDefinition": ("taskDefinition", "include"),
    "ListTaskDefinitions": ("familyPrefix", "status", "sort", "nextToken", "maxResults"),
    "ListTaskDefinitionFamilies": ("familyPrefix", "status", "nextToken", "maxResults"),
    "DeregisterTaskDefinition": ("taskDefinition",),
    "RegisterTaskDefinition": (
        "family", "networkMode", "volumes", "requiresCompatibilities", "cpu", "memory", "tags", "ephemeralStorage",
        "placementConstraints", "inferenceAccelerators", "taskRoleArn",
        *(
            f"containerDefinitions[].{name}"
            for name in (
                "name", "image", "cpu", "memory", "memoryReservation", "portMappings", "essential", "restartPolicy",
                "entryPoint", "command", "environment", "environmentFiles", "mountPoints", "secrets", "dependsOn",
                "startTimeout", "stopTimeout", "workingDirectory", "logConfiguration", "healthCheck",
                "resourceRequirements",
            )
        ),
    ),
    "RegisterContainerInstance": ("cluster", "totalResources", "attributes", "tags"),
    "ListContainerInstances": ("cluster", "nextToken", "maxResults", "status"),
    "DescribeContainerInstances": ("cluster", "containerInstances", "include"),
    "DeregisterContainerInstance": ("cluster", "containerInstance", "force"),
    "CreateService": (
        "cluster", "serviceName", "taskDefinition", "loadBalancers", "desiredCount", "clientToken", "launchType",
        "capacityProviderStrategy", "platformVersion", "deploymentConfiguration", "networkConfiguration",
        "healthCheckGracePeriodSeconds", "schedulingStrategy", "deploymentController", "tags", "enableECSManagedTags",
        "propagateTags", "enableExecuteCommand",
    ),
    "UpdateService": (
        "cluster", "service", "taskDefinition", "loadBalancers", "desiredCount", "capacityProviderStrategy",
        "platformVersion", "deploymentConfiguration", "networkConfiguration", "healthCheckGracePeriodSeconds",
        "deploymentController", "enableECSManagedTags", "propagateTags", "enableExecuteCommand", "forceNewDeployment",
    ),
    "DescribeServices": ("cluster", "services", "include"),
    "ListServices": (
        "cluster", "nextToken", "maxResults", "launchType", "schedulingStrategy", "resourceManagementType",
    ),
    "DeleteService": ("cluster", "service", "force"),
    "TagResource": ("resourceArn", "tags"),
    "UntagResource": ("resourceArn", "tagKeys"),
    "ListTagsForResource": ("resourceArn",),
    "RunTask": (
        "capacityProviderStrategy", "cluster", "count", "enableECSManagedTags", "enableExecuteCommand", "group",
        "launchType", "networkConfiguration", "overrides", "platformVersion", "propagateTags", "startedBy", "tags",
        "taskDefinition", "volumeConfigurations", "clientToken",
    ),
    "DescribeTasks": ("cluster", "tasks", "include"),
    "ListTasks": (
        "cluster", "containerInstance", "family", "nextToken", "maxResults", "startedBy", "serviceName",
        "desiredStatus", "launchType",
    ),
    "StopTask": ("cluster", "task", "reason"),
    "UpdateTaskProtection": ("cluster", "tasks", "protectionEnabled", "expiresInMinutes"),
    "GetTaskProtection": ("cluster", "tasks"),
}  # fmt: skip


def leaves(shape: Shape, path: str = "") -> Iterator[str]:
    """The members of a request that have no members of their own."""
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            yield from leaves(member, f"{path}.{name}" if path else name)
    elif isinstance(shape, ListShape):
        yield from leaves(shape.member, f"{path}[]")
    elif isinstance(shape, MapShape):
        yield path
    else:
        yield path


def covers(beginning: str, path: str) -> bool:
    return path == beginning or path.startswith((f"{beginning}.", f"{beginning}[]"))


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_member_of_a_request_is_simulated_refused_or_named_as_without_effect(operation):
    known = [*SIMULATED[operation], *WITHOUT_EFFECT.get(operation, ())]
    known += [row.path.removesuffix(".enabled") for row in UNSUPPORTED if operation in row.operations]
    paths = list(leaves(MODEL.operation_model(operation).input_shape))
    assert [path for path in paths if not any(covers(beginning, path) for beginning in known)] == []
    assert [beginning for beginning in known if not any(covers(beginning, path) for path in paths)] == []


def asking(row: Unsupported, operation: str) -> dict[str, Any]:
    """A request with the member that a row refuses."""

    def build(shape: Shape, names: list[str]) -> Any:
        if isinstance(shape, ListShape):
            return [build(shape.member, names)]
        if names:
            member = shape.members[names[0].removesuffix("[]")]
            return {names[0].removesuffix("[]"): build(member, names[1:])}
        if isinstance(shape, StructureShape):
            name, member = next(iter(shape.members.items()))
            return {name: build(member, [])}
        if row.values:
            return row.values[0]
        return {"boolean": True, "integer": 1}.get(
            shape.type_name, shape.enum[0] if shape.type_name == "string" and shape.enum else "a"
        )

    request: dict[str, Any] = build(MODEL.operation_model(operation).input_shape, row.path.split("."))
    return request


ROWS = [
    pytest.param(row, operation, id=f"{operation} {row.path}") for row in UNSUPPORTED for operation in row.operations
]


@pytest.mark.parametrize(("row", "operation"), ROWS)
def test_what_is_not_simulated_is_refused_by_its_name(row, operation):
    request = asking(row, operation)
    with pytest.raises(ApiError, match=row.feature) as caught:
        check_support(operation, request)
    assert caught.value.code == "UnsupportedFeatureException"
    check_support(operation, {})


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"deploymentController": {"type": "CODE_DEPLOY"}}, id="CODE_DEPLOY"),
        pytest.param({"deploymentController": {"type": "EXTERNAL"}}, id="EXTERNAL"),
        pytest.param({"schedulingStrategy": "DAEMON"}, id="DAEMON"),
        pytest.param({"serviceConnectConfiguration": {"enabled": True}}, id="Service Connect"),
        pytest.param(
            {"volumeConfigurations": [{"name": "a", "managedEBSVolume": {"roleArn": "r", "sizeInGiB": 1}}]},
            id="volumes",
        ),
    ],
)
def test_a_service_that_is_not_simulated_is_not_made(stack: Stack, changed):
    request = {"cluster": CLUSTER, "serviceName": "odd", "taskDefinition": stack.register(), "desiredCount": 0}
    with pytest.raises(ClientError) as caught:
        stack.ecs.create_service(**request, launchType="FARGATE", networkConfiguration=NETWORK, **changed)
    assert caught.value.response["Error"]["Code"] == "UnsupportedFeatureException"
    assert stack.ecs.describe_services(cluster=CLUSTER, services=["odd"])["services"] == []


def test_what_says_no_is_no_request_for_a_feature(stack: Stack):
    stack.ecs.create_service(
        cluster=CLUSTER, serviceName="plain", taskDefinition=stack.register(), desiredCount=0, launchType="FARGATE",
        networkConfiguration=NETWORK, serviceConnectConfiguration={"enabled": False}, schedulingStrategy="REPLICA",
        deploymentController={"type": "ECS"}, placementConstraints=[], serviceRegistries=[],
    )  # fmt: skip


def test_the_readme_lists_what_is_refused_and_what_has_no_effect():
    readme = Path(fargate_local.__file__).with_name("README.md").read_text()
    assert as_markdown() in readme, "python -m fargate_local.api.unsupported prints the part of the README"
