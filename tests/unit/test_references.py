"""Values that another task has left, read once for all shards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.triggers.references import FRESH_SECONDS, SharedReads, look_up, reference

LEFT = {"control.register": "arn:definition:3", "find_shards": ["AA", "UA"]}
KEY = ("flights", "run", "find_shards")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("UA", "UA"),
        ("arn:aws:ecs:us-east-1:1:task-definition/f:1", "arn:aws:ecs:us-east-1:1:task-definition/f:1"),
        (reference("control.register"), "arn:definition:3"),
        (reference("find_shards", "1"), "UA"),
    ],
)
def test_a_reference_is_what_it_names_and_anything_else_is_itself(value: str, found: str) -> None:
    assert look_up(value, LEFT.get) == found


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            reference("gone"),
            "Task gone has left no value (XCom return_value); clear it to run it again.",
        ),
        (
            reference("find_shards", "2"),
            "Task find_shards has left no value (XCom return_value, item 2); clear it to run it again.",
        ),
    ],
)
def test_a_reference_to_nothing_is_told_in_one_sentence(value: str, sentence: str) -> None:
    with pytest.raises(EcsFeatureError) as error:
        look_up(value, LEFT.get)
    assert str(error.value) == sentence


class Source:
    def __init__(self) -> None:
        self.reads = 0
        self.now = 0.0
        self.failures = 0
        self.shared = SharedReads(self.read, clock=lambda: self.now)

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
    for source.now in (0.0, FRESH_SECONDS, FRESH_SECONDS + 0.1):
        values.append(await source.shared.get(KEY))
    assert values == ["value 1", "value 1", "value 2"]


async def test_another_run_reads_for_itself() -> None:
    source = Source()
    assert await source.shared.get(KEY) != await source.shared.get(("flights", "another", "find_shards"))


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
