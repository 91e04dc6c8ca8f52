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
    """No capacity, or the account's limit was reached: the same launch may work later."""
    MEMORY = enum.auto()
    """The container ran out of memory while it started."""
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
"""AWS's advice for an unknown name or combination. Its "and try again" does not mean that the fault is temporary."""
_TRANSIENT: Final = re.compile(
    r"time ?out|timed out|deadli|connection (reset|refused|issue|closed)|try again|service ?unavailable|"
    r"internal (server )?error|internalerror|no such host|temporar|unexpected eof|bad gateway|broken pipe|"
    r"(^|; )\s*agent\W*($|;)",  # the container instance's agent is disconnected for the moment
    re.I,
)


def cause_of(reason: str, *, unknown: Cause = Cause.TRANSIENT) -> Cause:
    """The cause, from AWS's words.

    :param unknown: the cause of unknown wording. A start failure counts as transient, because relaunches are limited; a
        refused RunTask counts as permanent.
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
