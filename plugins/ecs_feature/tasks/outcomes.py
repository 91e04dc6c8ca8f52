"""Why a shard's ECS task ended, and who answers for it. Pure: a described task in, an :class:`Outcome` out.

Sources for the stop codes, reasons and their wording:
AmazonECS/latest/APIReference/API_Task.html (stopCode),
AmazonECS/latest/developerguide/stopped-task-errors.html and stopped-task-error-codes.html (reasons).
Where only the message has the cause, :mod:`ecs_feature.tasks.start_failures` parses it; stopped_tasks.json in the unit
tests has recorded examples, each with its source. docs/outcomes.md is the table for users.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field, replace
from typing import Final

from ecs_feature.aws.resources import EcsContainer, EcsTask
from ecs_feature.tasks.containers import (
    TAKEN_ALONG,
    UNKNOWN_ROLES,
    ContainerRoles,
    Decider,
    deciding,
    main_of,
    out_of_memory,
    starved,
)
from ecs_feature.tasks.sizes import ephemeral_gib
from ecs_feature.tasks.start_failures import MORE_INSTANCES, Cause, capacity_advice, cause_of


class Kind(enum.StrEnum):
    """Every way a shard's task can end."""

    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    APPLICATION_FAILURE = "application_failure"
    NOT_RETRYABLE = "not_retryable"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    SPOT_INTERRUPTION = "spot_interruption"
    CAPACITY_UNAVAILABLE = "capacity_unavailable"
    START_FAILED_TRANSIENT = "start_failed_transient"
    START_FAILED_PERMANENT = "start_failed_permanent"
    STUCK = "stuck"
    STOPPED_BY_USER = "stopped_by_user"
    STOPPED_BY_ECS = "stopped_by_ecs"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    NO_ACCESS = "no_access"
    REFUSED = "refused"


class Payer(enum.StrEnum):
    """Who answers for an outcome."""

    NOBODY = "nobody"
    INFRASTRUCTURE = "infrastructure"
    """Launched again inside the trigger; the Airflow task's retries are not touched."""
    APPLICATION = "application"
    """Raised on a worker; consumes one of the Airflow task's retries."""
    PERMANENT = "permanent"
    """Raised on a worker; no retry can help."""


PAYERS: Final[dict[Kind, Payer]] = {
    Kind.SUCCEEDED: Payer.NOBODY,
    Kind.SKIPPED: Payer.NOBODY,
    Kind.APPLICATION_FAILURE: Payer.APPLICATION,
    Kind.NOT_RETRYABLE: Payer.PERMANENT,
    Kind.OUT_OF_MEMORY: Payer.PERMANENT,
    # Mostly on the word of a log line, so the retries stay.
    Kind.DISK_FULL: Payer.APPLICATION,
    Kind.SPOT_INTERRUPTION: Payer.INFRASTRUCTURE,
    Kind.CAPACITY_UNAVAILABLE: Payer.INFRASTRUCTURE,
    Kind.START_FAILED_TRANSIENT: Payer.INFRASTRUCTURE,
    Kind.START_FAILED_PERMANENT: Payer.PERMANENT,
    Kind.STUCK: Payer.INFRASTRUCTURE,
    Kind.STOPPED_BY_USER: Payer.APPLICATION,
    Kind.STOPPED_BY_ECS: Payer.INFRASTRUCTURE,
    Kind.TIMED_OUT: Payer.APPLICATION,
    Kind.LOST: Payer.INFRASTRUCTURE,
    Kind.NO_ACCESS: Payer.APPLICATION,
    Kind.REFUSED: Payer.PERMANENT,
}

# The reasons that this package gives to StopTask; they identify the outcome of the stopped task.
STOP_REASON_TIMEOUT: Final = "ecs_feature: shard timeout"
STOP_REASON_STUCK: Final = "ecs_feature: did not start in time"
STOP_REASON_KILLED: Final = "ecs_feature: killed from Airflow"
STOP_REASON_JANITOR: Final = "ecs-feature: the janitor stopped it, past its deadline"

