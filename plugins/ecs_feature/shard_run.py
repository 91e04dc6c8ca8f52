"""One try of one shard: launch, wait, decide, launch again while infrastructure is to blame."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ecs_feature import cost, outcomes
from ecs_feature.exceptions import LaunchError
from ecs_feature.fleet import Fleet
from ecs_feature.launch import TIMEOUT_TAG, Launch, client_token
from ecs_feature.outcomes import Outcome, Payer
from ecs_feature.resources import EcsTask
from ecs_feature.watcher import MISSING_SECONDS


@dataclass(frozen=True)
class ShardPolicy:
    """How a shard is watched and how much is forgiven.

    :param timeout_seconds: a task older than this is stopped; None: never.
    :param max_relaunches: how many endings that infrastructure is to blame for are answered with a new launch.
    :param poll_seconds: how often the watcher asks for this shard; one call serves 100 shards.
    :param log_lines: how many last lines of the container's log are copied to the task log; 0: none.
    :param max_parallel: how many tasks of ``parallel_group`` run at once per triggerer; None: no bound.
    """

    timeout_seconds: float | None = None
    max_relaunches: int = 5
    poll_seconds: float = 3.0
    log_lines: int = 20
    max_parallel: int | None = None
    parallel_group: str = ""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class LaunchRecord:
    """One launch and how it ended; times are ISO 8601 in UTC."""

    task_arn: str
    outcome: str
    reason: str
    cpu: int = 0
    memory_mib: int = 0
    created_at: str | None = None
    started_at: str | None = None
    stopped_at: str | None = None
    vcpu_seconds: float = 0.0
    gb_seconds: float = 0.0

    @classmethod
    def of(cls, task: EcsTask | None, outcome: Outcome) -> LaunchRecord:
        if task is None:
            return cls("", str(outcome.kind), outcome.reason)
        used = cost.of_task(task)
        return cls(
            task_arn=task.arn,
            outcome=str(outcome.kind),
            reason=outcome.reason,
            cpu=task.cpu,
            memory_mib=task.memory_mib,
            created_at=_iso(task.created_at),
            started_at=_iso(task.started_at),
            stopped_at=_iso(task.stopped_at),
            vcpu_seconds=round(used.vcpu_seconds, 3),
            gb_seconds=round(used.gb_seconds, 3),
        )


@dataclass(eq=False)
class ShardRun:
    """One try of one shard.

    :param token_id: the Airflow task instance's UUID; with the relaunch's number it makes the client token.
    :param log: where the lines go that a user reads in the task log.
    :param on_launch: told of every task that was launched.
    """

    fleet: Fleet
    shard: str
    launch: Launch
    policy: ShardPolicy
    token_id: str
    log: Any
    on_launch: Callable[[EcsTask], Awaitable[None]] | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    launches: list[LaunchRecord] = field(default_factory=list)
    current: Launch | None = None
    task: EcsTask | None = None

    async def run(self) -> Outcome:
        """Run the shard to an end that is not infrastructure's fault, or until the relaunches are used up."""
        async with self.fleet.slot(self.policy.parallel_group, self.policy.max_parallel):
            for relaunch in range(self.policy.max_relaunches + 1):
                outcome = await self._run_once(relaunch)
                self.launches.append(LaunchRecord.of(self.task, outcome))
                if outcome.payer is not Payer.INFRASTRUCTURE or relaunch == self.policy.max_relaunches:
                    break
                pause = backoff_seconds(relaunch)
                self.log.warning(
                    "%s Launching again in %.1f s (%d of %d); Airflow's retries are not touched.",
                    outcome.sentence(self.shard),
                    pause,
                    relaunch + 1,
                    self.policy.max_relaunches,
                )
                await self.sleep(pause)
        return outcome

    async def _run_once(self, relaunch: int) -> Outcome:
        self.task = None
        self.current = dataclasses.replace(
            self.launch, client_token=client_token(self.token_id, relaunch), tags=self._tags()
        )
        try:
            self.task = await self.fleet.launch(self.current)
        except LaunchError as error:
            return outcomes.of_launch_failure(error.reason)
        self.log.info("Shard %s runs as ECS task %s (launch %d).", self.shard, self.task.arn, relaunch + 1)
        if self.on_launch is not None:
            await self.on_launch(self.task)
        return await self._wait(self.task)

    async def _wait(self, task: EcsTask) -> Outcome:
        cluster, poll = self.launch.cluster, self.policy.poll_seconds
        try:
            async with asyncio.timeout(self._seconds_left(task)):
                ended = await self.fleet.ended(cluster, task, poll_seconds=poll)
        except TimeoutError:
            await self.fleet.stop(cluster, task.arn, outcomes.STOP_REASON_TIMEOUT)
            ended = await self.fleet.ended(cluster, task, poll_seconds=poll)
        if ended is None:
            return outcomes.of_missing(MISSING_SECONDS)
        self.task = ended
        await self._copy_log(ended)
        return outcomes.of_task(ended, main_container=self.launch.container)

    def _tags(self) -> dict[str, str]:
        """The launch's tags, and the deadline by which the janitor stops a task that nobody watches any more."""
        if self.policy.timeout_seconds is None:
            return dict(self.launch.tags)
        return {**self.launch.tags, TIMEOUT_TAG: str(math.ceil(self.policy.timeout_seconds))}

    def _seconds_left(self, task: EcsTask) -> float | None:
        """Until the deadline, which counts from the ECS task's creation and so survives a triggerer's restart."""
        if self.policy.timeout_seconds is None:
            return None
        age = (datetime.now(UTC) - task.created_at).total_seconds() if task.created_at else 0.0
        return max(0.0, self.policy.timeout_seconds - age)

    async def _copy_log(self, task: EcsTask) -> None:
        if self.policy.log_lines < 1:
            return
        lines = await self.fleet.log_tail(task, self.launch.container, self.policy.log_lines)
        for line in lines:
            self.log.info("[%s] %s", self.launch.container, line)
        if not lines:
            self.log.info("The container %s of shard %s left no log lines.", self.launch.container, self.shard)

    async def kill(self) -> None:
        """Stop what this run has launched. After an unanswered RunTask, the token finds out what it started."""
        if self.current is None:
            return
        task = self.task or await self.fleet.launch(self.current)
        await self.fleet.stop(self.launch.cluster, task.arn, outcomes.STOP_REASON_KILLED)
        self.log.info("Stopped ECS task %s of shard %s.", task.arn, self.shard)

    def record(self, outcome: Outcome, extra: Mapping[str, Any]) -> dict[str, Any]:
        """What the shard's XCom holds; JSON-safe."""
        return {
            "shard": self.shard,
            "outcome": str(outcome.kind),
            "exit_code": outcome.exit_code,
            **extra,
            "launches": [dataclasses.asdict(launch) for launch in self.launches],
        }


def backoff_seconds(relaunch: int, rng: random.Random | None = None) -> float:
    """Pause before relaunch number ``relaunch`` + 1: 1, 2, 4 ... at most 60 s, with full jitter above a half."""
    most = min(60.0, 2.0**relaunch)
    return most / 2 + (rng or random).random() * most / 2


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None
