"""Which events of a log read are new, and how many of them to show. Pure.

:mod:`ecs_feature.logs.follower` reads.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ecs_feature.aws import limits

OVERLAP_MS: Final = 10_000
"""Each read starts this long before the stream's newest event: events become visible nearly in order."""
SETTLED_MS: Final = 60_000
"""How long after its timestamp an event of a quiet stream may become visible; includes clock differences."""
BEHIND_MS: Final = 30_000
"""A reader this far behind skips lines and continues near the end."""
LINES_A_ROUND: Final = 2000
"""Lines of all followed streams that one round shows; each costs the triggerer's supervisor CPU."""
MIN_LINES, MAX_LINES = 10, 200
"""Of one stream in one round."""


def lines_at_once(followed: int) -> int:
    """How many lines of one stream a round shows when ``followed`` streams are followed."""
    return max(MIN_LINES, min(MAX_LINES, LINES_A_ROUND // max(1, followed)))


@dataclass(frozen=True)
class LogLine:
    """One line of a container.

    :param at: its timestamp, in milliseconds since 1970.
    """

    at: int
    text: str

    @classmethod
    def from_aws(cls, event: Mapping[str, Any]) -> LogLine:
        return cls(event["timestamp"], event["message"].rstrip("\n"))


@dataclass(frozen=True)
class Fresh:
    """The new lines of one stream in one read.

    :param lines: oldest first.
    :param left_out: how many older new lines were read but are not shown.
    :param skipped: whether there are more lines that were not read.
    """

    lines: Sequence[LogLine] = ()
    left_out: int = 0
    skipped: bool = False

    def __bool__(self) -> bool:
        return bool(self.lines or self.left_out or self.skipped)

    def texts(self) -> list[str]:
        """The text for the log: a line about lines that are left out, then the lines."""
        notes = []
        if self.skipped:
            notes.append("... more lines than can be read live are left out; see the log link")
        if self.left_out:
            notes.append(f"... {self.left_out} line{'s' if self.left_out > 1 else ''} left out; see the log link")
        return [*notes, *(line.text for line in self.lines)]


def capped(lines: Sequence[LogLine], max_lines: int | None, *, skipped: bool = False) -> Fresh:
    """The newest lines, at most ``max_lines``; None: all of them."""
    left_out = 0 if max_lines is None else max(0, len(lines) - max_lines)
    return Fresh(lines[left_out:], left_out, skipped)


@dataclass(eq=False)
class Cursor:
    """Where the next read of one stream starts, and which of its events were already taken.

    Reads overlap, so events are identified by their ids. Each event is taken exactly once, in any order, if it becomes
    visible within :data:`SETTLED_MS` of its timestamp and before the stream's newest event is :data:`OVERLAP_MS` newer.

    :param since: timestamp in milliseconds; older events are ignored.
    :param known: lines that were shown before and are not taken again.
    """

    since: int
    known: Counter[LogLine] = field(default_factory=Counter)
    _newest: int = 0
    _seen: dict[str, int] = field(default_factory=dict)

    def take(self, events: Iterable[Mapping[str, Any]]) -> list[LogLine]:
        """The lines of the events that were not taken before, oldest first."""
        fresh = []
        for event in events:
            if event["timestamp"] < self.since or event["eventId"] in self._seen:
                continue
            self._seen[event["eventId"]] = event["timestamp"]
            self._newest = max(self._newest, event["timestamp"])
            line = LogLine.from_aws(event)
            if self.known[line] > 0:
                self.known[line] -= 1
            else:
                fresh.append(line)
        return sorted(fresh, key=lambda line: line.at)

    def settle(self, read_at: int) -> None:
        """All that was visible at ``read_at`` (milliseconds since 1970) was taken."""
        self._go_to(max(read_at - SETTLED_MS, self._newest - OVERLAP_MS))

    def go_on(self, reached: int | None, read_at: int) -> bool:
        """The read stopped before the newest event; ``reached`` is the last timestamp it saw, None without events.

        :returns: whether events are skipped because the reader cannot keep up.
        """
        if reached is None or read_at - reached > BEHIND_MS:
            self._go_to(read_at - OVERLAP_MS)
            return True
        self._go_to(reached)
        return False

    def _go_to(self, since: int) -> None:
        self.since = max(self.since, since)
        self._seen = {event_id: at for event_id, at in self._seen.items() if at >= self.since}


@dataclass(eq=False)
class Shown:
    """The lines of one stream that were shown last, so that none is shown twice.

    :param max_lines: how many are remembered.
    """

    max_lines: int
    _lines: deque[LogLine] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = deque(maxlen=self.max_lines)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, lines: Iterable[LogLine]) -> None:
        self._lines.extend(lines)

    def without(self, tail: Sequence[LogLine]) -> list[LogLine]:
        """The lines of ``tail`` that were not shown."""
        shown = Counter(self._lines)
        unshown = []
        for line in tail:
            if shown[line] > 0:
                shown[line] -= 1
            else:
                unshown.append(line)
        return unshown


def chunk(streams: Sequence[tuple[str, int]], max_streams: int = limits.FILTER_LOG_STREAMS) -> list[str]:
    """The streams that one call reads, given as ``(name, since)``: those with the earliest ``since``.

    A call reads all its streams from the earliest ``since``, so quiet streams are read together."""
    return [name for name, _ in sorted(streams, key=lambda stream: stream[1])[:max_streams]]