_STOPS: Final = {
    STOP_REASON_TIMEOUT: (Kind.TIMED_OUT, "raise shard_timeout or make the shard smaller"),
    STOP_REASON_JANITOR: (Kind.TIMED_OUT, "raise shard_timeout, and see why no triggerer watched it"),
    # Airflow had moved the shard here from a triggerer that hung; when that one recovered, it stopped the task.
    STOP_REASON_KILLED: (Kind.LOST, "a triggerer stopped it that had stood still, and no longer had it"),
    STOP_REASON_STUCK: (Kind.STUCK, "if it stays, look at the subnets' free addresses and the image's size"),
}
_SPOT_CODES: Final = frozenset({"SpotInterruption", "TerminationNotice"})
_ECS_CODES: Final = frozenset({"ServiceSchedulerInitiated", "InfrastructureHealth"})
# Seen without a stop code (aws/containers-roadmap#1565).
_SPOT_WORDS: Final = re.compile(r"^Your Spot Task was interrupted", re.I)
_STOPPED_BY_ECS: Final = re.compile(r"maintenance|retire", re.I)
# With stop code TerminationNotice or none: the user's instance was terminated, on demand or Spot.
_HOST_GONE: Final = re.compile(r"^Host EC2 ", re.I)
_DEREGISTERED: Final = re.compile(r"^Container instance deregistration", re.I)
# Managed Instances: batch/latest/userguide/ecs-managed-instances-instance-draining.html
_DRAINED: Final = re.compile(r"^Task stopped during instance draining", re.I)
# What ECS says of a task when its containers have the cause.
_NO_CAUSE: Final = frozenset({"", "task failed to start", "essential container in task exited"})

MANAGED_ADVICE: Final = "see whether the capacity provider's instance requirements allow the task's size"

_EXIT_HINTS: Final = {
    126: "its command cannot be executed: check the file's mode and the image's platform",
    127: "its command was not found in the image",
    134: "it aborted (SIGABRT)",
    137: "it was killed (SIGKILL), often by a memory limit inside the container",
    139: "it crashed (SIGSEGV)",
    143: "it was ended (SIGTERM)",
}


@dataclass(frozen=True)
class ExitCodes:
    """What a container's exit codes other than 0 mean.

    :param non_retryable: the same input would fail again: the shard fails without retries.
    :param skip: there is nothing to do: the shard is skipped.
    """

    non_retryable: frozenset[int] = frozenset()
    skip: frozenset[int] = frozenset()


NO_CODES: Final = ExitCodes()


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    :param reason: AWS's own words, flattened to one line.
    :param exit_code: of the container that decided; None when no container exited.
    :param container: the container that decided; empty when none did.
    :param exit_codes: of all containers, by name.
    :param hint: what the user can do; empty when there is nothing to do.
    """

    kind: Kind
    reason: str = ""
    exit_code: int | None = None
    container: str = ""
    exit_codes: tuple[tuple[str, int | None], ...] = field(default=())
    hint: str = ""

    @property
    def payer(self) -> Payer:
        return PAYERS[self.kind]

    @property
    def succeeded(self) -> bool:
        return self.kind is Kind.SUCCEEDED

    def with_log(self, where: str) -> Outcome:
        """The outcome of a container that failed, with where its lines are, unless there is a better hint."""
        plain = self.kind is Kind.APPLICATION_FAILURE and not self.hint
        return replace(self, hint=where) if plain else self

    def sentence(self, shard: str) -> str:
        """What happened, to which shard, and what to do."""
        container = f"container {self.container}" if self.container else "a container"
        what = WORDS[self.kind].format(exit_code=self.exit_code, container=container)
        said = f" ({self.reason.rstrip('.')})" if self.reason else ""
        return f"Shard {shard}: {what}{said}" + (f"; {self.hint}." if self.hint else ".")


WORDS: Final[dict[Kind, str]] = {
    Kind.SUCCEEDED: "succeeded",
    Kind.SKIPPED: "{container} exited with code {exit_code}, which skips it",
    Kind.APPLICATION_FAILURE: "{container} exited with code {exit_code}",
    Kind.NOT_RETRYABLE: "{container} exited with code {exit_code}, which no retry can help",
    Kind.OUT_OF_MEMORY: "{container} ran out of memory",
    Kind.DISK_FULL: "the disk of {container} was full",
    Kind.SPOT_INTERRUPTION: "its Spot capacity was taken back",
    Kind.CAPACITY_UNAVAILABLE: "there was no capacity for it",
    Kind.START_FAILED_TRANSIENT: "its task could not start",
    Kind.START_FAILED_PERMANENT: "its task can not start",
    Kind.STUCK: "its task did not start in time",
    Kind.STOPPED_BY_USER: "its task was stopped by a user",
    Kind.STOPPED_BY_ECS: "ECS stopped its task",
    Kind.TIMED_OUT: "it ran longer than shard_timeout",
    Kind.LOST: "its task vanished without an exit code",
    Kind.NO_ACCESS: "AWS did not let it be launched in time",
    Kind.REFUSED: "AWS refused to run it",
}


def of_task(
    task: EcsTask,
    *,
    main_container: str = "",
    codes: ExitCodes = NO_CODES,
    roles: ContainerRoles = UNKNOWN_ROLES,
) -> Outcome:
    """The outcome of a stopped task.

    :param main_container: the container that does the work; its exit code decides. Default: the first one.
    :param codes: what its exit codes mean.
    :param roles: which other containers can have ended the task.
    """
    main = main_of(task.containers, main_container)
    decider = deciding(task, main, roles)
    decided = decider.container if decider else None
    ended = Outcome(
        Kind.LOST,
        _reason(task, decided),
        exit_code=decided.exit_code if decided else None,
        container=decided.name if decided else "",
        exit_codes=tuple((container.name, container.exit_code) for container in task.containers),
    )
    if _HOST_GONE.match(task.stopped_reason) or _DRAINED.match(task.stopped_reason):
        return replace(ended, kind=Kind.STOPPED_BY_ECS)
    if _DEREGISTERED.match(task.stopped_reason):
        hint = "its containers may run on there: end the instance"
        return replace(ended, kind=Kind.STOPPED_BY_ECS, hint=hint)
    if task.stop_code in _SPOT_CODES or _SPOT_WORDS.match(task.stopped_reason):
        return replace(ended, kind=Kind.SPOT_INTERRUPTION)
    if task.stop_code == "TaskFailedToStart" and not _ran(task, decider):
        return _of_start_failure(ended, task)
    if task.stop_code == "UserInitiated":
        stopped = _of_stop(ended, task, main, roles)
        if stopped.kind is not Kind.STUCK or decider is None or not decider.in_vain:
            return stopped
    elif task.stop_code in _ECS_CODES or _STOPPED_BY_ECS.search(task.stopped_reason):
        return replace(ended, kind=Kind.STOPPED_BY_ECS)
    hungry = starved(task, main, decider, roles)
    if hungry is not None and (main is None or main.exit_code != 0):
        return _of_memory(ended, task, hungry)
    if decider is None or decider.container.exit_code is None:
        return _of_start_failure(ended, task) if task.started_at is None else ended
    return _of_exit(ended, decider, main, codes)


def of_exit(code: int, container: str, codes: ExitCodes = NO_CODES) -> Outcome:
    """The outcome of a container's command that has run elsewhere, on a worker."""
    ran = EcsContainer(container, "STOPPED", exit_code=code)
    return _of_exit(Outcome(Kind.LOST, exit_code=code, container=container), Decider(ran), ran, codes)


