"""Which version is current, by what publishes and ways back have left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecs_feature.results.versions import Move, current, published, rolled_back

NOW = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
ONE, TWO = "s3://b/features/ds=2013-02-08", "s3://b/features/ds=2013-02-09"


def uri(number: int, prefix: str = ONE) -> str:
    return f"{prefix}/manifest/v={number:04d}.json"


def at(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_the_last_move_of_a_pointer_says_which_version_is_current() -> None:
    publishes = [published(uri(number), at(number)) for number in (1, 2, 3)]
    back = rolled_back({"manifest_uri": uri(1), "version": 1, "at": at(9).isoformat(), "before": 3})
    assert current(publishes) == {ONE: 3}
    assert current([back, *publishes]) == current([*publishes, back]) == {ONE: 1}
    assert current([*publishes, back, published(uri(4), at(10))]) == {ONE: 4}
    assert current([published(uri(7, TWO), at(0)), *publishes]) == {TWO: 7, ONE: 3}
    assert current([]) == current([None]) == {}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "x",
        3,
        [],
        {},
        {"manifest_uri": uri(1)},
        {"manifest_uri": uri(1), "at": "soon"},
        {"manifest_uri": "s3://b", "at": NOW.isoformat()},
        {"manifest_uri": None, "at": NOW.isoformat()},
    ],
    ids=str,
)
def test_what_is_no_way_back_moves_nothing(value: Any) -> None:
    assert rolled_back(value) is None


def test_a_publish_of_nothing_moves_nothing() -> None:
    assert published(None, NOW) is None
    assert published(uri(3), NOW) == Move(ONE, 3, NOW)
