"""Runs on services that something else writes to, or that nobody may scale, as the operators meet them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from operator_context import context

from ecs_feature.aws.resources import EcsService
from ecs_feature.operators.plan import FeaturePlanOperator
from ecs_feature.operators.service_scale import EcsServiceScaleOperator
from ecs_feature.services.client import EcsServices
from ecs_feature.services.leases import SharingPolicy
from ecs_feature.triggers.service import EcsServiceSteadyTrigger
from fargate_local import LocalFargate, Settings

CLUSTER = "features"
AWS: dict[str, Any] = {"aws_conn_id": None}


@pytest.fixture(scope="module")
def local() -> Iterator[LocalFargate]:
    """One whose services never start a task: a desired count is all that these tests are about."""
    with LocalFargate(Settings(quotas=False, pace=1000.0)) as aws:
        aws.client("ecs").create_cluster(clusterName=CLUSTER)
        aws.client("ecs").register_task_definition(
            family="encoder",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "encoder", "image": "encoder:1"}],
        )
        yield aws


@pytest.fixture
def aws(local: LocalFargate, monkeypatch: pytest.MonkeyPatch) -> LocalFargate:
    for key, value in local.environ.items():
        monkeypatch.setenv(key, value)
    return local


@pytest.fixture
def create(aws: LocalFargate, request: pytest.FixtureRequest) -> Any:
    """Creates a service of the test's own; returns its name."""

    def make(suffix: str = "", **more: Any) -> str:
        name = f"s{abs(hash(request.node.name))}{suffix}"
        aws.client("ecs").create_service(
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition="encoder",
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            **more,
        )
        return name

    return make


def shown(aws: LocalFargate, name: str) -> tuple[int, list[str]]:
    """The desired count and the keys of the tags."""
    answer = aws.client("ecs").describe_services(cluster=CLUSTER, services=[name], include=["TAGS"])
    (service,) = answer["services"]
    return service["desiredCount"], [tag["key"] for tag in service["tags"]]


def meddle(aws: LocalFargate, name: str) -> None:
    """A ``terraform apply``: tags that it did not declare are removed."""
    ecs = aws.client("ecs")
    (service,) = ecs.describe_services(cluster=CLUSTER, services=[name])["services"]
    ecs.untag_resource(resourceArn=service["serviceArn"], tagKeys=shown(aws, name)[1])


def scale(direction: Any, *names: str, **more: Any) -> EcsServiceScaleOperator:
    services = dict.fromkeys(names, 2)
    return EcsServiceScaleOperator(
        task_id=direction, direction=direction, cluster=CLUSTER, services=services, holder="d/r", **AWS, **more
    )


