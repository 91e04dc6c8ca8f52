"""Why a task did not start, from AWS's prose: the one place that reads it. Pure.

AWS gives ``TaskFailedToStart`` and RunTask's ``failures`` no code of their own, so the cause is in the wording.
tests/unit/tasks/stopped_tasks.json holds what was seen in the real world, each with its source. Platform version 1.4
cuts long messages, so stems are matched; names that users gave (images, paths, ARNs) are taken out first, for they can
hold any word.
"""

from __future__ import annotations

import enum
import re
from typing import Final


class Cause(enum.Enum):
    """What kept a task from starting."""

    CAPACITY = enum.auto()
    """There was no room, or the account's limit was reached: the same launch may start later."""
    MEMORY = enum.auto()
    """The container's start alone was too much for its memory."""
    PERMANENT = enum.auto()
    """The same launch can never start."""
    TRANSIENT = enum.auto()
    """A fault that passes."""


_NAMES: Final = re.compile(
    r"""(?<![\w'])'[^']*'(?!\w)|"[^"]*"|“[^”]*”"""  # quoted
    r"""|\barn:\S+|\S*/\S*""",  # addresses, ARNs, and whatever has a slash: images and paths
)
# Read before everything else: AWS wraps throttling in errors that read like permanent ones.
_THROTTLED: Final = re.compile(
    r"rate exceeded|request ?limit ?exceeded|throttl|too ?many ?requests|rate limit|pull limit", re.I
)
_CAPACITY: Final = re.compile(
    r"capacity is unavailable|insufficient ?capacity|capacity provider\b.*\b(unavailable|insufficient)|"
    r"empty capacity provider|no active instances|limit on the number of|exceeded the limit of concurrent|"
    r"insufficientfreeaddresses|(^|[:;] )resource:|no container instances",  # of several instances one is enough
    re.I,
)
_MEMORY: Final = re.compile(r"oom-killed|^outofmemory", re.I)
_PERMANENT: Final = re.compile(
    r"not found|notfound|does ?n[o']t exist|no such (file|image|secret|key|volume)|manifest unknown|unknown manifest|"
    r"access ?denied|access to the resource is denied|not authorized|unauthorized|forbidden|permission|"
    r"can't find|can't pull the image|unable to assume|no basic auth|no identity-based policy|"
    r"exec format|exec: |executable file|descriptor (for|matching)|no matching manifest|media-type|"
    r"no space left|not enough space|did not contain json key|file system id is correct|"
    r"(: |^)attribute\b|placement constraint|tagpolicyviolation|not compatible|not supported|"
    r"invalid(?! argument)|inactive|malformed|must be|missing|read-only file system|is not a directory",
    re.I,
)
_UNKNOWN: Final = re.compile(r"\bspecify (a valid|one)\b", re.I)
"""AWS's advice for a name or a combination that it does not know; "and try again" does not mean that it passes."""
_TRANSIENT: Final = re.compile(
    r"time ?out|timed out|deadli|connection (reset|refused|issue|closed)|try again|service ?unavailable|"
    r"internal (server )?error|internalerror|no such host|temporar|unexpected eof|bad gateway|broken pipe|"
    r"(^|; )\s*agent\W*($|;)",  # the container instance's agent is disconnected for the moment
    re.I,
)


def cause_of(reason: str, *, unknown: Cause = Cause.TRANSIENT) -> Cause:
    """The cause, from AWS's words.

    :param unknown: of words that are not known: a start failure is taken to pass, within the budget of relaunches; a
        RunTask that was refused will be refused again.
    """
    text = _NAMES.sub(" ", reason.replace("’", "'"))
    if _THROTTLED.search(text):
        return Cause.TRANSIENT
    if _CAPACITY.search(text):
        return Cause.CAPACITY
    if _MEMORY.search(text):
        return Cause.MEMORY
    if _TRANSIENT.search(text) and not _UNKNOWN.search(text):
        return Cause.TRANSIENT
    return Cause.PERMANENT if _PERMANENT.search(text) else unknown
