"""What the janitor finds, and what it had cost."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from ecs_feature.aws.resources import LINUX_X86, EcsService, EcsTask
from ecs_feature.exceptions import LaunchError
from ecs_feature.janitor.findings import GRACE, OverdueTask, abandoned, deadline_of, overdue
from ecs_feature.services.leases import Lease, SharingPolicy, reconcile
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.shards.run import ShardRun
from ecs_feature.tasks.launch import Launch, Network
from ecs_feature.tasks.prices import package_prices
from tests.loggers import PromptLog

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIZE = (512, 1024)
PRICES = package_prices()


def service(desired: int, *leases: Lease, policy: SharingPolicy | None = None) -> EcsService:
    tags = [one.to_tag(NOW + timedelta(seconds=number)) for number, one in enumerate(leases)]
    tags += [policy.to_tag()] if policy else []
    return EcsService(
        "encoder", "arn", "ACTIVE", desired, desired, 0, 1, tags=tuple((tag["key"], tag["value"]) for tag in tags)
    )


def task(created: datetime | None = NOW - 2 * HOUR, desired: str = "RUNNING", **tags: str) -> EcsTask:
    pairs = tuple((f"ecs-feature:{key}".replace("_", "-"), value) for key, value in tags.items())
    return EcsTask("arn", "", "", "RUNNING", desired, cpu=1024, memory_mib=2048, created_at=created, tags=pairs)


def test_a_service_whose_lease_has_ended_is_charged_for_the_time_since_then() -> None:
    dead, alive = Lease("dead", 2, NOW - 3 * HOUR, NOW - HOUR), Lease("alive", 1, NOW - HOUR, NOW + HOUR)
    read = service(3, dead, alive, policy=SharingPolicy())
    found = abandoned(read, reconcile(read, NOW))
    assert found is not None
    assert found.row(NOW, SIZE, LINUX_X86, PRICES) == {
        "name": "encoder",
        "before": 3,
        "after": 1,
        "of": "desiredCount",
        "expired": [{"holder": "dead", "count": 2, "until": "2026-11-21T11:00:00+00:00"}],
        "unreadable_leases": 0,
        "idle_seconds": 7200.0,
        "vcpu_seconds": 3600.0,
        "gb_seconds": 7200.0,
        "cost_usd": 0.04937,
    }


def test_only_tasks_over_the_baseline_are_charged_and_nothing_when_it_is_not_known_since_when() -> None:
    dead = Lease("dead", 2, NOW - 3 * HOUR, NOW - HOUR)
    read = service(2, dead, policy=SharingPolicy(baseline=1))
    found = abandoned(read, reconcile(read, NOW))
    assert found is not None
    assert found.idle(NOW) == 3600.0
    read = service(2, policy=SharingPolicy())
    found = abandoned(read, reconcile(read, NOW))
    assert found is not None
    assert (found.before, found.after, found.idle(NOW)) == (2, 0, 0.0)


def test_a_service_that_is_not_ours_or_is_as_its_leases_want_it_is_no_finding() -> None:
    for read in (service(3), service(1, Lease("alive", 1, NOW - HOUR, NOW + HOUR), policy=SharingPolicy())):
        assert abandoned(read, reconcile(read, NOW)) is None


def test_a_task_is_overdue_after_its_timeout_and_the_grace() -> None:
    late = task(timeout_seconds="3600", shard="UA", run="r", dag="d", variant="control")
    assert deadline_of(late) == NOW - HOUR
    assert overdue([late], NOW - HOUR + GRACE - timedelta(seconds=1)) == []
    (found,) = overdue([late], NOW - HOUR + GRACE)
    on_instance = OverdueTask(replace(late, launch_type="EC2"), found.deadline).row(NOW, PRICES)
    assert (on_instance["cost_usd"], on_instance["vcpu_seconds"]) == (0.0, 3600.0)
    on_spot = OverdueTask(replace(late, capacity_provider="FARGATE_SPOT"), found.deadline).row(NOW, PRICES)
    assert on_spot["cost_usd"] == pytest.approx(0.3 * 0.04937, abs=2e-6)
    assert found.row(NOW, PRICES) == {
        "arn": "arn",
        "dag": "d",
        "run": "r",
        "variant": "control",
        "shard": "UA",
        "deadline": "2026-11-21T11:00:00+00:00",
        "idle_seconds": 3600.0,
        "vcpu_seconds": 3600.0,
        "gb_seconds": 7200.0,
        "cost_usd": 0.04937,
    }


@pytest.mark.parametrize(
    "other",
    [
        task(shard="UA"),
        task(timeout_seconds="soon"),
        task(timeout_seconds=""),
        task(created=None, timeout_seconds="1"),
        task(desired="STOPPED", timeout_seconds="1"),
        task(timeout_seconds="9" * 40),
    ],
    ids=["no timeout", "not a number", "empty", "not created", "stopping already", "for ever"],
)
def test_any_other_task_is_left_alone(other: EcsTask) -> None:
    assert overdue([other], NOW) == []


async def test_a_shard_carries_its_timeout_and_a_repeated_launch_is_the_same_request() -> None:
    asked: list[dict[str, Any]] = []

    class Fleet:
        slot = staticmethod(lambda group, parallelism, **vcpus: contextlib.nullcontext())

        async def task_definition(self, name: str) -> dict[str, Any]:
            return {}

        async def launch(self, launch: Launch, **turn: Any) -> EcsTask:
            asked.append(launch.to_aws())
            raise LaunchError("Capacity is unavailable at this time.")

    for timeout in (90.5, 90.5, None):
        launch = Launch("features", "f:1", "features", Network(("subnet-0a",)), tags={"ecs-feature:shard": "UA"})
        policy = ShardPolicy(timeout_seconds=timeout, capacity_seconds=0)
        await ShardRun(cast(Any, Fleet()), "UA", launch, policy, "id", PromptLog(logging.getLogger())).run()
    mark = {"key": "ecs-feature:shard", "value": "UA"}
    assert asked[0]["tags"] == [mark, {"key": "ecs-feature:timeout-seconds", "value": "91"}]
    assert asked[0] == asked[1]
    assert asked[2]["tags"] == [mark]
