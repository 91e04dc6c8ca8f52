"""What a run leaves of its services at each stage, on a local Fargate: the newest of it is what they are now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from operator_context import CLUSTER, context

from ecs_feature.operators.service_scale import EcsServiceScaleOperator
from ecs_feature.services.client import EcsServices
from ecs_feature.services.leases import SharingPolicy
from ecs_feature.services.snapshot import newest
from ecs_feature.triggers.service import EcsServiceSteadyTrigger
from fargate_local import LocalFargate, Settings

SERVICE = "encoder"
RUN = {"cluster": CLUSTER, "services": {SERVICE: 2}, "holder": "flights/today/control", "aws_conn_id": None}


def now_known(*left: Any) -> tuple[int, int, int | None, list[tuple[str, int]]]:
    """Running and desired tasks, baseline and holders, by what was left."""
    (row,) = newest(left)
    assert (row["name"], row["cluster"]) == (SERVICE, CLUSTER)
    holders = [(each["holder"], each["count"]) for each in row["holders"]]
    return row["running"], row["desired"], row["baseline"], holders


async def _result(trigger: EcsServiceSteadyTrigger) -> dict[str, Any]:
    (event,) = [each async for each in trigger.run()]
    result: dict[str, Any] = event.payload["result"]
    return result


async def test_scale_up_the_steady_wait_and_scale_down_leave_who_holds_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image").mkdir()
    program = "import signal; signal.sigwait([signal.SIGTERM])"
    with LocalFargate(Settings(images=tmp_path, quotas=False, pace=0.001)) as aws:
        for variable, value in aws.environ.items():
            monkeypatch.setenv(variable, value)
        ecs = aws.client("ecs")
        ecs.create_cluster(clusterName=CLUSTER)
        ecs.register_task_definition(
            family=SERVICE,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": SERVICE, "image": "image:1", "command": ["python", "-c", program]}],
        )
        ecs.create_service(
            cluster=CLUSTER,
            serviceName=SERVICE,
            taskDefinition=SERVICE,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        )
        up = EcsServiceScaleOperator(task_id="up", **RUN).execute(context())
        mine, other = ("flights/today/control", 2), ("flights/yesterday/control", 1)
        assert now_known(up) == (0, 2, 0, [mine])

        until = datetime.now(UTC) + timedelta(hours=1)
        EcsServices(ecs, CLUSTER).acquire(SERVICE, holder=other[0], count=1, until=until, policy=SharingPolicy())
        steady = await _result(
            EcsServiceSteadyTrigger(
                cluster=CLUSTER,
                services=[SERVICE],
                aws={"aws_conn_id": None},
                timeout_seconds=30,
                poll_seconds=0.02,
                end_in_triggerer=False,
            )
        )
        assert now_known(up, steady) == (3, 3, 0, [mine, other])

        with pytest.raises(TaskDeferred) as deferred:
            EcsServiceScaleOperator(task_id="down", direction="down", poll_seconds=0.02, **RUN).execute(context())
        trigger = deferred.value.trigger
        trigger.end_in_triggerer = False
        down = await _result(trigger)
        assert now_known(up, steady, down) == (1, 1, 0, [other])
        assert down["services"][0]["others"] == 1
