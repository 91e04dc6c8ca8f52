"""The features, as pure functions: frames in, a frame out.

The clock stands at midnight (00:00 local) of the flights' day: history is what was known then. A flight of an
earlier day that was still on the ground counts with the delay it had reached, not with the one it ended up
with. A cancellation counts as known at the end of its day (the source does not say when it was made). Of the
day itself only the schedule is looked at, and the weather in the hour of the scheduled departure. The day's
outcomes are cut off in `schedule`, the label apart in `labels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from flight_features import schema
from flight_features.spec import FeatureSpec

ORDER = ("carrier", "origin", "dest", "sched_dep_time", "flight")
"""Rows of a file are in this order; the columns are a key of a day's flights."""

SCHEDULE_COLUMNS = (*ORDER, "sched_arr_time", "distance", "hour", "minute", "time_hour")
FLIGHT_COLUMNS = (*SCHEDULE_COLUMNS, "dep_delay")
OUTCOME_COLUMNS = ("year", "month", "day", "carrier", "origin", "sched_dep_time", "dep_delay")
WEATHER_COLUMNS = ("origin", "time_hour", *schema.WEATHER)


def schedule(flights: pl.DataFrame) -> pl.DataFrame:
    """The day's flights as they are known beforehand: in file order, without any outcome."""
    return flights.select(SCHEDULE_COLUMNS).sort(ORDER)


def of_shard(column: str, shard: str) -> pl.Expr:
    """Which flights are the shard's: a carrier's, or all to one destination."""
    return pl.col(column) == shard


def labels(flights: pl.DataFrame, mine: pl.Expr) -> pl.Series:
    """The departure delays of the shard's flights in minutes, null for cancelled ones, in file order."""
    return flights.filter(mine).sort(ORDER)["dep_delay"].cast(pl.Int32)


def encoder_rows(planned: pl.DataFrame, mine: pl.Expr, columns: Sequence[str]) -> list[dict[str, str | int]]:
    """What the encoder is sent for the shard's flights, in file order."""
    return planned.filter(mine).select(columns).to_dicts()


def build(
    planned: pl.DataFrame,
    history: Sequence[pl.DataFrame],
    weather: pl.DataFrame,
    encodings: Sequence[Sequence[float]],
    *,
    mine: pl.Expr,
    day: date,
    spec: FeatureSpec,
) -> pl.DataFrame:
    """The features of the shard's flights, one row each, cancelled ones included; all columns of the schema
    but the label.

    :param planned: the day's `schedule`, of all carriers.
    :param history: flights of the days of the window, one frame a day, of all carriers.
    :param weather: hourly weather of the day.
    :param encodings: of `encoder_rows`, in the same order.
    :param mine: `of_shard`.
    """
    past = _outcomes_at_midnight(history, day, spec.delay_threshold_minutes)
    route_flights = planned.group_by("origin", "dest").agg(pl.len().alias("route_flights"))
    frame = (
        planned.filter(mine)
        .with_columns(*_calendar(day), _clock_minutes(), history_days=pl.lit(len(history)))
        .join(route_flights, on=["origin", "dest"], how="left", maintain_order="left")
        .join(_summary(past, "carrier"), on="carrier", how="left", maintain_order="left")
        .join(_summary(past, "origin"), on="origin", how="left", maintain_order="left")
        .join(_weather(weather), on=["origin", "time_hour"], how="left", maintain_order="left", validate="m:1")
        .rename({"hour": "sched_hour", "minute": "sched_minute", "distance": "distance_miles"})
        .with_columns(pl.Series("encoding", encodings, dtype=pl.List(pl.Float64)))
    )
    return frame.select(pl.col(column.name).cast(column.dtype) for column in schema.COLUMNS if column.role != "label")


def _calendar(day: date) -> list[pl.Expr]:
    return [
        pl.lit(day).alias("flight_date"),
        pl.lit(day.isoweekday()).alias("day_of_week"),
        pl.lit(day.timetuple().tm_yday).alias("day_of_year"),
        pl.lit(day.month).alias("month"),
    ]


def _minutes(hhmm: str) -> pl.Expr:
    return pl.col(hhmm) // 100 * 60 + pl.col(hhmm) % 100


def _clock_minutes() -> pl.Expr:
    return ((_minutes("sched_arr_time") - _minutes("sched_dep_time")) % 1440).alias("sched_clock_minutes")


def _outcomes_at_midnight(history: Sequence[pl.DataFrame], day: date, threshold_minutes: int) -> pl.DataFrame:
    """One row a flight: carrier, origin, `delay` (null: cancelled) and `delayed` as they stood at the start
    of `day`."""
    if not history:
        return pl.DataFrame(
            schema={"carrier": pl.String, "origin": pl.String, "delay": pl.Int64, "delayed": pl.Boolean}
        )
    flights = pl.concat([frame.select(OUTCOME_COLUMNS) for frame in history])
    days_ago = (pl.lit(day) - pl.date("year", "month", "day")).dt.total_days()
    reached = days_ago * 1440 - _minutes("sched_dep_time")
    delay = pl.when(pl.col("dep_delay").is_not_null()).then(pl.min_horizontal(pl.col("dep_delay"), reached))
    return flights.select("carrier", "origin", delay=delay).with_columns(delayed=pl.col("delay") > threshold_minutes)


def _summary(past: pl.DataFrame, by: str) -> pl.DataFrame:
    return past.group_by(by).agg(
        pl.len().alias(f"{by}_hist_flights"),
        pl.col("delay").mean().alias(f"{by}_hist_mean_dep_delay"),
        pl.col("delayed").mean().alias(f"{by}_hist_share_delayed"),
        pl.col("delay").is_null().mean().alias(f"{by}_hist_share_cancelled"),
    )


def _weather(weather: pl.DataFrame) -> pl.DataFrame:
    renamed = [pl.col(source).alias(name) for source, (name, _) in schema.WEATHER.items()]
    return weather.select("origin", "time_hour", *renamed)
