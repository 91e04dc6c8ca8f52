"""How runs go under quotas: a discrete-event simulation of launches, starts and durations. Pure; nothing is launched.

A run is admitted when fewer than ``max_active_runs`` go on; its services come up; its shards wait for a place of their
variant's parallelism, for vCPUs and for their turn among the launches; runs and variants take turns, as they do in the
fleet. A relaunch is the next of its variant, and keeps its place.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ecs_feature.aws import limits
from ecs_feature.aws.pacing import EPSILON, Bucket
from ecs_feature.estimates.workload import LaunchHistory, LaunchSample, Run, Services, VariantWork, total
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.fleet.slots import Used
from ecs_feature.tasks.cost import Usage
from ecs_feature.tasks.relaunches import backoff_seconds


@dataclass(frozen=True)
class Bounds:
    """What is allowed at once; None: no bound.

    :param launches: burst and launches per second of Fargate's launch bucket.
    :param run_task_calls: likewise RunTask's; the fleet makes up for three quarters of a second at once.
    :param max_vcpus: the account's, of shards, and of services unless ``services_share_quota`` is False (Spot and
        On-Demand have quotas of their own).
    :param variant_vcpus: of the shards of one variant, over all runs; ``parallelism``: likewise how many.
    :param max_shards: of all variants, what the triggerers can hold.
    """

    launches: tuple[float, float] = limits.FARGATE_LAUNCHES
    run_task_calls: tuple[float, float] = (limits.RUN_TASK_CALLS_PER_SECOND * 0.75, limits.RUN_TASK_CALLS_PER_SECOND)
    max_vcpus: float | None = None
    services_share_quota: bool = True
    variant_vcpus: float | None = None
    parallelism: int | None = None
    max_shards: int | None = None
    max_active_runs: int = 1


@dataclass(frozen=True)
class RunTimes:
    """When a run started and ended, in seconds since the first one started, and what was used."""

    start: float
    end: float
    shards: Usage
    services: Usage

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Timeline:
    """What came of it. ``peak_tasks`` counts shards; ``peak_vcpus`` is theirs and the services'."""

    runs: tuple[RunTimes, ...]
    peak_tasks: int
    peak_vcpus: float

    @property
    def seconds(self) -> float:
        return max((run.end for run in self.runs), default=0.0)


def simulate(runs: Sequence[Run], bounds: Bounds) -> Timeline:
    """Let ``runs`` go, admitted in this order.

    :raises ConfigurationError: when ``max_vcpus`` lets them never end.
    """
    return _World(runs, bounds).timeline()


@dataclass(eq=False)
class _Line:
    """One variant of one run: its shards that wait, as (shard, which attempt is next), and how many have not ended."""

    run: int
    work: VariantWork
    left: int
    waiting: deque[tuple[LaunchHistory, int]] = field(default_factory=deque)
    held_since: float = 0.0
    handover_left: float = 0.0

    @property
    def head(self) -> LaunchSample:
        shard, number = self.waiting[0]
        return shard[number]


