"""Stand-stills of the event loop are told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time

import pytest

from ecs_feature.loop_watch import watch_loop


async def test_only_a_loop_that_stands_still_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    now, pauses = 0.0, iter([0.1, 0.29, 0.31, 2.6])

    async def sleep(seconds: float) -> None:
        nonlocal now
        try:
            now += next(pauses)
        except StopIteration:
            raise asyncio.CancelledError from None

    with caplog.at_level(logging.WARNING, "ecs_feature.loop_watch"), contextlib.suppress(asyncio.CancelledError):
        await watch_loop(lambda: now, sleep)
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert [re.findall(r"[0-9.]+ s\b", record.getMessage()) for record in caplog.records] == [["0.21 s"], ["2.50 s"]]


async def test_it_is_the_loop_it_runs_in(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ecs_feature.loop_watch"):
        watching = asyncio.create_task(watch_loop())
        await asyncio.sleep(0)
        time.sleep(0.4)  # noqa: ASYNC251
        await asyncio.sleep(0.05)
        watching.cancel()
    (record,) = caplog.records
    assert "stood still for 0." in record.getMessage()
