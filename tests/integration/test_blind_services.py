"""Tasks of a run that meet a time in which AWS cannot be asked: scaling, steady wait, register, publish."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from airflow.sdk.exceptions import AirflowException, TaskDeferred
from operator_context import context

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.outages import Outage
from ecs_feature.exceptions import AwsError
from ecs_feature.hooks import ecs as hooks
from ecs_feature.operators import patience
from ecs_feature.operators.publish import FeaturePublishOperator
from ecs_feature.operators.service_scale import EcsServiceScaleOperator
from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from ecs_feature.services.leases import leases_of
from ecs_feature.triggers import service as steady
from ecs_feature.triggers.service import EcsServiceSteadyTrigger
from fargate_local import LocalFargate, Settings

CLUSTER, SERVICE, BUCKET = "features", "encoder", "features"
AWS: dict[str, Any] = {"aws_conn_id": None}
BLIND: list[dict[str, Any]] = [
    {"error": "ExpiredTokenException", "message": "The security token included in the request is expired"},
    {"error": "AccessDeniedException"},
    {"error": "ServerException", "status": 500},
    {"answer": "<html>Sign in</html>", "media_type": "text/html"},
    {"answer": '{"services": [{}], "tasks": null}'},
    {"answer": "{}"},
    {"close": True},
    {"reset": True},
]
IDS = ["token", "access", "fault", "page", "wrong shape", "empty", "close", "reset"]


def each_way(first: str, *others: str) -> list[Any]:
    """Every way in which the first operation can fail, and of the others those that look most like an answer."""
    few = [(name, fault) for name, fault in zip(IDS, BLIND, strict=True) if name in ("page", "empty", "reset")]
    return [
        *(pytest.param(first, fault, id=f"{first}-{name}") for name, fault in zip(IDS, BLIND, strict=True)),
        *(pytest.param(other, fault, id=f"{other}-{name}") for other in others for name, fault in few),
    ]


@pytest.fixture(scope="module")
def local() -> Iterator[LocalFargate]:
    with LocalFargate(Settings(quotas=False, pace=0.001, runtime="simulated")) as aws:
        ecs = aws.client("ecs")
        ecs.create_cluster(clusterName=CLUSTER)
        ecs.register_task_definition(
            family=SERVICE,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": SERVICE, "image": "encoder:1", "portMappings": [{"containerPort": 8080}]}],
        )
        ecs.create_service(
            cluster=CLUSTER,
            serviceName=SERVICE,
            taskDefinition=SERVICE,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        )
        aws.client("s3").create_bucket(Bucket=BUCKET)
        yield aws


@pytest.fixture
def aws(local: LocalFargate, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalFargate]:
    for key, value in local.environ.items():
        monkeypatch.setenv(key, value)
    # Every failure costs up to 20 s of pauses otherwise, and new clients half a second.
    once = hooks.CLIENT_CONFIG.merge(hooks.DIRECT_CONFIG)
    clients = cache(lambda service: local.client(service, config=once))
    monkeypatch.setattr(AwsConnection, "client", lambda self, service: clients(service))
    monkeypatch.setattr(Outage, "longest_pause", lambda *_: 0.01)
    yield local
    httpx.delete(f"{local.endpoint_url}/_fargate_local/faults").raise_for_status()


def scale(direction: Any) -> EcsServiceScaleOperator:
    return EcsServiceScaleOperator(
        task_id=direction, direction=direction, cluster=CLUSTER, services={SERVICE: 2}, holder="d/r", **AWS
    )


def shown(aws: LocalFargate) -> tuple[int, int]:
    """The desired count and how many leases there are."""
    answer = aws.client("ecs").describe_services(cluster=CLUSTER, services=[SERVICE], include=["TAGS"])
    (service,) = answer["services"]
    return service["desiredCount"], len(leases_of([(tag["key"], tag["value"]) for tag in service["tags"]]))


@pytest.mark.parametrize(("operation", "fault"), each_way("DescribeServices", "TagResource", "UpdateService"))
def test_services_go_up_and_down_in_one_try_each(aws: LocalFargate, fault: dict[str, Any], operation: str) -> None:
    aws.add_fault({"match": {"operation": operation}, "times": 2, **fault})
    up = scale("up").execute(context())
    assert up is not None
    assert shown(aws) == (2, 1)
    other = {"TagResource": "UntagResource"}.get(operation, operation)
    aws.add_fault({"match": {"operation": other}, "times": 2, **fault})
    with pytest.raises(TaskDeferred) as deferred:
        scale("down").execute(context())
    assert shown(aws) == (0, 0)
    (held,) = deferred.value.trigger.result["held"]
    assert held["vcpu_seconds"] > 0  # also when the lease was gone at the second attempt


def test_access_that_stays_away_fails_the_try_in_one_sentence_when_the_time_is_over(
    aws: LocalFargate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ECS_FEATURE__CREDENTIALS_TIMEOUT_SECONDS", "0.2")
    aws.add_fault({"match": {"operation": "TagResource"}, "error": "AccessDeniedException", "message": "Not you."})
    with pytest.raises(AirflowException, match=r"^TagResource was denied for Service 'encoder' \(.*Not you\)"):
        scale("up").execute(context())
    assert shown(aws) == (0, 0)


def trigger(**changed: Any) -> EcsServiceSteadyTrigger:
    arguments: dict[str, Any] = {"cluster": CLUSTER, "services": [SERVICE], "aws": AWS, "timeout_seconds": 30}
    return EcsServiceSteadyTrigger(**arguments | {"poll_seconds": 0.02, "end_in_triggerer": False} | changed)


async def event(waiting: EcsServiceSteadyTrigger) -> dict[str, Any]:
    (found,) = [each async for each in waiting.run()]
    payload: dict[str, Any] = found.payload
    return payload


@pytest.mark.parametrize(
    ("operation", "fault"), each_way("DescribeServices", "DescribeTasks", "DescribeTaskDefinition")
)
async def test_the_steady_wait_outlives_it(aws: LocalFargate, fault: dict[str, Any], operation: str) -> None:
    scale("up").execute(context())
    aws.add_fault({"match": {"operation": operation}, "times": 3, **fault})
    assert (await event(trigger()))["state"] == "success"
    aws.add_fault({"match": {"operation": "DescribeServices"}, "times": 3, **fault})
    with pytest.raises(TaskDeferred):
        scale("down").execute(context())
    assert (await event(trigger(descending=True)))["result"]["services"][0]["running"] == 0


async def test_access_that_stays_away_ends_the_steady_wait_before_its_timeout(
    aws: LocalFargate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ECS_FEATURE__CREDENTIALS_TIMEOUT_SECONDS", "0.2")
    aws.add_fault({"match": {"operation": "DescribeServices"}, "error": "AccessDeniedException", "message": "Not you."})
    failed = await event(trigger())
    assert failed["state"] == "failed"
    assert "DescribeServices was denied" in failed["message"]


async def test_a_steady_wait_that_opens_no_client_waits_and_opens_them_anew(
    aws: LocalFargate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the role of the connection cannot be assumed."""
    waiting, opened = trigger(descending=True), []
    real = waiting._open_services

    def open_services() -> Any:
        opened.append(1)
        if len(opened) < 3:
            raise AwsError("AssumeRole was denied.", "AccessDenied")
        return real()

    monkeypatch.setattr(waiting, "_open_services", open_services)
    assert (await event(waiting))["state"] == "success"
    assert len(opened) == 3


