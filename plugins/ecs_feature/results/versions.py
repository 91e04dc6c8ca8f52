"""Which versions of a partition have been published, and which is current, as far as Airflow's tables tell. Pure.

A pointer that was moved from outside Airflow, as by ``airflow ecs-feature manifest rollback``, is not seen until the
next publish, which says what it went on from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from ecs_feature.exceptions import PublishError
from ecs_feature.results.manifests import version_of

ROLLBACK_DAG: Final = "ecs_feature_rollback"
"""The DAG that makes another version current. A run of it has the conf
``{"manifest_uri": ..., "instead_of": 5, "of_dag": "flights"}``."""
ROLLBACK_OPERATOR: Final = "FeatureRollBackOperator"
"""The type of the task whose XCom says what it has made current."""


_TEMPLATED: Final = re.compile(r"({{.*?}}|{%.*?%})", re.DOTALL)


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


def check_within(manifest_uri: str, output: str) -> None:
    """Check that a version is one of what is published there.

    :param output: template of the prefix of a variant's partitions; what its expressions give is not known here.
    :raises PublishError: when it is no version's URI, or one of another prefix.
    """
    prefix, _ = version_of(manifest_uri)
    parts = _TEMPLATED.split(output)
    pattern = "".join(".*" if at % 2 else re.escape(part) for at, part in enumerate(parts))
    if not re.fullmatch(pattern, prefix, re.DOTALL):
        raise PublishError(
            f"manifest_uri: {manifest_uri!r:.300} is not below {output or 'any output'}, where this pipeline "
            "publishes; publish the partition again."
        )
