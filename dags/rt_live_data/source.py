"""What the COVID Tracking Project had published on a day, and corrections to it."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parent / "covid_tracking_states_daily.csv.gz"
FIRST_DAY: Final = date(2020, 1, 22)
LAST_DAY: Final = date(2020, 7, 3)
KEY: Final = ("date", "state")
COUNT: Final = "positive"
"""The one column that the model reads: the sum of all positives so far."""

Row = dict[str, str]


class SourceError(ValueError):
    """The source has no such day, or a correction is wrong; the message is one sentence for the user."""


def parse_day(day: str, name: str = "day") -> date:
    """`YYYY-MM-DD` as a date of the source.

    :param name: what the sentence calls it.
    :raises SourceError: it is no date, or not one that the source has.
    """
    try:
        parsed = date.fromisoformat(day)
        if day != parsed.isoformat():
            raise ValueError
    except (TypeError, ValueError):
        raise SourceError(f"{name} {day!r} is not a date: write it as YYYY-MM-DD, for example 2020-06-15.") from None
    if not FIRST_DAY <= parsed <= LAST_DAY:
        raise SourceError(
            f"{name} {parsed} is outside the source, which holds {FIRST_DAY} to {LAST_DAY} "
            "(The COVID Tracking Project): choose a day in between."
        )
    return parsed


def published(day: date) -> list[Row]:
    """All rows up to and including the day, in the source's order, by date and state; none of a later day."""
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        last = day.isoformat()
        return [row for row in csv.DictReader(file) if row["date"] <= last]


def corrections(content: bytes, day: date, where: str) -> list[Row]:
    """The rows of a file of corrections: the source's columns, or some of them, with `date`, `state` and `positive`.

    :param where: what the sentences call the file.
    :raises SourceError: it is no such file, or has a row of a later day: a run uses nothing of its future.
    """
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        columns, rows = list(reader.fieldnames or ()), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{where} is no CSV file: {error}.") from None
    if missing := [name for name in (*KEY, COUNT) if name not in columns]:
        raise SourceError(f"{where} has no column {', '.join(missing)}: it needs date, state and positive.")
    if unknown := [name for name in columns if name not in _columns()]:
        raise SourceError(f"{where} has the column {unknown[0]}, which the source does not have.")
    for row in rows:
        at = parse_day(row["date"], f"{where}: date")
        if None in row:
            raise SourceError(f"{where} has a row of {at} with more cells than columns.")
        if at > day:
            raise SourceError(f"{where} has a row of {at}, which is after {day}: a run uses nothing of its future.")
        if not (row["state"] or "").strip():
            raise SourceError(f"{where} has a row of {at} without a state.")
        _check_count(row, where)
    return rows


def corrected(rows: Iterable[Row], changes: Iterable[Row]) -> list[Row]:
    """The rows with those of `changes` put over them, by date and state; columns that a change leaves out keep what was
    there. A row that was missing is added."""
    by_key = {(row["date"], row["state"]): row for row in rows}
    empty = dict.fromkeys(_columns(), "")
    for change in changes:
        key = (change["date"], change["state"])
        by_key[key] = {**empty, **by_key.get(key, {}), **{name: value or "" for name, value in change.items()}}
    return [by_key[key] for key in sorted(by_key)]


def as_csv(rows: Iterable[Row]) -> bytes:
    """The rows as the source writes them."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _columns(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _columns() -> list[str]:
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def _check_count(row: Row, where: str) -> None:
    text = row[COUNT] or ""
    if text.strip() and not text.strip().isdecimal():
        raise SourceError(
            f"{where} has {COUNT} = {text!r} for {row['state']} on {row['date']}: it must be a whole number or empty."
        )
