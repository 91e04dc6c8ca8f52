"""When shards of a triggerer end."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from ecs_feature.triggerer.end_batches import EndBatches


@pytest.mark.parametrize(
    ("shards", "now", "end"),
    [
        (1, 10.2, 10.2),
        (199, 10.2, 10.2),
        (200, 10.2, 12.0),
        (299, 11.9, 12.0),
        (300, 10.2, 12.0),
        (300, 12.2, 15.0),
        (9000, 12.0, 12.0),
    ],
)
def test_many_shards_end_at_the_same_moments(shards: int, now: float, end: float) -> None:
    ends = EndBatches()
    with ExitStack() as on_their_way:
        for _ in range(shards):
            on_their_way.enter_context(ends.counted())
        assert now + ends.seconds_until_turn(now) == pytest.approx(end)
    assert ends.shards == 0


async def test_a_shard_among_few_ends_at_once() -> None:
    began = asyncio.get_running_loop().time()
    await EndBatches().turn()
    assert asyncio.get_running_loop().time() - began < 0.5
