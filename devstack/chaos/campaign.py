"""Runs the scenarios: those that do not disturb each other at once, the others one by one; both sides together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from devstack import fargate
from devstack.api import PAGE
from devstack.chaos import world
from devstack.chaos.clocks import Faults, LaunchClocks, active
from devstack.chaos.front import Fronts
from devstack.chaos.kills import Supervisor
from devstack.chaos.meddler import Meddler, meddling_plan
from devstack.chaos.plans import kill_plan, rules, sides_of
from devstack.chaos.scenarios import TRIGGERERS, Scenario, Side
from devstack.chaos.trial import Trial
from devstack.chaos.verdict import LEFT_SECONDS, Verdict, judge
from devstack.errors import StackError
from devstack.stack import Stack

LOOK_SECONDS: Final = 3.0
"""A look asks Airflow for all runs and their tasks."""
TICK_SECONDS: Final = 0.2
CHECK_SECONDS: Final = 1.0
"""How often the stack is seen to be alive: each look reads all processes of the machine."""
WAIT_SECONDS: Final = 60.0
"""How long the second side waits for the first one's shards, should they never come."""
SETTLE_SECONDS: Final = 120.0
"""How long Airflow may take to be healthy again after a scenario's last kill."""
COMPONENTS: Final = ("api-server", "scheduler", "dag-processor", *TRIGGERERS)

AIRFLOW_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    # How long nobody has heard of a triggerer before the others take its triggers: 30 s by default.
    "triggerer": {"job_heartbeat_sec": "1", "triggerer_health_check_threshold": "10"},
    # How soon a new scheduler looks for the work of a dead one (300 s by default), and how long a dead worker's task
    # counts as running (300 s). After how long a scheduler is dead stays 30 s: two busy cores can keep one silent
    # for 17 s, and then it would take its own work for a dead one's.
    "scheduler": {
        "orphaned_tasks_check_interval": "15",
        "task_instance_heartbeat_timeout": "60",
        "task_instance_heartbeat_timeout_detection_interval": "5",
    },
    # Workers at once. More than the cores can carry only makes each of them late.
    "core": {"parallelism": "4"},
}
"""Shortened, so that a scenario shows in two minutes what takes ten with the defaults."""


