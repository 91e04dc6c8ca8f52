"""One try of one shard: launch, wait, decide, and launch again after infrastructure failures."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from ecs_feature.aws.errors import Reaction, reaction_to
from ecs_feature.aws.resources import EcsTask
from ecs_feature.exceptions import AwsError, EcsFeatureError, LaunchError
from ecs_feature.fleet.fleet import Fleet
from ecs_feature.fleet.sight import is_outage
from ecs_feature.fleet.waits import ShardWaits, waits_of_shard
from ecs_feature.fleet.watcher import MISSING_SECONDS
from ecs_feature.shards.billing import billing_of
from ecs_feature.shards.log import ShardLog
from ecs_feature.shards.policy import ShardPolicy, is_followed
from ecs_feature.shards.records import LaunchRecord
from ecs_feature.shards.shell import ShellHint, shell_hint
from ecs_feature.shards.waiting import Start, pause_wait
from ecs_feature.tasks import disk, outcomes
from ecs_feature.tasks.capacity import CLUSTER_DEFAULT
from ecs_feature.tasks.containers import UNKNOWN_ROLES, ContainerRoles
from ecs_feature.tasks.launch import Launch, client_token, started_by
from ecs_feature.tasks.outcomes import Kind, Outcome
from ecs_feature.tasks.relaunches import Ended, NextLaunch, next_launch

# AmazonECS/latest/APIReference/ECS_Idempotency.html: a client token is valid for at least an hour; ten minutes margin.
TOKEN_AGE: Final = timedelta(minutes=50)
LAUNCH_LINE_SECONDS: Final = 15.0
"""How long the line about a launch may wait: with the last lines of a short shard it is one record, not two."""
STOP_SECONDS: Final = 120.0
"""How long to wait for the stop of a task that never started, before the next launch; it can no longer run."""
DEADLINE_STOP_SECONDS: Final = 240.0
"""How long to wait for the stop of a task that ran too long. Fargate gives containers at most 120 s to stop:
AmazonECS/latest/APIReference/API_ContainerDefinition.html (stopTimeout)."""
RESULT_SECONDS: Final = 60.0
"""How long to ask for the result file, when it decides."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class ShardRun:
    """One try of one shard.

    :param token_id: the Airflow task instance's UUID; the client token is made of it and the launch's number.
    :param log: the task log.
    :param on_launch: called with every task that was launched.
    :param share: its share in the launch queue, ``dag_id/run_id``.
    :param result_uri: the result file; when ECS no longer shows the task, the shard succeeded if this file exists.
    :param since: when the run started: no client token of this try is older.
    :param try_number: Airflow's try number.
    :param live: whether the user asked for live lines; overrides the policy.
    :param debug: whether the user asked for ECS Exec.
    :param in_doubt: whether the current launch may have started a task whose ARN is not known yet.
    :param roles: which containers can end the task.
    :param replayed: whether RunTask returned a task that had already stopped, launched by an earlier triggerer.
    :param known: how many launches an earlier triggerer made before the one that was found.
    :param waits: what it waits for, and has waited for.
    :ivar born: when this triggerer started the shard.
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
    debug: bool = False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], datetime] = _now
    history: list[Ended] = field(default_factory=list)
    known: int = 0
    in_doubt: bool = False
    roles: ContainerRoles = UNKNOWN_ROLES
    definition: Mapping[str, Any] = field(default_factory=dict)
    replayed: bool = False
    current: Launch | None = None
    task: EcsTask | None = None
    waits: ShardWaits = field(default_factory=waits_of_shard)
    born: datetime = field(init=False)
    shell: ShellHint | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.born = self.now()

    @property
    def launches(self) -> list[LaunchRecord]:
        """The ended launches of this try, as stored in the XCom."""
        return [LaunchRecord.of(ended, self.try_number, self.launch.container) for ended in self.history]

    async def run(self) -> Outcome:
        """Run the shard until it ends for another reason than infrastructure, or the relaunches are used up.

        A call that AWS refuses permanently is an outcome, too.
        """
        policy, self.definition = self.policy, await self._definition()
        self.launch, self.roles = await self._fitted(self.definition), ContainerRoles.of(self.definition)
        async with self.fleet.slot(
            policy.parallel_group,
            policy.parallelism,
            vcpus=self.launch.vcpus(self.definition),
            max_vcpus=policy.max_vcpus,
            capacity=self.launch.bucket,
            started_by=started_by(self.launch.started_by),
            note=self._note,
        ):
            plan = NextLaunch(0.0, self.launch.capacity, self.launch.size)
            outcome = await self._guarded(self._recovered) or await self._launched(plan)
            while (following := await self._following(outcome, plan)) is not None:
                plan = following
                await self._pause(outcome, plan)
                outcome = await self._launched(plan)
        return outcome

    async def _launched(self, plan: NextLaunch) -> Outcome:
        outcome = await self._guarded(partial(self._run_once, plan))
        assert outcome is not None
        return outcome

    async def _following(self, outcome: Outcome, plan: NextLaunch) -> NextLaunch | None:
        """Add the outcome to the history; return the next launch, None when the try ends."""
        billing = await billing_of(self.fleet, self.launch, self.task, self._tell)
        self.history.append(Ended(outcome, self.task, plan.capacity, self.now(), billing, self.waits.taken()))
        following = next_launch(self.history, self.policy.relaunches)
        return following and following.keeping(plan.size or self.launch.size)

    async def _guarded(self, act: Callable[[], Awaitable[Outcome | None]]) -> Outcome | None:
        """The outcome of a launch; of a task that runs, only AWS's word and the deadline decide."""
        try:
            return await act()
        except LaunchError as error:
            return outcomes.of_launch_failure(error.reason)
        except AwsError as error:
            reaction = reaction_to(error)
            outcome = outcomes.of_refusal(str(error), no_room=reaction is Reaction.RELAUNCH)
            waited = reaction is Reaction.WAIT and outcome.kind is Kind.REFUSED
            return outcomes.of_no_access(str(error)) if waited else outcome

    async def _pause(self, outcome: Outcome, plan: NextLaunch) -> None:
        """Log why the last launch ended and what changes; then wait.

        When the task stopped under an earlier triggerer, only the rest of the pause is waited.
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
        wait, waited = pause_wait(self.history, self.now())
        with self.waits.during(lambda: wait, waited=waited):
            await self.sleep(max(0.0, seconds))

    async def _recovered(self) -> Outcome | None:
        """The outcome of a launch that an earlier triggerer made over an hour ago; None: there is none.

        By then its client token has expired, so calling RunTask again would launch a second task.
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
            tags={**self.launch.tags, **self.policy.tags},
        )
        task = await self.fleet.launch(
            self.current, share=self.share, in_doubt=self._note_doubt, tell=self._tell, note=self._note
        )
        self.log.info_within(
            LAUNCH_LINE_SECONDS,
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
        self.waits.launched()
        if self.on_launch is not None:
            await self.on_launch(task)
        shard_log = self._shard_log(task)
        with shard_log.followed():
            ended = await self._ended(task)
            if ended is not None and ended.stopped:
                self.task = ended
                outcome = outcomes.of_task(
                    ended, main_container=self.launch.container, codes=self.policy.codes, roles=self.roles
                )
                outcome = await self._with_log(shard_log, ended, outcome)
                return disk.blamed(outcome, ended, shard_log.texts, self.definition)
        if await self._has_result():
            self.log.info("Shard %s: ECS does not show how its task ended, and its result file is there.", self.shard)
            return outcomes.of_result()
        return outcomes.of_missing(MISSING_SECONDS) if ended is None else outcomes.of_deadline()

    async def _with_log(self, shard_log: ShardLog, ended: EcsTask, outcome: Outcome) -> Outcome:
        """Copy the log; a fault in that fails no shard."""
        try:
            return await shard_log.copy(ended, outcome)
        except Exception as error:
            self.log.warning("The log of ECS task %s cannot be copied: %r", ended.arn, error)
            return outcome

    def _shard_log(self, task: EcsTask) -> ShardLog:
        policy, ended = self.policy, (one.outcome for one in self.history)
        live = not task.stopped and is_followed(
            policy.live_lines, asked_for=self.live, try_number=self.try_number, ended=ended
        )
        return ShardLog(self.fleet, self.shard, task, self.launch.container, self.log, policy.log_lines, live=live)

    async def _ended(self, task: EcsTask) -> EcsTask | None:
        """Wait for the task's end; stop it when it does not start or end in time.

        :returns: None: ECS no longer shows it; a task that is not stopped: its deadline has passed, and it may run on.
        """
        start_seconds = self.policy.start_seconds
        while True:
            try:
                async with asyncio.timeout(self._seconds_left(task)):
                    ended = await self._wait(task, start_seconds)
            except TimeoutError:
                return await self._stopped(task, outcomes.STOP_REASON_TIMEOUT, DEADLINE_STOP_SECONDS)
            if ended is None or ended.stopped:
                return ended
            stopped = await self._stopped(ended, outcomes.STOP_REASON_STUCK, STOP_SECONDS)
            if stopped is None or stopped.stopped:
                return stopped
            if stopped.desired_status == "STOPPED":
                reason, now = outcomes.STOP_REASON_STUCK, self.now()
                return dataclasses.replace(
                    stopped, last_status="STOPPED", stop_code="UserInitiated", stopped_reason=reason, stopped_at=now
                )
            # Nothing has stopped it, so it may still start: a second task would be one too many.
            start_seconds = self._age_seconds(task) + max(STOP_SECONDS, self.policy.start_seconds or 0.0)

    async def _wait(self, task: EcsTask, start_seconds: float | None = None) -> EcsTask | None:
        start = Start(task, self.shell)
        with self.waits.during(start.wait, counted=False):
            return await self.fleet.ended(
                self.launch.cluster,
                task,
                poll_seconds=self.policy.poll_seconds,
                start_seconds=start_seconds,
                tell=self._tell,
                note=self._note,
                seen=start,
            )

    async def _stopped(self, task: EcsTask, reason: str, seconds: float) -> EcsTask | None:
        """Stop the task and wait for its end, for ``seconds`` in all; after that the task as it is known.

        Its desired status is STOPPED if AWS has taken the stop.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.fleet.stop(self.launch.cluster, task.arn, reason, tell=self._tell)
                task = dataclasses.replace(task, desired_status="STOPPED")
                return await self._wait(task)
        except (TimeoutError, EcsFeatureError) as error:
            why = str(error) or f"ECS has not shown its end within {seconds:.0f} s"
            may = "still be stopping" if task.desired_status == "STOPPED" else "still run"
            self.log.warning("ECS task %s of shard %s may %s: %s", task.arn, self.shard, may, why)
            return task

    def _tell(self, sentence: str) -> None:
        if self.task is None:
            self.waits.troubled(sentence)
        self.log.warning("Shard %s: %s", self.shard, sentence)

    def _note(self, sentence: str) -> None:
        self.log.info("Shard %s: %s", self.shard, sentence)

    async def _has_result(self) -> bool:
        """Whether the result file is there; False when that cannot be known in time."""
        if not self.result_uri:
            return False
        try:
            async with asyncio.timeout(RESULT_SECONDS):
                return await self.fleet.object_exists(self.result_uri)
        except (TimeoutError, EcsFeatureError) as error:
            why = str(error) or f"no answer within {RESULT_SECONDS:.0f} s"
            self.log.warning("Shard %s: its result file %s cannot be read: %s", self.shard, self.result_uri, why)
            return False

    async def _definition(self) -> Mapping[str, Any]:
        """The task definition; empty when it may not be read.

        :raises AwsError: AWS cannot be asked for now.
        """
        try:
            return await self.fleet.task_definition(self.launch.task_definition)
        except EcsFeatureError as error:
            if is_outage(error):
                raise
            return {}

    async def _fitted(self, definition: Mapping[str, Any]) -> Launch:
        """The launch, adapted to its cluster and task definition."""
        launch = self.launch
        if launch.capacity == CLUSTER_DEFAULT:
            launch = dataclasses.replace(launch, default_strategy=await self.fleet.default_strategy(launch.cluster))
        fitted = dataclasses.replace(launch, execute_command=self.debug or launch.execute_command).fitted(definition)
        self.shell = shell_hint(self.shard, fitted, self.log, asked=self.debug)
        return fitted

    def _seconds_left(self, task: EcsTask) -> float | None:
        """Seconds until the deadline, counted from the ECS task's creation, so that a restart does not move it."""
        if self.policy.timeout_seconds is None:
            return None
        return max(0.0, self.policy.timeout_seconds - self._age_seconds(task))

    def _age_seconds(self, task: EcsTask) -> float:
        return (self.now() - task.created_at).total_seconds() if task.created_at else 0.0

    async def kill(self) -> None:
        """Stop the task that this try launched.

        If RunTask was not answered, repeat it: the client token returns the task. If this triggerer has launched none,
        look for one of an earlier triggerer.
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
        """Stop the task of an earlier try if it still runs: no triggerer was running when that try ended."""
        try:
            for task in await self.fleet.tasks(self.launch.cluster, [task_arn]):
                if task.desired_status != "STOPPED":
                    await self.fleet.stop(self.launch.cluster, task.arn, outcomes.STOP_REASON_KILLED)
                    self.log.info("Stopped ECS task %s, which an earlier try of shard %s left.", task.arn, self.shard)
        except EcsFeatureError as error:
            self.log.warning("ECS task %s of an earlier try of %s may still run: %s", task_arn, self.shard, error)

    async def _earlier_task(self) -> EcsTask | None:
        """A running task that an earlier triggerer launched for this try; None: there is none.

        A task created later belongs to a triggerer that has taken the shard over from this one.
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
            "launches": [launch.to_dict() for launch in self.launches],
        }
