"""One scenario on one side: its runs, what Airflow says of them, and all that was seen when they have ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from devstack.chaos import evidence, world
from devstack.chaos.evidence import Evidence, Instance
from devstack.chaos.plans import failing_tries, picks, working_seconds
from devstack.chaos.scenarios import SERVICE_FAMILY, SHARD_FAMILY, Scenario, Side
from devstack.chaos.verdict import ENDED
from devstack.errors import StackError
from devstack.stack import Stack

FIRST_DAY: Final = datetime(2013, 1, 1, tzinfo=UTC)


@dataclass
class Trial:
    """The runs of one scenario on one side.

    :ivar run_ids: of its runs, once they were started.
    :ivar seconds: from the start to the end of the last run, or to the deadline.
    """

    scenario: Scenario
    side: Side
    runs: int
    seed: int
    run_ids: list[str] = field(default_factory=list)
    seconds: float = 0.0
    _started: float = 0.0
    _runs: list[Mapping[str, Any]] = field(default_factory=list)
    _instances: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.scenario.name} ({self.side})"

    @property
    def dag_id(self) -> str:
        return self.scenario.dag_id(self.side)

    @property
    def cluster(self) -> str:
        return self.scenario.cluster(self.side)

    def start(self, stack: Stack) -> None:
        """Unpause the DAG and start the runs, each of another day.

        :raises StackError: Airflow refuses.
        """
        conf = {
            "failing": ",".join(failing_tries(self.scenario, self.seed)),
            "hungry": ",".join(picks(self.scenario, self.scenario.hungry, self.seed, "hungry")),
        }
        last = self.runs - 1 if self.runs > 1 else -1
        stack.api.unpause(self.dag_id)
        self._started = time.monotonic()
        for number in range(self.runs):
            seconds = working_seconds(self.scenario, self.seed, last_run=number == last)
            works = {"seconds": ",".join(f"{shard}:{each:g}" for shard, each in seconds.items())}
            self.run_ids.append(stack.api.trigger(self.dag_id, FIRST_DAY + timedelta(days=number), conf | works))

    def look(self, runs: Iterable[Mapping[str, Any]], instances: Iterable[Mapping[str, Any]]) -> None:
        """Take what belongs to this trial out of what Airflow says of all."""
        self._runs = [run for run in runs if run["dag_id"] == self.dag_id]
        self._instances = [each for each in instances if each["dag_id"] == self.dag_id]

    def is_over(self) -> bool:
        """Whether every run has ended, or the deadline has passed; never before it has started."""
        if not self.run_ids:
            return False
        if sum(run["state"] in ("success", "failed") for run in self._runs) == len(self.run_ids):
            return True
        self.seconds = time.monotonic() - self._started
        return self.seconds > self.scenario.deadline_seconds

    @property
    def words(self) -> str:
        """How far it is, in one line."""
        shards = self._shards()
        done = sum(each.state in ENDED for each in shards)
        total = self.scenario.shards * self.runs
        states = [str(run["state"]) for run in self._runs] or ["waiting"]
        return f"{self.name}: {done} of {total} shards, {', '.join(states)}"

    def evidence(self, stack: Stack, tasks: Sequence[Mapping[str, Any]]) -> Evidence:
        """What was seen of it.

        :param tasks: all that the side door knows.
        """
        return Evidence(
            runs=tuple(evidence.run_of(run) for run in self._runs),
            instances=self._shards(),
            launched=evidence.launched(tasks, self.cluster, SHARD_FAMILY),
            executions=evidence.executions(stack.folder / "ledger.jsonl", self.dag_id),
            services_up=world.services_up(stack, self.scenario) if self.side == "ours" else None,
            recorded=evidence.recorded(self._records(stack)) if self.side == "ours" else None,
            serving=evidence.serving(tasks, self.cluster, SERVICE_FAMILY) if self.side == "ours" else None,
            needed=self.scenario.count,
            baseline=self.scenario.baseline,
            receipts=evidence.receipts(self._receipts(stack)) if self.side == "ours" else None,
        )

    def stop(self, stack: Stack) -> None:
        """End what has not ended, and let nothing of it go on.

        :raises StackError: Airflow refuses.
        """
        stack.api.pause(self.dag_id)
        for run in self._runs:
            if run["state"] not in ("success", "failed"):
                stack.api.patch(f"/dags/{self.dag_id}/dagRuns/{run['dag_run_id']}", {"state": "failed"})
        world.sweep(stack, self.cluster)

    def _receipts(self, stack: Stack) -> dict[str, Any]:
        """The XComs of the receipts, by run."""
        found = {}
        for run in self._runs:
            with contextlib.suppress(StackError):  # it has left none
                found[str(run["dag_run_id"])] = stack.api.xcom(self.dag_id, run["dag_run_id"], "receipt")
        return found

    def _records(self, stack: Stack) -> list[Any]:
        """The XComs that the shards have left."""
        names = frozenset(self.scenario.shard_names())
        records = []
        for each in self._instances:
            if str(each["task_id"]).rpartition(".")[2] in names:
                with contextlib.suppress(StackError):  # it has left none
                    records.append(stack.api.xcom(self.dag_id, each["dag_run_id"], each["task_id"]))
        return records

    def _shards(self) -> tuple[Instance, ...]:
        return evidence.instances(self._instances, self.scenario.shard_names())
