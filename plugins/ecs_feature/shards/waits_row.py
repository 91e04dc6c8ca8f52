"""What the shards of a run wait for, as one of them leaves it in an XCom for all, and how to read it. Pure.

One row a run and triggerer: an XCom for each shard would cost the triggerer more than the shard itself
(docs/decisions/0031-why-is-it-waiting.md). Read it like this::

    left = waits_in(values_of_the_xcoms_with_the_key, now)
    waits_for(state, left.get((task_id, map_index)), services="running", since=since)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from ecs_feature.fleet.waits import Wait

WAITS_KEY: Final = "waits_for"
"""Key of the XCom."""
SINCE_SECONDS: Final = 10
"""Shards that began to wait within this time are one entry of the row."""
MOST: Final = 5000
"""How many shards a row names, those that have waited longest; as many as a mapped task may have of them."""

_BEFORE: Final = (None, "scheduled", "queued")
_ENDED: Final = ("success", "failed", "skipped", "upstream_failed", "removed")

Cell = tuple[str, int]
"""A task instance of the run: task id, map index."""


class Waiting(NamedTuple):
    """A shard that waits.

    :param since: when it began to.
    """

    cell: Cell
    wait: Wait
    since: datetime


def row(waiting: Iterable[Waiting], now: datetime, good: timedelta) -> dict[str, Any]:
    """The XCom's value; JSON-safe.

    :param good: for how long it counts; it is written anew before that while shards wait.
    :returns: ``{"at", "until", "waits": [{"what", "words", "since", "tasks": {task id: [[first, last], ...]}}]}``, with
        ranges of map indexes, and -1 for a task that is not mapped.
    """
    entries: dict[tuple[Wait, datetime], dict[str, list[int]]] = {}
    for one in sorted(waiting, key=lambda one: one.since)[:MOST]:
        task_id, map_index = one.cell
        key = one.wait, _rounded(one.since)
        entries.setdefault(key, {}).setdefault(task_id, []).append(map_index)
    return {
        "at": now.isoformat(timespec="seconds"),
        "until": (now + good).isoformat(timespec="seconds"),
        "waits": [
            {
                "what": wait.what,
                "words": wait.words,
                "since": since.isoformat(timespec="seconds"),
                "tasks": {task_id: _ranges(indexes) for task_id, indexes in tasks.items()},
            }
            for (wait, since), tasks in entries.items()
        ],
    }


def waits_in(values: Iterable[Any], now: datetime) -> dict[Cell, dict[str, str]]:
    """What the shards of a run wait for, from all its XComs with the key :data:`WAITS_KEY`, decoded.

    A shard is in it for up to a minute after it was launched. One that has ended does not wait, whatever is in it.

    :returns: ``{"what", "since", "words"}`` by task id and map index.
    """
    rows = sorted(
        (each for each in map(_read, values) if each is not None and each.until >= now), key=lambda each: each.at
    )
    return {cell: said for each in rows for cell, said in each.said.items()}


class _Row(NamedTuple):
    at: datetime
    until: datetime
    said: dict[Cell, dict[str, str]]


def _read(value: Any) -> _Row | None:
    """A row; None for what is none: a task of the user's own may use the key, too."""
    try:
        said: dict[Cell, dict[str, str]] = {}
        for entry in value["waits"]:
            one = {name: str(entry[name]) for name in ("what", "since", "words")}
            said.update(dict.fromkeys(_cells(entry["tasks"]), one))
        at, until = (datetime.fromisoformat(value[name]) for name in ("at", "until"))
        return _Row(at.astimezone(UTC), until.astimezone(UTC), said)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def waits_for(
    state: str | None,
    left: Mapping[str, str] | None,
    *,
    services: str | None = "success",
    taken: bool = True,
    since: str | None = None,
) -> dict[str, str | None] | None:
    """What a shard that has not started waits for; None when it waits for nothing that is known.

    :param state: of its task instance.
    :param left: its item in :func:`waits_in`.
    :param services: the state of the variant's ``services_steady``; ``success`` where it has no services.
    :param taken: whether a triggerer has the trigger of a deferred one.
    :param since: ISO 8601, when its task instance changed last.
    """
    if state == "deferred" and taken:
        return dict(left) if left is not None else None
    if state == "up_for_retry":
        return {"what": "retry", "since": since, "words": "for its next try, after Airflow's retry delay"}
    if state == "deferred" or (state in _BEFORE[1:] and services in _ENDED):
        return {"what": "trigger", "since": since, "words": "for a triggerer of Airflow to take it on"}
    if state in _BEFORE and services not in _ENDED and services is not None:
        return {"what": "services", "since": since, "words": "for its services to be steady"}
    if state in _BEFORE:
        return {"what": "upstream", "since": since, "words": "for the tasks before it"}
    return None


def _rounded(moment: datetime) -> datetime:
    return moment.replace(microsecond=0, second=moment.second - moment.second % SINCE_SECONDS)


def _ranges(indexes: Iterable[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    for index in sorted(indexes):
        if ranges and ranges[-1][1] + 1 == index:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ranges


def _cells(tasks: Mapping[str, Iterable[tuple[int, int]]]) -> Iterator[Cell]:
    for task_id, ranges in tasks.items():
        for first, last in ranges:
            for index in range(first, last + 1):
                yield task_id, index
