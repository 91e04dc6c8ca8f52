"""A seeded run, copied to another day by PostgreSQL itself: a large board has too many cells to draw each one.

A copy has the rows of the run that was drawn, with ids and days of its own; also the times and places in its records.
"""

from __future__ import annotations

from typing import Any, Final

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskmap import TaskMap
from airflow.models.xcom import XComModel
from sqlalchemy import DateTime, delete, text, update
from sqlalchemy.types import TypeDecorator

TABLES: Final = (TaskInstance.__table__, TaskMap.__table__, XComModel.__table__)
"""In the order in which they refer to each other."""
_OWN: Final = {
    "run_id": ":run_id",
    "dag_run_id": ":dag_run_id",
    # A UUID of version 7 begins with its milliseconds, so that the newest rows are together in each index.
    "id": "overlay(id::text placing :stamp from 1 for 13)::uuid",
    "value": "replace(value::text, :from_day, :to_day)::jsonb",
}


def copy(session: Any, drawn: Any, run: Any) -> None:
    """Give a run what another run of its DAG has.

    :param drawn: it has ended, and all its times are of its logical date's day.
    :param run: as Airflow has made it.
    """
    days = run.logical_date - drawn.logical_date
    stamp = f"{int(run.logical_date.timestamp() * 1000):012x}"
    given = {
        "dag_id": run.dag_id,
        "from_run": drawn.run_id,
        "from_day": f"{drawn.logical_date:%Y-%m-%d}",
        "run_id": run.run_id,
        "dag_run_id": run.id,
        "to_day": f"{run.logical_date:%Y-%m-%d}",
        "days": days,
        "stamp": f"{stamp[:8]}-{stamp[8:]}",
    }
    session.execute(delete(TaskInstance).where(TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id))
    for table in TABLES:
        names = ", ".join(column.name for column in table.columns)
        values = ", ".join(_value(column) for column in table.columns)
        session.execute(
            text(
                f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {table.name} "
                "WHERE dag_id = :dag_id AND run_id = :from_run"
            ),
            given,
        )
    times = {name: getattr(drawn, name) + days for name in ("start_date", "end_date", "queued_at", "updated_at")}
    session.execute(update(DagRun).where(DagRun.id == run.id).values(_state=drawn._state, **times))
    session.commit()


def _value(column: Any) -> str:
    """A column's value in the copy; the parameters are :func:`copy`'s."""
    kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
    moved = f"{column.name} + :days" if isinstance(kind, DateTime) else column.name
    return _OWN.get(column.name, moved)
