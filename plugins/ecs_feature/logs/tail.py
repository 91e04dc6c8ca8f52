"""The last lines of containers' logs, from CloudWatch Logs: of a hundred finished tasks by one call.

A log never fails a shard: what cannot be read within :data:`MAX_SECONDS`, with renewed clients, is left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from ecs_feature.aws import limits
from ecs_feature.aws.errors import Reaction, is_transient, reaction_to, translate
from ecs_feature.aws.pacing import Limiter
from ecs_feature.aws.resources import EcsTask
from ecs_feature.detached import spawn_detached
from ecs_feature.exceptions import AccessDeniedError, EcsFeatureError, EndpointUnreachableError
from ecs_feature.logs.cursor import LogLine

log = logging.getLogger(__name__)
Page = TypeVar("Page")

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
    :param error: why they could not be read, which was logged; None: they could.
    """

    lines: tuple[LogLine, ...] = ()
    missing: str = ""
    error: EcsFeatureError | None = None


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
    :param renew: starts to renew the clients.
    :ivar _trouble: why the last call failed; None: it did not.
    :ivar _denied: the log groups that may not be read, and since when.
    """

    client: Callable[[str], Awaitable[Any]]
    task_definition: Callable[[str], Awaitable[dict[str, Any]]]
    collect_seconds: float = COLLECT_SECONDS
    max_seconds: float = MAX_SECONDS
    batched: Limiter = field(default_factory=lambda: Limiter(1, limits.FILTER_LOG_EVENTS_PER_SECOND))
    renew: Callable[[], None] = lambda: None
    _exact: Limiter = field(default_factory=lambda: Limiter(1, limits.GET_LOG_EVENTS_PER_SECOND))
    _exact_waiting: int = 0
    _wanted: dict[tuple[str, str], list[TailRequest]] = field(default_factory=lambda: defaultdict(list))
    _readers: set[asyncio.Task[None]] = field(default_factory=set)
    _trouble: Exception | None = None
    _denied: dict[tuple[str, str], float] = field(default_factory=dict)

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
        except Exception as error:
            if isinstance(place, LogPlace) and _is_group_missing(error):
                return LastLines(missing=f"its log group {place.group} does not exist{NO_LINES}")
            why = self._in_a_sentence(error, asked=bool(place))
            log.log(logging.DEBUG if quiet else logging.WARNING, CANNOT_BE_READ, task.task_id, why)
            return LastLines(missing="its log cannot be read", error=why)

    async def close(self) -> None:
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _in_a_sentence(self, error: Exception, *, asked: bool) -> EcsFeatureError:
        """
        :param asked: whether CloudWatch Logs was asked, and not only for the task definition.
        """
        if not isinstance(error, TimeoutError):
            return translate(error)
        if asked and self._trouble is not None:
            return translate(self._trouble)
        what = "CloudWatch Logs gave no answer" if asked else "ECS did not give its task definition"
        return EndpointUnreachableError(f"{what} within {self.max_seconds:g} s.")

    async def _read_one(self, place: LogPlace, stream: str, lines: int) -> list[LogLine]:
        request = {"logGroupName": place.group, "logStreamName": stream, "limit": lines, "startFromHead": False}

        async def page(client: Any) -> tuple[list[LogLine], str]:
            answer = await client.get_log_events(**request)
            return [LogLine.from_aws(event) for event in answer["events"]], answer.get("nextBackwardToken", "")

        found: list[LogLine] = []
        for _ in range(EXACT_PAGES):
            self._exact_waiting += 1
            try:
                found, token = await self._answer(self._exact, (place.group, place.region), page)
            except ClientError as error:
                if not _is_missing(error) or _is_group_missing(error):
                    raise
                return []
            finally:
                self._exact_waiting -= 1
            if found or token in ("", request.get("nextToken")):
                break
            request["nextToken"] = token
        return found[-lines:]

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
        try:
            async with asyncio.timeout(self.max_seconds):
                found = await self._tails(group, region, batch)
        except Exception as error:
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

    async def _tails(self, group: str, region: str, batch: list[TailRequest]) -> dict[str, list[LogLine]]:
        """Each stream's last lines, from the longest window that can be read whole; else from what was read."""
        found: dict[str, list[LogLine]] = {}
        for seconds in WINDOWS_SECONDS:
            window, complete = await self._window(group, region, batch, seconds)
            found |= window
            if complete:
                break
        return found

    async def _window(
        self, group: str, region: str, batch: list[TailRequest], seconds: float | None
    ) -> tuple[dict[str, list[LogLine]], bool]:
        """The lines by stream, from ``seconds`` before the first task stopped, and whether those are all."""
        request: dict[str, Any] = {
            "logGroupName": group,
            "logStreamNames": [wanted.stream for wanted in batch],
            "limit": limits.FILTER_LOG_EVENTS,
        }
        since = _since(batch, seconds)
        if since is not None:
            request["startTime"] = since

        async def page(client: Any) -> tuple[list[tuple[str, LogLine]], str | None]:
            answer = await client.filter_log_events(**request)
            found = [(event["logStreamName"], LogLine.from_aws(event)) for event in answer.get("events", ())]
            return found, answer.get("nextToken")

        lines: list[tuple[str, LogLine]] = []
        for _ in range(PAGES):
            more, token = await self._answer(self.batched, (group, region), page)
            lines += more
            if not token:
                return _by_stream(lines), True
            request["nextToken"] = token
        return _by_stream(lines), False

    async def _answer(self, limiter: Limiter, place: tuple[str, str], call: Callable[[Any], Awaitable[Page]]) -> Page:
        """The answer of a call, at the limiter's rate; what may pass is repeated until the caller's timeout.

        :param place: log group and region.
        :param call: one call with a client.
        """
        while True:
            await limiter.acquire()
            try:
                answer = await call(await self.client(place[1]))
            except Exception as error:
                denied = isinstance(translate(error), AccessDeniedError)
                if reaction_to(error) is Reaction.REFUSE or (denied and self._is_rule(place)):
                    raise
                self._trouble = error
                if not denied and not is_transient(error):
                    self.renew()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._trouble = None
                self._denied.pop(place, None)
                return answer

    def _is_rule(self, place: tuple[str, str]) -> bool:
        """Whether access has been denied for so long that no other shard waits for it."""
        now = asyncio.get_running_loop().time()
        return now - self._denied.setdefault(place, now) >= self.max_seconds


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


def _by_stream(found: list[tuple[str, LogLine]]) -> dict[str, list[LogLine]]:
    """Lines by stream, oldest first; lines of one moment stay in the order in which they came."""
    lines: dict[str, list[LogLine]] = defaultdict(list)
    for stream, line in sorted(found, key=lambda one: one[1].at):
        lines[stream].append(line)
    return dict(lines)


def milliseconds(moment: datetime) -> int:
    """Since 1970, as CloudWatch counts."""
    return int(moment.timestamp() * 1000)
