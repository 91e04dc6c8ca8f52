"""The ECS API on the wire: inputs by botocore's model, answers that botocore parses whole, AWS's own error codes."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ListShape, ServiceModel, StructureShape

from fargate_local.api.dispatch import OPERATIONS

from .conftest import CLUSTER, NETWORK, Stack, task_definition, until

AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0"
INSTANCE = "<the instance that was made last>"


def raw(stack: Stack, operation: str, body: Any, authorization: str | None = AUTHORIZATION) -> httpx.Response:
    """A call without botocore's own checks before it."""
    headers = {"x-amz-target": f"AmazonEC2ContainerServiceV20141113.{operation}"}
    headers |= {"authorization": authorization} if authorization else {}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(stack.aws.endpoint_url, headers=headers, content=content, verify=False)


def error_of(stack: Stack, operation: str, request: dict[str, Any]) -> tuple[str, str]:
    """Code and message of the error that a call is answered."""
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in operation).lstrip("_")
    with pytest.raises(ClientError) as caught:
        getattr(stack.ecs, name)(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize(
    ("operation", "body", "code", "part"),
    [
        pytest.param("RunTask", {"cluster": CLUSTER}, "InvalidParameterException", '"taskDefinition"', id="missing"),
        pytest.param(
            "RunTask", {"taskDefinition": "a", "colour": "red"}, "InvalidParameterException", '"colour"', id="unknown"
        ),
        pytest.param(
            "RunTask", {"taskDefinition": "a", "count": "2"}, "InvalidParameterException", "count", id="wrong type"
        ),
        pytest.param(
            "RunTask", {"taskDefinition": "a", "launchType": "MOON"}, "InvalidParameterException", "launch", id="enum"
        ),
        pytest.param(
            "RunTask", {"taskDefinition": "a", "overrides": {"containerOverrides": [{"environment": [{"n": "A"}]}]}},
            "InvalidParameterException", '"n"', id="deep",
        ),
        pytest.param("RunTask", b"{no json", "SerializationException", "JSON", id="no json"),
        pytest.param("RunTask", b"[]", "SerializationException", "JSON", id="no object"),
        pytest.param("FlyTask", {}, "UnknownOperationException", "FlyTask", id="no such operation"),
        pytest.param("CreateTaskSet", {}, "UnsupportedFeatureException", "CreateTaskSet", id="not built"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_with_the_name_of_what_is_wrong(stack: Stack, operation, body, code, part):
    answer = raw(stack, operation, body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.json()["__type"] == code
    assert part in answer.json()["message"]


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        pytest.param(AUTHORIZATION.replace("local", "other"), "UnrecognizedClientException", id="another key"),
        pytest.param(None, "MissingAuthenticationTokenException", id="unsigned"),
    ],
)
def test_only_known_credentials_are_accepted(stack: Stack, authorization, code):
    answer = raw(stack, "ListClusters", {}, authorization)
    assert (answer.status_code, answer.json()["__type"]) == (400, code)


def test_other_services_refuse_unknown_credentials_in_their_own_way(stack: Stack):
    codes = {}
    for service, call in {"s3": "list_buckets", "sts": "get_caller_identity", "logs": "describe_log_groups"}.items():
        with pytest.raises(ClientError) as caught:
            getattr(stack.aws.client(service, aws_access_key_id="other"), call)()
        codes[service] = caught.value.response["Error"]["Code"]
    assert codes == {
        "s3": "InvalidAccessKeyId",
        "sts": "InvalidClientTokenId",
        "logs": "UnrecognizedClientException",
    }


def test_the_keys_of_an_assumed_role_are_accepted(stack: Stack):
    role = "arn:aws:iam::123456789012:role/airflow"
    keys = stack.aws.client("sts").assume_role(RoleArn=role, RoleSessionName="airflow")["Credentials"]
    ecs = stack.aws.client(
        "ecs",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    assert f"arn:aws:ecs:us-east-1:123456789012:cluster/{CLUSTER}" in ecs.list_clusters()["clusterArns"]


def test_every_answer_has_only_members_that_botocore_knows_and_is_parsed_whole(own_stack):
    """Every operation is called; each answer is held against the model member by member."""
    stack = own_stack()
    model = ServiceModel(Loader().load_service_model("ecs", "service-2"), "ecs")
    arn = stack.register("full", container={"command": ["sleep", "50"]}, tags=[{"key": "a", "value": "b"}])
    run = {"cluster": CLUSTER, "taskDefinition": "full", "launchType": "FARGATE", "networkConfiguration": NETWORK}
    task = stack.run(arn)["taskArn"]
    stack.until_status(task, "RUNNING")
    service = {"cluster": CLUSTER, "service": "one"}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("CreateCluster", {"clusterName": "more", "tags": [{"key": "a", "value": "b"}]}),
        ("PutClusterCapacityProviders", {"cluster": "more", "capacityProviders": ["FARGATE"],
                                         "defaultCapacityProviderStrategy": []}),
        ("DescribeClusters", {"clusters": ["more", "none"], "include": ["TAGS", "SETTINGS"]}),
        ("ListClusters", {}),
        ("CreateCapacityProvider", {"name": "batch", "tags": [{"key": "a", "value": "b"}], "autoScalingGroupProvider": {
            "autoScalingGroupArn": "batch", "managedScaling": {"status": "ENABLED", "targetCapacity": 80}}}),
        ("DescribeCapacityProviders", {"capacityProviders": ["FARGATE", "batch", "none"], "include": ["TAGS"]}),
        ("DeleteCapacityProvider", {"capacityProvider": "batch"}),
        ("RegisterContainerInstance", {"cluster": "more", "tags": [{"key": "a", "value": "b"}], "totalResources": [
            {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 512}]}),
        ("ListContainerInstances", {"cluster": "more"}),
        ("DescribeContainerInstances", {"cluster": "more", "containerInstances": [INSTANCE, "0" * 32],
                                        "include": ["TAGS"]}),
        ("DeregisterContainerInstance", {"cluster": "more", "containerInstance": INSTANCE}),
        ("DeleteCluster", {"cluster": "more"}),
        ("RegisterTaskDefinition", task_definition("full", tags=[{"key": "a", "value": "b"}])),
        ("DescribeTaskDefinition", {"taskDefinition": "full", "include": ["TAGS"]}),
        ("ListTaskDefinitions", {"familyPrefix": "full"}),
        ("ListTaskDefinitionFamilies", {}),
        ("RunTask", run),
        ("DescribeTasks", {"cluster": CLUSTER, "tasks": [task, "0" * 32], "include": ["TAGS"]}),
        ("ListTasks", {"cluster": CLUSTER}),
        ("UpdateTaskProtection", {"cluster": CLUSTER, "tasks": [task, "0" * 32], "protectionEnabled": True}),
        ("GetTaskProtection", {"cluster": CLUSTER, "tasks": [task]}),
        ("StopTask", {"cluster": CLUSTER, "task": task}),
        ("CreateService", {key: value for key, value in run.items()} | {"serviceName": "one", "desiredCount": 1}),
        ("UpdateService", service | {"desiredCount": 0, "forceNewDeployment": True}),
        ("DescribeServices", {"cluster": CLUSTER, "services": ["one", "none"], "include": ["TAGS"]}),
        ("ListServices", {"cluster": CLUSTER}),
        ("TagResource", {"resourceArn": task, "tags": [{"key": "c", "value": "d"}]}),
        ("ListTagsForResource", {"resourceArn": task}),
        ("UntagResource", {"resourceArn": task, "tagKeys": ["c"]}),
        ("DeleteService", service),
        ("DeregisterTaskDefinition", {"taskDefinition": "full:1"}),
    ]  # fmt: skip
    assert {operation for operation, _ in requests} == set(OPERATIONS)
    made = ""
    for operation, request in requests:
        filled = json.loads(json.dumps(request).replace(INSTANCE, made))
        answer = raw(stack, operation, filled)
        made = answer.json().get("containerInstance", {}).get("containerInstanceArn", made)
        assert answer.status_code == 200, answer.text
        _hold_against(answer.json(), model.operation_model(operation).output_shape, operation)
    parsed = stack.ecs.describe_tasks(cluster=CLUSTER, tasks=[task])["tasks"][0]
    assert parsed["createdAt"].timestamp() == pytest.approx(stack.aws.calls("RunTask")[0].at, abs=5)


def _hold_against(value: Any, shape: Any, path: str) -> None:
    if isinstance(shape, StructureShape):
        assert set(value) <= set(shape.members), path
        for name, member in value.items():
            _hold_against(member, shape.members[name], f"{path}.{name}")
    elif isinstance(shape, ListShape):
        for member in value:
            _hold_against(member, shape.member, path)
    elif shape.type_name == "timestamp":
        assert isinstance(value, float), path
    elif shape.type_name == "string":
        assert isinstance(value, str), path
        assert not shape.enum or value in shape.enum, path
    elif shape.type_name in {"integer", "long"}:
        assert type(value) is int, path


@pytest.mark.parametrize(
    ("operation", "request_", "code", "message"),
    [
        pytest.param("ListTasks", {"cluster": "none"}, "ClusterNotFoundException", "Cluster not found.", id="cluster"),
        pytest.param(
            "UpdateService", {"cluster": CLUSTER, "service": "none"}, "ServiceNotFoundException", "Service not found.",
            id="service",
        ),
        pytest.param(
            "StopTask", {"cluster": CLUSTER, "task": "0" * 32}, "InvalidParameterException",
            "The referenced task was not found.", id="task",
        ),
        pytest.param(
            "DescribeTaskDefinition", {"taskDefinition": "none"}, "ClientException",
            "Unable to describe task definition.", id="task definition",
        ),
        pytest.param(
            "RunTask", {"cluster": CLUSTER, "taskDefinition": "none:7"}, "ClientException", "TaskDefinition not found.",
            id="task definition to run",
        ),
        pytest.param(
            "DescribeTasks", {"cluster": CLUSTER, "tasks": ["0" * 32] * 101}, "InvalidParameterException",
            "Tasks can not have more than 100 elements.", id="101 tasks",
        ),
        pytest.param(
            "DescribeServices", {"cluster": CLUSTER, "services": ["a"] * 11}, "InvalidParameterException",
            "Services can not have more than 10 elements.", id="11 services",
        ),
    ],
)  # fmt: skip
def test_what_is_not_there_has_aws_own_error(stack: Stack, operation, request_, code, message):
    assert error_of(stack, operation, request_) == (code, message)


def test_a_region_or_account_of_someone_else_is_not_found(stack: Stack):
    other = f"arn:aws:ecs:eu-west-1:123456789012:cluster/{CLUSTER}"
    assert error_of(stack, "ListTasks", {"cluster": other})[0] == "ClusterNotFoundException"


def test_task_definitions_have_revisions(stack: Stack):
    first, second = stack.register("revised"), stack.register("revised")
    assert (first.rpartition(":")[2], second.rpartition(":")[2]) == ("1", "2")
    described = stack.ecs.describe_task_definition(taskDefinition="revised")["taskDefinition"]
    assert described["taskDefinitionArn"] == second
    stack.ecs.deregister_task_definition(taskDefinition=second)
    assert stack.ecs.describe_task_definition(taskDefinition="revised")["taskDefinition"]["revision"] == 1
    assert stack.ecs.list_task_definitions(familyPrefix="revised")["taskDefinitionArns"] == [first]
    inactive = {"cluster": CLUSTER, "taskDefinition": second, "launchType": "FARGATE", "networkConfiguration": NETWORK}
    assert error_of(stack, "RunTask", inactive) == ("ClientException", "TaskDefinition is inactive")


def test_a_cluster_in_use_is_not_deleted(stack: Stack):
    stack.ecs.create_cluster(clusterName="used")
    definition = stack.register(container={"command": ["sleep", "100"]})
    task = stack.run(definition, cluster="used")["taskArn"]
    assert error_of(stack, "DeleteCluster", {"cluster": "used"})[0] == "ClusterContainsTasksException"
    stack.ecs.stop_task(cluster="used", task=task)
    until(
        lambda: stack.ecs.describe_tasks(cluster="used", tasks=[task])["tasks"][0],
        lambda stopped: stopped["lastStatus"] == "STOPPED",
    )
    stack.ecs.delete_cluster(cluster="used")
    assert error_of(stack, "ListTasks", {"cluster": "used"})[0] == "ClusterNotFoundException"


async def test_an_async_client_works_too(stack: Stack):
    from aiobotocore.session import get_session

    definition = stack.register("from-async")
    async with get_session().create_client(
        "ecs", endpoint_url=stack.aws.endpoint_url, region_name="us-east-1",
        aws_access_key_id="local", aws_secret_access_key="local",
    ) as ecs:  # fmt: skip
        answer = await ecs.run_task(
            cluster=CLUSTER, taskDefinition=definition, launchType="FARGATE", networkConfiguration=NETWORK
        )
        described = await ecs.describe_tasks(cluster=CLUSTER, tasks=[answer["tasks"][0]["taskArn"]])
    assert described["tasks"][0]["taskDefinitionArn"] == definition