def of_launch_failure(reason: str, *, unknown: Cause = Cause.TRANSIENT) -> Outcome:
    """The outcome of a RunTask that started nothing, from the reason in its ``failures``.

    :param unknown: the cause of unknown wording. ECS has accepted the request, so the launch is repeated a few times.
    """
    cause = cause_of(reason, unknown=unknown)
    if cause is Cause.CAPACITY:
        hint = f"the launch is repeated; if this stays, {capacity_advice(reason)}"
        return Outcome(Kind.CAPACITY_UNAVAILABLE, reason, hint=hint)
    if cause is Cause.TRANSIENT:
        return Outcome(Kind.START_FAILED_TRANSIENT, reason)
    return Outcome(Kind.START_FAILED_PERMANENT, reason, hint="correct the task definition or the pipeline's settings")


def of_refusal(message: str, *, no_room: bool = False) -> Outcome:
    """The outcome of a call that AWS refused; the message tells whether the refusal is temporary.

    Unknown wording is not: most of RunTask's errors say that a parameter is wrong.

    :param message: one sentence that says what to do.
    :param no_room: whether the error code says that a limit was reached.
    """
    if no_room:
        return Outcome(Kind.CAPACITY_UNAVAILABLE, message, hint="the launch is repeated")
    outcome = of_launch_failure(message, unknown=Cause.PERMANENT)
    return Outcome(Kind.REFUSED, message) if outcome.payer is Payer.PERMANENT else outcome


def of_no_access(message: str) -> Outcome:
    """The outcome of a launch that was waited for in vain: a retry may find better credentials, or the right to it.

    :param message: one sentence that says what to do.
    """
    return Outcome(Kind.NO_ACCESS, message)


def of_deadline() -> Outcome:
    """The outcome of a task past its deadline of which neither an end is known nor a result."""
    hint = "the janitor stops its task if it still runs; raise shard_timeout or make the shard smaller"
    return Outcome(Kind.TIMED_OUT, "ECS has not shown that its task has stopped", hint=hint)


def of_missing(seconds: float) -> Outcome:
    """The outcome of a task that ECS has not shown for ``seconds`` and that has left no result."""
    return Outcome(Kind.LOST, f"ECS has not shown the task for {seconds:.0f} s")


def of_result() -> Outcome:
    """The outcome of a task that ECS no longer shows, and that has left its result file."""
    return Outcome(Kind.SUCCEEDED)