@dataclass(eq=False)
class _Use:
    """What is in use now, and what was at most. Between two launches a shard keeps its place, but no vCPUs."""

    bounds: Bounds
    tasks: int = 0
    shards: Used = field(default_factory=Used)
    variants: dict[str, Used] = field(default_factory=lambda: defaultdict(Used))
    vcpus: float = 0.0
    counted_vcpus: float = 0.0
    peak_tasks: int = 0
    peak_vcpus: float = 0.0

    def counted(self, services: Services) -> float:
        """The services' vCPUs as far as they count against the shards' quota."""
        return services.vcpus if self.bounds.services_share_quota else 0.0

    def quota_fits(self, vcpus: float) -> bool:
        return self.bounds.max_vcpus is None or self.counted_vcpus + vcpus <= self.bounds.max_vcpus + EPSILON

    def fits(self, line: _Line) -> bool:
        vcpus, mine, bounds = line.head.vcpus, self.variants[line.work.name], self.bounds
        if not (self.quota_fits(vcpus) and mine.vcpus_fit(vcpus, bounds.variant_vcpus)):
            return False
        if line.waiting[0][1]:
            return True  # a relaunch has its place
        return mine.task_fits(bounds.parallelism) and self.shards.task_fits(bounds.max_shards)

    def task(self, name: str, vcpus: float, sign: int) -> None:
        self.tasks += sign
        self.variants[name].vcpus += sign * vcpus
        self.size(sign * vcpus, sign * vcpus)
        self.peak_tasks = max(self.peak_tasks, self.tasks)

    def size(self, vcpus: float, counted: float) -> None:
        self.vcpus += vcpus
        self.counted_vcpus += counted
        self.peak_vcpus = max(self.peak_vcpus, self.vcpus)

    def shard(self, name: str, sign: int) -> None:
        self.shards.tasks += sign
        self.variants[name].tasks += sign


