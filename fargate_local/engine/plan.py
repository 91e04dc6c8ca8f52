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

    Unhealthy tasks stay until their replacements are healthy. Where the maximum leaves no room for a replacement, they
    stop one by one.

    Sources: AmazonECS/latest/developerguide/service_definition_parameters (deploymentConfiguration),
    AmazonECS/latest/APIReference/API_DeploymentConfiguration, AmazonECS/latest/developerguide/ecs_services.

    :param tasks: those not asked to stop.
    :param minimum_percent: of the desired count that must stay healthy during a deployment.
    :param maximum_percent: of the desired count that may exist during a deployment.
    """
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
    replaced, sick = _replaced(tasks, desired)
    wanted = max(0, desired - len(primary))
    room = ceiling - (len(left) - len(surplus) - len(removable)) - len(sick)
    if wanted and room < 1 and sick and not replaced and all(task.running for task in left):
        replaced = sick[:1]
    ids = tuple(task.id for task in [*surplus, *removable])
    return Plan(max(0, min(wanted, room)), ids, tuple(task.id for task in replaced))


def _replaced(tasks: Sequence[TaskView], desired: int) -> tuple[list[TaskView], list[TaskView]]:
    """Of the unhealthy tasks, those that stop now and those that stay until a replacement is healthy."""
    sick = sorted((task for task in tasks if task.unhealthy), key=lambda task: (task.primary, task.created_at))
    count = max(0, sum(task.healthy for task in tasks) + len(sick) - desired)
    return sick[:count], sick[count:]


def _first_to_go(tasks: Sequence[TaskView]) -> list[TaskView]:
    """Those that are not healthy first, then the newest."""
    return sorted(tasks, key=lambda task: (task.healthy, task.running, -task.created_at))
