"""What became of a shard, in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ecs_feature.tasks.outcomes import WORDS, Kind

_IDS: Final = re.compile(r"[0-9a-f]{8,}(?:-[0-9a-f]{4,})*|\d+(?:\.\d+){3}|arn:\S+", re.IGNORECASE)
"""What differs between two failures of one kind: ids, addresses, ARNs."""
_STATES: Final[Mapping[str, str]] = {
    "upstream_failed": "not started: a task before it failed",
    "failed": "failed without a record; its log says why",
    "up_for_retry": "waits for its next try",
    "removed": "not part of this run any more",
    "skipped": "not part of this run",
    "success": "marked as success without a result",
}


def outcome_words(record: Mapping[str, Any] | None, state: str | None) -> str:
    """A sentence's end: what happened to the shard.

    :param state: of its Airflow task.
    """
    outcome = str((record or {}).get("outcome") or "")
    if record is None or not outcome:
        return _STATES.get(state or "", "")
    try:
        words = WORDS[Kind(outcome)]
    except ValueError:
        return outcome.replace("_", " ")
    container = record.get("container")
    named = f"container {container}" if container else "a container"
    return words.format(exit_code=record.get("exit_code"), container=named)


def reason_of(record: Mapping[str, Any] | None) -> str:
    """What ECS said of the last launch; empty: nothing."""
    launches = (record or {}).get("launches") or ()
    return str(launches[-1].get("reason") or "") if launches else ""


def failure_words(record: Mapping[str, Any] | None, state: str | None) -> str:
    """The outcome and the reason, the same for failures of one kind."""
    said = outcome_words(record, state)
    reason = _IDS.sub("…", reason_of(record)).rstrip(". ")
    return f"{said}: {reason}" if reason and reason.lower() not in said.lower() else said
