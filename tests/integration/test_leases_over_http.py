"""Leases over HTTP, on services of a local Fargate: what the steps' tests show call by call, as operators do it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException
from operator_context import context

from ecs_feature.exceptions import LeaseError, ServiceNotFoundError
from ecs_feature.hooks.ecs import CLIENT_CONFIG
from ecs_feature.operators.service_scale import EcsServiceScaleOperator
from ecs_feature.services.client import EcsServices
from ecs_feature.services.leases import MAX_LEASES, SharingPolicy, leases_of
from fargate_local import LocalFargate, Settings

CLUSTER = "features"
POLICY = SharingPolicy()


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalFargate]:
    """One whose services never start a task: a desired count is all that these tests are about."""
    with LocalFargate(Settings(quotas=False, pace=1000.0)) as local:
        ecs = local.client("ecs")
        ecs.create_cluster(clusterName=CLUSTER)
        ecs.register_task_definition(
            family="encoder",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "encoder", "image": "encoder:1", "command": ["sleep", "60"]}],
        )
        yield local


@pytest.fixture
def name(aws: LocalFargate, request: pytest.FixtureRequest) -> str:
    """A service of the test's own, with a desired count of 0."""
    name = f"s{abs(hash(request.node.name))}"
    aws.client("ecs").create_service(
        cluster=CLUSTER,
        serviceName=name,
        taskDefinition="encoder",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    )
    return name


@pytest.fixture
def services(aws: LocalFargate) -> EcsServices:
    ecs, scaling = (aws.client(service, config=CLIENT_CONFIG) for service in ("ecs", "application-autoscaling"))
    return EcsServices(ecs, CLUSTER, autoscaling=scaling)


