"""What a shard's ECS task died of, and who answers for it. Pure: a described task in, an :class:`Outcome` out.

Sources for the stop codes, reasons and their wording:
AmazonECS/latest/APIReference/API_Task.html (stopCode),
AmazonECS/latest/developerguide/stopped-task-errors.html and stopped-task-error-codes.html (reasons).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from typing import Final

from ecs_feature.resources import EcsContainer, EcsTask


class Kind(enum.StrEnum):
    """Every way a shard's task can end."""

    SUCCEEDED = "succeeded"
    APPLICATION_FAILURE = "application_failure"
    OUT_OF_MEMORY = "out_of_memory"
    SPOT_INTERRUPTION = "spot_interruption"
    CAPACITY_UNAVAILABLE = "capacity_unavailable"
    START_FAILED_TRANSIENT = "start_failed_transient"
    START_FAILED_PERMANENT = "start_failed_permanent"
    STOPPED_BY_USER = "stopped_by_user"
    TIMED_OUT = "timed_out"
    LOST = "lost"


class Payer(enum.StrEnum):
    """Who answers for an outcome."""

    NOBODY = "nobody"
    INFRASTRUCTURE = "infrastructure"
    """Relaunched inside the trigger; the Airflow task's retries are not touched."""
    APPLICATION = "application"
    """Raised on a worker; consumes one of the Airflow task's retries."""
    PERMANENT = "permanent"
    """Raised on a worker; no retry can help."""


PAYERS: Final[dict[Kind, Payer]] = {
    Kind.SUCCEEDED: Payer.NOBODY,
    Kind.APPLICATION_FAILURE: Payer.APPLICATION,
    Kind.OUT_OF_MEMORY: Payer.APPLICATION,
    Kind.SPOT_INTERRUPTION: Payer.INFRASTRUCTURE,
    Kind.CAPACITY_UNAVAILABLE: Payer.INFRASTRUCTURE,
    Kind.START_FAILED_TRANSIENT: Payer.INFRASTRUCTURE,
    Kind.START_FAILED_PERMANENT: Payer.PERMANENT,
    Kind.STOPPED_BY_USER: Payer.APPLICATION,
    Kind.TIMED_OUT: Payer.APPLICATION,
    Kind.LOST: Payer.INFRASTRUCTURE,
}

# The name this package gives as StopTask's reason; the outcome of such a task is known from it.
STOP_REASON_TIMEOUT: Final = "ecs_feature: shard timeout"
STOP_REASON_KILLED: Final = "ecs_feature: killed from Airflow"

