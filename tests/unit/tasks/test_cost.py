"""What a task costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ecs_feature.aws.resources import EcsContainer, EcsTask
from ecs_feature.estimates.task_sizes import size_of
from ecs_feature.tasks import cost
from ecs_feature.tasks.cost import EPHEMERAL, Price, Usage
from ecs_feature.tasks.volumes import EbsVolume

START = datetime(2026, 11, 21, tzinfo=UTC)
TASK = EcsTask(
    "arn", "", "", "STOPPED", "STOPPED", cpu=512, memory_mib=1024,
    pull_started_at=START, stopped_at=START + timedelta(seconds=20),
)  # fmt: skip


ROLE = "arn:aws:iam::123456789012:role/ecsInfrastructureRole"


def test_storage_above_twenty_gib_is_billed_with_the_task_on_fargate_only() -> None:
    roomy = replace(TASK, ephemeral_gib=50)
    assert cost.of_task(replace(roomy, launch_type="FARGATE")) == Usage(30, 60, {EPHEMERAL: 30 * 60.0})
    assert cost.of_task(replace(TASK, ephemeral_gib=20, launch_type="FARGATE")) == Usage(30, 60)
    assert cost.of_task(replace(roomy, launch_type="EC2")) == Usage(10, 20)


def test_a_volume_is_billed_from_the_launch_to_the_end_for_what_its_type_has_not_at_no_cost() -> None:
    task = replace(TASK, launch_type="FARGATE", created_at=START - timedelta(seconds=70))
    volume = EbsVolume("scratch", ROLE, 100, iops=4000, throughput_mib=250)
    assert cost.of_task(task, [volume]).metered == {"ebs.gp3.gb": 9000, "ebs.gp3.iops": 90_000, "ebs.gp3.mib": 11_250}
    assert cost.of_task(task, [EbsVolume("scratch", ROLE, 100, iops=3000, throughput_mib=125)]).metered == {
        "ebs.gp3.gb": 9000
    }
    unknown = cost.of_task(task, [EbsVolume("scratch", ROLE, snapshot_id="snap-0a")])
    assert unknown.metered == {"ebs.gp3.gb of snap-0a": 90}
    never_pulled = replace(task, pull_started_at=None)
    assert cost.of_task(never_pulled, [volume]) == Usage()


def test_usage_adds_up_meter_by_meter() -> None:
    both = Usage(1, 2, {"a": 3}, 0.5) + Usage(10, 20, {"a": 30, "b": 4}, 0.25)
    assert both == Usage(11, 22, {"a": 33, "b": 4}, 0.75)
    assert Usage.from_dict({"vcpu_seconds": 1.0, "gb_seconds": 2.0}) == Usage(1, 2), "a record of an older version"


def test_what_has_no_price_is_named_and_costs_nothing() -> None:
    used = Usage(3600, 7200, {"ebs.io9.gb": 3600, EPHEMERAL: 3600})
    price = Price(None, None, {EPHEMERAL: 0.5}, name="LINUX/ARM64 on FARGATE in nowhere")
    assert (price.of(used), price.unknown(used)) == (0.5, ("LINUX/ARM64 on FARGATE in nowhere", "ebs.io9.gb"))
    assert Price(1.0, 2.0, {"ebs.io9.gb": 3.0, EPHEMERAL: 0.5}).of(used) == 1 + 4 + 3 + 0.5
    assert Price(1.0, 2.0).unknown(Usage(1, 1, {"ebs.gp3.iops": 0.0})) == ()


def test_of_an_instance_the_greater_part_counts() -> None:
    price = Price(1.0, None, gb_per_vcpu=4.0)
    assert price.of(Usage(3600, 3600)) == 1.0
    assert price.of(Usage(3600, 8 * 3600)) == 2.0
    assert price.unknown(Usage(1, 1)) == ()


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
