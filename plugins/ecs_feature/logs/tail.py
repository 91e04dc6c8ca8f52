"""The last lines of containers' logs, from CloudWatch Logs: of a hundred finished tasks by one call.

A log never fails a shard: what cannot be read within :data:`MAX_SECONDS` is left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ecs_feature.aws import limits
from ecs_feature.aws.errors import is_transient
from ecs_feature.aws.pacing import Limiter
from ecs_feature.aws.resources import EcsTask
from ecs_feature.detached import spawn_detached
from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.logs.cursor import LogLine

log = logging.getLogger(__name__)

COLLECT_SECONDS = 0.15
"""How long the first request of a batch waits for others that ended in the same poll."""
MAX_SECONDS = 15.0
RETRY_SECONDS = 1.0
PAGES = 3
"""Pages that are read of one window; if that is not all of it, a shorter window is read."""
EXACT_PAGES = 3
"""GetLogEvents may return an empty page although there are lines."""
WINDOWS_SECONDS: Sequence[float | None] = (None, 30.0, 3.0)
"""How much of a task's log is read, back from its end; None: all of it."""


CANNOT_BE_READ = "The log of task %s cannot be read: %s"
NO_LINES = ", so there are no lines here"


@dataclass(frozen=True)
class LogPlace:
    """A container's log options: awslogs-group, -stream-prefix and -region."""

    group: str
    prefix: str
    region: str = ""

    def stream(self, container: str, task_id: str) -> str:
        """AmazonECS/latest/developerguide/using_awslogs.html: prefix/container/task-id."""
        return f"{self.prefix}/{container}/{task_id}"


def log_place(task_definition: dict[str, Any], container: str) -> LogPlace | str:
    """The container's log options; if its lines are not in a stream that can be found, one clause that says why."""
    definitions = {one.get("name"): one for one in task_definition.get("containerDefinitions", ())}
    if container not in definitions:
        return f"container {container} is not in the task definition{NO_LINES}"
    configuration = definitions[container].get("logConfiguration") or {}
    driver, options = configuration.get("logDriver", ""), configuration.get("options") or {}
    if not driver:
        return f"it has no logConfiguration{NO_LINES}"
    if driver != "awslogs":
        return f"its log goes to {driver}{NO_LINES}"
    if "awslogs-group" not in options or "awslogs-stream-prefix" not in options:
        return f"its log goes to awslogs without an awslogs-stream-prefix{NO_LINES}"
    return LogPlace(options["awslogs-group"], options["awslogs-stream-prefix"], options.get("awslogs-region", ""))


@dataclass(frozen=True)
class LastLines:
    """The last lines of one container's log, oldest first.

    :param missing: why there are none although the container may have written some: one clause; empty: it has not.
    :param logged: whether that was already logged.
    """

    lines: tuple[LogLine, ...] = ()
    missing: str = ""
    logged: bool = False


@dataclass(eq=False)
class TailRequest:
    """A request for the last lines of one stream."""

    stream: str
    lines: int
    started: datetime | None
    stopped: datetime | None
    result: asyncio.Future[list[LogLine]]


