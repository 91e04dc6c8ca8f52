"""Why a task did not start, from AWS's messages; no other module parses them. Pure.

``TaskFailedToStart`` and RunTask's ``failures`` have no error codes, so only the wording tells the cause.
tests/unit/tasks/stopped_tasks.json has real messages, each with its source. Platform version 1.4 truncates long
messages, so word stems are matched. Names chosen by users (images, paths, ARNs) are removed first, because they may
contain any word.
"""

from __future__ import annotations

import enum
import re
from typing import Final


class Cause(enum.Enum):
    """What kept a task from starting."""

    CAPACITY = enum.auto()
    """No capacity, or a limit was reached, for now: the same launch may work later."""
    MEMORY = enum.auto()
    """The container ran out of memory while it started."""
    DISK = enum.auto()
    """The task's storage was full: its image does not fit."""
    PERMANENT = enum.auto()
    """The same launch can never work."""
    TRANSIENT = enum.auto()
    """A temporary fault."""


_NAMES: Final = re.compile(
    r"""(?<![\w'])'[^']*'(?!\w)|"[^"]*"|“[^”]*”"""  # quoted
    r"""|\barn:\S+|\S*/\S*""",  # addresses, ARNs, and whatever has a slash: images and paths
)
# Checked first: AWS wraps throttling in errors that look permanent.
_THROTTLED: Final = re.compile(
    r"rate exceeded|request ?limit ?exceeded|throttl|too ?many ?requests|rate limit|pull limit", re.I
)
MORE_INSTANCES: Final = "add container instances, or make the task smaller"
# Every wording of "not now", and what to do when it stays; the first that matches is told. The pages:
# AmazonECS/latest/developerguide/api_failures_messages.html and service-event-messages-list.html, and for EC2's errors
# inside ECS's AWSEC2/latest/APIReference/errors-overview.html.
_NOT_NOW: Final = tuple(
    (re.compile(words, re.I), advice)
    for words, advice in (
        (
            r"provisioning capacity limit",
            "see why the capacity provider adds no instances for the tasks in PROVISIONING, or lower parallelism",
        ),
        (r"insufficient ?free ?addresses|(free|enough) ip|free addresses", "give it larger subnets"),
        (
            r"network ?interfaces?\b.*(limit|maximum)|(limit|maximum)\b.*network ?interface|"
            r"(networkinterface|attachment)limit",
            "ask AWS for a higher quota of network interfaces",
        ),
        (r"\bresource:fargate|limit on the number of|concurrent tasks", "ask AWS for a higher Fargate vCPU quota"),
        (
            # Read before what can never work: of several instances one is enough.
            r"(^|[:;] )resource:|no container instances|no active instances|empty capacity provider|"
            r"insufficient (cpu|memory|gpu)|using a port|capacity provider\b.*\b(unavailable|insufficient)",
            MORE_INSTANCES,
        ),
        (r"(^|[:;])\s*agent\W*($|;)", "see why the agents of the container instances are disconnected"),
        (
            r"capacity is unavailable|(insufficient|unfulfillable|sufficient)\b.*capacity|(in|un)\w+capacity\b",
            "give it subnets in more availability zones, or another size",
        ),
        (
            # Not "exceeds": that says that the request itself is too big.
            r"(limit|(?<!disk )quota|maximum|count) ?((has been|have been|was|is) )?(exceeded|reached)|"
            r"(exceeded|reached|hit) (the|your|its)\b.*\b(limit|quota|maximum)|\bcurrent (\w+ )?limit of\b",
            "ask AWS for a higher quota",
        ),
    )
)
_MEMORY: Final = re.compile(r"oom-killed|^outofmemory", re.I)
_DISK: Final = re.compile(r"no space left|not enough space|disk quota exceeded", re.I)
_PERMANENT: Final = re.compile(
    r"not found|notfound|does ?n[o']t exist|no such (file|image|secret|key|volume)|manifest unknown|unknown manifest|"
    r"access ?denied|access to the resource is denied|not authorized|unauthorized|forbidden|permission|"
    r"can't find|can't pull the image|unable to assume|no basic auth|no identity-based policy|"
    r"exec format|exec: |executable file|descriptor (for|matching)|no matching manifest|media-type|"
    r"did not contain json key|file system id is correct|"
    r"(: |^)attribute\b|placement constraint|tagpolicyviolation|not compatible|not supported|"
    r"invalid(?! argument)|inactive|malformed|must be|missing|read-only file system|is not a directory|"
    r"(: |^)location\b|above your limit|can ?not be (null or )?empty|no fargate configuration|not associated",
    re.I,
)
_UNKNOWN: Final = re.compile(r"\bspecify (a valid|one)\b", re.I)
"""AWS's advice for an unknown name or combination. Its "and try again" does not mean that the fault is temporary."""
_TRANSIENT: Final = re.compile(
    r"time ?out|timed out|deadli|connection (reset|refused|issue|closed)|try again|service ?unavailable|"
    r"internal (server )?error|internalerror|no such host|temporar|unexpected eof|bad gateway|broken pipe",
    re.I,
)
_DEPENDENCY: Final = re.compile(r"dependency graph: .*?dependency \[([\w-]+)")


def cause_of(reason: str, *, unknown: Cause = Cause.TRANSIENT) -> Cause:
    """The cause, from AWS's words.

    :param unknown: the cause of unknown wording. A start failure counts as transient, because relaunches are limited; a
        refused RunTask counts as permanent.
    """
    text = _without_names(reason)
    if _THROTTLED.search(text):
        return Cause.TRANSIENT
    if capacity_advice(reason):
        return Cause.CAPACITY
    if _MEMORY.search(text):
        return Cause.MEMORY
    if _DISK.search(text):
        return Cause.DISK
    if _TRANSIENT.search(text) and not _UNKNOWN.search(text):
        return Cause.TRANSIENT
    return Cause.PERMANENT if _PERMANENT.search(text) else unknown


def capacity_advice(reason: str) -> str:
    """What to do when capacity stays missing; empty when AWS's words are about something else."""
    text = _without_names(reason)
    return next((advice for words, advice in _NOT_NOW if words.search(text)), "")


def dependency_in(reason: str) -> str:
    """The container for which another one waited in vain, as the agent says it of the other; empty: it does not.

    "dependency graph: failed to resolve container ordering dependency [init(image:1) (STOPPED->RUNNING) - Exit: 1] for
    target [app(image:1) (NONE->RUNNING)] as dependency did not exit successfully." (aws/amazon-ecs-agent#3218)
    """
    found = _DEPENDENCY.search(reason)
    return found[1] if found else ""


def _without_names(reason: str) -> str:
    return _NAMES.sub(" ", reason.replace("’", "'"))
