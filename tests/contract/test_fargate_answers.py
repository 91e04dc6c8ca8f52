"""What ECS answers beside the happy path: filters, pages, tags by ARN, tokens, and members of one launch type only."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fargate_local import InstanceSpec

from .conftest import CLUSTER, NETWORK, Stack, task_definition
from .services import create

ACCOUNT = "arn:aws:ecs:us-east-1:123456789012"
INVALID = "InvalidParameterException"
PUBLIC = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}}


def error_of(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def on_instances(stack: Stack, name: str, **changed: Any) -> dict[str, Any]:
    """Make a service of launch type EC2."""
    definition = stack.register(name, networkMode="awsvpc", requiresCompatibilities=["EC2"], container={"memory": 64})
    request = {"serviceName": name, "taskDefinition": definition, "desiredCount": 0, "networkConfiguration": NETWORK}
    service: dict[str, Any] = stack.ecs.create_service(cluster=CLUSTER, **({"launchType": "EC2"} | request | changed))[
        "service"
    ]
    return service


@pytest.fixture(scope="module")
def mixed(stack: Stack) -> Stack:
    """A cluster with a service of each launch type, a capacity provider and a container instance."""
    create(stack, "on-fargate")
    on_instances(stack, "on-ec2")
    stack.ecs.create_capacity_provider(name="batch", autoScalingGroupProvider={"autoScalingGroupArn": "a"})
    resources = [
        {"name": name, "type": "INTEGER", "integerValue": value} for name, value in (("CPU", 1024), ("MEMORY", 512))
    ]
    stack.ecs.register_container_instance(cluster=CLUSTER, totalResources=resources)
    return stack


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, {"on-fargate", "on-ec2"}),
        ({"launchType": "FARGATE"}, {"on-fargate"}),
        ({"launchType": "EC2"}, {"on-ec2"}),
        ({"schedulingStrategy": "DAEMON"}, set()),
        ({"schedulingStrategy": "REPLICA", "launchType": "EC2"}, {"on-ec2"}),
        ({"resourceManagementType": "ECS"}, set()),
        ({"resourceManagementType": "CUSTOMER"}, {"on-fargate", "on-ec2"}),
    ],
)
def test_services_are_listed_by_filters(mixed: Stack, filters, names):
    listed = mixed.ecs.list_services(cluster=CLUSTER, **filters)["serviceArns"]
    assert {arn.rpartition("/")[2] for arn in listed} == names


@pytest.mark.parametrize("other", ["family", "serviceName", "containerInstance", "launchType"])
def test_tasks_are_not_listed_by_who_started_them_and_another_filter(mixed: Stack, other):
    value = {"launchType": "FARGATE", "serviceName": "on-fargate"}.get(other, "a")
    code, message = error_of(mixed.ecs.list_tasks, cluster=CLUSTER, startedBy="me", **{other: value})
    assert (code, other in message) == (INVALID, True)


def test_tasks_are_listed_by_who_started_them_and_their_desired_status(mixed: Stack):
    task = mixed.run(mixed.register(container={"command": ["sleep", "50"]}), startedBy="me")["taskArn"]
    listed = [
        mixed.ecs.list_tasks(cluster=CLUSTER, startedBy="me", desiredStatus=status)["taskArns"]
        for status in ("RUNNING", "STOPPED")
    ]
    mixed.ecs.stop_task(cluster=CLUSTER, task=task)
    assert listed == [[task], []]


LISTS = {
    "list_clusters": {},
    "list_services": {"cluster": CLUSTER},
    "list_tasks": {"cluster": CLUSTER},
    "list_container_instances": {"cluster": CLUSTER},
    "list_task_definitions": {},
    "list_task_definition_families": {},
    "describe_capacity_providers": {},
}


@pytest.mark.parametrize("operation", LISTS)
@pytest.mark.parametrize(
    "changed",
    [
        {"maxResults": 0},
        {"maxResults": 101},
        {"maxResults": -1},
        {"nextToken": "1"},
        {"nextToken": "-1"},
        {"nextToken": ""},
    ],
    ids=str,
)  # fmt: skip
def test_page_sizes_and_tokens_out_of_range_are_refused(mixed: Stack, operation, changed):
    assert error_of(getattr(mixed.ecs, operation), **LISTS[operation], **changed)[0] == INVALID


def test_pages_follow_each_other_by_tokens(mixed: Stack):
    for _ in range(3):
        mixed.register("paged")
    first = mixed.ecs.list_task_definitions(familyPrefix="paged", maxResults=2)
    second = mixed.ecs.list_task_definitions(familyPrefix="paged", maxResults=2, nextToken=first["nextToken"])
    revisions = [arn.rpartition(":")[2] for page in (first, second) for arn in page["taskDefinitionArns"]]
    assert (revisions, "nextToken" in second) == (["1", "2", "3"], False)


def instance_arn(stack: Stack) -> str:
    return str(stack.ecs.list_container_instances(cluster=CLUSTER)["containerInstanceArns"][0])


def test_capacity_providers_and_container_instances_have_tags(mixed: Stack):
    for arn in (f"{ACCOUNT}:capacity-provider/batch", instance_arn(mixed)):
        mixed.ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "b"}, {"key": "c", "value": "d"}])
        mixed.ecs.untag_resource(resourceArn=arn, tagKeys=["c"])
        assert mixed.ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "b"}]
    described = mixed.ecs.describe_capacity_providers(capacityProviders=["batch"], include=["TAGS"])
    assert described["capacityProviders"][0]["tags"] == [{"key": "a", "value": "b"}]


@pytest.mark.parametrize(
    ("arn", "code", "part"),
    [
        pytest.param(f"{ACCOUNT}:service/on-ec2", INVALID, "Long arn format must be used", id="short service"),
        pytest.param(f"{ACCOUNT}:task/{'0' * 32}", INVALID, "Long arn format must be used", id="short task"),
        pytest.param(
            f"arn:aws:ecs:eu-west-1:123456789012:service/{CLUSTER}/on-ec2", INVALID, "another account or Region",
            id="another Region",
        ),
        pytest.param(
            f"arn:aws:ecs:us-east-1:210987654321:cluster/{CLUSTER}", INVALID, "another account or Region",
            id="another account",
        ),
        pytest.param(
            "arn:aws:ecs:eu-west-1:1:task-definition/a:1", INVALID, "another account", id="foreign definition"
        ),
        pytest.param("arn:aws:s3:::bucket", INVALID, "not valid", id="another service"),
        pytest.param("on-ec2", INVALID, "not valid", id="no ARN"),
        pytest.param(f"{ACCOUNT}:service/{CLUSTER}/none", "ResourceNotFoundException", "not found", id="no service"),
        pytest.param(f"{ACCOUNT}:service/none/none", "ClusterNotFoundException", "not found", id="no cluster"),
        pytest.param(f"{ACCOUNT}:capacity-provider/none", "ResourceNotFoundException", "not found", id="no provider"),
        pytest.param(f"{ACCOUNT}:container-instance/{CLUSTER}/a", "ResourceNotFoundException", "", id="no instance"),
    ],
)  # fmt: skip
def test_only_the_own_resources_have_tags_by_their_long_arn(mixed: Stack, arn, code, part):
    found, message = error_of(mixed.ecs.list_tags_for_resource, resourceArn=arn)
    assert (found, part in message) == (code, True), message


def test_capacity_providers_are_described_by_cluster_and_by_their_own_arn(mixed: Stack):
    def names(**request: Any) -> list[str]:
        return [each["name"] for each in mixed.ecs.describe_capacity_providers(**request)["capacityProviders"]]

    assert names(cluster=CLUSTER) == ["FARGATE", "FARGATE_SPOT"]
    foreign = "arn:aws:ecs:eu-west-1:123456789012:capacity-provider/batch"
    described = mixed.ecs.describe_capacity_providers(capacityProviders=["batch", foreign])
    assert [each["name"] for each in described["capacityProviders"]] == ["batch"]
    assert described["failures"] == [{"arn": foreign, "reason": "MISSING"}]


def test_an_attachment_has_its_interface_and_mac_address_once_it_is_there(stack: Stack):
    task = stack.run(stack.register(container={"command": ["sleep", "50"]}))
    running = stack.until_status(task["taskArn"], "RUNNING")
    details = {each["name"]: each["value"] for each in running["attachments"][0]["details"]}
    stack.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
    assert [each["name"] for each in task["attachments"][0]["details"]] == ["subnetId", "privateIPv4Address"]
    assert re.fullmatch("eni-[0-9a-f]{17}", details["networkInterfaceId"])
    assert re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", details["macAddress"])


def test_a_service_is_made_once_for_a_client_token(stack: Stack):
    first = create(stack, "once", clientToken="token-1")
    again = {"cluster": CLUSTER, "serviceName": "once", "taskDefinition": first["taskDefinition"], "desiredCount": 0}
    again |= {"launchType": "FARGATE", "networkConfiguration": NETWORK, "clientToken": "token-1"}
    assert stack.ecs.create_service(**again)["service"]["serviceArn"] == first["serviceArn"]
    for changed in ({"desiredCount": 1}, {"clientToken": "token-2"}, {"serviceName": "twice"}):
        code, message = error_of(stack.ecs.create_service, **(again | changed))
        assert (code, message) == (INVALID, "Creation of service was not idempotent.")
    assert error_of(stack.ecs.create_service, **(again | {"clientToken": "a" * 37}))[0] == INVALID


def test_families_are_listed_with_and_without_active_revisions(stack: Stack):
    stack.register("family-active")
    gone = stack.register("family-gone")
    stack.ecs.deregister_task_definition(taskDefinition=gone)

    def families(**request: Any) -> list[str]:
        listed: list[str] = stack.ecs.list_task_definition_families(familyPrefix="family-", **request)["families"]
        return listed

    assert families() == families(status="ALL") == ["family-active", "family-gone"]
    assert (families(status="ACTIVE"), families(status="INACTIVE")) == (["family-active"], ["family-gone"])
    assert error_of(stack.ecs.describe_task_definition, taskDefinition="family-gone")[0] == "ClientException"
    assert stack.register("family-gone").endswith(":2")


def test_a_service_on_instances_has_no_member_of_fargate(mixed: Stack):
    (fargate, instances) = (mixed.service(name) for name in ("on-fargate", "on-ec2"))
    assert (fargate["platformVersion"], fargate["deployments"][0]["platformFamily"]) == ("LATEST", "Linux")
    assert not {"platformVersion", "platformFamily"} & ({*instances} | {*instances["deployments"][0]})


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"platformVersion": "1.4.0"}, "The platform version must be null"),
        ({"networkConfiguration": PUBLIC}, "Assign public IP is not supported for this launch type."),
    ],
)
def test_fargates_members_are_refused_for_instances(mixed: Stack, changed, part):
    with pytest.raises(ClientError, match=part):
        on_instances(mixed, "refused", **changed)
    if "platformVersion" in changed:
        with pytest.raises(ClientError, match=part):
            mixed.ecs.update_service(cluster=CLUSTER, service="on-ec2", **changed)


@pytest.mark.parametrize(
    ("configuration", "part"),
    [
        ({"minimumHealthyPercent": 101}, "minimumHealthyPercent must be at most 100"),
        ({"maximumPercent": 99}, "maximumPercent must be at least 100"),
        ({"minimumHealthyPercent": 100, "maximumPercent": 100}, "cannot be 100 as this will block any deployment"),
    ],
)
def test_a_deployment_that_cannot_move_is_refused(mixed: Stack, configuration, part):
    with pytest.raises(ClientError, match=part):
        create(mixed, "stuck", deploymentConfiguration=configuration)
    with pytest.raises(ClientError, match=part):
        mixed.ecs.update_service(cluster=CLUSTER, service="on-fargate", deploymentConfiguration=configuration)


@pytest.mark.parametrize(
    ("strategy", "part"),
    [
        ([{"capacityProvider": "FARGATE", "weight": 1001}], "A weight must be between 0 and 1000"),
        ([{"capacityProvider": "FARGATE", "weight": 1, "base": 100001}], "a base between 0 and 100000"),
        ([{"capacityProvider": "FARGATE", "weight": 1}] * 2, "each provider once"),
    ],
)
def test_a_strategy_out_of_range_is_refused(stack: Stack, strategy, part):
    request = {"cluster": CLUSTER, "taskDefinition": stack.register(), "networkConfiguration": NETWORK}
    code, message = error_of(stack.ecs.run_task, **request, capacityProviderStrategy=strategy)
    assert (code, part in message) == (INVALID, True), message


def test_a_platform_version_that_there_is_not_has_an_error_of_its_own(stack: Stack):
    request = {"cluster": CLUSTER, "taskDefinition": stack.register(), "launchType": "FARGATE"}
    request |= {"networkConfiguration": NETWORK, "platformVersion": "2.0.0"}
    assert error_of(stack.ecs.run_task, **request)[0] == "PlatformUnknownException"


def test_a_group_of_services_is_not_for_tasks(stack: Stack):
    request = {"cluster": CLUSTER, "taskDefinition": stack.register(), "launchType": "FARGATE", "group": "service:web"}
    code, message = error_of(stack.ecs.run_task, **request, networkConfiguration=NETWORK)
    assert (code, message.startswith("Invalid namespace for group")) == (INVALID, True)


def test_null_members_are_taken_as_not_given(stack: Stack):
    from .test_fargate_wire import raw

    definition = task_definition("nulls", ipcMode=None, container={"privileged": None, "dependsOn": None})
    answer = raw(stack, "RegisterTaskDefinition", definition)
    assert (answer.status_code, "ipcMode" in answer.json().get("taskDefinition", {})) == (200, False), answer.text


def test_a_range_of_ports_is_registered_and_bound(own_stack):
    stack = own_stack(instances={CLUSTER: [InstanceSpec(2, 2048)]}, runtime="simulated")
    mappings = [{"containerPortRange": "8080-8090", "protocol": "udp"}, {"containerPort": 80}]
    container = {"memory": 64, "portMappings": mappings}
    definition = stack.register("ports", networkMode="bridge", requiresCompatibilities=[], container=container)
    task = stack.ecs.run_task(cluster=CLUSTER, taskDefinition=definition, launchType="EC2")["tasks"][0]
    running = stack.until_status(task["taskArn"], "RUNNING")
    bound = running["containers"][0]["networkBindings"]
    assert [(each.get("containerPort"), each.get("containerPortRange")) for each in bound] == [
        (80, None), (None, "8080-8090"),
    ]  # fmt: skip


def test_no_instance_has_gpus(own_stack):
    stack = own_stack(instances={CLUSTER: [InstanceSpec(2, 2048)]}, runtime="simulated")
    container = {"memory": 64, "resourceRequirements": [{"type": "GPU", "value": "1"}]}
    definition = stack.register("gpu", networkMode="bridge", requiresCompatibilities=[], container=container)
    answer = stack.ecs.run_task(cluster=CLUSTER, taskDefinition=definition, launchType="EC2")
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:GPU"]
