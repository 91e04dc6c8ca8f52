"""Measures the memory of running containers and ends those that use more than they have."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Mapping
from typing import Protocol

import psutil

from fargate_local.runtimes.base import ContainerSpec

MIB = 1024 * 1024


class Measured(Protocol):
    """A container whose memory is watched, known by the pid of its first process."""

    @property
    def spec(self) -> ContainerSpec: ...

    def kill_for_memory(self) -> None: ...


def over_limit(used_mib: Mapping[int, float], specs: Mapping[int, ContainerSpec]) -> set[int]:
    """Which containers (by pid) have to end: those over their own limit, and the largest of a task over its own."""
    over = {pid for pid, used in used_mib.items() if (limit := specs[pid].memory_mib) is not None and used > limit}
    by_task: dict[str, list[int]] = defaultdict(list)
    for pid in used_mib:
        by_task[specs[pid].task_id].append(pid)
    for pids in by_task.values():
        limit = specs[pids[0]].task_memory_mib
        if limit and sum(used_mib[pid] for pid in pids) > limit and not over & set(pids):
            over.add(max(pids, key=lambda pid: used_mib[pid]))
    return over


def tree_rss_mib(roots: set[int]) -> dict[int, float]:
    """Resident memory of each root process and its descendants, in MiB; a root that is gone is left out."""
    children: dict[int, list[psutil.Process]] = defaultdict(list)
    by_pid: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["ppid"]):
        by_pid[process.pid] = process
        children[process.info["ppid"]].append(process)
    used: dict[int, float] = {}
    for root in roots & set(by_pid):
        waiting, total = [by_pid[root]], 0
        while waiting:
            process = waiting.pop()
            waiting += children[process.pid]
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        used[root] = total / MIB
    return used


class MemoryWatch:
    """One loop for all containers of a runtime; it measures only while there are some."""

    def __init__(self, running: Mapping[int, Measured], interval_seconds: float) -> None:
        self._running = running
        self._interval_seconds = interval_seconds
        self._loop: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """A container was started."""
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def _watch(self) -> None:
        while self._running:
            watched = dict(self._running)
            used = await asyncio.to_thread(tree_rss_mib, set(watched))
            for pid in over_limit(used, {pid: watched[pid].spec for pid in watched}):
                watched[pid].kill_for_memory()
            await asyncio.sleep(self._interval_seconds)
