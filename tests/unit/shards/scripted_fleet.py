"""A fleet that plays a script, and a shard's try on it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ecs_feature.aws.resources import EcsContainer, EcsTask
from ecs_feature.exceptions import AwsError, LaunchError
from ecs_feature.logs.cursor import Cursor, Fresh, LogLine, Shown
from ecs_feature.logs.followed import Followed
from ecs_feature.logs.tail import LastLines
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.shards.run import ShardRun
from ecs_feature.tasks.launch import Launch, Network
from tests.loggers import PromptLog

LAUNCH = Launch("features", "f:1", "features", Network(("subnet-0a",)), started_by="d/uuid")
BATCH = ({"capacityProvider": "batch", "weight": 1},)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
RUNNING = EcsTask("", "", "f:1", "RUNNING", "RUNNING", cpu=512, memory_mib=1024, created_at=datetime.now(UTC))


def stopped(exit_code: int | None, stop_code: str = "EssentialContainerExited", reason: str = "") -> EcsTask:
    return replace(
        RUNNING,
        last_status="STOPPED",
        stop_code=stop_code,
        stopped_reason=reason,
        containers=(EcsContainer("features", "STOPPED", exit_code),),
        pull_started_at=NOW,
        started_at=NOW,
        stopped_at=NOW + timedelta(seconds=120),
    )


STARVED = replace(
    stopped(137), containers=(EcsContainer("features", "STOPPED", 137, "OutOfMemoryError: Container killed"),)
)


class RefusedLaunch(AwsError):
    """Raised by the launch, not by the wait."""


UNSEEN = replace(RUNNING, last_status="UNSEEN")
"""An ending that never comes: the task cannot be seen."""


class Fleet:
    """Plays one ending per launch; an exception is raised by the launch itself."""

    def __init__(self, *endings: EcsTask | Exception | None) -> None:
        self.endings = list(endings)
        self.launched: list[Launch] = []
        self.stopped: list[str] = []
        self.slots: list[dict[str, Any]] = []
        self.found: list[EcsTask] = []
        self.given_back = RUNNING
        self.looked_for: list[str] = []
        self.objects: set[str] = set()
        self.unreadable: Exception | None = None
        self.refused_stops: list[Exception] = []
        self.waits: list[float | None] = []
        self.definition: dict[str, Any] = {"cpu": "512"}
        self.default: Any = None
        self.tail = LastLines((LogLine(1, "last words"),))
        self.live, self.rest, self.trouble = [LogLine(0, "first words")], [LogLine(1, "last words")], False
        self.missed_newest = False
        self.tails: list[tuple[int, bool, bool]] = []
        self.followed: list[str] = []
        self.left: list[str] = []
        self.notes: list[str] = []

    @property
    def tokens(self) -> list[str]:
        return [launch.client_token for launch in self.launched]

    def _note(self, note: Any) -> None:
        if self.notes and note is not None:
            note(self.notes.pop(0))

    @asynccontextmanager
    async def slot(self, group: str, parallelism: int | None, *, note: Any, **vcpus: Any) -> Any:
        self.slots.append(vcpus)
        self._note(note)
        yield

    async def task_definition(self, name: str) -> dict[str, Any]:
        return self.definition

    async def default_strategy(self, cluster: str) -> Any:
        return self.default

    async def launch(
        self, launch: Launch, *, share: str, in_doubt: Any = None, tell: Any = None, note: Any = None
    ) -> EcsTask:
        self.launched.append(launch)
        self._note(note)
        if in_doubt is not None:
            in_doubt(True)
        if isinstance(self.endings[0], LaunchError | RefusedLaunch):
            raise self.endings.pop(0)
        return replace(self.given_back, arn=f"arn:aws:ecs:us-east-1:1:task/features/{len(self.launched)}")

    async def ended(
        self,
        cluster: str,
        task: EcsTask,
        *,
        poll_seconds: float,
        start_seconds: float | None = None,
        tell: Any,
        note: Any,
        seen: Any = None,
    ) -> EcsTask | None:
        self.waits.append(start_seconds)
        self._note(note)
        ending = self.endings.pop(0) if self.endings else UNSEEN
        if ending is UNSEEN:
            tell("ECS task cannot be seen.")
            await asyncio.Event().wait()
        if isinstance(ending, Exception):
            raise ending
        return replace(ending, arn=task.arn) if isinstance(ending, EcsTask) else None

    async def tasks_started_by(self, cluster: str, started_by: str, *statuses: str) -> list[EcsTask]:
        self.looked_for.append(started_by)
        return self.found

    async def object_exists(self, uri: str) -> bool:
        if self.unreadable is not None:
            raise self.unreadable
        return uri in self.objects

    async def stop(self, cluster: str, task_arn: str, reason: str, *, tell: Any = None) -> None:
        self.stopped.append(f"{task_arn} {reason}")
        if self.refused_stops:
            raise self.refused_stops.pop(0)

    async def log_tail(
        self, task: EcsTask, container: str, lines: int, *, failed: bool, quiet: bool = False
    ) -> LastLines:
        self.tails.append((lines, failed, quiet))
        return self.tail

    @contextmanager
    def live_log(self, task: EcsTask, container: str, show: Any, *, min_lines_per_read: int) -> Any:
        """Shows ``self.live`` at once, and ``self.rest`` when the task has ended."""
        self.followed.append(task.arn)
        one = Followed(task, container, show, min_lines_per_read, Cursor(0), Shown(100), 0.0, warned=self.trouble)
        one.say(Fresh(self.live))
        yield one
        self.left.append(task.arn)

    async def rest_of_log(self, followed: Followed) -> bool:
        if not self.trouble and not self.missed_newest:
            followed.say(Fresh(self.rest, left_out=7))
        return not self.trouble and not self.missed_newest


def shard_run(
    fleet: Fleet,
    *,
    launch: Launch = LAUNCH,
    since: datetime | None = None,
    result_uri: str = "",
    try_number: int = 1,
    live: bool = False,
    **policy: Any,
) -> ShardRun:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    run = ShardRun(
        fleet,  # type: ignore[arg-type]
        "UA",
        launch,
        ShardPolicy(**policy),
        "uuid",
        PromptLog(logging.getLogger("test")),
        sleep=sleep,
        since=since,
        result_uri=result_uri,
        try_number=try_number,
        live=live,
    )
    run.pauses = pauses  # type: ignore[attr-defined]
    return run
