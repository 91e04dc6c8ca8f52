"""Whether a launch is followed by another one, and its capacity, size and pause. Pure.

Only infrastructure failures, and out of memory or a full disk where that can grow, are followed by a launch. Everything
else ends the try, and Airflow's retries decide.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from ecs_feature.aws.resources import EcsTask
from ecs_feature.tasks.capacity import ON_DEMAND, SPOT, Strategy
from ecs_feature.tasks.cost import NO_BILLING, Billing
from ecs_feature.tasks.outcomes import Kind, Outcome, Payer
from ecs_feature.tasks.sizes import (
    Size,
    ephemeral_cap_gib,
    ephemeral_gib,
    memory_cap_mib,
    next_ephemeral_gib,
    next_size,
)

MAX_PAUSE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class RelaunchPolicy:
    """How often and on what a shard is launched again within one try.

    :param max_relaunches: how many infrastructure failures are followed by a new launch; those without capacity are
        not counted.
    :param capacity_seconds: how long a shard waits for capacity before the try fails.
    :param max_memory_mib: the most memory that a shard gets after running out of memory; None: four times the task
        definition's, 0: never more than it has.
    :param max_ephemeral_gib: the most ephemeral storage that a shard gets after filling it; None: four times what it
        had first, 0: never more.
    :param fallback_interruptions: after how many Spot interruptions the rest of the try runs on demand; 0: never.
    :param fallback_seconds: likewise after how long without Spot capacity; None: never.
    """

    max_relaunches: int = 5
    capacity_seconds: float = 3600.0
    max_memory_mib: int | None = None
    fallback_interruptions: int = 0
    fallback_seconds: float | None = None
    max_ephemeral_gib: int | None = None


@dataclass(frozen=True)
class Ended:
    """One launch that has ended.

    :param task: as last described; None when RunTask started nothing; then its client token can be used again.
    :param capacity: what it was launched on.
    :param at: when its end was detected.
    :param billing: what its price depends on beside the task.
    :param waited: what the shard has waited for before it -> for how many seconds.
    """

    outcome: Outcome
    task: EcsTask | None
    capacity: str | Strategy
    at: datetime
    billing: Billing = NO_BILLING
    waited: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class NextLaunch:
    """The next launch.

    :param pause_seconds: the longest wait before it; includes jitter.
    :param size: what changes of it; None: nothing.
    :param change: what differs from the last launch, for the task log; empty: nothing.
    """

    pause_seconds: float
    capacity: str | Strategy
    size: Size | None = None
    change: str = ""

    def keeping(self, size: Size) -> NextLaunch:
        """The same, with what it does not change of the size as it was."""
        return replace(self, size=(self.size or Size()).over(size))


def next_launch(
    history: Sequence[Ended], policy: RelaunchPolicy, rng: random.Random | None = None
) -> NextLaunch | None:
    """The launch after those in ``history``, the ended launches of this try; None: the try ends."""
    last, drawn = history[-1], (rng or random).random()
    if last.outcome.kind is Kind.OUT_OF_MEMORY:
        return _bigger(history, policy)
    if last.outcome.kind is Kind.DISK_FULL:
        return _roomier(history, policy)
    if last.outcome.payer is not Payer.INFRASTRUCTURE:
        return None
    if last.outcome.kind is Kind.CAPACITY_UNAVAILABLE:
        waits = capacity_waits(history)
        waited = (last.at - waits[0].at).total_seconds()
        if waited >= policy.capacity_seconds:
            return None
        pause = backoff_seconds(len(waits) - 1, drawn)
        return _placed(history, policy, min(pause, policy.capacity_seconds - waited))
    used = relaunches_used(history)
    if used > policy.max_relaunches:
        return None
    return _placed(history, policy, backoff_seconds(used - 1, drawn))


def relaunches_used(history: Sequence[Ended]) -> int:
    """How many endings count against ``max_relaunches``."""
    return sum(
        ended.outcome.payer is Payer.INFRASTRUCTURE and ended.outcome.kind is not Kind.CAPACITY_UNAVAILABLE
        for ended in history
    )


def backoff_seconds(relaunch: int, drawn: float = 0.5) -> float:
    """Pause before relaunch number ``relaunch`` + 1: 1, 2, 4 ... at most 60 s, with jitter above a half.

    :param drawn: the jitter, from 0 to 1; the default gives the mean pause.
    """
    longest = min(MAX_PAUSE_SECONDS, 2.0 ** min(relaunch, 10))
    return longest / 2 + drawn * longest / 2


def capacity_waits(history: Sequence[Ended]) -> list[Ended]:
    """The launches without capacity at the end of the history, oldest first."""
    found: list[Ended] = []
    for ended in reversed(history):
        if ended.outcome.kind is not Kind.CAPACITY_UNAVAILABLE:
            break
        found.append(ended)
    return found[::-1]


def _placed(history: Sequence[Ended], policy: RelaunchPolicy, pause: float) -> NextLaunch:
    """The next launch on the same capacity, or on demand once Spot has failed often or long enough."""
    last = history[-1]
    if last.capacity != SPOT:
        return NextLaunch(pause, last.capacity)
    interruptions = sum(ended.outcome.kind is Kind.SPOT_INTERRUPTION for ended in history)
    if policy.fallback_interruptions and interruptions >= policy.fallback_interruptions:
        return NextLaunch(pause, ON_DEMAND, change=f"on demand after {interruptions} Spot interruptions")
    waits = capacity_waits(history)
    if waits and policy.fallback_seconds is not None:
        waited = (last.at - waits[0].at).total_seconds()
        if waited >= policy.fallback_seconds:
            return NextLaunch(pause, ON_DEMAND, change=f"on demand after {waited:.0f} s without Spot capacity")
        pause = min(pause, policy.fallback_seconds - waited)
    return NextLaunch(pause, SPOT)


def _bigger(history: Sequence[Ended], policy: RelaunchPolicy) -> NextLaunch | None:
    last = history[-1]
    if last.task is None or not last.task.whole_memory_mib:
        return None
    own = next(ended.task.whole_memory_mib for ended in history if ended.task is not None)
    size = next_size(last.task, memory_cap_mib(own, policy.max_memory_mib))
    if size is None:
        return None
    change = f"with {size.whole_mib} MiB instead of {last.task.whole_memory_mib}"
    if size.cpu and size.cpu != last.task.cpu:
        change += f", and so {size.cpu / 1024:g} vCPU instead of {last.task.cpu / 1024:g}"
    return NextLaunch(0.0, last.capacity, size, change)


def _roomier(history: Sequence[Ended], policy: RelaunchPolicy) -> NextLaunch | None:
    last = history[-1]
    if last.task is None or last.task.on_instances:
        return None
    own = next(ephemeral_gib(ended.task) for ended in history if ended.task is not None)
    more = next_ephemeral_gib(last.task, ephemeral_cap_gib(own, policy.max_ephemeral_gib))
    if not more:
        return None
    change = f"with {more} GiB of ephemeral storage instead of {ephemeral_gib(last.task)}"
    return NextLaunch(0.0, last.capacity, Size(ephemeral_gib=more), change)
