"""What a service needs next: which deployment launches how many tasks, and which tasks stop. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TaskView:
    """A service's task as the scheduler sees it.

    :param primary: of the newest deployment.
    :param healthy: running, and passing its container and load balancer checks.
    :param unhealthy: running, and failing one of them.
    :param created_at: seconds since the epoch.
    """

    id: str
    primary: bool
    running: bool
    healthy: bool
    unhealthy: bool
    created_at: float


@dataclass(frozen=True)
class Plan:
    """How many tasks of the newest deployment to launch, and which tasks to stop: surplus, or because unhealthy."""

    launch: int
    scale_in: tuple[str, ...]
    replace: tuple[str, ...]


def plan(tasks: Sequence[TaskView], desired: int, minimum_percent: int, maximum_percent: int) -> Plan:
    """Compare the tasks that should run with those that do.

    Source: AmazonECS/latest/developerguide/service_definition_parameters (deploymentConfiguration).

    :param tasks: those not asked to stop.
    :param minimum_percent: of the desired count that must stay healthy during a deployment.
    :param maximum_percent: of the desired count that may exist during a deployment.
    """
    replace = tuple(task.id for task in tasks if task.unhealthy)
    left = [task for task in tasks if not task.unhealthy]
    primary = [task for task in left if task.primary]
    old = [task for task in left if not task.primary]
    surplus = _first_to_go(primary)[: max(0, len(primary) - desired)]
    floor = math.ceil(desired * minimum_percent / 100)
    ceiling = max(desired, math.floor(desired * maximum_percent / 100))
    spare = sum(task.healthy for task in left) - sum(task.healthy for task in surplus) - floor
    removable: list[TaskView] = []
    for task in _first_to_go(old):
        if not task.healthy:
            removable.append(task)
        elif spare > 0:
            removable.append(task)
            spare -= 1
    staying = len(left) - len(surplus) - len(removable)
    launch = max(0, min(desired - len(primary), ceiling - staying))
    return Plan(launch, tuple(task.id for task in [*surplus, *removable]), replace)


def _first_to_go(tasks: Sequence[TaskView]) -> list[TaskView]:
    """Those that are not healthy first, then the newest."""
    return sorted(tasks, key=lambda task: (task.healthy, task.running, -task.created_at))
