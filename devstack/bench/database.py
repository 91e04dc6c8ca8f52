"""What Airflow's database knows of a fan-out; asked there, because the API server is a part of what is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

_SHARDS = "dag_id = :dag_id AND run_id IN :run_ids AND task_id LIKE :task_id"
_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


@dataclass(frozen=True)
class Shards:
    """The task instances of the shards of some runs.

    :param states: how many are in each state; those not expanded yet are not there.
    :param first: when the first was scheduled, seconds since the epoch; None: none was.
    :param last: when the last one ended, likewise.
    """

    states: Counter[str]
    first: float | None
    last: float | None

    def all_ended(self, count: int) -> bool:
        """Whether that many are there, and none is going on."""
        return self.states.total() >= count and self.states.keys() <= _ENDED


class Database:
    """A read-only look at Airflow's database.

    :param url: SQLAlchemy's.
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.pool.NullPool)

    def shards(self, dag_id: str, run_ids: Sequence[str], task_id: str) -> Shards:
        """The shards of some runs together.

        :param task_id: a pattern of SQL's LIKE.
        """
        rows = self._rows(
            # The scheduler notes when it schedules a task; one that starts in the triggerer begins at that moment.
            "SELECT state, count(*), min(coalesce(scheduled_dttm, start_date)), max(end_date) FROM task_instance "
            f"WHERE {_SHARDS} GROUP BY state",
            dag_id=dag_id, run_ids=tuple(run_ids), task_id=task_id,
        )  # fmt: skip
        starts = [moment for *_, moment, _ in rows if moment is not None]
        ends = [moment for *_, moment in rows if moment is not None]
        states = Counter({str(state): int(count) for state, count, _, _ in rows})
        return Shards(states, _seconds(min(starts, default=None)), _seconds(max(ends, default=None)))

    def run_states(self, dag_id: str, run_ids: Sequence[str]) -> list[str]:
        """The states of some runs."""
        rows = self._rows(
            "SELECT state FROM dag_run WHERE dag_id = :dag_id AND run_id IN :run_ids",
            dag_id=dag_id, run_ids=tuple(run_ids),
        )  # fmt: skip
        return [str(state) for (state,) in rows]

    def worker_starts(self, dag_id: str, run_ids: Sequence[str], task_id: str) -> int:
        """How often a worker has begun or resumed a shard: Airflow's audit log has a line for each."""
        rows = self._rows(
            f"SELECT count(*) FROM log WHERE event = 'running' AND {_SHARDS}",
            dag_id=dag_id, run_ids=tuple(run_ids), task_id=task_id,
        )  # fmt: skip
        return int(rows[0][0])

    def _rows(self, statement: str, **values: object) -> list[sa.Row[*tuple[Any, ...]]]:
        query = sa.text(statement).bindparams(sa.bindparam("run_ids", expanding=True))
        with self._engine.connect() as connection:
            return list(connection.execute(query, values))


def _seconds(moment: datetime | str | None) -> float | None:
    """Since the epoch; SQLite gives text in UTC."""
    if moment is None:
        return None
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment if "+" in moment else f"{moment}+00:00")
    return moment.timestamp()
