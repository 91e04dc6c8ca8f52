"""The columns of a feature file: name, type, role and meaning, in the file's order.

Roles: a `key` says which flight it is, a `feature` may be given to a model, the `label` is what a model is to
predict. The label is the day's own outcome: it must never be used as a feature.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import polars as pl

LABEL = "label_dep_delay"


@dataclass(frozen=True)
class Column:
    """One column of the file."""

    name: str
    dtype: Any
    role: str
    meaning: str


def _history(of: str, whose: str) -> list[Column]:
    null = "null without one"
    return [
        Column(f"{of}_hist_flights", pl.Int32, "feature", f"flights of the {whose} in the window; {null}"),
        Column(
            f"{of}_hist_mean_dep_delay",
            pl.Float64,
            "feature",
            f"their mean departure delay in minutes, departed; {null}",
        ),
        Column(
            f"{of}_hist_share_delayed",
            pl.Float64,
            "feature",
            f"share of the departed that were delayed; {null}",
        ),
        Column(f"{of}_hist_share_cancelled", pl.Float64, "feature", f"share of them that were cancelled; {null}"),
    ]


WEATHER = {
    "temp": ("weather_temp_f", "temperature, degrees Fahrenheit"),
    "dewp": ("weather_dewpoint_f", "dew point, degrees Fahrenheit"),
    "humid": ("weather_humidity_percent", "relative humidity, percent"),
    "wind_dir": ("weather_wind_degrees", "wind direction, degrees"),
    "wind_speed": ("weather_wind_mph", "wind speed, miles per hour"),
    "wind_gust": ("weather_gust_mph", "wind gust, miles per hour"),
    "precip": ("weather_precip_inches", "precipitation, inches"),
    "pressure": ("weather_pressure_mbar", "sea level pressure, millibar"),
    "visib": ("weather_visibility_miles", "visibility, miles"),
}
"""Weather column of the source -> feature and meaning."""

COLUMNS: tuple[Column, ...] = (
    Column("flight_date", pl.Date, "key", "local day of the scheduled departure"),
    Column("carrier", pl.String, "key", "carrier code, the shard"),
    Column("flight", pl.Int32, "key", "flight number"),
    Column("origin", pl.String, "key", "airport of departure; also a feature"),
    Column("dest", pl.String, "key", "airport of arrival; also a feature"),
    Column("sched_dep_time", pl.Int32, "key", "scheduled departure, local HHMM"),
    Column("sched_hour", pl.Int32, "feature", "hour of the scheduled departure, local"),
    Column("sched_minute", pl.Int32, "feature", "minute of the scheduled departure"),
    Column("day_of_week", pl.Int32, "feature", "1 Monday to 7 Sunday"),
    Column("day_of_year", pl.Int32, "feature", "1 to 366"),
    Column("month", pl.Int32, "feature", "1 to 12"),
    Column(
        "sched_clock_minutes",
        pl.Int32,
        "feature",
        "scheduled arrival minus departure, each by its airport's own clock (zones not taken out), 0 to 1439",
    ),
    Column("distance_miles", pl.Int32, "feature", "distance between the airports"),
    Column("route_flights", pl.Int32, "feature", "flights of all carriers on the route in the day's schedule"),
    Column("history_days", pl.Int32, "feature", "days of the window that the source holds"),
    *_history("carrier", "carrier"),
    *_history("origin", "airport of departure"),
    *(
        Column(
            name,
            pl.Float64,
            "feature",
            f"{meaning}, at the origin in the scheduled hour; null if unknown",
        )
        for name, meaning in WEATHER.values()
    ),
    Column("encoding", pl.List(pl.Float64), "feature", "the variant's encoding of the row's encoded columns"),
    Column(
        LABEL,
        pl.Int32,
        "label",
        "departure delay in minutes, null if cancelled; what is predicted, never a feature",
    ),
)

POLARS: dict[str, Any] = {column.name: column.dtype for column in COLUMNS}


def metadata(variant: str, version: str) -> dict[str, str]:
    """The file's Parquet metadata: role and meaning of each column, so that a reader can tell features from
    the label."""
    columns = [{"name": each.name, "role": each.role, "meaning": each.meaning} for each in COLUMNS]
    return {"variant": variant, "feature_version": version, "label": LABEL, "columns": json.dumps(columns)}
