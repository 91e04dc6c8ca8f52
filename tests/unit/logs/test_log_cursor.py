"""Which of a read's events are new: each line once, whatever reads give."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ecs_feature.logs.cursor import (
    BEHIND_MS,
    OVERLAP_MS,
    SETTLED_MS,
    Cursor,
    Fresh,
    LogLine,
    Shown,
    capped,
    chunk,
    lines_at_once,
)


def event(at: int, text: str, number: int = 0) -> dict[str, Any]:
    return {"timestamp": at, "message": text + "\n", "eventId": f"{at}/{text}/{number}"}


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


NOW = 1_000_000_000


def test_events_of_one_millisecond_are_told_apart_also_when_they_say_the_same() -> None:
    cursor = Cursor(0)
    assert texts(cursor.take([event(NOW, "same", 1), event(NOW, "same", 2)])) == ["same", "same"]
    cursor.settle(NOW + 10)
    again = [event(NOW, "same", 1), event(NOW, "same", 2), event(NOW, "same", 3)]
    assert texts(cursor.take(again)) == ["same"]


def test_an_event_that_becomes_visible_late_is_taken() -> None:
    cursor = Cursor(0)
    assert texts(cursor.take([event(NOW, "second")])) == ["second"]
    cursor.settle(NOW + 3000)
    assert texts(cursor.take([event(NOW - OVERLAP_MS, "first"), event(NOW, "second")])) == ["first"]


def test_a_stream_that_says_nothing_is_not_read_from_its_last_line_for_ever() -> None:
    cursor = Cursor(0)
    cursor.take([event(NOW, "last for long")])
    cursor.settle(NOW + 600_000)
    assert cursor.since == NOW + 600_000 - SETTLED_MS
    cursor.settle(NOW + 500_000)
    assert cursor.since == NOW + 600_000 - SETTLED_MS


def test_what_others_are_read_from_further_back_for_is_not_taken_again() -> None:
    cursor = Cursor(0)
    cursor.take([event(NOW, "a"), event(NOW + 2 * OVERLAP_MS, "b")])
    cursor.settle(NOW + 2 * OVERLAP_MS)
    assert cursor.take([event(NOW, "a"), event(NOW + 2 * OVERLAP_MS, "b")]) == []


def test_a_reader_that_keeps_up_goes_on_where_it_was_and_one_that_does_not_skips() -> None:
    cursor = Cursor(0)
    cursor.take([event(NOW, "a")])
    assert cursor.go_on(NOW, NOW + BEHIND_MS) is False
    assert cursor.since == NOW
    assert texts(cursor.take([event(NOW, "a"), event(NOW, "b")])) == ["b"]
    assert cursor.go_on(NOW, NOW + BEHIND_MS + 1) is True
    assert cursor.since == NOW + BEHIND_MS + 1 - OVERLAP_MS
    assert cursor.go_on(None, NOW + 60_000) is True


def test_lines_that_were_shown_before_are_not_taken() -> None:
    cursor = Cursor(NOW)
    cursor.known.update([LogLine(NOW, "a")])
    assert texts(cursor.take([event(NOW, "a", 1), event(NOW, "a", 2), event(NOW + 1, "b")])) == ["a", "b"]


@pytest.mark.parametrize("seed", range(20))
def test_every_line_is_taken_once_however_late_and_often_it_is_given(seed: int) -> None:
    """Events become visible up to 5 s late, in any order; the overlap covers twice that."""
    rng = random.Random(seed)
    written = [event(NOW + rng.randrange(120_000) // 50 * 50, str(n), n) for n in range(400)]
    visible = {one["eventId"]: one["timestamp"] + rng.randrange(5000) for one in written}
    cursor, taken = Cursor(NOW), []
    for read_at in range(NOW, NOW + 140_000, 3000):
        shown = [one for one in written if visible[one["eventId"]] <= read_at and one["timestamp"] >= cursor.since]
        rng.shuffle(shown)
        taken += texts(cursor.take(shown))
        cursor.settle(read_at)
    assert sorted(map(int, taken)) == list(range(400))
    assert len(cursor._seen) < 100


def test_the_newest_lines_are_shown_and_the_others_are_counted() -> None:
    lines = [LogLine(n, str(n)) for n in range(1238)]
    fresh = capped(lines, 4)
    assert fresh.texts() == ["... 1234 lines left out; see the log link", "1234", "1235", "1236", "1237"]
    assert capped(lines[:5], 4).texts()[0] == "... 1 line left out; see the log link"
    assert capped(lines[:4], 4) == Fresh(lines[:4])
    assert capped(lines, None).left_out == 0
    assert capped([], 4, skipped=True).texts() == [
        "... more lines than can be read live are left out; see the log link"
    ]
    assert not capped([], 4)


@pytest.mark.parametrize(("followed", "lines"), [(0, 200), (1, 200), (10, 200), (50, 40), (1000, 10)])
def test_the_more_are_followed_the_fewer_lines_each_shows_at_once(followed: int, lines: int) -> None:
    assert lines_at_once(followed) == lines


def test_the_last_lines_are_those_that_were_not_shown() -> None:
    shown = Shown(3)
    assert not shown
    shown.add([LogLine(1, "a"), LogLine(2, "b"), LogLine(2, "b"), LogLine(3, "c")])
    tail = [LogLine(2, "b"), LogLine(2, "b"), LogLine(2, "b"), LogLine(3, "c"), LogLine(4, "c")]
    assert shown.without(tail) == [LogLine(2, "b"), LogLine(4, "c")]


def test_a_chunk_has_those_that_were_not_read_for_longest() -> None:
    assert chunk([("a", 3), ("b", 1), ("c", 2)], max_streams=2) == ["b", "c"]