class _World:
    """The state at one moment, and the events to come."""

    def __init__(self, runs: Sequence[Run], bounds: Bounds) -> None:
        self.runs = runs
        self.bounds = bounds
        self.now = 0.0
        self.use = _Use(bounds)
        self.buckets = [Bucket(burst, rate) for burst, rate in (bounds.launches, bounds.run_task_calls)]
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.wakes_at = math.inf
        self.services: deque[_Line] = deque()  # wait for vCPUs
        self.lines: deque[_Line] = deque()  # have shards to launch
        self.handed: list[_Line] = []  # are being taken on
        self.handed_at = 0.0
        self.handed_round = 0
        self.variants_left: list[int] = []
        self.starts: list[float] = []
        self.ends: dict[int, float] = {}
        self.held = [Usage()] * len(runs)

    def timeline(self) -> Timeline:
        for _ in range(self.bounds.max_active_runs):
            self._admit()
        while self.events:
            self.now = self.events[0][0]
            while self.events and self.events[0][0] <= self.now:
                heapq.heappop(self.events)[2]()
            self._dispatch()
        if self.services or self.lines:
            raise ConfigurationError(self._why_stuck())
        return Timeline(
            tuple(
                RunTimes(self.starts[i], self.ends[i], total(sample.used for sample in run.samples()), self.held[i])
                for i, run in enumerate(self.runs)
            ),
            self.use.peak_tasks,
            self.use.peak_vcpus,
        )

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now + seconds, next(self.order), act))

    def _admit(self) -> None:
        index = len(self.starts)
        if index == len(self.runs):
            return
        run = self.runs[index]
        self.starts.append(self.now)
        self.variants_left.append(len(run.variants))
        if not run.variants:
            self._after(run.after_seconds, lambda: self._end_run(index))
        for work in run.variants:
            self._take_services(_Line(index, work, len(work.shards)))

    def _take_services(self, line: _Line) -> None:
        self._after(line.work.before_seconds - self._lead(line.work), lambda: self.services.append(line))

    @staticmethod
    def _lead(work: VariantWork) -> float:
        """How long before its first shard a variant's services are held; those of none hold nothing."""
        return min(work.before_seconds, max(work.services.lead_seconds, work.handover_seconds))

    def _end_run(self, index: int) -> None:
        self.ends[index] = self.now
        self._admit()

    def _dispatch(self) -> None:
        """Start what may start now: services first, then shards, one of each line in turn."""
        while self.services and self.use.quota_fits(self.use.counted(self.services[0].work.services)):
            self._hold(self.services.popleft())
        refused = 0
        while refused < len(self.lines):
            line = self.lines.popleft()
            if not self.use.fits(line):
                refused += 1
            elif self._wait():
                self.lines.appendleft(line)
                return
            else:
                self._launch(line)
                refused = 0
                if not line.waiting:
                    continue
            self.lines.append(line)

    def _wait(self) -> float:
        """Seconds until there is a token; then somebody looks again."""
        wait = max(bucket.wait(self.now) for bucket in self.buckets)
        if wait and not self.now < self.wakes_at <= self.now + wait:
            self.wakes_at = self.now + wait
            self._after(wait, lambda: None)
        return wait

    def _hold(self, line: _Line) -> None:
        services = line.work.services
        line.held_since = self.now
        self.use.size(services.vcpus, self.use.counted(services))
        handover = min(line.work.handover_seconds, line.work.before_seconds)
        self._after(self._lead(line.work) - handover, lambda: self._hand_over(line, handover))

    def _hand_over(self, line: _Line, seconds: float) -> None:
        """The triggerer begins to take on the line's shards; it shares its time among those of all such lines."""
        self._pass_handover()
        line.handover_left = seconds
        self.handed.append(line)
        self._next_handover()

    def _pass_handover(self) -> None:
        """The time since the last look went to all lines that are being taken on, in equal parts."""
        for line in self.handed:
            line.handover_left -= (self.now - self.handed_at) / len(self.handed)
        self.handed_at = self.now

    def _next_handover(self) -> None:
        """Look again when the next line is taken on, unless another comes before."""
        self.handed_round += 1
        if self.handed:
            this, least = self.handed_round, min(line.handover_left for line in self.handed)
            self._after(max(0.0, least) * len(self.handed), lambda: self._handed_over(this))

    def _handed_over(self, this: int) -> None:
        if this != self.handed_round:
            return
        self._pass_handover()
        least = min(line.handover_left for line in self.handed)
        done = [line for line in self.handed if line.handover_left <= least + EPSILON]
        self.handed = [line for line in self.handed if line not in done]
        for line in done:
            self._ready(line)
        self._next_handover()

    def _ready(self, line: _Line) -> None:
        if not line.left:
            self._end_variant(line)
            return
        line.waiting.extend((shard, 0) for shard in line.work.shards)
        self.lines.append(line)

    def _launch(self, line: _Line) -> None:
        shard, number = line.waiting.popleft()
        for bucket in self.buckets:
            bucket.take(self.now)
        if number == 0:
            self.use.shard(line.work.name, 1)
        self.use.task(line.work.name, shard[number].vcpus, 1)
        self._after(shard[number].seconds, lambda: self._stopped(line, shard, number))

    def _stopped(self, line: _Line, shard: LaunchHistory, number: int) -> None:
        self.use.task(line.work.name, shard[number].vcpus, -1)
        if number + 1 < len(shard):
            self._after(backoff_seconds(number), lambda: self._again(line, shard, number + 1))
            return
        self.use.shard(line.work.name, -1)
        line.left -= 1
        if not line.left:
            self._end_variant(line)

    def _again(self, line: _Line, shard: LaunchHistory, number: int) -> None:
        if not line.waiting:
            self.lines.append(line)
        line.waiting.appendleft((shard, number))

    def _end_variant(self, line: _Line) -> None:
        self._after(line.work.services.tail_seconds, lambda: self._give_back(line))
        self.variants_left[line.run] -= 1
        if not self.variants_left[line.run]:
            self._after(self.runs[line.run].after_seconds, lambda: self._end_run(line.run))

    def _give_back(self, line: _Line) -> None:
        services, seconds = line.work.services, self.now - line.held_since
        self.use.size(-services.vcpus, -self.use.counted(services))
        self.held[line.run] += Usage(services.vcpus * seconds, services.gigabytes * seconds)

    def _why_stuck(self) -> str:
        wanted = max(
            line.head.vcpus if line.waiting else self.use.counted(line.work.services)
            for line in (*self.services, *self.lines)
        )
        return (
            f"max_vcpus: {self.bounds.max_vcpus:g} vCPUs are too few: the services of the runs at once hold "
            f"{self.use.counted_vcpus:g} and the next needs {wanted:g}; raise the quota, or run fewer at once."
        )
