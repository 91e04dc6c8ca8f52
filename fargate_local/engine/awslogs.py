"""The awslogs driver: lines of containers go to CloudWatch Logs, in batches, off the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from fargate_local import limits
from fargate_local.errors import ApiError, StartFailure
from fargate_local.shapes import JsonObject

FLUSH_SECONDS = 0.2
TRUE = ("1", "t", "T", "TRUE", "true", "True")


class Clients(Protocol):
    """Where boto3 clients of the emulated services come from; only called in worker threads."""

    def client(self, service: str, region: str) -> Any: ...


class Logs(Protocol):
    """CloudWatch Logs; only called in worker threads. Its methods raise ApiError."""

    def create_log_stream(self, region: str, group: str, stream: str, *, create_group: bool) -> None: ...

    def put_log_events(self, region: str, group: str, stream: str, events: list[JsonObject]) -> None: ...


@dataclass
class LogStream:
    """One stream of a log group, with the events that were not sent yet."""

    group: str
    stream: str
    region: str
    events: list[JsonObject] = field(default_factory=list)
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)


def batches(events: list[JsonObject]) -> list[list[JsonObject]]:
    """The events in as many PutLogEvents calls as CloudWatch Logs wants."""
    result: list[list[JsonObject]] = []
    size = limits.LOG_BATCH_BYTES
    for event in events:
        cost = len(event["message"].encode()) + limits.LOG_EVENT_OVERHEAD_BYTES
        if size + cost > limits.LOG_BATCH_BYTES or len(result[-1]) >= limits.LOG_BATCH_EVENTS:
            result.append([])
            size = 0
        result[-1].append(event)
        size += cost
    return result


class AwsLogs:
    """All the log streams of one server; one loop sends for all of them."""

    def __init__(self, logs: Logs, now: Callable[[], float]) -> None:
        self._logs = logs
        self._now = now
        self._dirty: dict[int, LogStream] = {}
        self._loop: asyncio.Task[None] | None = None

    async def open_stream(self, configuration: JsonObject, container: str, task_id: str) -> LogStream | None:
        """The stream of a container; None when it does not log with awslogs.

        :raises StartFailure: ResourceInitializationError, there is no such log group.
        """
        options = configuration.get("options", {})
        if configuration.get("logDriver") != "awslogs":
            return None
        prefix = options.get("awslogs-stream-prefix")
        name = f"{prefix}/{container}/{task_id}" if prefix else task_id
        stream = LogStream(options.get("awslogs-group", ""), name, options.get("awslogs-region", "us-east-1"))
        await asyncio.to_thread(self._create, stream, options.get("awslogs-create-group") in TRUE)
        return stream

    def write(self, stream: LogStream, line: bytes) -> None:
        """Keep a line for the next batch. CloudWatch Logs takes no empty events: an empty line becomes a space."""
        message = line.decode("utf-8", "replace") or " "
        stream.events.append({"timestamp": int(self._now() * 1000), "message": message})
        self._dirty[id(stream)] = stream
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._send_all())

    async def flush(self, stream: LogStream) -> None:
        """Send all that the stream still holds; returns when CloudWatch Logs has it."""
        async with stream.sending:
            await self._put_all([stream])

    async def close(self) -> None:
        if self._loop is not None:
            await self._loop

    async def _send_all(self) -> None:
        while self._dirty:
            await asyncio.sleep(FLUSH_SECONDS)
            async with contextlib.AsyncExitStack() as sending:
                streams = list(self._dirty.values())
                for stream in streams:
                    await sending.enter_async_context(stream.sending)
                await self._put_all(streams)

    async def _put_all(self, streams: list[LogStream]) -> None:
        """Send what these streams hold, in one go off the event loop; their `sending` is held."""
        waiting = []
        for stream in streams:
            self._dirty.pop(id(stream), None)
            if stream.events:
                waiting.append((stream, stream.events))
                stream.events = []
        if waiting:
            await asyncio.to_thread(self._put, waiting)

    def _create(self, stream: LogStream, create_group: bool) -> None:
        try:
            self._logs.create_log_stream(stream.region, stream.group, stream.stream, create_group=create_group)
        except ApiError as error:
            raise StartFailure(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                f"failed to create Cloudwatch log stream: {error.code}: {error.message} : exit status 1"
            ) from None

    def _put(self, waiting: list[tuple[LogStream, list[JsonObject]]]) -> None:
        for stream, events in waiting:
            for batch in batches(events):
                # Like the awslogs driver: a group deleted meanwhile loses the lines, not the task.
                with contextlib.suppress(ApiError):
                    self._logs.put_log_events(stream.region, stream.group, stream.stream, batch)