@pytest.mark.parametrize("baseline", [0, 1])
def test_scale_down_ends_at_the_baseline_when_terraform_has_removed_the_tags(
    aws: LocalFargate, create: Any, baseline: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Case 01: it was left at 2 for ever, with a receipt that says 0-2-2 of a successful run."""
    name = create()
    policies = {name: SharingPolicy(baseline=baseline)}
    scale("up", name, policies=policies).execute(context())
    assert shown(aws, name)[0] == 2
    meddle(aws, name)
    with pytest.raises(TaskDeferred) as deferred:
        scale("down", name, policies=policies).execute(context())
    assert shown(aws, name) == (baseline, [])
    said = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert [text for text in said if name in text] == [
        f"Service {name}: something else has removed its tags and the leases in them; by what the run itself knows its "
        f"count is {baseline} now. Let your Terraform or CDK ignore tags and desired count, see docs/aws.md."
    ]
    # The count is reset while it waits for the tasks to be gone.
    aws.client("ecs").update_service(cluster=CLUSTER, service=name, desiredCount=2)
    trigger = EcsServiceSteadyTrigger(**deferred.value.trigger.serialize()[1])
    (service, _), *_ = trigger._read(trigger._open_services())
    assert service.desired == baseline


@pytest.mark.parametrize("leased", [True, False])
def test_scale_down_leaves_a_service_alone_that_its_scale_up_has_not_leased(
    aws: LocalFargate, create: Any, leased: bool
) -> None:
    name = create(desiredCount=5)
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        up, down = scale("up", name), scale("down", name)
        up >> down.as_teardown(setups=up)
    row = {"name": name, "before": 5, "desired": 2, "policy": "baseline 1 cap 9 sum"}
    left = {"services": [row]} if leased else None
    ti = SimpleNamespace(xcom_pull=lambda task_ids: [left] if task_ids == ["up"] else None)
    with pytest.raises(TaskDeferred):
        down.execute({**context(), "ti": ti})
    assert shown(aws, name)[0] == (1 if leased else 5)


@pytest.mark.parametrize(
    ("lost", "again", "hours"), [(True, False, 1), (True, True, 1), (False, True, 1), (False, False, 0)]
)
def test_a_service_is_charged_from_the_scale_up_on_whatever_became_of_its_lease(
    aws: LocalFargate, create: Any, lost: bool, again: bool, hours: int
) -> None:
    """``lost``: its tags were removed; ``again``: the run's lease is there, with a later start. Else: released."""
    name = create()
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        up, down = scale("up", name), scale("down", name)
        up >> down.as_teardown(setups=up)
    (row,) = up.execute(context())["services"]  # type: ignore[index]
    assert abs(datetime.fromisoformat(row["since"]) - datetime.now(UTC)) < timedelta(minutes=1)
    row["since"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    services = EcsServices(aws.client("ecs"), CLUSTER)
    if lost:
        meddle(aws, name)
    if again:
        until = datetime.now(UTC) + timedelta(hours=1)
        services.hold(name, holder="d/r", count=2, until=until, policy=SharingPolicy())
    elif not lost:
        services.release(name, holder="d/r")
    ti = SimpleNamespace(xcom_pull=lambda task_ids: [{"services": [row]}])
    with pytest.raises(TaskDeferred) as deferred:
        down.execute({**context(), "ti": ti})
    (held,) = deferred.value.trigger.result["held"]
    assert held["seconds"] == pytest.approx(3600.0 * hours, abs=60)
    assert held["vcpu_seconds"] == pytest.approx(0.25 * 2 * 3600.0 * hours, rel=0.02)


def test_a_service_that_cannot_be_leased_is_refused_before_anything_is_written(
    aws: LocalFargate, create: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 13: the tags were written first, and the janitor failed on them from then on."""
    good, daemon = create(), create("d", desiredCount=3)
    as_shown = EcsService.from_aws

    def as_daemon(raw: dict[str, Any]) -> EcsService:
        """fargate_local has no DAEMON services."""
        return as_shown(raw | ({"schedulingStrategy": "DAEMON"} if raw["serviceName"] == daemon else {}))

    monkeypatch.setattr(EcsService, "from_aws", as_daemon)
    said = f"^services: '{daemon}' has the scheduling strategy DAEMON"
    plan = FeaturePlanOperator(
        task_id="plan",
        cluster=CLUSTER,
        shards=["UA"],
        first_tasks={"control": "up"},
        services={"control": [daemon]},
        **AWS,
    )
    with pytest.raises(AirflowFailException, match=said):
        plan.execute(context())
    with pytest.raises(AirflowFailException, match=said):
        scale("up", good, daemon).execute(context())
    assert (shown(aws, good), shown(aws, daemon)) == ((0, []), (3, []))
    with pytest.raises(TaskDeferred):
        scale("down", good, daemon).execute(context())
    assert shown(aws, daemon) == (3, [])


@pytest.mark.parametrize("held_before", [True, False])
def test_a_scale_up_whose_second_service_fails_gives_back_what_it_leased_itself(
    aws: LocalFargate, create: Any, held_before: bool
) -> None:
    """As the operator's docstring shows it, no scale-down follows a scale-up that failed."""
    first, second = create(), create("b", tags=[{"key": f"team{number}", "value": "x"} for number in range(50)])
    if held_before:
        scale("up", first).execute(context())
    with pytest.raises(AirflowException, match=f"Service '{second}' has 50 tags"):
        scale("up", first, second).execute(context())
    assert shown(aws, first)[0] == (2 if held_before else 0)
    assert shown(aws, second)[0] == 0


async def _event(trigger: EcsServiceSteadyTrigger) -> dict[str, Any]:
    (event,) = [event async for event in trigger.run()]
    payload: dict[str, Any] = event.payload
    return payload


def _described(**changes: Any) -> dict[str, Any]:
    service = {
        "serviceName": "encoder",
        "serviceArn": "arn:aws:ecs:eu-west-1:123456789012:service/features/encoder",
        "status": "ACTIVE",
        "desiredCount": 2,
        "runningCount": 2,
        "pendingCount": 0,
        "taskDefinition": "encoder",
        "deployments": [{"status": "PRIMARY"}],
    }
    return service | changes


class _Ecs:
    """DescribeServices as a case shows it."""

    def __init__(self, service: dict[str, Any]) -> None:
        self.service, self.looks = service, 0

    def describe_services(self, **_: Any) -> dict[str, Any]:
        self.looks += 1
        return {"services": [self.service]}

    def describe_task_definition(self, **_: Any) -> dict[str, Any]:
        return {"taskDefinition": {"containerDefinitions": []}}

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [{"taskArns": ["t1", "t2"]}])

    def describe_tasks(self, **_: Any) -> dict[str, Any]:
        return {"tasks": [{"taskArn": arn, "lastStatus": "RUNNING"} for arn in ("t1", "t2")]}


def _steady(ecs: _Ecs, monkeypatch: pytest.MonkeyPatch, **more: Any) -> EcsServiceSteadyTrigger:
    arguments: dict[str, Any] = {"cluster": CLUSTER, "services": ["encoder"], "aws": AWS, "timeout_seconds": 60}
    trigger = EcsServiceSteadyTrigger(**arguments | {"poll_seconds": 0.01, "end_in_triggerer": False} | more)
    monkeypatch.setattr(trigger, "_open_services", lambda: EcsServices(ecs, CLUSTER))
    return trigger


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
async def test_a_service_with_a_steady_task_set_is_steady(controller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 05: it has no deployments, and was waited for until the timeout."""
    task_set = {
        "id": "ecs-svc/1",
        "status": "PRIMARY",
        "stabilityStatus": "STEADY_STATE",
        "computedDesiredCount": 2,
        "runningCount": 2,
    }
    service = _described(deploymentController={"type": controller}, deployments=[], taskSets=[task_set])
    payload = await _event(_steady(_Ecs(service), monkeypatch))
    (row,) = payload["result"]["services"]
    assert (payload["state"], row["name"], row["running"], row["peak"]) == ("success", "encoder", 2, 2)


async def test_a_failed_deployment_ends_the_wait_at_once_with_ecss_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 25: it was waited for until the timeout, and the reason was not told."""
    reason = "ECS deployment circuit breaker: tasks failed to start."
    failed = {"status": "PRIMARY", "rolloutState": "FAILED", "rolloutStateReason": reason}
    ecs = _Ecs(_described(runningCount=0, deployments=[failed]))
    payload = await _event(_steady(ecs, monkeypatch))
    assert payload == {
        "state": "failed",
        "message": f"Service encoder: its deployment has failed, so it will not become steady: {reason} Deploy a "
        "version that starts, then clear this task.",
    }
    assert ecs.looks == 1


async def test_a_look_without_an_answer_does_not_count_as_the_first_of_the_two(monkeypatch: pytest.MonkeyPatch) -> None:
    ecs = _Ecs(_described())
    trigger = _steady(ecs, monkeypatch)
    read, looks = trigger._read, []

    def look(services: EcsServices) -> Any:
        looks.append(len(looks))
        return [] if len(looks) == 1 else read(services)

    monkeypatch.setattr(trigger, "_read", look)
    assert (await _event(trigger))["state"] == "success"
    assert len(looks) == 3


async def test_the_steady_wait_writes_a_lease_again_that_was_removed_after_the_scale_up(
    aws: LocalFargate, create: Any
) -> None:
    name = create()
    scale("up", name).execute(context())
    meddle(aws, name)
    aws.client("ecs").update_service(cluster=CLUSTER, service=name, desiredCount=0)
    run_lease = {"cluster": CLUSTER, "holder": "d/r", "counts": {name: 2}, "policies": {}, "seconds": 3600}
    trigger = EcsServiceSteadyTrigger(
        cluster=CLUSTER, services=[name], aws=AWS, timeout_seconds=0.5, poll_seconds=0.1, run_lease=run_lease
    )
    payload = await _event(trigger)
    assert payload["message"].startswith(f"Not steady after 0 s: service {name}: 0 of 2 tasks are running")
    assert (shown(aws, name)[0], len(shown(aws, name)[1])) == (2, 2)
