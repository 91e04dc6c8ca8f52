"""A CloudWatch Logs of its own on a clock that jumps, and readers that follow shards in it."""

from __future__ import annotations

import asyncio
import contextvars
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from ecs_feature.aws.pacing import Limiter
from ecs_feature.aws.resources import EcsTask
from ecs_feature.logs.cursor import Fresh
from ecs_feature.logs.followed import Followed
from ecs_feature.logs.follower import LogFollower
from tests.jumping_clock import now

EPOCH = datetime(2026, 11, 21, 12, tzinfo=UTC)
OPTIONS = {"awslogs-group": "/ecs/features", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "job"}
SHARD: contextvars.ContextVar[int] = contextvars.ContextVar("shard", default=-1)


class NotFoundError(ClientError):
    pass


class Logs:
    """CloudWatch Logs as it is documented: pages in order of time, an unknown stream refuses the whole call."""

    class exceptions:
        ResourceNotFoundException = NotFoundError

    def __init__(self, page: int = 10_000, late: float = 0.0) -> None:
        self.page, self.late = page, late
        self.streams: dict[str, list[tuple[float, str, int]]] = defaultdict(list)
        self.calls: list[tuple[float, list[str]]] = []
        self.refusal: str | None = None
        self.fault: BaseException | None = None
        self.renewed: list[float] = []
        self.hang = False
        self.driver = "awslogs"
        self.definitions = 0
        self.written = 0

    def write(self, number: int, text: str, at: float | None = None) -> None:
        moment = now() if at is None else at
        self.written += 1
        self.streams[f"job/features/{number}"].append((moment, text, self.written))

    async def filter_log_events(
        self, logGroupName: str, logStreamNames: list[str], limit: int, startTime: int, nextToken: str = "0"
    ) -> Any:
        assert len(logStreamNames) <= 100
        self.calls.append((now(), logStreamNames))
        if self.hang:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        if self.refusal is not None:
            raise ClientError({"Error": {"Code": self.refusal, "Message": "no"}}, "FilterLogEvents")
        if set(logStreamNames) - set(self.streams):
            raise NotFoundError({"Error": {"Code": "ResourceNotFoundException", "Message": "s"}}, "FilterLogEvents")
        found = [
            {"timestamp": milliseconds(at), "message": text, "logStreamName": name, "eventId": str(number)}
            for name in logStreamNames
            for at, text, number in self.streams[name]
            if milliseconds(at) >= startTime and at + self.late <= now()
        ]
        found.sort(key=lambda event: (event["timestamp"], event["eventId"]))
        start = int(nextToken)
        more = {"nextToken": str(start + self.page)} if start + self.page < len(found) else {}
        return {"events": found[start : start + self.page], **more}

    async def client(self, region: str) -> Any:
        return self

    async def definition(self, arn: str) -> dict[str, Any]:
        self.definitions += 1
        configuration = {"logDriver": self.driver, "options": OPTIONS}
        return {"containerDefinitions": [{"name": "features", "logConfiguration": configuration}]}

    def follower(self) -> LogFollower:
        return LogFollower(
            self.client,
            self.definition,
            Limiter(1, 5),
            lambda: self.renewed.append(now()),
            clock=now,
            now=lambda: EPOCH.timestamp() + now(),
        )


def milliseconds(at: float) -> int:
    return int((EPOCH.timestamp() + at) * 1000)


def task(number: int, *, started: bool = True) -> EcsTask:
    arn = f"arn:aws:ecs:us-east-1:1:task/features/{number}"
    moment = EPOCH + timedelta(seconds=now())
    return EcsTask(arn, "", "job:1", "RUNNING", "RUNNING", created_at=moment, started_at=moment if started else None)


class Reader:
    """Follows one shard, as its trigger would."""

    def __init__(
        self, follower: LogFollower, number: int, *, started: bool = True, min_lines_per_read: int | None = 20
    ) -> None:
        self.lines: list[str] = []
        self.context: set[int] = set()
        self.follower, self.task, self.min_lines_per_read, self.number = (
            follower,
            task(number, started=started),
            min_lines_per_read,
            number,
        )
        self.drained: bool | None = None

    def show(self, fresh: Fresh) -> None:
        self.context.add(SHARD.get())
        self.lines += fresh.texts()

    async def follow(self, seconds: float, *, also: Callable[[Followed], Awaitable[None]] | None = None) -> list[str]:
        SHARD.set(self.number)
        with self.follower.followed(
            self.task, "features", self.show, min_lines_per_read=self.min_lines_per_read
        ) as one:
            if also is not None:
                await also(one)
            await asyncio.sleep(seconds)
            self.ended = now()
            self.drained = await self.follower.finish(one)
            self.took = now() - self.ended
        return self.lines


async def writing(logs: Logs, number: int, lines: int, every: float) -> None:
    for line in range(lines):
        logs.write(number, f"{number}: {line}")
        await asyncio.sleep(every)
