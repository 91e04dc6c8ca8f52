"""EventBridge: every change of a task's status goes to the SQS queues that rules name for it.

Sources: AmazonECS/latest/developerguide/ecs_task_events and ecs_cwe_events.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from fargate_local.resources import Task
from fargate_local.settings import Settings
from fargate_local.shapes import JsonObject

DETAIL_TYPE = "ECS Task State Change"
GATHER_SECONDS = 0.05
NOT_IN_EVENTS = frozenset({"tags", "healthStatus"})


class EventBus(Protocol):
    """The default event bus. `send_event` is only called in worker threads."""

    def event_rules(self, region: str) -> list[Any]: ...

    def send_event(self, region: str, rules: Iterable[Any], event: Mapping[str, Any]) -> None: ...


class TaskEvents:
    """The events of one server's tasks, in their order; one loop sends them, off the event loop."""

    def __init__(self, settings: Settings, bus: EventBus) -> None:
        self._settings = settings
        self._bus = bus
        self._told: dict[str, tuple[str, str]] = {}
        self._waiting: list[JsonObject] = []
        self._loop: asyncio.Task[None] | None = None

    def task_changed(self, task: Task) -> None:
        """Tell of a task, when its status is another one than before and there is somebody to tell."""
        status = (task.last_status, task.desired_status)
        if self._told.get(task.id) == status:
            return
        self._told[task.id] = status
        if task.last_status == "STOPPED":
            del self._told[task.id]
        if not self._bus.event_rules(self._settings.region):
            return
        self._waiting.append(task_event(task, self._settings.clock(), self._settings))
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._send_all())

    async def close(self) -> None:
        if self._loop is not None:
            await self._loop

    async def _send_all(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)
            events, self._waiting = self._waiting, []
            await asyncio.to_thread(self._send, events)

    def _send(self, events: list[JsonObject]) -> None:
        rules = self._bus.event_rules(self._settings.region)
        for event in events:
            self._bus.send_event(self._settings.region, rules, event)


def task_event(task: Task, now: float, settings: Settings) -> JsonObject:
    """The event that tells how a task is now."""
    detail = {name: value for name, value in task.to_aws().items() if name not in NOT_IN_EVENTS}
    detail |= {name: _iso(value) for name, value in detail.items() if name.endswith("At")}
    detail["attachments"] = [{**attachment, "type": "eni"} for attachment in detail["attachments"]]
    detail["updatedAt"] = _iso(now)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": DETAIL_TYPE,
        "source": "aws.ecs",
        "account": settings.account_id,
        "time": _iso(now)[:19] + "Z",
        "region": settings.region,
        "resources": [task.arn],
        "detail": detail,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
