"""When shards are launched, and which faults are there until when."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx

from devstack.chaos.plans import Rule
from devstack.fargate import SideDoor

LOOK_SECONDS: Final = 1.0
"""A look gets all RunTask calls there were."""


@dataclass
class LaunchClocks:
    """Since when each cluster has been asked to run tasks, whether it could or not."""

    door: SideDoor
    _first: dict[str, float] = field(default_factory=dict)
    _next_look: float = 0.0

    def look(self, clusters: Iterable[str]) -> None:
        """See which of the clusters got their first RunTask call since the last look."""
        if not set(clusters) - self._first.keys() or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        for call in self.door.calls("RunTask"):
            self._first.setdefault(str(call["request"].get("cluster", "")), time.monotonic())

    def since(self, cluster: str) -> float | None:
        """Seconds since the first RunTask call of a cluster was seen; None before."""
        first = self._first.get(cluster)
        return None if first is None else time.monotonic() - first

    def since_all(self, clusters: Iterable[str]) -> float | None:
        """Seconds since the last of the clusters got its first RunTask call; None before."""
        seconds = [self.since(cluster) for cluster in clusters]
        known = [each for each in seconds if each is not None]
        return min(known) if known and len(known) == len(seconds) else None


@dataclass
class Faults:
    """Fault rules that are there, by id, and those that are still to come."""

    door: SideDoor
    rules: dict[str, Rule] = field(default_factory=dict)
    coming: list[Rule] = field(default_factory=list)

    def advance(self, clocks: LaunchClocks, clusters: Sequence[str]) -> None:
        """Post those whose time has come, and remove those whose time is over.

        :param clusters: of all trials; rules that hit everything wait for the last one's shards.
        """

        def elapsed_of(rule: Rule) -> float | None:
            return clocks.since(rule.cluster) if rule.cluster else clocks.since_all(clusters)

        for rule in list(self.coming):
            if (elapsed := elapsed_of(rule)) is not None and elapsed >= rule.after:
                self.coming.remove(rule)
                self.rules[self.door.add_fault(rule.body)] = rule
        for fault_id, rule in list(self.rules.items()):
            elapsed = elapsed_of(rule)
            if rule.seconds is not None and elapsed is not None and elapsed >= rule.seconds:
                self.door.remove_fault(fault_id)
                del self.rules[fault_id]


@contextlib.contextmanager
def active(door: SideDoor, rules: Iterable[Rule]) -> Iterator[Faults]:
    """Fault rules while the block runs, at most; no fault outlives it."""
    faults = Faults(door)
    try:
        for rule in rules:
            if rule.after:
                faults.coming.append(rule)
            else:
                faults.rules[door.add_fault(rule.body)] = rule
        yield faults
    finally:
        with contextlib.suppress(httpx.HTTPError):  # the local Fargate may be what has ended
            door.clear_faults()
