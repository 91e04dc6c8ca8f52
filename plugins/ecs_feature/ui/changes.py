"""Which runs of a board look different than at an earlier moment: more than those whose own tasks have changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from ecs_feature.results.versions import ROLLBACK_DAG, rolled_back
from ecs_feature.ui import queries
from ecs_feature.ui.pipelines import Pipelines
from ecs_feature.ui.published import kin_of, partition_name

CLOCKS: Final = timedelta(seconds=5)
"""How far the clocks of Airflow's processes may differ when what has changed is asked for."""


@dataclass(frozen=True)
class Place:
    """Where a run publishes.

    :param partitions: names of its partition, by its row and by its tasks.
    :param prefixes: of its manifests.
    """

    partitions: frozenset[str]
    prefixes: frozenset[str]


def place_of(run: Any, pipelines: Pipelines, partition: str, prefixes: Iterable[str]) -> Place:
    """The place of a run.

    :param partition: as the board names it.
    """
    names = {partition, partition_name(run, pipelines.partitioning)}
    return Place(frozenset(names), frozenset(filter(None, prefixes)))


def changed_since(
    session: Any, pipelines: Pipelines, runs: Sequence[Any], since: datetime, places: Mapping[str, Place]
) -> list[Any]:
    """The runs of a board that changed, and those of which another run or a roll-back has changed what is published.

    :param runs: of the board.
    :param places: of these runs, as far as they are known.
    """
    after = since - CLOCKS
    known = {run.run_id: places.get(run.run_id) or place_of(run, pipelines, "", ()) for run in runs}
    every = frozenset().union(*(place.partitions for place in known.values()))
    kin = kin_of(session, pipelines, runs, every)
    ids = queries.changed_runs(session, pipelines.dag_id, [run.run_id for run in (*runs, *kin)], after)
    ids |= {
        run.run_id for run in (*runs, *kin) if queries.is_active(run) or (run.updated_at and run.updated_at > after)
    }
    touched = {partition_name(run, pipelines.partitioning) for run in kin if run.run_id in ids}
    touched |= {name for run in runs if run.run_id in ids for name in known[run.run_id].partitions}
    moved = _moved(session, after)
    return [
        run
        for run in runs
        if run.run_id in ids or known[run.run_id].partitions & touched or known[run.run_id].prefixes & moved
    ]


def _moved(session: Any, after: datetime) -> set[str]:
    """The manifests' prefixes whose pointer was moved to an earlier version since then."""
    left = queries.last_values(session, ROLLBACK_DAG, since=after)
    return {move.prefix for value in left if (move := rolled_back(value)) is not None}