def _ran(task: EcsTask, decider: Decider | None) -> bool:
    """Whether a container ran and failed, although ECS says that the task did not start."""
    if decider is None or decider.container.exit_code is None:
        return False
    if decider.waiting or out_of_memory(decider.container):
        return True
    no_cause = task.stopped_reason.rstrip(".").lower() in _NO_CAUSE and not decider.container.reason
    return no_cause and decider.container.exit_code not in (*TAKEN_ALONG, 0)


def _reason(task: EcsTask, decider: EcsContainer | None) -> str:
    parts = (task.stopped_reason, decider.reason if decider else "")
    return " ".join("; ".join(dict.fromkeys(part for part in parts if part)).split())


def _of_exit(ended: Outcome, decider: Decider, main: EcsContainer | None, codes: ExitCodes) -> Outcome:
    code, reason = decider.container.exit_code, decider.container.reason
    if decider.waiting:
        hint = f"{decider.waiting} depends on it and never started"
        return replace(ended, kind=Kind.APPLICATION_FAILURE, reason=reason, hint=hint)
    if decider.container is not main:
        hint = f"it is essential and took {main.name if main else 'the others'} along: mend it, or its essential flag"
        return replace(ended, kind=Kind.APPLICATION_FAILURE, reason=reason, hint=hint)
    if code == 0:
        return replace(ended, kind=Kind.SUCCEEDED, reason="")
    if code in codes.skip:
        return replace(ended, kind=Kind.SKIPPED, reason=reason)
    if code in codes.non_retryable:
        hint = "correct what its log says, then clear it"
        return replace(ended, kind=Kind.NOT_RETRYABLE, reason=reason, hint=hint)
    return replace(ended, kind=Kind.APPLICATION_FAILURE, reason=reason, hint=_EXIT_HINTS.get(code or 0, ""))


def _of_start_failure(ended: Outcome, task: EcsTask) -> Outcome:
    cause = cause_of(ended.reason)
    if cause is Cause.CAPACITY:
        return replace(ended, kind=Kind.CAPACITY_UNAVAILABLE)
    if cause is Cause.MEMORY:
        return replace(ended, kind=Kind.OUT_OF_MEMORY, hint=_memory_hint(task))
    if cause is Cause.DISK and not task.on_instances:
        return replace(ended, kind=Kind.DISK_FULL, hint=disk_hint(task))
    if cause is Cause.DISK:
        return replace(ended, kind=Kind.START_FAILED_PERMANENT, hint="free space on its container instance")
    if cause is Cause.PERMANENT:
        hint = "correct the image, secret, role or volume that the reason names"
        return replace(ended, kind=Kind.START_FAILED_PERMANENT, hint=hint)
    return replace(ended, kind=Kind.START_FAILED_TRANSIENT)


def _of_stop(ended: Outcome, task: EcsTask, main: EcsContainer | None, roles: ContainerRoles) -> Outcome:
    for reason, (kind, hint) in _STOPS.items():
        if reason in task.stopped_reason:
            needed = [one.on for one in roles.needed_by(main.name if main else "") if one.condition != "START"]
            if kind is Kind.STUCK and task.unplaced:
                advice = MANAGED_ADVICE if task.managed else MORE_INSTANCES
                return replace(ended, kind=Kind.CAPACITY_UNAVAILABLE, hint=f"if this stays, {advice}")
            if kind is Kind.STUCK and needed:
                hint = f"it waited for container {' and '.join(needed)}: see what that does, or raise start_timeout"
            if kind is Kind.TIMED_OUT and main is not None and not roles.ends_with(main.name):
                hint = f"container {main.name} is not essential, so its end does not end the task: make it essential"
            return replace(ended, kind=kind, hint=hint)
    return replace(ended, kind=Kind.STOPPED_BY_USER, hint="clear it to run it again")


def _of_memory(ended: Outcome, task: EcsTask, starved: EcsContainer) -> Outcome:
    return replace(
        ended,
        kind=Kind.OUT_OF_MEMORY,
        reason=starved.reason,
        container=starved.name,
        exit_code=starved.exit_code,
        hint=_memory_hint(task),
    )


def _memory_hint(task: EcsTask) -> str:
    more = f"more than {task.memory_mib} MiB of" if task.memory_mib else "more"
    return f"give it {more} memory in the task definition, or raise max_memory_mib"


def disk_hint(task: EcsTask) -> str:
    """What to do when a Fargate task filled its ephemeral storage."""
    return (
        f"give it more than {ephemeral_gib(task)} GiB with ephemeral_storage_gib or in the task definition, or raise "
        "max_ephemeral_storage_gib"
    )
