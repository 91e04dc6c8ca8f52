"""The steady wait on a local Fargate: one look is not enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecs_feature.services.client import EcsServices
from ecs_feature.services.leases import SharingPolicy
from ecs_feature.triggers.service import EcsServiceSteadyTrigger, pause_seconds
from fargate_local import LocalFargate, Settings

CLUSTER = "features"


def _service(aws: LocalFargate, monkeypatch: pytest.MonkeyPatch, name: str, program: str, desired: int = 0) -> Any:
    """A service whose one container runs a Python program; the ECS client. The environment points to ``aws``."""
    for variable, value in aws.environ.items():
        monkeypatch.setenv(variable, value)
    ecs = aws.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    ecs.register_task_definition(
        family=name,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "encoder", "image": "image:1", "command": ["python", "-c", program]}],
    )
    ecs.create_service(
        cluster=CLUSTER,
        serviceName=name,
        taskDefinition=name,
        desiredCount=desired,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    )
    return ecs


async def test_a_stale_write_after_the_first_look_is_put_right_before_the_wait_is_over(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run's tasks are still there, so the service seems steady at once; then that run's release writes 0."""
    (tmp_path / "image").mkdir()
    with LocalFargate(Settings(images=tmp_path, quotas=False, pace=0.001)) as aws:
        ecs = _service(aws, monkeypatch, "encoder", "import signal; signal.pause()")
        services, until = EcsServices(ecs, CLUSTER), datetime.now(UTC) + timedelta(hours=1)
        services.acquire("encoder", holder="late", count=1, until=until, policy=SharingPolicy())
        trigger = EcsServiceSteadyTrigger(
            cluster=CLUSTER,
            services=["encoder"],
            aws={"aws_conn_id": None},
            timeout_seconds=60,
            poll_seconds=0.05,
            end_in_triggerer=False,
        )
        await _wait(trigger)
        looks: list[int] = []
        read = trigger._read

        def look(of: EcsServices) -> Any:
            readings = read(of)
            looks.append(readings[0][0].desired)
            if len(looks) == 1:
                ecs.update_service(cluster=CLUSTER, service="encoder", desiredCount=0)
            return readings

        monkeypatch.setattr(trigger, "_read", look)
        await _wait(trigger)
        assert looks[0] == 1
        assert len(looks) > 1
        (service,) = services.describe(["encoder"])
        assert (service.desired, service.running) == (1, 1)


async def _wait(trigger: EcsServiceSteadyTrigger) -> None:
    (event,) = [event async for event in trigger.run()]
    assert event.payload["state"] == "success", event


async def test_a_service_whose_tasks_die_says_why_when_the_wait_is_over(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image").mkdir()
    with LocalFargate(Settings(images=tmp_path, quotas=False, pace=0.001)) as aws:
        _service(aws, monkeypatch, "broken", "raise SystemExit(9)", desired=1)
        trigger = EcsServiceSteadyTrigger(
            cluster=CLUSTER, services=["broken"], aws={}, timeout_seconds=4, poll_seconds=0.2, end_in_triggerer=False
        )
        (event,) = [event async for event in trigger.run()]
    assert event.payload["state"] == "failed"
    assert "service broken:" in event.payload["message"]
    assert "Essential container in task exited, encoder exited with code 9" in event.payload["message"]


async def test_a_lease_past_its_time_is_left_to_those_who_can_ask_for_its_run(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image").mkdir()
    with LocalFargate(Settings(images=tmp_path, quotas=False, pace=0.001)) as aws:
        ecs = _service(aws, monkeypatch, "encoder", "import signal; signal.pause()")
        earlier = EcsServices(ecs, CLUSTER, now=lambda: datetime.now(UTC) - timedelta(hours=2))
        until = datetime.now(UTC) - timedelta(hours=1)
        earlier.acquire("encoder", holder="a/1", count=1, until=until, policy=SharingPolicy())
        trigger = EcsServiceSteadyTrigger(
            cluster=CLUSTER, services=["encoder"], aws={}, timeout_seconds=60, poll_seconds=0.1, end_in_triggerer=False
        )
        await _wait(trigger)
        (service,) = earlier.describe(["encoder"])
        assert (service.desired, service.running) == (1, 1)


@pytest.mark.parametrize(
    ("least", "waited", "seconds"), [(0.5, 0, 0.5), (0.5, 20, 2), (0.5, 300, 5), (10, 300, 10)], ids=str
)
def test_a_long_wait_looks_rarely(least: float, waited: float, seconds: float) -> None:
    assert pause_seconds(least, waited) == seconds
