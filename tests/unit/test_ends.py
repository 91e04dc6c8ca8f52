"""When shards of a triggerer end."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from ecs_feature.triggers.ends import Ends


@pytest.mark.parametrize(
    ("shards", "now", "after", "end"),
    [
        (1, 10.2, 1.0, 10.4),
        (1, 10.2, 3.0, 10.8),
        (50, 10.2, 1.0, 10.7),
        (100, 10.2, 1.0, 11.2),
        (199, 10.2, 1.0, 11.2),
        (200, 10.2, 1.0, 12.0),
        (299, 10.9, 1.0, 12.0),
        (300, 10.2, 1.0, 12.0),
        (300, 11.2, 1.0, 15.0),
        (9000, 12.0, 3.0, 15.0),
    ],
)
def test_many_shards_end_at_the_same_moments(shards: int, now: float, after: float, end: float) -> None:
    ends = Ends()
    with ExitStack() as on_their_way:
        for _ in range(shards):
            on_their_way.enter_context(ends.counted())
        assert now + ends.seconds_until(now, after) == pytest.approx(end)
    assert ends.shards == 0


async def test_the_wait_is_kept() -> None:
    await Ends().turn(0.0)