@dataclass(frozen=True)
class Result:
    """One scenario on one side: what the report has of it.

    :param kills: what was killed meanwhile, by component; ``crashes``: what ended by itself.
    :param done: how often what else was done to it: connections that failed, writes to its service.
    """

    scenario: Scenario
    side: Side
    seed: int
    seconds: float
    verdict: Verdict
    kills: Mapping[str, int]
    crashes: Mapping[str, int]
    done: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Campaign:
    """The scenarios on a running stack.

    :param runs: how many DAG runs a scenario has on each side; 0: as many as the scenario says.
    :param tell: is told what happens, line by line.
    :param fronts: what the scenarios with blindness need between their sides and the local Fargate.
    """

    stack: Stack
    sides: Sequence[Side]
    seed: int
    runs: int
    tell: Callable[[str], None]
    fronts: Fronts = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)

    def prepare(self, scenarios: Iterable[Scenario]) -> None:
        """Make what the scenarios need, and wait until Airflow has parsed their DAGs.

        :raises StackError: a DAG does not appear.
        """
        chosen = list(scenarios)
        for front in self.fronts.values():
            front.lead_to(self.stack.aws["AWS_ENDPOINT_URL"])
        world.build(self.stack, chosen, self.sides)
        for scenario in chosen:
            for side in sides_of(scenario, self.sides):
                self.stack.wait_for_dag(scenario.dag_id(side))

    def phase(self, scenarios: Sequence[Scenario]) -> list[Result]:
        """Run some scenarios at the same time, to their end.

        :raises StackError: the local Fargate has ended, or Airflow does not recover.
        """
        trials = [
            Trial(scenario, side, self.runs or scenario.runs, self.seed)
            for scenario in scenarios
            for side in sides_of(scenario, self.sides)
        ]
        meddlers = self._meddlers(scenarios)
        supervisor = Supervisor(self.stack, COMPONENTS, self.tell)
        supervisor.plan = sorted(
            (kill for scenario in scenarios for kill in kill_plan(scenario, self.seed)), key=lambda kill: kill.at
        )
        planned = [
            rule for scenario in scenarios for rule in rules(scenario, sides_of(scenario, self.sides), self.seed)
        ]
        with active(self.stack.side_door, planned) as faults:
            self._follow(trials, supervisor, faults, meddlers.values())
        supervisor.settle()
        self._recovered()
        time.sleep(LEFT_SECONDS)  # what still runs then was left running
        self._look(trials)
        tasks = self.stack.side_door.tasks()
        results = [
            Result(
                trial.scenario,
                trial.side,
                self.seed,
                trial.seconds,
                judge(trial.evidence(self.stack, tasks), undisturbed=trial.scenario.undisturbed),
                supervisor.kills,
                supervisor.crashes,
                self._done(trial, meddlers),
            )
            for trial in trials
        ]
        for trial in trials:
            trial.stop(self.stack)
        return results

    def _meddlers(self, scenarios: Iterable[Scenario]) -> dict[str, Meddler]:
        """Those who write to the services of our side, by cluster."""
        ecs = self.stack.client("ecs")
        return {
            (cluster := scenario.cluster("ours")): Meddler(
                ecs, cluster, scenario.service(), scenario.baseline, meddling_plan(scenario, self.seed), self.tell
            )
            for scenario in scenarios
            if "ours" in sides_of(scenario, self.sides)
        }

    def _done(self, trial: Trial, meddlers: Mapping[str, Meddler]) -> dict[str, int]:
        front, meddler = self.fronts.get((trial.scenario.name, trial.side)), meddlers.get(trial.cluster)
        return {**(front.seen if front is not None else {}), **(meddler.done if meddler is not None else {})}

    def _look_away(self, trials: Iterable[Trial], clocks: LaunchClocks) -> None:
        """Let the fronts of the trials be blind when it is their time."""
        for trial in trials:
            front, blindness = self.fronts.get((trial.scenario.name, trial.side)), trial.scenario.blindness
            if front is None or blindness is None:
                continue
            blind = blindness.covers(trial.side, clocks.since(trial.cluster))
            if front.be_blind(blind):
                self.tell(f"{trial.name}: {'blind' if blind else 'sees again'}")

    def _follow(
        self, trials: Sequence[Trial], supervisor: Supervisor, faults: Faults, meddlers: Iterable[Meddler]
    ) -> None:
        """Start the trials, and carry out what is due until all are over.

        The stock operator's runs begin when ours launch their shards: a pipeline of ours has services to scale up
        before that, and the faults and kills are to find shards on both sides.
        """
        clocks = LaunchClocks(self.stack.side_door)
        clusters = [trial.cluster for trial in trials]
        begun = next_look = next_check = time.monotonic()
        while not all([trial.is_over() for trial in trials]):
            clocks.look(clusters)
            for trial in trials:
                if not trial.run_ids and (
                    trial.side == sides_of(trial.scenario, self.sides)[0]
                    or clocks.since(trial.scenario.cluster(sides_of(trial.scenario, self.sides)[0])) is not None
                    or time.monotonic() > begun + WAIT_SECONDS
                ):
                    trial.start(self.stack)
            faults.advance(clocks, clusters)
            self._look_away(trials, clocks)
            for meddler in meddlers:
                meddler.tick(clocks.since(meddler.cluster))
            launching = clocks.since_all(clusters)
            supervisor.tick(-1.0 if launching is None else launching)
            if time.monotonic() >= next_check:
                self._check()
                next_check = time.monotonic() + CHECK_SECONDS
            if time.monotonic() >= next_look:
                self._look(trials)
                next_look = time.monotonic() + LOOK_SECONDS
            time.sleep(TICK_SECONDS)

    def _check(self) -> None:
        """See that all but Airflow is alive; a part of Airflow that has ended is the supervisor's business.

        :raises StackError: the local Fargate has ended.
        """
        try:
            self.stack.check()
        except StackError:
            if all(self.stack.is_running(name) for name in COMPONENTS) or not self.stack.is_running(fargate.NAME):
                raise

    def _look(self, trials: Sequence[Trial]) -> None:
        """Ask Airflow once for all; while the API server is down, there is nothing to see."""
        dag_ids = [trial.dag_id for trial in trials]
        try:
            runs = self._batch("/dags/~/dagRuns/list", "dag_runs", dag_ids)
            instances = self._batch("/dags/~/dagRuns/~/taskInstances/list", "task_instances", dag_ids)
        except StackError:
            return
        for trial in trials:
            trial.look(runs, instances)
            if self._said.get(trial.name) != trial.words:
                self._said[trial.name] = trial.words
                self.tell(trial.words)

    def _batch(self, path: str, key: str, dag_ids: Sequence[str]) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        while True:
            body = {"dag_ids": list(dag_ids), "page_offset": len(entries), "page_limit": PAGE}
            page = self.stack.api.post(path, body)
            entries += page[key]
            if not page[key] or len(entries) >= page["total_entries"]:
                return entries

    def _recovered(self) -> None:
        """Wait until Airflow is healthy and answers."""
        self.stack.processes.wait_until(
            lambda: set(self.stack.api.health().values()) == {"healthy"},
            what="Airflow is not healthy again",
            timeout_seconds=SETTLE_SECONDS,
        )


def phases(scenarios: Sequence[Scenario]) -> list[list[Scenario]]:
    """Which scenarios run at the same time: those of one phase that hit nobody else, then each of the others."""
    together: dict[str, list[Scenario]] = {}
    for scenario in scenarios:
        if not scenario.alone:
            together.setdefault(scenario.phase, []).append(scenario)
    return [*together.values(), *([scenario] for scenario in scenarios if scenario.alone)]
