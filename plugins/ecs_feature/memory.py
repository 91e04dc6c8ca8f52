"""The next size of a task that ran out of memory. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ecs_feature.limits import FARGATE_SIZES
from ecs_feature.resources import EcsTask

GROWTH: Final = 4
"""How many times its own memory a shard may get when ``max_memory_mib`` does not say."""


@dataclass(frozen=True)
class Size:
    """Of a launch, as RunTask's overrides take it: CPU units, MiB, and the hard limits of its containers in MiB.

    All zero, and no containers: as the task definition says.
    """

    cpu: int = 0
    memory_mib: int = 0
    container_mib: Mapping[str, int] = field(default_factory=dict)


def next_size(task: EcsTask, most_mib: int) -> Size | None:
    """The next size that Fargate has with more memory than a task had; None when that is more than ``most_mib``.

    The memory grows by one step of the task's CPU size; past the last one the smallest bigger CPU size that has more
    is taken. Containers with a hard limit of their own get what the task gets more.

    :param task: the one that ran out of memory, as described; its sizes are overrides included.
    """
    found = _next_pair(task.cpu, task.memory_mib)
    if found is None or found[1] > most_mib:
        return None
    cpu, memory_mib = found
    more = memory_mib - task.memory_mib
    limits = {container.name: container.memory_mib + more for container in task.containers if container.memory_mib}
    return Size(cpu, memory_mib, limits)


def _next_pair(cpu: int, memory_mib: int) -> tuple[int, int] | None:
    for units, sizes in FARGATE_SIZES.items():
        bigger = [size for size in sizes if size > memory_mib]
        if units >= cpu and bigger:
            return units, bigger[0]
    return None


def most_memory_mib(own_mib: int, max_memory_mib: int | None) -> int:
    """Up to how much a shard's memory may grow: ``max_memory_mib``, by default four times the definition's own."""
    return GROWTH * own_mib if max_memory_mib is None else max_memory_mib
