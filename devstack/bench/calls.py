"""What the local Fargate was asked, as figures. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException"})
ROUND_SECONDS = 0.5
"""Calls of one poll follow each other closely; a longer pause starts the next poll."""


@dataclass(frozen=True)
class Watching:
    """How DescribeTasks was used.

    :param calls: that were answered.
    :param described: tasks that they asked for, all together.
    :param polls: groups of calls that follow each other closely.
    :param fewest: calls that these polls needed at least, at 100 tasks a call.
    """

    calls: int
    described: int
    polls: int
    fewest: int

    @property
    def ratio(self) -> float:
        """Calls per 100 shards per poll, 1.0 where every call but a poll's last asks for 100; 0 without calls."""
        return self.calls / self.fewest if self.fewest else 0.0


def watching(calls: Iterable[Mapping[str, Any]]) -> Watching:
    """How DescribeTasks was used.

    :param calls: the recorded calls of DescribeTasks, oldest first.
    """
    answered = [(float(call["at"]), len(call["request"].get("tasks", ()))) for call in calls if call["status"] == 200]
    polls: list[int] = []
    before = -math.inf
    for at, tasks in answered:
        if at - before > ROUND_SECONDS:
            polls.append(0)
        polls[-1] += tasks
        before = at
    return Watching(
        calls=len(answered),
        described=sum(polls),
        polls=len(polls),
        fewest=sum(math.ceil(tasks / 100) for tasks in polls),
    )


def launch_times(calls: Iterable[Mapping[str, Any]]) -> list[float]:
    """When each launch was accepted, seconds since the epoch, oldest first.

    :param calls: the recorded calls of RunTask.
    """
    return sorted(float(call["at"]) for call in calls if call["status"] == 200)


def throttled(calls: Iterable[Mapping[str, Any]]) -> int:
    """How many calls were refused because a quota was used up."""
    return sum(call["error"] in THROTTLED for call in calls)


def difference(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """The calls between two counts, by operation, without those that were not made."""
    counts = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: count for name, count in sorted(counts.items()) if count}


def limit_seconds(shards: int, shard_seconds: float, latency_seconds: float) -> float:
    """The shortest time in which Fargate lets that many shards begin and end, one RunTask each.

    RunTask is answered 20 times a second on Fargate, without a burst beyond that second's, which is tighter than the
    launch bucket (AmazonECS/latest/developerguide/throttling); then comes the last shard's own time.

    :param latency_seconds: from RunTask to the container's start, and from its end to STOPPED.
    """
    return max(0.0, (shards - 20) / 20) + shard_seconds + latency_seconds


def bucket_seconds(shards: int, shard_seconds: float, latency_seconds: float) -> float:
    """As :func:`limit_seconds`, by the launch bucket alone: 100 tasks at once, then 20 a second.

    Only who starts many equal tasks with one RunTask can reach it; shards differ in their environment.
    """
    return max(0.0, (shards - 100) / 20) + shard_seconds + latency_seconds


def fairness(durations: Sequence[float]) -> float:
    """The slowest by the fastest."""
    return max(durations) / min(durations)
