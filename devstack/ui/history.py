"""What became of a shard: drawn at random, and written down by the project's own functions. No Airflow in here."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ecs_feature.aws.resources import EcsContainer, EcsService, EcsTask
from ecs_feature.services.leases import Lease, SharingPolicy
from ecs_feature.services.snapshot import seen
from ecs_feature.shards.records import LaunchRecord
from ecs_feature.tasks import cost, outcomes
from ecs_feature.tasks.outcomes import STOP_REASON_TIMEOUT, ExitCodes, Kind, Outcome
from ecs_feature.tasks.relaunches import Ended

ACCOUNT: Final = "arn:aws:ecs:us-east-1:123456789012"
CONTAINER: Final = "features"
CODES: Final = ExitCodes(skip=frozenset({3}))
QUOTA_VCPUS: Final = 96.0
MOST_RELAUNCHES: Final = 4
_EXITED: Final = ("EssentialContainerExited", "Essential container in task exited")

_FAILURES: Final[tuple[tuple[str, str, int | None, str], ...]] = (
    (*_EXITED, 1, ""),
    (*_EXITED, 1, ""),
    (*_EXITED, 137, "OutOfMemoryError: Container killed due to memory usage"),
    (*_EXITED, 139, ""),
    ("UserInitiated", STOP_REASON_TIMEOUT, 143, ""),
    (
        "TaskFailedToStart",
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
        "docker.io/library/features:2026.11: not found",
        None,
        "",
    ),
)
"""Stop code, reason, exit code and the container's reason of tasks that failed."""


@dataclass(frozen=True)
class Fate:
    """How likely what is, each 0 to 1, for one shard in one run."""

    failed: float = 0.012
    relaunched: float = 0.03
    retried: float = 0.01
    nothing: float = 0.008
    lost: float = 0.002


@dataclass
class ShardPast:
    """What is left of a shard in a run.

    :param state: of its Airflow task.
    :param record: its XCom; None: there is none.
    """

    state: str | None
    tries: int = 0
    record: Mapping[str, Any] | None = None
    start: datetime | None = None
    end: datetime | None = None

    @property
    def succeeded(self) -> bool:
        return self.state == "success" and self.record is not None


@dataclass
class Past:
    """Draws what becomes of the shards of one lane.

    :param base: seconds that each shard takes on an ordinary day.
    """

    rng: random.Random
    shards: list[str]
    extra: Mapping[str, str] = field(default_factory=dict)
    seconds: tuple[float, float] = (40.0, 900.0)
    cpu: int = 1024
    memory_mib: int = 2048

    def __post_init__(self) -> None:
        low, high = self.seconds
        self.base = {name: low * (high / low) ** (self.rng.random() ** 2) for name in self.shards}

    def ended(self, shard: str, begun: datetime, fate: Fate) -> ShardPast:
        """A shard that is done, one way or the other."""
        draw = self.rng.random
        launches: list[LaunchRecord] = []
        at, tries = begun + timedelta(seconds=4 * draw()), 1
        while len(launches) < MOST_RELAUNCHES and draw() < (fate.relaunched if not launches else 0.15):
            at = self._launch(launches, at, 0.4 * self.base[shard] * draw(), tries, stop=_interrupted(self.rng))
        if draw() < fate.retried:
            at = self._launch(launches, at, 0.5 * self.base[shard], tries, stop=(*_EXITED, 1, ""))
            at, tries = at + timedelta(seconds=60), 2
        took = self.base[shard] * self.rng.uniform(0.85, 1.2)
        if draw() < fate.failed:
            end = self._launch(launches, at, took * draw(), tries, stop=self.rng.choice(_FAILURES))
            state = "failed"
        elif draw() < fate.nothing:
            end, state = self._launch(launches, at, 8, tries, stop=(*_EXITED, 3, "")), "skipped"
        else:
            end, state = self._launch(launches, at, took, tries, stop=(*_EXITED, 0, "")), "success"
        lost = state == "success" and draw() < fate.lost
        return ShardPast(state, tries, None if lost else self._record(shard, launches), begun, end)

    def _launch(
        self, launches: list[LaunchRecord], at: datetime, ran: float, tries: int, stop: tuple[str, str, int | None, str]
    ) -> datetime:
        """Add a launch; when its end was detected."""
        code, reason, exit_code, why = stop
        created = at + timedelta(seconds=0.3)
        started = created + timedelta(seconds=self.rng.uniform(18, 45))
        failed_to_start = code == "TaskFailedToStart"
        stopped = started + timedelta(seconds=max(1.0, ran))
        task = EcsTask(
            arn=f"{ACCOUNT}:task/features/{self.rng.getrandbits(128):032x}",
            cluster_arn=f"{ACCOUNT}:cluster/features",
            task_definition_arn=f"{ACCOUNT}:task-definition/flight-features-{self.extra.get('variant') or 'control'}:7",
            last_status="STOPPED",
            desired_status="STOPPED",
            stop_code=code,
            stopped_reason=reason,
            containers=(EcsContainer(CONTAINER, "STOPPED", exit_code, why, image_digest=f"sha256:{7:064x}"),),
            cpu=self.cpu,
            memory_mib=self.memory_mib,
            launch_type="FARGATE",
            capacity_provider="FARGATE_SPOT" if code == "SpotInterruption" else "",
            created_at=created,
            pull_started_at=created + timedelta(seconds=10),
            started_at=None if failed_to_start else started,
            stopped_at=stopped,
        )
        outcome: Outcome = outcomes.of_task(task, main_container=CONTAINER, codes=CODES)
        launches.append(LaunchRecord.of(Ended(outcome, task, task.capacity, stopped), tries, CONTAINER))
        return stopped + timedelta(seconds=1 + self.rng.random())

    def _record(self, shard: str, launches: list[LaunchRecord]) -> dict[str, Any]:
        """As :meth:`ecs_feature.shards.run.ShardRun.record` makes it."""
        last = launches[-1]
        code = next((code for code in _codes(last)), None)
        uri = f"s3://features/{self.extra.get('partition', '')}/{shard}.json"
        return {
            "shard": shard,
            "outcome": last.outcome,
            "exit_code": code,
            "container": CONTAINER,
            **self.extra,
            "result_uri": uri,
            "quota_vcpus": QUOTA_VCPUS,
            "launches": [launch.to_dict() for launch in launches],
        }


