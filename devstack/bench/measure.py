"""Runs one fan-out on a stack and measures it from the first shard's scheduling to the last one's end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from devstack.bench import calls
from devstack.bench.database import Database
from devstack.bench.fan_outs import FanOut, shard_task_filter
from devstack.bench.trees import Sampler
from devstack.errors import StackError
from devstack.stack import Stack

LOOK_SECONDS: Final = 1.0
REST_SECONDS: Final = 6.0
"""Before each fan-out: the launch bucket (100, 20 a second) fills up."""

BLOCKED: Final = re.compile(r"async thread was blocked for ([0-9.]+) seconds")
BESIDE: Final = frozenset({"postgres", "fargate-local"})
"""Components that are not Airflow's."""


@dataclass(frozen=True)
class Measured:
    """One fan-out, measured; seconds and MiB unless the name says otherwise.

    :param limit_seconds: see :func:`devstack.bench.calls.limit_seconds`; likewise ``bucket_seconds``.
    :param makespan_seconds: from the first shard's scheduling to the last one's end, over all runs.
    :param run_seconds: the same of each run.
    :param cpu_seconds_per_shard: of Airflow's processes, in that time.
    :param cpu_by_process: of every component per shard, PostgreSQL and the local Fargate too.
    :param api_calls: by operation, from the run's start to its end.
    :param worker_starts: times that a worker began or resumed a shard.
    :param loop_blocked_seconds: the longest that a triggerer's event loop stood still; Airflow tells of 0.2 s and more.
    :param machine_work_ms: CPU of a fixed piece of work meanwhile, see :func:`devstack.bench.trees.piece_of_work`.
    :param stolen_share: of the CPUs' time meanwhile that a virtual machine's host gave to others. From a few percent on
        the other figures say more about the host than about either side.
    :param launches: seconds from the first shard's scheduling to each accepted RunTask.
    :param after_seconds: from the last shard's end to the run's.
    """

    side: str
    shards: int
    runs: int
    shard_seconds: float
    succeeded: int
    limit_seconds: float
    bucket_seconds: float
    makespan_seconds: float
    run_seconds: list[float]
    cpu_seconds_per_shard: float
    cpu_by_process: dict[str, float]
    api_calls: dict[str, int]
    throttled_calls: int
    watching: calls.Watching
    worker_starts: int
    triggerer_peak_mib: float
    triggerer_kib_per_shard: float
    loop_blocked_seconds: float
    loop_blocked_times: int
    after_seconds: float
    machine_work_ms: float
    stolen_share: float
    launches: list[float] = field(repr=False, default_factory=list)

    @property
    def total(self) -> int:
        """Shards of all runs."""
        return self.shards * self.runs

    @property
    def overhead_ratio(self) -> float:
        """How much longer than Fargate demands."""
        return self.makespan_seconds / self.limit_seconds

    @property
    def overhead_per_shard_seconds(self) -> float:
        """What is above Fargate's bound, by shards."""
        return (self.makespan_seconds - self.limit_seconds) / self.total

    @property
    def api_calls_per_shard(self) -> float:
        """Calls of AWS's API, all services."""
        return sum(self.api_calls.values()) / self.total


