"""What a task costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ecs_feature.aws.resources import EcsContainer, EcsTask
from ecs_feature.estimates.task_sizes import size_of
from ecs_feature.tasks import cost
from ecs_feature.tasks.cost import INSTANCES, ON_DEMAND, SPOT, Price, Usage

START = datetime(2026, 11, 21, tzinfo=UTC)
TASK = EcsTask(
    "arn", "", "", "STOPPED", "STOPPED", cpu=512, memory_mib=1024,
    pull_started_at=START, stopped_at=START + timedelta(seconds=20),
)  # fmt: skip


@pytest.mark.parametrize(
    ("capacity", "price"),
    [("FARGATE", ON_DEMAND), ("", ON_DEMAND), ("FARGATE_SPOT", SPOT), ("EC2", INSTANCES), ("gpu-asg", INSTANCES)],
)
def test_each_capacity_has_its_price_and_instances_are_paid_by_themselves(capacity: str, price: Price) -> None:
    assert cost.price_of(capacity) == price
    assert (cost.price_of(capacity).of(Usage(3600, 3600)) == 0) is (price is INSTANCES)


def test_fargate_bills_a_minute_at_least_and_an_instance_what_was_held_of_it() -> None:
    assert cost.of_task(replace(TASK, launch_type="FARGATE")) == Usage(30, 60)
    assert cost.of_task(replace(TASK, launch_type="EC2")) == Usage(10, 20)


def test_without_a_size_of_its_own_a_task_holds_what_its_containers_may_use() -> None:
    containers = tuple(EcsContainer(name, "STOPPED", 0, memory_mib=512) for name in ("a", "b"))
    task = replace(TASK, memory_mib=0, containers=containers, capacity_provider="batch")
    assert cost.of_task(task) == Usage(10, 20)


@pytest.mark.parametrize(
    ("own", "size"),
    [({"cpu": "256", "memory": "512"}, (0.25, 0.5)), ({}, (0.75, 2.0)), ({"memory": "512"}, (0.75, 0.5))],
)
def test_the_size_for_an_estimate_is_the_tasks_own_or_its_containers(
    own: dict[str, str], size: tuple[float, float]
) -> None:
    containers = [{"cpu": 512, "memory": 1024}, {"cpu": 256, "memory": 1024}, {"name": "free"}]
    assert size_of({**own, "containerDefinitions": containers}) == size
