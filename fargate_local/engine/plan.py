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
    :param protected: it has scale-in protection.
    """

    id: str
    primary: bool
    running: bool
    healthy: bool
    unhealthy: bool
    created_at: float
    protected: bool = False


@dataclass(frozen=True)
class Plan:
    """How many tasks of the newest deployment to launch, and which tasks to stop: surplus, or because unhealthy.

    :param held: surplus tasks that stay because they are protected.
    """

    launch: int
    scale_in: tuple[str, ...]
    replace: tuple[str, ...]
    held: tuple[str, ...] = ()


def plan(tasks: Sequence[TaskView], desired: int, minimum_percent: int, maximum_percent: int) -> Plan:
    """Compare the tasks that should run with those that do.

    Unhealthy tasks stay until their replacements are healthy. Where the maximum leaves no room for a replacement, they
    stop one by one. Protected tasks are left out of every choice but that of the unhealthy: surplus ones stay, and the
    unprotected go first (AmazonECS/latest/developerguide/task-scale-in-protection).

    Sources: AmazonECS/latest/developerguide/service_definition_parameters (deploymentConfiguration),
    AmazonECS/latest/APIReference/API_DeploymentConfiguration, AmazonECS/latest/developerguide/ecs_services.

    :param tasks: those not asked to stop.
    :param minimum_percent: of the desired count that must stay healthy during a deployment.
    :param maximum_percent: of the desired count that may exist during a deployment.
    """
    left = [task for task in tasks if not task.unhealthy]
    primary = [task for task in left if task.primary]
    old = [task for task in left if not task.primary]
    excess = max(0, len(primary) - desired)
    surplus = _first_to_go(primary)[:excess]
    held = [task for task in primary if task.protected][: excess - len(surplus)]
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
    held += [task for task in old if task.protected]
    launch = max(0, min(wanted, room))
    return Plan(launch, _ids([*surplus, *removable]), _ids(replaced), _ids(held))


def _replaced(tasks: Sequence[TaskView], desired: int) -> tuple[list[TaskView], list[TaskView]]:
    """Of the unhealthy tasks, those that stop now and those that stay until a replacement is healthy."""
    sick = sorted((task for task in tasks if task.unhealthy), key=lambda task: (task.primary, task.created_at))
    count = max(0, sum(task.healthy for task in tasks) + len(sick) - desired)
    return sick[:count], sick[count:]


def _first_to_go(tasks: Sequence[TaskView]) -> list[TaskView]:
    """Of the unprotected, those that are not healthy first, then the newest."""
    free = [task for task in tasks if not task.protected]
    return sorted(free, key=lambda task: (task.healthy, task.running, -task.created_at))


def _ids(tasks: Sequence[TaskView]) -> tuple[str, ...]:
    return tuple(task.id for task in tasks)
