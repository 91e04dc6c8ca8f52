"""One table of all states, from the files of the shards."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

COLUMNS: Final = ("state", "date", "rt", "rt_low", "rt_high", "status", "new_cases", "smoothed")


@dataclass(frozen=True)
class StateRow:
    """A state on the day; numbers are None where the shard has none.

    :param status: ``estimated``, ``few_cases`` or ``no_estimate``.
    """

    state: str
    date: str
    rt: float | None
    rt_low: float | None
    rt_high: float | None
    status: str
    new_cases: float | None
    smoothed: float | None

    @property
    def estimate(self) -> tuple[float, float, float] | None:
        """Rt and the ends of its interval."""
        if self.rt is None or self.rt_low is None or self.rt_high is None:
            return None
        return self.rt, self.rt_low, self.rt_high


def last_row(content: bytes) -> StateRow:
    """The last day of a shard's file."""
    *_, row = csv.DictReader(io.StringIO(content.decode(), newline=""))

    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    numbers = {name: number(name) for name in ("rt", "rt_low", "rt_high", "new_cases", "smoothed")}
    return StateRow(state=row["state"], date=row["date"], status=row["status"], **numbers)


def ordered(rows: Iterable[StateRow]) -> list[StateRow]:
    """The lowest Rt first, states without an estimate last."""
    return sorted(rows, key=lambda row: (row.rt is None, row.rt or 0.0, row.state))


def as_csv(rows: Iterable[StateRow]) -> bytes:
    """The table, in the order of the rows."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_text(getattr(row, name)) for name in COLUMNS)
    return buffer.getvalue().encode()


def _text(value: str | float | None) -> str:
    return f"{value:.3f}" if isinstance(value, float) else value or ""
