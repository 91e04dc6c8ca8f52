"""The next size of a task that ran out of memory or of ephemeral storage. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ecs_feature.aws.limits import DEFAULT_EPHEMERAL_GIB, EPHEMERAL_GIB, FARGATE_SIZES
from ecs_feature.aws.resources import EcsTask

GROWTH: Final = 4
"""Without ``max_memory_mib``, a shard's memory may grow to this multiple of its own; its ephemeral storage likewise."""


@dataclass(frozen=True)
class Size:
    """Overrides of a launch: CPU units, memory in MiB, hard limits of containers in MiB, ephemeral storage in GiB.

    Zero, and containers that are not named, mean the task definition's value.
    """

    cpu: int = 0
    memory_mib: int = 0
    container_mib: Mapping[str, int] = field(default_factory=dict)
    ephemeral_gib: int = 0

    def over(self, earlier: Size) -> Size:
        """This size, with what it does not name as ``earlier`` has it."""
        return Size(
            self.cpu or earlier.cpu,
            self.memory_mib or earlier.memory_mib,
            self.container_mib or earlier.container_mib,
            self.ephemeral_gib or earlier.ephemeral_gib,
        )

    @property
    def whole_mib(self) -> int:
        """The task's memory, else the sum of the named containers'."""
        return self.memory_mib or sum(self.container_mib.values())


def next_size(task: EcsTask, max_mib: int) -> Size | None:
    """The next size with more memory than a task had; None when that is more than ``max_mib``.

    On Fargate it is the next memory size of the task's CPU size, else of the next larger CPU size that has one. On
    instances any size is valid: memory doubles, up to ``max_mib``, and the CPU stays. The hard limit of each container
    grows by as much as the task's memory.

    :param task: the task that ran out of memory, as described, so its sizes include overrides.
    """
    if task.on_instances:
        return _doubled(task, max_mib)
    found = _next_pair(task.cpu, task.memory_mib)
    if found is None or found[1] > max_mib:
        return None
    cpu, memory_mib = found
    more = memory_mib - task.memory_mib
    return Size(cpu, memory_mib, _grown(task, more))


def _doubled(task: EcsTask, max_mib: int) -> Size | None:
    own = task.whole_memory_mib
    more = min(2 * own, max_mib) - own
    if more <= 0 or _only_reserves(task):
        return None
    return Size(memory_mib=own + more if task.memory_mib else 0, container_mib=_grown(task, more))


def _only_reserves(task: EcsTask) -> bool:
    """Whether it has no hard limit: then the instance ran out of memory, and a limit would only give it less."""
    reserved = sum(container.reserved_mib for container in task.containers)
    return bool(reserved) and not _grown(task, 0) and task.memory_mib in (0, reserved)


def _grown(task: EcsTask, more: int) -> dict[str, int]:
    """The hard limits of its containers, each raised by ``more``."""
    return {container.name: container.memory_mib + more for container in task.containers if container.memory_mib}


def _next_pair(cpu: int, memory_mib: int) -> tuple[int, int] | None:
    for units, sizes in FARGATE_SIZES.items():
        bigger = [size for size in sizes if size > memory_mib]
        if units >= cpu and bigger:
            return units, bigger[0]
    return None


def next_ephemeral_gib(task: EcsTask, max_gib: int) -> int:
    """Twice the ephemeral storage that a Fargate task had, at most ``max_gib``; 0 when that is not more.

    :param task: the task that filled it, as described, so its storage includes overrides.
    """
    own = ephemeral_gib(task)
    more = min(2 * own, max_gib, EPHEMERAL_GIB[1])
    return more if more > own and more >= EPHEMERAL_GIB[0] else 0


def ephemeral_gib(task: EcsTask) -> int:
    """The ephemeral storage of a Fargate task, in GiB."""
    return task.ephemeral_gib or DEFAULT_EPHEMERAL_GIB


def ephemeral_cap_gib(own_gib: int, max_ephemeral_gib: int | None) -> int:
    """The most ephemeral storage a shard may get: ``max_ephemeral_gib``, by default four times what it had first."""
    return min(GROWTH * own_gib if max_ephemeral_gib is None else max_ephemeral_gib, EPHEMERAL_GIB[1])


def memory_cap_mib(own_mib: int, max_memory_mib: int | None) -> int:
    """The most memory a shard may get: ``max_memory_mib``, by default four times the task definition's."""
    return GROWTH * own_mib if max_memory_mib is None else max_memory_mib
