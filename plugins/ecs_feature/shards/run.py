"""One try of one shard: launch, wait, decide, launch again while infrastructure is to blame."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from ecs_feature.aws.resources import EcsTask
from ecs_feature.exceptions import AwsError, EcsFeatureError, LaunchError
from ecs_feature.fleet.fleet import Fleet
from ecs_feature.fleet.watcher import MISSING_SECONDS
from ecs_feature.shards.log import ShardLog
from ecs_feature.shards.policy import ShardPolicy, is_followed
from ecs_feature.shards.records import LaunchRecord
from ecs_feature.tasks import outcomes
from ecs_feature.tasks.capacity import CLUSTER_DEFAULT
from ecs_feature.tasks.launch import TIMEOUT_TAG, Launch, client_token, essential_containers, started_by
from ecs_feature.tasks.outcomes import Outcome
from ecs_feature.tasks.relaunches import Ended, NextLaunch, next_launch

# AmazonECS/latest/APIReference/ECS_Idempotency.html: a client token lives at least an hour, ten minutes are ours.
TOKEN_AGE: Final = timedelta(minutes=50)
# How long a task that never started may take to stop before the next one is launched: it cannot run any more.
STOP_SECONDS: Final = 120.0


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class ShardRun:
    """One try of one shard.

    :param token_id: the Airflow task instance's UUID; with the launch's number it makes the client token.
    :param log: where the lines go that a user reads in the task log.
    :param on_launch: told of every task that was launched.
    :param share: whose share of the launch rate it takes, ``dag_id/run_id``.
    :param result_uri: of the file that the shard leaves last; decides when ECS no longer shows the task.
    :param since: when the run started: no client token of this try is older.
    :param try_number: Airflow's try number.
    :param live: whether its log is followed whatever the policy says, since the user asks for it.
    :param in_doubt: whether the current launch may have started a task that AWS has not told of.
    :param essential: the names of the containers that end the task when they end; None: of all it may be.
    :param replayed: whether the launch gave back a task that had stopped before: an earlier triggerer's.
    :param known: how many launches an earlier triggerer made before the one that was found again.
    :ivar born: when this triggerer took the shard on.
    """

    fleet: Fleet
    shard: str
    launch: Launch
    policy: ShardPolicy
    token_id: str
    log: Any
    on_launch: Callable[[EcsTask], Awaitable[None]] | None = None
    share: str = ""
    result_uri: str = ""
    since: datetime | None = None
    try_number: int = 1
    live: bool = False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], datetime] = _now
    history: list[Ended] = field(default_factory=list)
    known: int = 0
    in_doubt: bool = False
    essential: frozenset[str] | None = None
    replayed: bool = False
    current: Launch | None = None
    task: EcsTask | None = None
    born: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.born = self.now()

    @property
    def launches(self) -> list[LaunchRecord]:
        """The ended launches of this try, as the XCom has them."""
        return [LaunchRecord.of(ended, self.try_number) for ended in self.history]

    async def run(self) -> Outcome:
        """Run the shard to an end that is not infrastructure's fault, or until what is forgiven is used up.

        A call that AWS refuses for good is an outcome, too.
        """
        policy, definition = self.policy, await self._definition()
        self.launch, self.essential = await self._fitted(definition), essential_containers(definition)
        async with self.fleet.slot(
            policy.parallel_group,
            policy.parallelism,
            vcpus=self._vcpus(definition),
            max_vcpus=policy.max_vcpus,
            capacity=self.launch.bucket,
            started_by=started_by(self.launch.started_by),
        ):
            plan = NextLaunch(0.0, self.launch.capacity, self.launch.size)
            outcome = await self._guarded(self._recovered) or await self._launched(plan)
            while (following := self._following(outcome, plan)) is not None:
                plan = following
                await self._pause(outcome, plan)
                outcome = await self._launched(plan)
        return outcome

    async def _launched(self, plan: NextLaunch) -> Outcome:
        outcome = await self._guarded(partial(self._run_once, plan))
        assert outcome is not None
        return outcome

    def _following(self, outcome: Outcome, plan: NextLaunch) -> NextLaunch | None:
        """Keep how the launch ended; return what follows on it."""
        self.history.append(Ended(outcome, self.task, plan.capacity, self.now()))
        following = next_launch(self.history, self.policy.relaunches)
        return following and dataclasses.replace(following, size=following.size or plan.size)

    async def _guarded(self, act: Callable[[], Awaitable[Outcome | None]]) -> Outcome | None:
        try:
            return await act()
        except LaunchError as error:
            return outcomes.of_launch_failure(error.reason)
        except AwsError as error:
            await self._give_up()
            return outcomes.of_refusal(str(error))

    async def _give_up(self) -> None:
        """Stop a task that can no longer be watched, as far as AWS lets us."""
        if self.task is None or self.task.stopped:
            return
        try:
            await self.fleet.stop(self.launch.cluster, self.task.arn, outcomes.STOP_REASON_KILLED)
        except EcsFeatureError as error:
            self.log.error("ECS task %s of shard %s may still run: %s", self.task.arn, self.shard, error)

    async def _pause(self, outcome: Outcome, plan: NextLaunch) -> None:
        """Say why the last launch ended and what is different now; then wait.

        An end that an earlier triggerer has seen was waited after already: then only for what is left of the pause.
        """
        seconds = plan.pause_seconds
        if self.replayed and self.task is not None and self.task.stopped_at is not None:
            seconds -= (self.now() - self.task.stopped_at).total_seconds()
        self.log.warning(
            "%s Launching again in %.1f s%s; Airflow's retries are not touched.",
            outcome.sentence(self.shard),
            max(0.0, seconds),
            f", {plan.change}" if plan.change else "",
        )
        await self.sleep(max(0.0, seconds))

    async def _recovered(self) -> Outcome | None:
        """What became of the launches of this try that a triggerer made over an hour ago; None: there is nothing.

        ECS knows a client token no longer then, so that asking again would launch again.
        """
        if self.since is None or self.now() - self.since < TOKEN_AGE:
            return None
        cluster = self.launch.cluster
        tasks = await self.fleet.tasks_started_by(cluster, started_by(self.launch.started_by))
        if tasks:
            newest = next((task for task in tasks if not task.stopped), tasks[0])
            self.known = len(tasks) - 1
            self.log.info("Shard %s has ECS task %s from an earlier triggerer.", self.shard, newest.arn)
            return await self._watch(newest)
        if await self._has_result():
            self.log.info("Shard %s: ECS no longer shows its task, and its result file is there.", self.shard)
            return outcomes.of_result()
        return None

    async def _run_once(self, plan: NextLaunch) -> Outcome:
        self.task, self.in_doubt = None, False
        number = self.known + sum(ended.task is not None for ended in self.history)
        self.current = dataclasses.replace(
            self.launch,
            capacity=plan.capacity,
            size=plan.size or self.launch.size,
            client_token=client_token(self.token_id, number),
            tags=self._tags(),
        )
        task = await self.fleet.launch(self.current, share=self.share, in_doubt=self._note_doubt)
        self.log.info(
            "Shard %s runs as ECS task %s (launch %d%s).",
            self.shard,
            task.arn,
            number + 1,
            f", {plan.change}" if plan.change else "",
        )
        return await self._watch(task)

    def _note_doubt(self, doubt: bool) -> None:
        self.in_doubt = doubt

    async def _watch(self, task: EcsTask) -> Outcome:
        self.task, self.replayed = task, task.stopped
        if self.on_launch is not None:
            await self.on_launch(task)
        shard_log = self._shard_log(task)
        with shard_log.followed():
            ended = await self._stopped(task)
            if ended is not None:
                self.task = ended
                outcome = outcomes.of_task(
                    ended, main_container=self.launch.container, codes=self.policy.codes, essential=self.essential
                )
                await shard_log.copy(ended, outcome)
                return outcome
        if await self._has_result():
            self.log.info("Shard %s: ECS no longer shows its task, and its result file is there.", self.shard)
            return outcomes.of_result()
        return outcomes.of_missing(MISSING_SECONDS)

    def _shard_log(self, task: EcsTask) -> ShardLog:
        policy, ended = self.policy, (one.outcome for one in self.history)
        live = not task.stopped and is_followed(
            policy.live_lines, asked_for=self.live, try_number=self.try_number, ended=ended
        )
        return ShardLog(self.fleet, self.shard, task, self.launch.container, self.log, policy.log_lines, live=live)

    async def _stopped(self, task: EcsTask) -> EcsTask | None:
        """Wait for the task's end, and see to it when it does not start or end in time."""
        cluster, poll = self.launch.cluster, self.policy.poll_seconds
        try:
            async with asyncio.timeout(self._seconds_left(task)):
                ended = await self.fleet.ended(
                    cluster, task, poll_seconds=poll, start_seconds=self.policy.start_seconds
                )
        except TimeoutError:
            await self.fleet.stop(cluster, task.arn, outcomes.STOP_REASON_TIMEOUT)
            return await self.fleet.ended(cluster, task, poll_seconds=poll)
        if ended is None or ended.stopped:
            return ended
        await self.fleet.stop(cluster, task.arn, outcomes.STOP_REASON_STUCK)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self.fleet.ended(cluster, task, poll_seconds=poll)
        except TimeoutError:
            return dataclasses.replace(
                ended, stop_code="UserInitiated", stopped_reason=outcomes.STOP_REASON_STUCK, stopped_at=self.now()
            )

    async def _has_result(self) -> bool:
        return bool(self.result_uri) and await self.fleet.object_exists(self.result_uri)

    async def _definition(self) -> Mapping[str, Any]:
        """The task definition; empty when it cannot be read."""
        try:
            return await self.fleet.task_definition(self.launch.task_definition)
        except EcsFeatureError:
            return {}

    async def _fitted(self, definition: Mapping[str, Any]) -> Launch:
        """The launch as its cluster and its task definition want it."""
        launch = self.launch
        if launch.capacity == CLUSTER_DEFAULT:
            launch = dataclasses.replace(launch, default_strategy=await self.fleet.default_strategy(launch.cluster))
        return launch.fitted(definition)

    def _vcpus(self, definition: Mapping[str, Any]) -> float:
        """What the shard takes of the vCPU quota or of ``max_vcpus``; 0 when nothing says."""
        own = self.launch.size.cpu or int(definition.get("cpu") or 0)
        return (own or sum(each.get("cpu", 0) for each in definition.get("containerDefinitions", ()))) / 1024

    def _tags(self) -> dict[str, str]:
        """The launch's tags, and the deadline by which the janitor stops a task that nobody watches any more."""
        if self.policy.timeout_seconds is None:
            return dict(self.launch.tags)
        return {**self.launch.tags, TIMEOUT_TAG: str(math.ceil(self.policy.timeout_seconds))}

    def _seconds_left(self, task: EcsTask) -> float | None:
        """Until the deadline, which counts from the ECS task's creation and so survives a triggerer's restart."""
        if self.policy.timeout_seconds is None:
            return None
        age = (self.now() - task.created_at).total_seconds() if task.created_at else 0.0
        return max(0.0, self.policy.timeout_seconds - age)

    async def kill(self) -> None:
        """Stop what this try has launched.

        After an unanswered RunTask, the token finds out what it started; before any, an earlier triggerer may have.
        """
        if self.task is None and self.in_doubt:
            assert self.current is not None
            self.task = await self.fleet.launch(self.current, share=self.share)
        if (self.task is None or self.task.stopped) and (self.replayed or not self.history):
            self.task = await self._earlier_task() or self.task
        if self.task is None or self.task.stopped:
            return
        await self.fleet.stop(self.launch.cluster, self.task.arn, outcomes.STOP_REASON_KILLED)
        self.log.info("Stopped ECS task %s of shard %s.", self.task.arn, self.shard)

    async def stop_superseded(self, task_arn: str) -> None:
        """Stop the task of an earlier try if it still runs: the try ended when no triggerer was there to stop it."""
        try:
            for task in await self.fleet.tasks(self.launch.cluster, [task_arn]):
                if task.desired_status != "STOPPED":
                    await self.fleet.stop(self.launch.cluster, task.arn, outcomes.STOP_REASON_KILLED)
                    self.log.info("Stopped ECS task %s, which an earlier try of shard %s left.", task.arn, self.shard)
        except EcsFeatureError as error:
            self.log.warning("ECS task %s of an earlier try of %s may still run: %s", task_arn, self.shard, error)

    async def _earlier_task(self) -> EcsTask | None:
        """A running task of an earlier triggerer that this one has not come to yet; None: there is none.

        A younger one belongs to a triggerer that has taken the shard over from this one.
        """
        running = await self.fleet.tasks_started_by(self.launch.cluster, started_by(self.launch.started_by), "RUNNING")
        return next((task for task in running if task.created_at is None or task.created_at < self.born), None)

    def record(self, outcome: Outcome, extra: Mapping[str, Any]) -> dict[str, Any]:
        """What the shard's XCom holds; JSON-safe."""
        return {
            "shard": self.shard,
            "outcome": str(outcome.kind),
            "exit_code": outcome.exit_code,
            "container": self.launch.container,
            **extra,
            "launches": [dataclasses.asdict(launch) for launch in self.launches],
        }
