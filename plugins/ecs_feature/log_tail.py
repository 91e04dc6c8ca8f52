"""The last lines of a container's log, from CloudWatch Logs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from aiolimiter import AsyncLimiter

from ecs_feature import limits
from ecs_feature.resources import EcsTask


@dataclass(frozen=True)
class LogPlace:
    """Where a container of a task definition writes: awslogs-group, -region and -stream-prefix."""

    group: str
    prefix: str
    region: str = ""

    def stream(self, container: str, task_id: str) -> str:
        """AmazonECS/latest/developerguide/using_awslogs.html: prefix/container/task-id."""
        return f"{self.prefix}/{container}/{task_id}"


def log_place(task_definition: dict[str, Any], container: str) -> LogPlace | None:
    """Where the container's log goes; None when it is not awslogs with a stream prefix."""
    for definition in task_definition.get("containerDefinitions", ()):
        configuration = definition.get("logConfiguration", {})
        if definition.get("name") == container and configuration.get("logDriver") == "awslogs":
            options = configuration.get("options", {})
            if "awslogs-group" in options and "awslogs-stream-prefix" in options:
                return LogPlace(
                    options["awslogs-group"],
                    options["awslogs-stream-prefix"],
                    options.get("awslogs-region", ""),
                )
    return None


@dataclass(eq=False)
class LogTail:
    """Reads last lines, within CloudWatch's rate.

    :param logs: an aiobotocore ``logs`` client; ``ecs``: an aiobotocore ``ecs`` client.
    """

    logs: Any
    ecs: Any
    _places: dict[tuple[str, str], asyncio.Task[LogPlace | None]] = field(default_factory=dict)
    _calls: AsyncLimiter = field(default_factory=lambda: AsyncLimiter(limits.GET_LOG_EVENTS_PER_SECOND, 1))

    async def last_lines(self, task: EcsTask, container: str, lines: int) -> list[str]:
        """At most ``lines`` last lines of the container's log, oldest first; empty when it has none."""
        place = await self._place(task.task_definition_arn, container)
        if place is None or lines < 1:
            return []
        try:
            async with self._calls:
                answer = await self.logs.get_log_events(
                    logGroupName=place.group,
                    logStreamName=place.stream(container, task.task_id),
                    limit=lines,
                    startFromHead=False,
                )
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"].rstrip("\n") for event in answer["events"]][-lines:]

    async def _place(self, task_definition_arn: str, container: str) -> LogPlace | None:
        key = (task_definition_arn, container)
        if key not in self._places:
            self._places[key] = asyncio.create_task(self._look_up(*key))
        try:
            return await asyncio.shield(self._places[key])
        except Exception:
            self._places.pop(key, None)
            raise

    async def _look_up(self, task_definition_arn: str, container: str) -> LogPlace | None:
        answer = await self.ecs.describe_task_definition(taskDefinition=task_definition_arn)
        return log_place(answer["taskDefinition"], container)
