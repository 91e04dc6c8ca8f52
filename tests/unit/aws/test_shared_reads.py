"""Values that many ask for: one read serves them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ecs_feature.aws.shared_reads import SharedReads

KEY = "find_shards"
FRESH = 5.0


class Source:
    def __init__(self) -> None:
        self.reads = 0
        self.now = 0.0
        self.failures = 0
        self.shared = SharedReads(self.read, FRESH, clock=lambda: self.now)

    async def read(self, key: Any) -> str:
        self.reads += 1
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        return f"value {self.reads}"


async def test_a_thousand_shards_at_once_read_once() -> None:
    source = Source()
    assert set(await asyncio.gather(*(source.shared.get(KEY) for _ in range(1000)))) == {"value 1"}
    assert source.reads == 1


async def test_a_value_is_fresh_for_seconds_and_then_read_again() -> None:
    source = Source()
    values = []
    for source.now in (0.0, FRESH, FRESH + 0.1):
        values.append(await source.shared.get(KEY))
    assert values == ["value 1", "value 1", "value 2"]


async def test_a_value_is_renewed_while_it_is_still_used_so_that_nobody_waits() -> None:
    source = Source()
    source.shared.renew_seconds = 1.0
    assert await source.shared.get(KEY) == "value 1"
    source.now = 1.1
    assert [await source.shared.get(KEY) for _ in range(3)] == ["value 1"] * 3
    assert source.reads == 1, "the renewal has not begun to run"
    await asyncio.sleep(0.01)
    assert await source.shared.get(KEY) == "value 2"
    source.now = 1.1 + FRESH
    assert await source.shared.get(KEY) == "value 2", "it is as old as its own read"
    assert source.reads == 2


async def test_a_renewal_that_fails_leaves_the_value_as_long_as_it_is_fresh() -> None:
    source = Source()
    source.shared.renew_seconds = 1.0
    await source.shared.get(KEY)
    source.failures, source.now = 1, 2.0
    assert await source.shared.get(KEY) == "value 1"
    await asyncio.sleep(0.01)
    assert await source.shared.get(KEY) == "value 1"
    source.now = FRESH + 0.1
    assert await source.shared.get(KEY) in ("value 3", "value 4")


async def test_a_renewal_of_what_was_forgotten_meanwhile_is_dropped() -> None:
    source = Source()
    source.shared.renew_seconds = 1.0
    await source.shared.get(KEY)
    source.now = 2.0
    await source.shared.get(KEY)
    source.shared.forget()
    await asyncio.sleep(0.01)
    assert source.shared._reads == {}


async def test_another_run_reads_for_itself() -> None:
    source = Source()
    assert await source.shared.get(KEY) != await source.shared.get("another")


async def test_a_read_that_fails_is_not_kept() -> None:
    source = Source()
    source.failures = 1
    with pytest.raises(ConnectionError):
        await source.shared.get(KEY)
    assert await source.shared.get(KEY) == "value 2"


async def test_a_reader_that_is_killed_does_not_take_the_read_from_the_others() -> None:
    source = Source()
    first = asyncio.create_task(source.shared.get(KEY))
    second = asyncio.create_task(source.shared.get(KEY))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "value 1"
    assert source.reads == 1


async def test_a_read_that_fails_when_nobody_waits_any_more_is_not_kept_either() -> None:
    source = Source()
    source.failures = 1
    reader = asyncio.create_task(source.shared.get(KEY))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.sleep(0.01)
    assert await source.shared.get(KEY) == "value 2"


async def test_what_is_forgotten_is_read_anew() -> None:
    source = Source()
    assert await source.shared.get(KEY) == "value 1"
    source.shared.forget()
    assert await source.shared.get(KEY) == "value 2"
