"""No feature knows anything of its flight's future: the future is changed, and the features stay as they
were."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from conftest import MODELS_DIR
from flight_features import features, spec
from polars.testing import assert_frame_equal

from flights import source
from flights.carriers import CARRIERS

NOON = datetime(2013, 2, 8, 17, tzinfo=UTC)
"""Twelve o'clock in New York."""


@dataclass(frozen=True)
class Raw:
    """The input of a run: the day's flights, its weather, and the flights of the days before, latest
    first."""

    day: date
    flights: pl.DataFrame
    weather: pl.DataFrame
    history: tuple[pl.DataFrame, ...]

    def features(self) -> pl.DataFrame:
        """The features of all carriers, and what the encoder would be sent."""
        specification = spec.load(MODELS_DIR)
        planned = features.schedule(self.flights)
        frames = []
        for carrier in CARRIERS:
            mine = features.of_shard("carrier", carrier)
            rows = features.encoder_rows(planned, mine, specification.encoded_columns)
            frame = features.build(
                planned,
                self.history,
                self.weather,
                [[0.0]] * len(rows),
                mine=mine,
                day=self.day,
                spec=specification,
            )
            frames.append(frame.with_columns(pl.Series("sent", [str(row) for row in rows], dtype=pl.String)))
        return pl.concat(frames)


@pytest.fixture(scope="module")
def raw() -> Raw:
    return _raw(date(2013, 2, 8))


def _raw(day: date) -> Raw:
    *before, last = source.read_days(source.days_with_history(day, 7))
    return Raw(day, last.flights, last.weather, tuple(each.flights for each in reversed(before)))


OUTCOMES = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")


def test_other_outcomes_of_the_day_itself_change_no_feature(raw: Raw) -> None:
    other = raw.flights.with_columns((pl.col(name).fill_null(0) + 333).alias(name) for name in OUTCOMES)
    cancelled = raw.flights.with_columns(pl.lit(None, pl.Int32).alias(name) for name in OUTCOMES)
    expected = raw.features()
    assert_frame_equal(replace(raw, flights=other).features(), expected, check_exact=True)
    assert_frame_equal(replace(raw, flights=cancelled).features(), expected, check_exact=True)


def test_how_long_flights_of_earlier_days_still_waited_after_midnight_changes_no_feature() -> None:
    raw = _raw(date(2013, 6, 29))  # after an evening of storms
    history = tuple(
        frame.with_columns(pl.when(_departed_by(frame, raw.day)).then("dep_delay").otherwise(pl.col("dep_delay") + 500))
        for frame in raw.history
    )
    changed = [(new["dep_delay"] != old["dep_delay"]).sum() for new, old in zip(history, raw.history, strict=True)]
    assert changed == [31, 0, 0, 0, 0, 0, 0]
    assert_frame_equal(replace(raw, history=history).features(), raw.features(), check_exact=True)


def test_weather_of_later_hours_changes_no_feature_of_a_flight_scheduled_before(raw: Raw) -> None:
    columns = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
    later = pl.col("time_hour") > NOON
    weather = raw.weather.with_columns(
        pl.when(later).then(pl.col(name).fill_null(0) + 1000).otherwise(name).alias(name) for name in columns
    )
    before, after = raw.features(), replace(raw, weather=weather).features()
    until_noon = pl.col("sched_hour") <= 12
    assert_frame_equal(after.filter(until_noon), before.filter(until_noon), check_exact=True)
    temperatures = after.filter(~until_noon)["weather_temp_f"] - before.filter(~until_noon)["weather_temp_f"]
    assert temperatures.round(6).unique().to_list() == [1000.0]


def test_outcomes_known_before_midnight_do_change_the_history_features(raw: Raw) -> None:
    yesterday = raw.history[0].with_columns(
        pl.when(_departed_by(raw.history[0], raw.day) & (pl.col("hour") < 12))
        .then(pl.col("dep_delay") + 60)
        .otherwise("dep_delay")
    )
    before, after = raw.features(), replace(raw, history=(yesterday, *raw.history[1:])).features()
    assert (after["origin_hist_mean_dep_delay"] > before["origin_hist_mean_dep_delay"]).all()
    unchanged = [name for name in before.columns if "_hist_mean" not in name and "_share_delayed" not in name]
    assert_frame_equal(after.select(unchanged), before.select(unchanged), check_exact=True)


def test_columns_known_only_after_departure_cannot_be_encoded() -> None:
    assert set(spec.ENCODABLE_COLUMNS).isdisjoint({*OUTCOMES, "tailnum"})
    assert set(features.SCHEDULE_COLUMNS).isdisjoint({*OUTCOMES, "tailnum"})


def _departed_by(frame: pl.DataFrame, day: date) -> pl.Series:
    midnight = datetime(day.year, day.month, day.day)
    departed = [
        None
        if row["dep_delay"] is None
        else datetime(row["year"], row["month"], row["day"], row["hour"], row["minute"])
        + timedelta(minutes=row["dep_delay"])
        < midnight
        for row in frame.to_dicts()
    ]
    return pl.Series(departed, dtype=pl.Boolean).fill_null(True)
