"""Which versions of a partition have been published, and which is current, as far as Airflow's tables tell. Pure.

A pointer that was moved from outside Airflow, as by ``airflow ecs-feature manifest rollback``, is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from ecs_feature.exceptions import PublishError
from ecs_feature.results.manifests import version_of

ROLLBACK_DAG: Final = "ecs_feature_rollback"
"""The DAG that makes another version current: a run of it has the conf ``{"manifest_uri": ..., "instead_of": 5}``."""
ROLLBACK_OPERATOR: Final = "FeatureRollBackOperator"
"""The type of the task whose XCom says what it has made current."""


class Move(NamedTuple):
    """The pointer of ``prefix`` was moved to ``version``."""

    prefix: str
    version: int
    at: datetime


def published(manifest_uri: Any, at: datetime) -> Move | None:
    """A publish, by its XCom or its asset event; None when it names no version."""
    try:
        return Move(*version_of(str(manifest_uri)), at)
    except PublishError:
        return None


def rolled_back(value: Any) -> Move | None:
    """What the XCom of a :class:`ecs_feature.operators.roll_back.FeatureRollBackOperator` says; None for another."""
    if not isinstance(value, Mapping):
        return None
    try:
        return published(value["manifest_uri"], datetime.fromisoformat(value["at"]))
    except (KeyError, TypeError, ValueError):
        return None


def current(moves: Iterable[Move | None]) -> dict[str, int]:
    """The current version of each prefix: that of its last move."""
    last: dict[str, Move] = {}
    for move in moves:
        if move is not None and (move.prefix not in last or last[move.prefix].at <= move.at):
            last[move.prefix] = move
    return {prefix: move.version for prefix, move in last.items()}