@dataclass(frozen=True)
class Bench:
    """A running stack with what measures it.

    :param dags: the folder that fan-outs' DAG files are written to.
    :param latency_seconds: see :func:`devstack.bench.calls.limit_seconds`.
    :param pace: see :func:`devstack.bench.site.bench`.
    """

    stack: Stack
    database: Database
    sampler: Sampler
    dags: Path
    latency_seconds: float
    pace: float

    def add(self, fan_outs: Iterable[FanOut]) -> None:
        """Write the DAG files, so that they are parsed in the meantime."""
        for fan_out in fan_outs:
            (self.dags / f"{fan_out.dag_id}.py").write_text(fan_out.source())

    def run(self, fan_out: FanOut, *, timeout_seconds: float) -> Measured:
        """Run a fan-out to its end.

        :raises StackError: a component ended, or the time is over.
        """
        self.add([fan_out])
        self.stack.wait_for_dag(fan_out.dag_id)
        self.stack.api.unpause(fan_out.dag_id)
        time.sleep(REST_SECONDS)
        marks, counts, began = self._log_sizes(), self.stack.side_door.counts(), time.time()
        run_ids = [
            self.stack.api.trigger(fan_out.dag_id, datetime.now(UTC) - timedelta(seconds=number))
            for number in range(fan_out.runs)
        ]
        firsts = self._wait(fan_out, run_ids, timeout_seconds)
        ended = time.time()
        counts = calls.difference(self.stack.side_door.counts(), counts)
        return self._measured(fan_out, firsts, began, ended, counts, self._blocked(marks))

    def _wait(self, fan_out: FanOut, run_ids: list[str], timeout_seconds: float) -> dict[str, float]:
        """Wait for the runs' ends; returns when each had its first shard scheduled, as far as it had one.

        It is noted as soon as it is seen, because a task that is resumed on a worker is scheduled anew.
        """
        deadline = time.monotonic() + timeout_seconds
        firsts: dict[str, float] = {}
        while True:
            for run_id in set(run_ids) - firsts.keys():
                first = self.database.shards(fan_out.dag_id, [run_id], shard_task_filter(fan_out.side)).first
                if first is not None:
                    firsts[run_id] = first
            if set(self.database.run_states(fan_out.dag_id, run_ids)) <= {"success", "failed"}:
                return firsts
            self.stack.check()
            if time.monotonic() > deadline:
                shards = self.database.shards(fan_out.dag_id, run_ids, shard_task_filter(fan_out.side))
                raise StackError(
                    f"{fan_out.dag_id} has not ended after {timeout_seconds:.0f} s ({dict(shards.states)}); "
                    f"the logs are in {self.stack.logs}."
                )
            time.sleep(LOOK_SECONDS)

    def _measured(
        self,
        fan_out: FanOut,
        firsts: dict[str, float],
        began: float,
        ended: float,
        counts: dict[str, int],
        blocked: list[float],
    ) -> Measured:
        task_id, side_door = shard_task_filter(fan_out.side), self.stack.side_door
        run_ids = list(firsts)
        shards = self.database.shards(fan_out.dag_id, run_ids or [""], task_id)
        if shards.last is None:
            raise StackError(f"{fan_out.dag_id} ran no shard ({dict(shards.states)}); see {self.stack.logs}.")
        first, last = min(firsts.values()), shards.last
        lasts = {run_id: self.database.shards(fan_out.dag_id, [run_id], task_id).last or last for run_id in run_ids}
        described = _since(side_door.calls("DescribeTasks"), began)
        launched = _since(side_door.calls("RunTask"), began)
        total = fan_out.shards * fan_out.runs
        cpu = {name: used / total for name, used in self.sampler.cpu_seconds(first, last).items()}
        triggerers = [name for name in cpu if name.startswith("triggerer")]
        memory = self.sampler.memory_mib(triggerers, first, last) or [0.0]
        before = self.sampler.memory_mib(triggerers, began - REST_SECONDS, began) or memory
        return Measured(
            side=fan_out.side,
            shards=fan_out.shards,
            runs=fan_out.runs,
            shard_seconds=fan_out.seconds,
            succeeded=shards.states["success"],
            limit_seconds=calls.limit_seconds(total, fan_out.seconds, self.latency_seconds),
            bucket_seconds=calls.bucket_seconds(total, fan_out.seconds, self.latency_seconds),
            makespan_seconds=last - first,
            run_seconds=[lasts[run_id] - firsts[run_id] for run_id in run_ids],
            cpu_seconds_per_shard=sum(used for name, used in cpu.items() if name not in BESIDE),
            cpu_by_process=cpu,
            api_calls=counts,
            throttled_calls=calls.throttled([*described, *launched]),
            watching=calls.watching(described),
            worker_starts=self.database.worker_starts(fan_out.dag_id, run_ids, task_id),
            triggerer_peak_mib=max(memory),
            triggerer_kib_per_shard=(max(memory) - before[-1]) * 1024 / total,
            loop_blocked_seconds=max(blocked, default=0.0),
            loop_blocked_times=len(blocked),
            after_seconds=ended - last,
            machine_work_ms=1000 * self.sampler.work_seconds(first, last),
            stolen_share=self.sampler.stolen_share(first, last),
            launches=[at - first for at in calls.launch_times(launched)],
        )

    def _triggerer_logs(self) -> list[Path]:
        return sorted(self.stack.logs.glob("triggerer*.log"))

    def _log_sizes(self) -> dict[Path, int]:
        return {path: path.stat().st_size for path in self._triggerer_logs()}

    def _blocked(self, marks: dict[Path, int]) -> list[float]:
        """The stand-stills of the triggerers' loops that they have told of since the marks."""
        texts = [path.read_bytes()[marks.get(path, 0) :].decode(errors="replace") for path in self._triggerer_logs()]
        return [float(seconds) for text in texts for seconds in BLOCKED.findall(text)]


def _since(recorded: Iterable[dict[str, Any]], moment: float) -> list[dict[str, Any]]:
    return [call for call in recorded if call["at"] >= moment]