@pytest.fixture
def scaling(aws: LocalFargate, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers the service with Application Auto Scaling: MinCapacity 1, MaxCapacity 3."""
    from moto.applicationautoscaling.models import ApplicationAutoscalingBackend

    # moto looks for the service in its own ECS, which does not answer here.
    monkeypatch.setattr(ApplicationAutoscalingBackend, "_ecs_service_exists_for_target", lambda self, r_id: True)
    client = aws.client("application-autoscaling")
    client.register_scalable_target(
        ServiceNamespace="ecs",
        ResourceId=f"service/{CLUSTER}/{name}",
        ScalableDimension="ecs:service:DesiredCount",
        MinCapacity=1,
        MaxCapacity=3,
    )
    return client


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def acquire(services: EcsServices, name: str, holder: str, count: int = 1) -> int:
    return services.acquire(name, holder=holder, count=count, until=soon(), policy=POLICY)[1].desired


def test_48_runs_acquire_at_once_and_give_back_at_once(services: EcsServices, name: str) -> None:
    holders = [f"flights/run {number}/control" for number in range(MAX_LEASES)]
    with ThreadPoolExecutor(MAX_LEASES) as runs:
        list(runs.map(lambda holder: acquire(services, name, holder), holders))
        assert services.describe([name])[0].desired == MAX_LEASES
        with pytest.raises(LeaseError, match=rf"^Service '{name}' has 49 tags and ECS allows 50 "):
            acquire(services, name, "flights/one more/control")
        list(runs.map(lambda holder: services.release(name, holder=holder), holders))
    service = services.describe([name])[0]
    assert (service.desired, leases_of(service.tags)) == (0, {})


@pytest.mark.parametrize("operation", ["DescribeServices", "TagResource", "UpdateService"])
def test_an_acquire_survives_lost_answers(aws: LocalFargate, services: EcsServices, name: str, operation: str) -> None:
    aws.add_fault({"match": {"operation": operation}, "drop_answer": True, "times": 1})
    assert acquire(services, name, "a", 2) == 2
    assert len(leases_of(services.describe([name])[0].tags)) == 1


@pytest.mark.parametrize("operation", ["DescribeServices", "UntagResource", "UpdateService"])
def test_a_release_survives_lost_answers(aws: LocalFargate, services: EcsServices, name: str, operation: str) -> None:
    acquire(services, name, "a", 2)
    aws.add_fault({"match": {"operation": operation}, "drop_answer": True, "times": 1})
    held, service = services.release(name, holder="a")
    assert held is not None
    assert (held.holder, held.count, service.desired, leases_of(service.tags)) == ("a", 2, 0, {})


def test_a_run_that_died_is_settled_after_its_lease(services: EcsServices, name: str) -> None:
    acquire(services, name, "dead", 2)
    acquire(services, name, "alive", 1)
    _, service = services.acquire(name, holder="alive", count=1, until=soon() + timedelta(hours=2), policy=POLICY)
    assert service.desired == 3
    services.now = lambda: datetime.now(UTC) + timedelta(hours=1, minutes=2)
    assert services.settle(name).desired == 1


def test_a_deleted_service_is_named_in_the_error(aws: LocalFargate, services: EcsServices, name: str) -> None:
    acquire(services, name, "a", 1)
    aws.client("ecs").delete_service(cluster=CLUSTER, service=name, force=True)
    said = rf"^Service '{name}' does not exist in cluster 'features' or is not active; create it or correct"
    with pytest.raises(ServiceNotFoundError, match=said):
        services.release(name, holder="a")
    with pytest.raises(ServiceNotFoundError, match=r"^Service 'nobody' does not exist in cluster 'features' or is not"):
        acquire(services, "nobody", "a")


def test_a_service_that_is_deleted_between_reading_and_tagging_is_named_in_the_error(
    aws: LocalFargate, services: EcsServices, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = services.ecs.tag_resource

    def delete_and_tag(**arguments: Any) -> Any:
        services.ecs.delete_service(cluster=CLUSTER, service=name)
        return tag(**(arguments | {"resourceArn": arguments["resourceArn"] + "-gone"}))

    monkeypatch.setattr(services.ecs, "tag_resource", delete_and_tag)
    with pytest.raises(ServiceNotFoundError, match=rf"^Service '{name}' was deleted in the meantime; create it again"):
        acquire(services, name, "a")


def test_a_scalable_targets_minimum_is_moved_and_put_back_and_the_desired_count_left_alone(
    aws: LocalFargate, services: EcsServices, name: str, scaling: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def range_now() -> tuple[int, int]:
        (target,) = scaling.describe_scalable_targets(
            ServiceNamespace="ecs", ResourceIds=[f"service/{CLUSTER}/{name}"]
        )["ScalableTargets"]
        return target["MinCapacity"], target["MaxCapacity"]

    before, after = services.acquire(name, holder="a", count=2, until=soon(), policy=POLICY)
    assert (range_now(), before.minimum, after.minimum, after.desired) == ((2, 3), 0, 2, 0)
    assert dict(after.tags)["ecs-feature:policy"] == "baseline 1 cap 5000 sum MinCapacity"
    services.acquire(name, holder="b", count=2, until=soon(), policy=POLICY)
    assert range_now() == (3, 3)
    said = [record.getMessage() for record in caplog.records if record.name == "ecs_feature.services.client"]
    assert said == [f"Service {name}: its leases want 4 tasks, but the MaxCapacity of its scalable target allows 3."]
    services.release(name, holder="b")
    assert range_now() == (2, 3)
    services.release(name, holder="a")
    assert range_now() == (1, 3)
    assert not [call for call in aws.calls("UpdateService") if call.request["service"] == name]


def test_a_service_whose_size_cannot_be_read_does_not_keep_the_others_up(
    aws: LocalFargate, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in aws.environ.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("AIRFLOW__ECS_FEATURE__CREDENTIALS_TIMEOUT_SECONDS", "0")  # no wait for what may pass
    other = f"{name}-other"
    aws.client("ecs").create_service(
        cluster=CLUSTER,
        serviceName=other,
        taskDefinition="encoder",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    )
    leased: dict[str, Any] = {"cluster": CLUSTER, "services": {name: 1, other: 2}, "holder": "a/1", "aws_conn_id": None}
    EcsServiceScaleOperator(task_id="up", **leased).execute(context())
    aws.add_fault({"match": {"operation": "DescribeTaskDefinition"}, "error": "AccessDeniedException", "times": 1})
    down = EcsServiceScaleOperator(task_id="down", direction="down", **leased)
    with pytest.raises(AirflowException, match="DescribeTaskDefinition was denied"):
        down.execute(context())
    services = aws.client("ecs").describe_services(cluster=CLUSTER, services=[name, other])["services"]
    assert [service["desiredCount"] for service in services] == [0, 0]
