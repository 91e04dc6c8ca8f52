"""What the tries of one shard came to, in Airflow's task state store, which outlives a try and its worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from ecs_feature.aws.resources import EcsTask
from ecs_feature.shards.records import LaunchRecord
from ecs_feature.tasks.outcomes import PAYERS, Kind, Payer, of_task
from ecs_feature.workers.host import Host

KEY: Final = "ecs_feature_tries"
OPEN: Final = ""
"""The outcome of a try that has not ended."""
_LOST: Final = "its worker on {} ended before the shard did, and ECS does not say why"


@dataclass(frozen=True)
class Worker:
    """A try's worker, as later tries ask for it."""

    name: str
    cluster: str


@dataclass
class Tries:
    """The tries of a shard in one run, oldest first.

    :param launches: one for each.
    :param workers: try number -> its worker.
    :param first: the number of the first try since the shard was last cleared: older ones used up nothing of this
        one's retries.
    """

    launches: list[LaunchRecord] = field(default_factory=list)
    workers: dict[int, Worker] = field(default_factory=dict)
    first: int = 1

    @classmethod
    def of(cls, value: Any, first: int) -> Tries:
        """From what is in the store; whatever else is there counts as nothing."""
        rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
        launches, workers = [], {}
        for row in rows:
            values = dict(row)
            worker = values.pop("worker", {})
            try:
                launch = LaunchRecord(**values)
            except TypeError:
                continue
            launches.append(launch)
            workers[launch.attempt] = Worker(worker.get("name", ""), worker.get("cluster", ""))
        return cls(launches, workers, first)

    def to_list(self) -> list[dict[str, Any]]:
        """For the store; JSON-safe."""
        return [
            {**launch.to_dict(), "worker": vars(self.workers.get(launch.attempt, Worker("", "")))}
            for launch in self.launches
        ]

    def begin(self, number: int, host: Host, now: datetime) -> None:
        self.launches = [launch for launch in self.launches if launch.attempt != number]
        self.launches.append(
            LaunchRecord(
                host.task_arn, OPEN, "", number, capacity=host.capacity, created_at=_iso(now), started_at=_iso(now)
            )
        )
        self.workers[number] = Worker(host.name, host.cluster)

    def end(self, kind: Kind, reason: str, now: datetime) -> None:
        """End the last try."""
        self.launches[-1] = replace(self.launches[-1], outcome=str(kind), reason=reason, stopped_at=_iso(now))

    def close(self, describe: Callable[[str, str], EcsTask | None], now: datetime) -> list[LaunchRecord]:
        """End the tries that nobody has ended, since their workers died; what they came to.

        :param describe: cluster and task ARN -> the worker's ECS task; None: ECS does not show it.
        """
        closed = []
        for place, launch in enumerate(self.launches):
            if launch.outcome != OPEN:
                continue
            worker = self.workers[launch.attempt]
            task = describe(worker.cluster, launch.task_arn) if launch.task_arn else None
            kind, reason = cause_of_death(task, worker.name)
            stopped = task.stopped_at if task is not None and task.stopped_at else now
            self.launches[place] = replace(launch, outcome=str(kind), reason=reason, stopped_at=_iso(stopped))
            closed.append(self.launches[place])
        return closed

    def paid_by(self, payer: Payer) -> int:
        """How many tries since the last clear somebody answers for."""
        return sum(
            launch.attempt >= self.first and launch.outcome != OPEN and payer_of(Kind(launch.outcome)) is payer
            for launch in self.launches
        )


def payer_of(kind: Kind) -> Payer:
    """Who answers for the end of a try on a worker.

    As in :data:`ecs_feature.tasks.outcomes.PAYERS`, but for too little memory: the next worker has no more.
    """
    return Payer.APPLICATION if kind is Kind.OUT_OF_MEMORY else PAYERS[kind]


def cause_of_death(task: EcsTask | None, name: str) -> tuple[Kind, str]:
    """Why a worker did not end its shard's try, and the sentence for it.

    :param task: the worker's ECS task; None: not known.
    :param name: the worker's.
    """
    if task is None:
        return Kind.LOST, _LOST.format(name)
    if not task.stopped:
        return Kind.LOST, f"its process on the worker {name} was killed, and the worker's ECS task goes on"
    outcome = of_task(task)
    if outcome.payer is not Payer.INFRASTRUCTURE and outcome.kind is not Kind.OUT_OF_MEMORY:
        # How a worker itself ended says nothing of the shard's code.
        return Kind.LOST, f"its worker {name} ended in mid-shard: {task.stop_summary()}"
    return outcome.kind, f"its worker {name} ended in mid-shard: {outcome.reason or task.stop_summary()}"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def first_try(max_tries: Any, retries: int) -> int:
    """The number of the first try since the shard was last cleared.

    A clear sets a task instance's ``max_tries`` to the number of its last try plus the task's retries.
    """
    return max(1, int(max_tries) - retries + 1) if max_tries is not None else 1


def rows_of(tries: Tries) -> list[Mapping[str, Any]]:
    """The launches of a record."""
    return [launch.to_dict() for launch in tries.launches if launch.outcome != OPEN]
