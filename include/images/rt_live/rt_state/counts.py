"""A state's new positives per day, from the cumulative counts that it has published.

The faults of such data, and what becomes of them (as rt.live and the users of EpiEstim and EpiNow2 do it):

- A day without a count (no row, or an empty one) between two that have one: the cases since the last count are spread
  evenly over the days up to the next, since nobody knows on which of them they were found.
- Days without a count at the end: unknown (NaN), which is not zero. The model learns nothing from them.
- A negative increase is a correction of days that nobody names: that day counts as 0. The earlier days keep what
  they had, so the sum of the counts may be above the last cumulative one.
- The first count of a state only begins the series: it may hold the cases of weeks.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import numpy as np

from rt_state.errors import JobError

COLUMNS = ("date", "state", "positive")

MAX_COUNT = 1e10
"""More people than there are."""


@dataclass(frozen=True)
class Counts:
    """New positives of consecutive days.

    :param first: the first of the days.
    :param new: one number a day; NaN: not known.
    """

    first: date
    new: np.ndarray

    @property
    def days(self) -> list[date]:
        """All days, oldest first."""
        return [self.first + timedelta(days=n) for n in range(len(self.new))]


def read(content: bytes, state: str, day: date, source: str) -> dict[date, float]:
    """The state's cumulative positives by day, without any day after `day`; of two rows of a day the later counts.

    :param source: what the sentences call the file.
    :raises JobError: it is no CSV file with these columns, or a count is no number.
    """
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
        names = rows.fieldnames or ()
    except UnicodeDecodeError:
        raise JobError(f"{source} is not UTF-8 text.") from None
    if missing := [name for name in COLUMNS if name not in names]:
        raise JobError(f"{source} has no column {', '.join(missing)}.")
    found: dict[date, float] = {}
    for row in rows:
        if row["state"] == state and (at := _date(row["date"], source)) <= day:
            count = _count(row["positive"], at, state, source)
            if count is not None:
                found[at] = count
    return found


def daily(cumulative: dict[date, float], day: date) -> Counts:
    """The new positives of every day from the state's first count up to `day`.

    :param cumulative: as :func:`read` returns it; empty: one day that is not known.
    """
    known = sorted(cumulative)
    first = known[0] if known else day
    new = np.full((day - first).days + 1, np.nan)
    for before, after in pairwise(known):
        start, end = (before - first).days + 1, (after - first).days + 1
        new[start:end] = max(0.0, cumulative[after] - cumulative[before]) / (end - start)
    return Counts(first, new)


def smoothed(new: np.ndarray, window_days: int, deviation_days: float) -> np.ndarray:
    """The counts under a Gaussian window of the last `window_days`, in whose middle it is highest.

    rt.live first centred the window on the day, so that half of it was missing on the last day, the one that is looked
    at: after a weekend, when few laboratories report, every state seemed to get better. A whole week has each weekday
    once, and speaks of the middle of it, three days ago. Where days are missing, at the beginning or because nothing is
    known of them, the window has what is there; of days that are not known themselves nothing is said (NaN).
    """
    middle = (window_days - 1) / 2
    weights = np.exp(-0.5 * ((np.arange(window_days) - middle) / deviation_days) ** 2)
    known = ~np.isnan(new)
    sums = np.convolve(np.where(known, new, 0.0), weights)[: len(new)]
    shares = np.convolve(known.astype(float), weights)[: len(new)]
    return np.where(known, sums / np.where(known, shares, 1.0), np.nan)


def _count(text: str | None, day: date, state: str, source: str) -> float | None:
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if abs(value) > MAX_COUNT:
        raise JobError(
            f"{source} has positive = {text!r} for {state} on {day}: "
            f"it must be a number up to {MAX_COUNT:.0e} or empty."
        )
    return None if math.isnan(value) else value


def _date(text: str | None, source: str) -> date:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        raise JobError(f"{source} has date = {text!r}: it must be YYYY-MM-DD.") from None