@dataclass(eq=False)
class LogTail:
    """Reads last lines, within CloudWatch's rates.

    :param client: region -> a ``logs`` client without retries; empty: the fleet's region.
    :param task_definition: ARN -> the described task definition.
    :param batched: the limiter of FilterLogEvents, shared with the follower.
    """

    client: Callable[[str], Awaitable[Any]]
    task_definition: Callable[[str], Awaitable[dict[str, Any]]]
    collect_seconds: float = COLLECT_SECONDS
    max_seconds: float = MAX_SECONDS
    batched: Limiter = field(default_factory=lambda: Limiter(1, limits.FILTER_LOG_EVENTS_PER_SECOND))
    _exact: Limiter = field(default_factory=lambda: Limiter(1, limits.GET_LOG_EVENTS_PER_SECOND))
    _exact_waiting: int = 0
    _wanted: dict[tuple[str, str], list[TailRequest]] = field(default_factory=lambda: defaultdict(list))
    _readers: set[asyncio.Task[None]] = field(default_factory=set)

    async def last_lines(
        self, task: EcsTask, container: str, lines: int, *, failed: bool = False, quiet: bool = False
    ) -> LastLines:
        """At most ``lines`` last lines of the container's log; that they cannot be read in time is logged.

        :param failed: read with a call of its own, for the exact last lines; in a batch when too many fail at once.
        :param quiet: do not log that they cannot be read, because that was logged before.
        """
        place: LogPlace | str = ""
        try:
            async with asyncio.timeout(self.max_seconds):
                place = log_place(await self.task_definition(task.task_definition_arn), container)
                if isinstance(place, str):
                    return LastLines(missing=place)
                if lines < 1:
                    return LastLines()
                stream = place.stream(container, task.task_id)
                # At most as many calls as fit into a third of the timeout.
                if failed and self._exact_waiting < limits.GET_LOG_EVENTS_PER_SECOND * self.max_seconds / 3:
                    return LastLines(tuple(await self._read_one(place, stream, lines)))
                if task.started_at is None and not failed:
                    return LastLines()  # nothing ran, so there is no stream
                return LastLines(tuple(await self._read_with_others(place, stream, task, lines)))
        except (EcsFeatureError, ClientError, BotoCoreError, TimeoutError) as error:
            why = str(error) or f"no answer within {self.max_seconds:g} s"
            if isinstance(place, LogPlace) and _is_group_missing(error):
                return LastLines(missing=f"its log group {place.group} does not exist{NO_LINES}")
            log.log(logging.DEBUG if quiet else logging.WARNING, CANNOT_BE_READ, task.task_id, why)
            return LastLines(missing="its log cannot be read", logged=True)

    async def close(self) -> None:
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _read_one(self, place: LogPlace, stream: str, lines: int) -> list[LogLine]:
        client, token = await self.client(place.region), ""
        for _ in range(EXACT_PAGES):
            request = {"logGroupName": place.group, "logStreamName": stream, "limit": lines, "startFromHead": False}
            self._exact_waiting += 1
            try:
                answer = await _call_at_rate(
                    self._exact, client.get_log_events, **request, **({"nextToken": token} if token else {})
                )
            except ClientError as error:
                if not _is_missing(error) or _is_group_missing(error):
                    raise
                return []
            finally:
                self._exact_waiting -= 1
            if answer["events"] or answer.get("nextBackwardToken", token) == token:
                break
            token = answer["nextBackwardToken"]
        return [LogLine.from_aws(event) for event in answer["events"]][-lines:]

    async def _read_with_others(self, place: LogPlace, stream: str, task: EcsTask, lines: int) -> list[LogLine]:
        loop = asyncio.get_running_loop()
        wanted = TailRequest(stream, lines, task.started_at, task.stopped_at, loop.create_future())
        key = (place.group, place.region)
        batch = self._wanted[key]
        batch.append(wanted)
        if len(batch) == 1:
            self._read_soon(key, self.collect_seconds)
        elif len(batch) == limits.FILTER_LOG_STREAMS:
            self._read_soon(key, 0.0)
        return await wanted.result

    def _read_soon(self, key: tuple[str, str], seconds: float) -> None:
        async def read() -> None:
            await asyncio.sleep(seconds)
            batch = self._wanted.pop(key, [])
            for start in range(0, len(batch), limits.FILTER_LOG_STREAMS):
                await self._read_batch(*key, batch[start : start + limits.FILTER_LOG_STREAMS])

        reader = spawn_detached(read())
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)

    async def _read_batch(self, group: str, region: str, batch: list[TailRequest]) -> None:
        batch = [wanted for wanted in batch if not wanted.result.done()]
        if not batch:
            return
        client = await self.client(region)
        try:
            async with asyncio.timeout(self.max_seconds):
                found = await self._tails(client, group, batch)
        except (ClientError, BotoCoreError, TimeoutError) as error:
            await self._not_read(group, region, batch, error)
            return
        for wanted in batch:
            if not wanted.result.done():
                wanted.result.set_result(found.get(wanted.stream, [])[-wanted.lines :])

    async def _not_read(self, group: str, region: str, batch: list[TailRequest], error: Exception) -> None:
        """Answer a batch that could not be read; CloudWatch does not say which stream is missing, so halve it then."""
        stream_missing = _is_missing(error) and not _is_group_missing(error)
        if stream_missing and len(batch) > 1:
            half = len(batch) // 2
            await asyncio.gather(
                self._read_batch(group, region, batch[:half]), self._read_batch(group, region, batch[half:])
            )
            return
        for wanted in batch:
            if wanted.result.done():
                continue
            if stream_missing:
                wanted.result.set_result([])
            else:
                wanted.result.set_exception(error)

    async def _tails(self, client: Any, group: str, batch: list[TailRequest]) -> dict[str, list[LogLine]]:
        """Each stream's last lines, from the longest window that can be read whole; else from what was read."""
        found: dict[str, list[LogLine]] = {}
        for seconds in WINDOWS_SECONDS:
            window, complete = await self._window(client, group, batch, seconds)
            found |= window
            if complete:
                break
        return found

    async def _window(
        self, client: Any, group: str, batch: list[TailRequest], seconds: float | None
    ) -> tuple[dict[str, list[LogLine]], bool]:
        """The lines by stream, from ``seconds`` before the first task stopped, and whether those are all."""
        events: list[dict[str, Any]] = []
        request: dict[str, Any] = {
            "logGroupName": group,
            "logStreamNames": [wanted.stream for wanted in batch],
            "limit": limits.FILTER_LOG_EVENTS,
        }
        since = _since(batch, seconds)
        if since is not None:
            request["startTime"] = since
        for _ in range(PAGES):
            answer = await _call_at_rate(self.batched, client.filter_log_events, **request)
            events += answer.get("events", ())
            token = answer.get("nextToken")
            if not token:
                return _by_stream(events), True
            request["nextToken"] = token
        return _by_stream(events), False


