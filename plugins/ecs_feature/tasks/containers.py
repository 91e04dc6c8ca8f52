"""Which container of a task decided how it ended. Pure.

ECS does not say which container ended a task; the task definition says which ones can: the essential ones, and those
that an essential one waits for (AmazonECS/latest/APIReference/API_ContainerDependency.html). A container that ECS or
its agent stopped, or never started, has exit code 137, 143 or none (aws/amazon-ecs-agent#3218).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ecs_feature.aws.resources import EcsContainer, EcsTask
from ecs_feature.tasks.start_failures import dependency_in

TAKEN_ALONG: Final = frozenset({None, 137, 143})
"""How containers end that did not end by themselves: not known or never started, SIGKILL, SIGTERM."""
ENDS: Final = frozenset({"COMPLETE", "SUCCESS"})
"""The conditions that a container meets by ending."""


@dataclass(frozen=True)
class Dependency:
    """One entry of a container's ``dependsOn``.

    :param container: starts only when ``on`` has met ``condition``.
    :param condition: ``START``, ``COMPLETE``, ``SUCCESS`` or ``HEALTHY``.
    """

    container: str
    on: str
    condition: str


@dataclass(frozen=True)
class ContainerRoles:
    """What a task definition says about its containers.

    :param essential: the containers whose end ends the task; None: not known, any may be.
    """

    essential: frozenset[str] | None = None
    dependencies: tuple[Dependency, ...] = ()

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> ContainerRoles:
        """Of a task definition, as its file or DescribeTaskDefinition has it; containers are essential by default."""
        containers = definition.get("containerDefinitions")
        if containers is None:
            return cls()
        return cls(
            frozenset(one.get("name", "") for one in containers if one.get("essential", True)),
            tuple(
                Dependency(one.get("name", ""), needed.get("containerName", ""), needed.get("condition", ""))
                for one in containers
                for needed in one.get("dependsOn", ())
            ),
        )

    def decides(self, container: str) -> bool:
        """Whether the end of this container ends the task."""
        return self.essential is None or container in self.essential

    def needed_by(self, container: str) -> tuple[Dependency, ...]:
        """What this container waits for."""
        return tuple(one for one in self.dependencies if one.container == container)

    def ends_with(self, container: str, seen: frozenset[str] = frozenset()) -> bool:
        """Whether the end of this container leads to the task's: it is essential, or one that is waits for its end."""
        return self.decides(container) or any(
            self.ends_with(one.container, seen | {container})
            for one in self.dependencies
            if one.on == container and one.condition in ENDS and one.container not in seen
        )


UNKNOWN_ROLES: Final = ContainerRoles()


@dataclass(frozen=True)
class Decider:
    """The container that decided.

    :param waiting: the container that waited for it and never started; empty: none did.
    """

    container: EcsContainer
    waiting: str = ""

    @property
    def by_itself(self) -> bool:
        """Whether it ended by itself, or could not start, and so was not stopped because of another one."""
        return self.container.exit_code not in (137, 143) or out_of_memory(self.container)

    @property
    def in_vain(self) -> bool:
        """Whether another container waited for it in vain."""
        return bool(self.waiting) and self.by_itself


def out_of_memory(container: EcsContainer) -> bool:
    return container.reason.lower().startswith("outofmemory")


def main_of(containers: tuple[EcsContainer, ...], name: str) -> EcsContainer | None:
    """The container of that name, else the first one."""
    named = [container for container in containers if container.name == name] or list(containers)
    return named[0] if named else None


def deciding(task: EcsTask, main: EcsContainer | None, roles: ContainerRoles) -> Decider | None:
    """The container that ended the task: the main one, unless it was stopped, or never started, because of another.

    :returns: None for a task without containers.
    """
    if main is None:
        return None
    if main.exit_code not in TAKEN_ALONG or out_of_memory(main):
        return Decider(main)
    mine = [one for one in task.containers if roles.decides(one.name)]
    blocker = next((found for one in (main, *mine) if (found := _blocker(task, one, roles))), None)
    if blocker is not None and blocker.in_vain:
        return blocker
    failed = [one for one in mine if one.exit_code not in (*TAKEN_ALONG, 0) or out_of_memory(one)]
    if failed:
        return Decider(failed[0])
    ended = [one for one in mine if one.exit_code == 0]
    if ended and (main.exit_code is not None or blocker is not None):
        return Decider(ended[0])
    if blocker is not None:
        return blocker
    broken = [one for one in mine if one.exit_code is None and one.reason]
    return Decider(broken[0] if broken and task.started_at is None and not main.reason else main)


def starved(
    task: EcsTask, main: EcsContainer | None, decider: Decider | None, roles: ContainerRoles
) -> EcsContainer | None:
    """The first container that ran out of memory among those that can end the task."""
    able = [one for one in task.containers if one == main or roles.decides(one.name)]
    if decider is not None and decider.waiting:
        able = [decider.container]
    return next((one for one in able if out_of_memory(one)), None)


def _blocker(
    task: EcsTask, waiting: EcsContainer, roles: ContainerRoles, seen: frozenset[str] = frozenset()
) -> Decider | None:
    """The container for which this one waited in vain; of a chain, the one that began it."""
    if waiting.exit_code not in TAKEN_ALONG or waiting.name in seen:
        return None
    if waiting.reason and "dependency graph" not in waiting.reason:
        return None  # it could not start for a reason of its own
    named = dependency_in(waiting.reason)
    conditions = {one.on: one.condition for one in roles.needed_by(waiting.name)}
    for needed in task.containers:
        if needed.name == named or needed.name in conditions:
            earlier = _blocker(task, needed, roles, seen | {waiting.name})
            if earlier is not None:
                return earlier
            if needed.name == named or _in_vain(needed, conditions[needed.name], task):
                return Decider(needed, waiting.name)
    return None


def _in_vain(needed: EcsContainer, condition: str, task: EcsTask) -> bool:
    """Whether this container cannot have met the condition."""
    if condition == "SUCCESS" and needed.exit_code is not None:
        return needed.exit_code != 0
    if task.started_at is not None:
        return False  # all containers have started
    if needed.exit_code is None:
        return bool(needed.reason)  # it could not start
    ended = needed.exit_code not in TAKEN_ALONG or out_of_memory(needed)
    return condition == "HEALTHY" and (ended or needed.health == "UNHEALTHY")
