"""The log lines of a trigger: written together, none lost, in their order."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from typing import Any

import pytest
from log_supervisor import Supervisor
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from ecs_feature.triggerer import supervisor_socket, task_log
from ecs_feature.triggerer.task_log import GatheredLog, shorten_records


class Written:
    """A logger that keeps its records."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda message, *arguments: self.records.append((level, message % arguments if arguments else message))


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture(autouse=True)
def _short_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_log, "FLUSH_SECONDS", 0.2)


async def until_there_are(records: list[Any], count: int) -> None:
    """The next flush comes at once, but the thread that writes may have to wait for a core."""
    async with asyncio.timeout(10):
        while len(records) < count:  # noqa: ASYNC110 (the records are a list; it has no event to wait for)
            await asyncio.sleep(0.01)


async def test_lines_of_a_beat_are_one_record(written: Written) -> None:
    log = GatheredLog(written)
    log.info("Shard %s runs.", "UA")
    log.info("100 %")
    assert written.records == []
    await until_there_are(written.records, 1)
    assert written.records == [("info", "Shard UA runs.\n100 %")]
    log.info("next")
    await until_there_are(written.records, 2)
    assert written.records[1:] == [("info", "next")]


async def test_a_warning_comes_at_once_and_after_what_waited(written: Written) -> None:
    log = GatheredLog(written)
    log.info("first")
    log.warning("second %d", 2)
    log.error("third")
    await log.written()
    assert written.records == [("info", "first"), ("warning", "second 2"), ("error", "third")]


async def test_a_flush_leaves_nothing_for_the_beat(written: Written) -> None:
    log = GatheredLog(written)
    log.info("only")
    await log.written()
    await asyncio.sleep(0.25)
    assert written.records == [("info", "only")]


async def test_several_logs_are_written_at_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[int] = []
    loop = asyncio.get_running_loop()

    class Clock:
        def info(self, *_: Any) -> None:
            beats.append(int(loop.time() / task_log.FLUSH_SECONDS))

    monkeypatch.setattr(task_log, "FLUSH_SECONDS", 1.0)
    await asyncio.sleep(-loop.time() % task_log.FLUSH_SECONDS + 0.01)
    for _ in range(3):
        GatheredLog(Clock()).info("line")
        await asyncio.sleep(0.03)
    written_early = list(beats)
    await until_there_are(beats, 3)
    assert written_early == []
    assert len(beats) == 3
    assert len(set(beats)) == 1


async def test_the_lines_keep_the_context_they_were_written_in(written: Written) -> None:
    task: contextvars.ContextVar[str] = contextvars.ContextVar("task", default="none")
    seen: list[str] = []

    class Routed:
        def info(self, *_: Any) -> None:
            seen.append(task.get())

    async def shard() -> None:
        task.set("mine")
        GatheredLog(Routed()).info("line")

    await asyncio.create_task(shard())
    await until_there_are(seen, 1)
    assert seen == ["mine"]


async def test_a_writer_that_has_to_wait_stops_no_shard() -> None:
    pipe = threading.Event()

    class Full:
        def info(self, *_: Any) -> None:
            pipe.wait(5)

    log = GatheredLog(Full())
    log.info("line")
    log.flush()
    began = time.monotonic()
    await asyncio.sleep(0.05)
    assert time.monotonic() - began < 1
    pipe.set()
    await log.written()


async def test_lines_are_read_when_the_supervisor_has_taken_the_last_byte(supervisor: Supervisor) -> None:
    log = GatheredLog(supervisor.log)
    log.info("x" * 6000)
    read = asyncio.create_task(log.read())
    await asyncio.sleep(0.1)
    supervisor.reads()
    await asyncio.sleep(0.2)
    assert not read.done()  # it takes 4 KiB at a time
    supervisor.reads()
    await read


async def test_where_the_system_does_not_tell_the_supervisor_is_given_a_moment(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("Inappropriate ioctl for device")

    monkeypatch.setattr(supervisor_socket.fcntl, "ioctl", refuse)
    monkeypatch.setattr(task_log, "FALLBACK_SECONDS", 0.2)
    began = time.monotonic()
    await GatheredLog(supervisor.log).read()
    assert time.monotonic() - began >= 0.2


async def test_outside_a_triggerer_nobody_is_waited_for(written: Written) -> None:
    log = GatheredLog(written)
    log.info("line")
    await log.read()
    assert written.records == [("info", "line")]


async def test_a_line_that_may_wait_comes_with_the_next_that_may_not(written: Written) -> None:
    log = GatheredLog(written)
    log.info_within(30, "Shard %s runs.", "UA")
    await asyncio.sleep(0.25)
    assert written.records == []
    log.info("100 %")
    log.info_within(30, "last")
    await asyncio.sleep(0.25)
    assert written.records == [("info", "Shard UA runs.\n100 %\nlast")]


async def test_a_line_that_may_wait_is_written_when_nothing_else_is(written: Written) -> None:
    log = GatheredLog(written)
    log.info_within(0.3, "Shard UA runs.")
    await asyncio.sleep(0.6)
    assert written.records == [("info", "Shard UA runs.")]


def test_records_keep_what_the_supervisor_finds_the_log_by_and_nothing_else() -> None:
    bind_contextvars(trigger_id=7, **dict.fromkeys(task_log.REPEATED, "long"), span="kept")
    shorten_records()
    assert get_contextvars() == {"trigger_id": 7, "span": "kept"}
    clear_contextvars()