def _is_missing(error: Exception) -> bool:
    """Whether the log stream or group is missing."""
    return isinstance(error, ClientError) and error.response["Error"].get("Code") == "ResourceNotFoundException"


def _is_group_missing(error: Exception) -> bool:
    """Whether the log group is missing, not only the stream: "The specified log group does not exist."."""
    return _is_missing(error) and "log group" in str(error)


def _since(batch: list[TailRequest], seconds: float | None) -> int | None:
    """The start of the window in milliseconds since 1970; None: the start of the log."""
    if seconds is None:
        # A container may log before its task is RUNNING, and its clock is not ECS's.
        return min((milliseconds(one.started) - 60_000 for one in batch if one.started), default=None)
    ends = [milliseconds(one.stopped) for one in batch if one.stopped]
    return min(ends) - int(seconds * 1000) if ends else None


def _by_stream(events: list[dict[str, Any]]) -> dict[str, list[LogLine]]:
    """Lines by stream, oldest first; events of one moment stay in the order in which they came."""
    lines: dict[str, list[LogLine]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event["timestamp"]):
        lines[event["logStreamName"]].append(LogLine.from_aws(event))
    return dict(lines)


async def _call_at_rate(limiter: Limiter, call: Callable[..., Awaitable[Any]], **request: Any) -> Any:
    """Call at the limiter's rate; repeat after transient errors until the caller's timeout."""
    while True:
        await limiter.acquire()
        try:
            return await call(**request)
        except (ClientError, BotoCoreError) as error:
            if not is_transient(error):
                raise
            await asyncio.sleep(RETRY_SECONDS)


def milliseconds(moment: datetime) -> int:
    """Since 1970, as CloudWatch counts."""
    return int(moment.timestamp() * 1000)