def _codes(last: LaunchRecord) -> list[int]:
    known = {
        Kind.SUCCEEDED: 0,
        Kind.SKIPPED: 3,
        Kind.APPLICATION_FAILURE: 1,
        Kind.OUT_OF_MEMORY: 137,
        Kind.TIMED_OUT: 143,
    }
    return [code for kind, code in known.items() if last.outcome == kind]


def _interrupted(rng: random.Random) -> tuple[str, str, int | None, str]:
    if rng.random() < 0.7:
        return "SpotInterruption", "Your Spot Task was interrupted.", 143, ""
    return "ServiceSchedulerInitiated", "ECS is performing maintenance on the underlying infrastructure", 143, ""


class ServicePast:
    """What the scale tasks of a run leave of its services, as the operators write it."""

    def __init__(self, holder: str, counts: Mapping[str, int]) -> None:
        self.holder, self.counts = holder, counts

    def _service(self, name: str, count: int, since: datetime, *, leased: bool) -> EcsService:
        policy = SharingPolicy()
        tags = [policy.to_tag()]
        if leased:
            tags.append(Lease(self.holder, count, since, since + timedelta(hours=6)).to_tag(since))
        return EcsService(
            name=name,
            arn=f"{ACCOUNT}:service/features/{name}",
            status="ACTIVE",
            desired=count if leased else 0,
            running=count if leased else 0,
            pending=0,
            deployments=1,
            tags=tuple((tag["key"], tag["value"]) for tag in tags),
        )

    def up(self, at: datetime) -> dict[str, Any]:
        """XCom of ``scale_up``."""
        rows = [
            {
                **seen(self._service(name, count, at, leased=True), at),
                "running": 0,
                "before": 0,
                "policy": SharingPolicy().to_tag()["value"],
                "since": at.astimezone(UTC).isoformat(timespec="seconds"),
            }
            for name, count in self.counts.items()
        ]
        return {"services": rows}

    def steady(self, at: datetime, since: datetime) -> dict[str, Any]:
        """XCom of ``services_steady``."""
        return {
            "services": [
                {**seen(self._service(name, count, since, leased=True), at), "peak": count}
                for name, count in self.counts.items()
            ]
        }

    def down(self, at: datetime, since: datetime) -> dict[str, Any]:
        """XCom of ``scale_down``."""
        seconds = (at - since).total_seconds()
        held = []
        for name, count in self.counts.items():
            used = cost.usage(512, 1024, seconds * count)
            held.append(
                {
                    "name": name,
                    "seconds": round(seconds, 1),
                    "vcpu_seconds": round(used.vcpu_seconds, 3),
                    "gb_seconds": round(used.gb_seconds, 3),
                    "region": "us-east-1",
                }
            )
        rows = [
            {**seen(self._service(name, count, since, leased=False), at), "peak": count, "others": 0}
            for name, count in self.counts.items()
        ]
        return {"held": held, "services": rows}
