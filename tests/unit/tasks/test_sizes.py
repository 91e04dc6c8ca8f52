"""The next size of a task that ran out of memory."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from ecs_feature.aws.limits import FARGATE_SIZES, valid_fargate_size
from ecs_feature.aws.resources import EcsContainer, EcsTask
from ecs_feature.tasks.sizes import Size, memory_cap_mib, next_size


def starved(cpu: int, memory_mib: int, *containers: EcsContainer) -> EcsTask:
    return EcsTask("arn", "", "", "STOPPED", "STOPPED", cpu=cpu, memory_mib=memory_mib, containers=containers)


@pytest.mark.parametrize(
    ("cpu", "memory_mib", "following"),
    [
        (256, 512, (256, 1024)),
        (256, 1024, (256, 2048)),
        (256, 2048, (512, 3072)),
        (512, 4096, (1024, 5120)),
        (1024, 2048, (1024, 3072)),
        (4096, 30720, (8192, 32768)),
        (16384, 122880, (32768, 249856)),
        (32768, 249856, None),
    ],
)
def test_memory_grows_by_one_step_and_cpu_only_where_fargate_asks_for_it(
    cpu: int, memory_mib: int, following: tuple[int, int] | None
) -> None:
    size = next_size(starved(cpu, memory_mib), 300_000)
    assert (size and (size.cpu, size.memory_mib)) == following


def test_every_step_is_a_size_that_fargate_has_and_the_last_one_is_the_biggest() -> None:
    for first, sizes in FARGATE_SIZES.items():
        cpu, memory_mib = first, sizes[0]
        while (size := next_size(starved(cpu, memory_mib), 300_000)) is not None:
            assert size.memory_mib > memory_mib
            cpu, memory_mib = valid_fargate_size(size.cpu, size.memory_mib)
        assert (cpu, memory_mib) == (32768, 249856)


@pytest.mark.parametrize(("most", "grows"), [(1023, False), (1024, True)])
def test_it_stops_at_the_most(most: int, grows: bool) -> None:
    assert (next_size(starved(256, 512), most) is not None) is grows


@pytest.mark.parametrize(("memory_mib", "own", "following"), [(1024, 768, (2048, 1792)), (2048, 1536, (3072, 2560))])
def test_a_container_with_a_limit_of_its_own_gets_what_the_task_gets_more(
    memory_mib: int, own: int, following: tuple[int, int]
) -> None:
    limited = EcsContainer("features", "STOPPED", 137, memory_mib=own)
    task = starved(512, memory_mib, limited, EcsContainer("logger", "STOPPED", 143))
    assert next_size(task, 4096) == Size(512, following[0], {"features": following[1]})


def on_instances(memory_mib: int, *containers: EcsContainer) -> EcsTask:
    return replace(starved(300, memory_mib, *containers), launch_type="EC2")


APP = EcsContainer("features", "STOPPED", 137, memory_mib=700)
SIDECAR = EcsContainer("logger", "STOPPED", 143, memory_mib=100)


@pytest.mark.parametrize(
    ("task", "most", "size"),
    [
        (on_instances(700), 5000, Size(0, 1400)),
        (on_instances(700), 1000, Size(0, 1000)),
        (on_instances(700), 700, None),
        (on_instances(800, APP, SIDECAR), 5000, Size(0, 1600, {"features": 1500, "logger": 900})),
        (on_instances(0, APP), 5000, Size(0, 0, {"features": 1400})),
        (on_instances(0), 5000, None),
        (on_instances(128, EcsContainer("features", "STOPPED", 137, reserved_mib=128)), 5000, None),
        (on_instances(0, EcsContainer("features", "STOPPED", 137, reserved_mib=128)), 5000, None),
        (on_instances(512, EcsContainer("features", "STOPPED", 137, reserved_mib=128)), 5000, Size(0, 1024)),
    ],
    ids=[
        "doubles", "up to the most", "that it has", "with its containers", "only its container", "AWS does not say",
        "only reserved", "only reserved, and AWS does not say", "reserved within the task's own",
    ],
)  # fmt: skip
def test_on_instances_memory_doubles_to_any_size_and_cpu_stays(task: EcsTask, most: int, size: Size | None) -> None:
    assert next_size(task, most) == size


@pytest.mark.parametrize("size", [Size(0, 1400), Size(0, 0, {"a": 1000, "b": 400}), Size(256, 1400, {"a": 1400})])
def test_the_whole_memory_of_a_size(size: Size) -> None:
    assert size.whole_mib == 1400


def test_a_size_that_asks_for_nothing_is_zero_everywhere_and_none_can_be_changed() -> None:
    assert Size() == Size(0, 0, {})
    with pytest.raises(FrozenInstanceError):
        Size().cpu = 256  # type: ignore[misc]


@pytest.mark.parametrize(("asked", "most"), [(None, 4096), (0, 0), (3000, 3000)])
def test_without_a_word_a_shard_may_get_four_times_its_own(asked: Any, most: int) -> None:
    assert memory_cap_mib(1024, asked) == most
