"""In which order a task's containers start, by their `dependsOn`. Pure."""

from __future__ import annotations

from fargate_local.containers import Container
from fargate_local.errors import StartFailure
from fargate_local.resources import Task
from fargate_local.shapes import JsonObject


def state_of(container: Container) -> str:
    """A container in the agent's words."""
    code = "" if container.exit_code is None else f" - Exit: {container.exit_code}"
    return f"{container.name}({container.image}) ({container.last_status}->RUNNING){code}"


def in_start_order(task: Task) -> list[tuple[Container, JsonObject]]:
    """The containers, each after those that it depends on."""
    waiting = list(zip(task.containers, task.definition.containers, strict=True))
    ordered: list[tuple[Container, JsonObject]] = []
    while waiting:
        started = {container.name for container, _ in ordered}
        ready = [pair for pair in waiting if all(d["containerName"] in started for d in pair[1].get("dependsOn", []))]
        if not ready:
            raise StartFailure("CannotStartContainerError: the containers' dependsOn is a circle")
        ordered += ready
        waiting = [pair for pair in waiting if pair not in ready]
    return ordered
