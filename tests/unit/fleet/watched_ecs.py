"""An ECS that a watcher polls, with a clock of its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ecs_feature.aws.resources import EcsTask
from ecs_feature.fleet.watcher import TaskWatcher

START = datetime(2026, 11, 21, tzinfo=UTC)
RUNNING = EcsTask("arn:0", "", "", "RUNNING", "RUNNING")


def task(arn: str, **changed: Any) -> EcsTask:
    return replace(RUNNING, arn=arn, **changed)


class Ecs:
    """Shows the tasks it is told to, and counts how it was asked. Time passes only when the watcher sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, int]] = []
        self.stopped_at: dict[str, float] = {}
        self.missing_until: dict[str, float] = {}
        self.refuse: BaseException | None = None
        self.unsaid: set[str] = set()
        self.hang = ""
        self.asked: list[float] = []
        self.renewed: list[float] = []
        self.status: dict[str, str] = {}
        self.shown: dict[str, Any] = {}

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def renew(self) -> None:
        self.renewed.append(self.now)

    async def describe(self, cluster: str, arns: list[str]) -> dict[str, EcsTask | None]:
        self.calls.append((cluster, len(arns)))
        self.asked.append(self.now)
        if self.hang in arns:
            await asyncio.Event().wait()
        if self.refuse:
            raise self.refuse
        return {
            arn: self.task(arn) if self.now >= self.missing_until.get(arn, 0) else None
            for arn in arns
            if arn not in self.unsaid
        }

    def task(self, arn: str) -> EcsTask:
        if self.now >= self.stopped_at.get(arn, 9e9):
            return task(arn, last_status="STOPPED")
        return task(arn, **{"last_status": self.status.get(arn, "RUNNING")} | self.shown)

    def watcher(self, missing_seconds: float = 300) -> TaskWatcher:
        return TaskWatcher(
            self.describe,
            missing_seconds,
            clock=lambda: self.now,
            sleep=self.sleep,
            renew=self.renew,
            now=lambda: START + timedelta(seconds=self.now),
        )
