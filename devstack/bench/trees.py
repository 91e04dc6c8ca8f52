"""What the stack's processes cost: CPU seconds and memory of each component with all that descends from it."""

from __future__ import annotations

import bisect
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import psutil

SAMPLE_SECONDS = 1.0
WORK_EVERY = 5
"""Samples between two pieces of work."""
MIB = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """Of one component and its descendants.

    :param cpu_seconds: user and system, of those alive and of those that ended and were waited for, since the start.
    :param rss_bytes: resident, of those alive; pages that forked processes share count for each.
    """

    cpu_seconds: float = 0.0
    rss_bytes: int = 0


def piece_of_work() -> float:
    """Do a fixed piece of Python's everyday work; returns the CPU seconds that it took.

    The same machine can need half as much again at another hour, when what it shares a processor with is busy. What
    was measured at different times is compared by this.
    """
    began = time.thread_time()
    kept: dict[int, str] = {}
    for number in range(20_000):
        kept[number % 1000] = json.dumps({"number": number, "list": [number] * 3}) if number % 4 == 0 else str(number)
    return time.thread_time() - began


def usages(roots: Mapping[str, int]) -> dict[str, Usage]:
    """The usage of each component.

    :param roots: process id by component.
    """
    found: dict[int, tuple[int, Usage]] = {}
    for process in psutil.process_iter(["ppid", "cpu_times", "memory_info"]):
        times, memory = process.info["cpu_times"], process.info["memory_info"]
        if times is None or memory is None:
            continue
        # What a child used goes to its parent when that has waited for it, and so on up to the root: nothing is
        # counted twice, and nothing is lost when a worker ends between two samples.
        cpu = times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        found[process.pid] = (process.info["ppid"], Usage(cpu, memory.rss))
    names = {pid: name for name, pid in roots.items()}
    total = {name: Usage() for name in roots}
    for pid, (_, usage) in found.items():
        name = _root(pid, found, names)
        if name is not None:
            so_far = total[name]
            total[name] = Usage(so_far.cpu_seconds + usage.cpu_seconds, so_far.rss_bytes + usage.rss_bytes)
    return total


def _root(pid: int, found: Mapping[int, tuple[int, Usage]], names: Mapping[int, str]) -> str | None:
    seen: set[int] = set()
    while pid not in names:
        if pid not in found or pid in seen:
            return None
        seen.add(pid)
        pid = found[pid][0]
    return names[pid]


@dataclass
class Sampler:
    """Samples the usage once a second in a thread of its own, and now and then how fast the machine is.

    :param roots: asked each time, because a component may be started again.
    :param work: CPU seconds of a :func:`piece_of_work`, and when.
    :param stolen: what a virtual machine's host gave to others (CPU seconds since its boot), out of how much, and when.
    """

    roots: Callable[[], Mapping[str, int]]
    samples: list[tuple[float, dict[str, Usage]]] = field(default_factory=list)
    work: list[tuple[float, float]] = field(default_factory=list)
    stolen: list[tuple[float, float, float]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Sampler:
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._thread is not None
        self._stop.set()
        self._thread.join()

    def cpu_seconds(self, first: float, last: float) -> dict[str, float]:
        """What each component used between two moments (seconds since the epoch)."""
        before, after = self.at(first), self.at(last)
        return {name: after[name] - before.get(name, 0.0) for name in after}

    def at(self, moment: float) -> dict[str, float]:
        """The CPU seconds of each component at a moment, between the samples around it in proportion."""
        index = bisect.bisect_left([when for when, _ in self.samples], moment)
        if index == 0 or index == len(self.samples):
            _, nearest = self.samples[min(index, len(self.samples) - 1)]
            return {name: usage.cpu_seconds for name, usage in nearest.items()}
        (before, low), (after, high) = self.samples[index - 1], self.samples[index]
        share = (moment - before) / (after - before)
        return {
            name: low.get(name, usage).cpu_seconds + share * (usage.cpu_seconds - low.get(name, usage).cpu_seconds)
            for name, usage in high.items()
        }

    def memory_mib(self, names: Iterable[str], first: float, last: float) -> list[float]:
        """The memory of some components together, at each sample between two moments."""
        wanted = set(names)
        return [
            sum(usage.rss_bytes for name, usage in sample.items() if name in wanted) / MIB
            for when, sample in self.samples
            if first <= when <= last
        ]

    def work_seconds(self, first: float, last: float) -> float:
        """CPU seconds of a :func:`piece_of_work` between two moments, the median; of all when there was none."""
        within = [seconds for when, seconds in self.work if first <= when <= last]
        return statistics.median(within or [seconds for _, seconds in self.work])

    def stolen_share(self, first: float, last: float) -> float:
        """The share of the CPUs' time that the host gave to others between two moments; 0 where nothing says."""
        earliest, latest = first - SAMPLE_SECONDS, last + SAMPLE_SECONDS
        within = [sample for sample in self.stolen if earliest <= sample[0] <= latest]
        if len(within) < 2:
            return 0.0
        (_, low, began), (_, high, ended) = within[0], within[-1]
        return (high - low) / max(ended - began, 1e-9)

    def _run(self) -> None:
        while True:
            if len(self.samples) % WORK_EVERY == 0:
                self.work.append((time.time(), piece_of_work()))
            times = psutil.cpu_times()  # from the ninth on, what is counted in user already
            self.stolen.append((time.time(), getattr(times, "steal", 0.0), sum(times[:8])))
            self.samples.append((time.time(), usages(self.roots())))
            if self._stop.wait(SAMPLE_SECONDS):
                self.samples.append((time.time(), usages(self.roots())))
                return