_SPOT_CODES: Final = frozenset({"SpotInterruption", "TerminationNotice"})
_CAPACITY: Final = re.compile(r"capacity is unavailable|capacity provider .*(unavailable|insufficient)|RESOURCE:", re.I)
# Wordings of a start failure that the same launch can not get over.
_PERMANENT_START: Final = re.compile(
    r"not found|does not exist|no such|manifest unknown|accessdenied|access denied|not authorized|forbidden|"
    r"invalid|can't find|unable to assume|no basic auth|exec format|exec: |resourcenotfoundexception",
    re.I,
)
# ... unless it is one of these, which are known to pass.
_TRANSIENT_START: Final = re.compile(
    r"timeout|timed out|toomanyrequests|throttl|rate exceeded|i/o|connection (reset|refused)|try again|"
    r"service ?unavailable|internal",
    re.I,
)
_OUT_OF_MEMORY: Final = re.compile(r"^OutOfMemoryError", re.I)


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    :param reason: AWS's own words, flattened to one line.
    :param exit_code: of the container that decided; None when no container ran to an end.
    :param container: the container that decided; empty when none did.
    :param exit_codes: of all containers, by name.
    :param hint: what the user can do; empty when there is nothing to do.
    """

    kind: Kind
    reason: str = ""
    exit_code: int | None = None
    container: str = ""
    exit_codes: tuple[tuple[str, int | None], ...] = ()
    hint: str = ""

    @property
    def payer(self) -> Payer:
        return PAYERS[self.kind]

    @property
    def succeeded(self) -> bool:
        return self.kind is Kind.SUCCEEDED

    def sentence(self, shard: str) -> str:
        """What happened, to which shard, and what to do."""
        what = _WHAT[self.kind].format(exit_code=self.exit_code, container=self.container or "the container")
        said = f" ({self.reason.rstrip('.')})" if self.reason else ""
        return f"Shard {shard}: {what}{said}" + (f"; {self.hint}." if self.hint else ".")


_WHAT: Final[dict[Kind, str]] = {
    Kind.SUCCEEDED: "succeeded",
    Kind.APPLICATION_FAILURE: "container {container} exited with code {exit_code}",
    Kind.OUT_OF_MEMORY: "container {container} ran out of memory",
    Kind.SPOT_INTERRUPTION: "its Spot capacity was taken back",
    Kind.CAPACITY_UNAVAILABLE: "Fargate had no capacity for it",
    Kind.START_FAILED_TRANSIENT: "its task could not start",
    Kind.START_FAILED_PERMANENT: "its task can not start",
    Kind.STOPPED_BY_USER: "its task was stopped by a user",
    Kind.TIMED_OUT: "it ran longer than shard_timeout",
    Kind.LOST: "its task vanished without an exit code",
}


def of_task(task: EcsTask, *, main_container: str = "") -> Outcome:
    """The outcome of a stopped task.

    :param main_container: the container that does the work; its exit code decides. Default: the first one.
    """
    main = _main(task.containers, main_container)
    ended = Outcome(
        Kind.LOST,
        _reason(task, main),
        exit_code=main.exit_code if main else None,
        container=main.name if main else "",
        exit_codes=tuple((container.name, container.exit_code) for container in task.containers),
    )
    if task.stop_code in _SPOT_CODES:
        return replace(ended, kind=Kind.SPOT_INTERRUPTION)
    if task.stop_code == "TaskFailedToStart":
        return _of_start_failure(ended)
    if task.stop_code == "UserInitiated":
        return _of_stop(ended, task)
    starved = next((container for container in task.containers if _OUT_OF_MEMORY.match(container.reason)), None)
    if starved is not None:
        return _of_memory(ended, task, starved)
    if main is None or main.exit_code is None:
        return _of_start_failure(ended) if task.started_at is None else replace(ended, kind=Kind.LOST)
    if main.exit_code == 0:
        return replace(ended, kind=Kind.SUCCEEDED, reason="")
    return replace(ended, kind=Kind.APPLICATION_FAILURE, reason=main.reason, hint="the task log has its last lines")


def of_launch_failure(reason: str) -> Outcome:
    """The outcome of a RunTask that started nothing, from the reason in its ``failures`` or its error message."""
    if _CAPACITY.search(reason) or re.search(r"limit on the number of", reason, re.I):
        hint = "the launch is repeated; if this stays, ask AWS for a higher Fargate vCPU quota"
        return Outcome(Kind.CAPACITY_UNAVAILABLE, reason, hint=hint)
    return Outcome(Kind.START_FAILED_PERMANENT, reason, hint="correct the task definition or the pipeline's settings")


def of_missing(seconds: float) -> Outcome:
    """The outcome of a task that ECS has not shown for ``seconds``."""
    return Outcome(Kind.LOST, f"ECS has not shown the task for {seconds:.0f} s")


def _main(containers: tuple[EcsContainer, ...], name: str) -> EcsContainer | None:
    named = [container for container in containers if container.name == name] or list(containers)
    return named[0] if named else None


def _reason(task: EcsTask, main: EcsContainer | None) -> str:
    parts = (task.stopped_reason, main.reason if main else "")
    return " ".join("; ".join(dict.fromkeys(part for part in parts if part)).split())


def _of_start_failure(ended: Outcome) -> Outcome:
    if _CAPACITY.search(ended.reason):
        return replace(ended, kind=Kind.CAPACITY_UNAVAILABLE)
    if _PERMANENT_START.search(ended.reason) and not _TRANSIENT_START.search(ended.reason):
        hint = "correct the image, secret, role or volume that the reason names"
        return replace(ended, kind=Kind.START_FAILED_PERMANENT, hint=hint)
    return replace(ended, kind=Kind.START_FAILED_TRANSIENT)


def _of_stop(ended: Outcome, task: EcsTask) -> Outcome:
    if STOP_REASON_TIMEOUT in task.stopped_reason:
        return replace(ended, kind=Kind.TIMED_OUT, hint="raise shard_timeout or make the shard smaller")
    return replace(ended, kind=Kind.STOPPED_BY_USER, hint="clear it to run it again")


def _of_memory(ended: Outcome, task: EcsTask, starved: EcsContainer) -> Outcome:
    hint = f"give it more than {task.memory_mib} MiB of memory in the task definition" if task.memory_mib else ""
    return replace(
        ended,
        kind=Kind.OUT_OF_MEMORY,
        reason=starved.reason,
        container=starved.name,
        exit_code=starved.exit_code,
        hint=hint,
    )
