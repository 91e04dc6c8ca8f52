"""What a fault rule may say, and the sentence that a wrong one is refused with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

MATCHED = frozenset(
    {"operation", "service_api", "user_agent", "environment", "family", "service", "cluster", "capacity"}
)
CALL_EFFECTS = frozenset(
    {"error", "failure", "drop_answer", "delay_seconds", "hang", "hang_answer", "answer", "close", "reset"}
)
FATE_EFFECTS = frozenset(
    {"exit_code", "start_failure", "stop_code", "stuck", "out_of_memory_below_mib", "disk_full_below_gib"}
)
VIEW_EFFECTS = frozenset({"invisible_seconds", "forget"})
TASK_EFFECTS = FATE_EFFECTS | VIEW_EFFECTS
DETAILS = frozenset({"message", "status", "media_type", "after_seconds"})
SETTINGS = DETAILS | {"match", "times", "probability", "seed", "for_seconds"}

# AmazonECS/latest/APIReference/API_Task (stopCode)
STOP_CODES = (
    "TaskFailedToStart",
    "EssentialContainerExited",
    "UserInitiated",
    "ServiceSchedulerInitiated",
    "SpotInterruption",
    "TerminationNotice",
    "InfrastructureHealth",
)
STUCK_STATES = ("PROVISIONING", "PENDING")

Json = dict[str, Any]


def parse(rule: Mapping[str, Any]) -> tuple[Json, Json, Json]:
    """The match, the effect with its details, and all settings of a rule.

    :raises ValueError: one sentence about the first thing that is wrong.
    """
    match = rule.get("match", {})
    if not isinstance(match, Mapping):
        raise ValueError(f"match is {match!r}: it must be an object")
    if unknown := set(match) - MATCHED:
        raise ValueError(f"match has {', '.join(sorted(unknown))}: it may have {', '.join(sorted(MATCHED))}")
    of_calls = "operation" in match or "service_api" in match
    possible = CALL_EFFECTS if of_calls else TASK_EFFECTS
    if unknown := set(rule) - possible - SETTINGS:
        raise ValueError(
            f"the rule has {', '.join(sorted(unknown))}: with this match it may have "
            f"{', '.join(sorted(possible | SETTINGS))}"
        )
    effects = {name: rule[name] for name in possible if name in rule}
    if len(effects) != 1:
        raise ValueError(f"the rule has {len(effects)} effects: give one of {', '.join(sorted(possible))}")
    if "failure" in effects and match.get("operation") != "RunTask":
        raise ValueError("failure is an effect of RunTask only: give match the operation RunTask")
    if "user_agent" in match and not of_calls:
        raise ValueError("match has user_agent: that is for calls; give match an operation or a service_api, too")
    if of_calls and "service" in match:
        raise ValueError("match has service: that is for tasks; for calls of a service such as s3 say service_api")
    for name, (is_right, sentence) in (_VALUES | (_OF_ANSWERS if "answer" in effects else {})).items():
        if name in rule and not (rule[name] is None and name in {"times", "for_seconds"}) and not is_right(rule[name]):
            raise ValueError(f"{name} is {rule[name]!r}: it must be {sentence}")
    return dict(match), effects | {name: rule[name] for name in DETAILS if name in rule}, dict(rule)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(low: int, high: float = float("inf")) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


_SECONDS: tuple[Callable[[Any], bool], str] = (
    lambda value: _is_number(value) and value >= 0,
    "a number of seconds from 0",
)
_TRUE: tuple[Callable[[Any], bool], str] = (lambda value: value is True, "true")

_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "probability": (lambda value: _is_number(value) and 0 <= value <= 1, "between 0 and 1"),
    "times": (_is_whole(1), "a whole number from 1, or left out for no end"),
    "seed": (_is_whole(0), "a whole number from 0"),
    "status": (_is_whole(400, 599), "an HTTP status between 400 and 599"),
    "exit_code": (_is_whole(0, 255), "between 0 and 255"),
    "out_of_memory_below_mib": (_is_whole(1), "a whole number of MiB from 1"),
    "disk_full_below_gib": (_is_whole(1), "a whole number of GiB from 1"),
    "stop_code": (lambda value: value in STOP_CODES, f"one of {', '.join(STOP_CODES)}"),
    "stuck": (lambda value: value in STUCK_STATES, f"one of {', '.join(STUCK_STATES)}"),
    "delay_seconds": _SECONDS,
    "after_seconds": _SECONDS,
    "for_seconds": _SECONDS,
    "invisible_seconds": _SECONDS,
    "hang": _TRUE,
    "hang_answer": _TRUE,
    "forget": _TRUE,
    "drop_answer": _TRUE,
    "answer": (lambda value: isinstance(value, str), "the text of the answer"),
    "media_type": (lambda value: isinstance(value, str), "text such as text/html"),
    "close": _TRUE,
    "reset": _TRUE,
}
"""What a value must be: a test, and the end of the sentence "NAME is VALUE: it must be ..."."""
_OF_ANSWERS = {"status": (_is_whole(200, 599), "an HTTP status between 200 and 599")}
"""What differs with `answer`: nonsense often comes as a success."""