@pytest.mark.parametrize("fault", BLIND, ids=IDS)
def test_a_task_definition_is_registered_in_one_try(aws: LocalFargate, tmp_path: Any, fault: dict[str, Any]) -> None:
    definition = {
        "family": "registered",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{"name": "features", "image": f"features:{abs(hash(str(fault)))}"}],
    }
    (tmp_path / "features.json").write_text(json.dumps(definition))
    aws.add_fault({"match": {"operation": "RegisterTaskDefinition"}, "times": 2, **fault})
    register = EcsTaskDefinitionOperator(task_id="register", path=tmp_path / "features.json", environment={}, **AWS)
    assert ":task-definition/registered:" in register.execute(context())


@pytest.mark.parametrize(("operation", "fault"), each_way("GetObject", "HeadObject", "PutObject"))
def test_a_result_is_published_in_one_try(aws: LocalFargate, fault: dict[str, Any], operation: str) -> None:
    """A page instead of a result file is not the fault of its shard; one instead of an answer is no success."""
    s3, run = aws.client("s3"), f"{IDS[BLIND.index(fault)]}-{operation}".replace(" ", "-")
    uri = f"s3://{BUCKET}/{run}/UA"
    file = {"uri": f"{uri}.parquet", "bytes": 1, "rows": 1, "sha256": "x"}
    result = json.dumps({"shard": "UA", "rows": 1, "files": [file]}).encode()
    s3.put_object(Bucket=BUCKET, Key=f"{run}/UA.parquet", Body=b"1")
    s3.put_object(Bucket=BUCKET, Key=f"{run}/UA.json", Body=result)
    record = {"shard": "UA", "outcome": "succeeded", "result_uri": f"{uri}.json", "launches": []}
    publish = FeaturePublishOperator(
        task_id="publish", shard_task_ids=["shard"], prefix=f"s3://{BUCKET}/{run}", about={}, shards=["UA"], **AWS
    )
    ti = SimpleNamespace(xcom_pull=lambda **_: [record])
    s3_fault = {**fault, "error": fault["error"].removesuffix("Exception")} if "error" in fault else fault
    aws.add_fault({"match": {"operation": operation, "service_api": "s3"}, "times": 2, **s3_fault})
    published = publish.execute({"ti": ti, "params": {}, "outlet_events": {}})
    assert (published["shards"], published["rows"]) == (["UA"], 1)
    stored = json.loads(s3.get_object(Bucket=BUCKET, Key=f"{run}/manifest/current.json")["Body"].read())
    assert stored["uri"] == published["manifest_uri"]


def test_all_of_these_wait_in_the_same_way() -> None:
    assert steady.patience_seconds is patience.patience_seconds
