"""Every value of every row against an independent recomputation (`features_oracle`)."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import features_oracle
import polars as pl
import pytest
from conftest import S3
from flight_features import schema
from flight_features.environment import Job
from flight_features.job import run
from flight_features.storage import Storage

from flights.carriers import CARRIERS

FLIGHTS = {"2013-01-01": 842, "2013-01-03": 914, "2013-02-08": 930, "2013-11-03": 902, "2013-12-31": 776}


class _SharedStorage(Storage):
    """One client for all jobs of a test, which fetches each raw object once (test_features_job has none of
    this)."""

    def __init__(self) -> None:
        super().__init__()
        self._fetched: dict[str, bytes | None] = {}

    def read(self, uri: str) -> bytes | None:
        if uri not in self._fetched:
            self._fetched[uri] = super().read(uri)
        return self._fetched[uri]


@pytest.fixture
def shared_storage(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = _SharedStorage()
    monkeypatch.setattr("flight_features.job.Storage", lambda: storage)


@pytest.mark.usefixtures("shared_storage")
@pytest.mark.parametrize(
    ("day", "variant"),
    [
        ("2013-01-01", "control"),
        ("2013-01-01", "treatment"),
        ("2013-01-03", "treatment"),
        ("2013-02-08", "control"),
        ("2013-02-08", "treatment"),
        ("2013-11-03", "control"),
        ("2013-12-31", "treatment"),
    ],
)
def test_every_value_of_a_day_equals_the_plain_python_recomputation(
    day: str, variant: str, job_environment: Callable[..., dict[str, str]], s3: S3
) -> None:
    rows: list[dict[str, Any]] = []
    for carrier in CARRIERS:
        environ = job_environment(carrier, day, variant, run="values")
        run(Job.from_environment(environ), time.monotonic())
        rows += pl.read_parquet(io.BytesIO(s3.read(environ["OUTPUT_URI"]))).to_dicts()
    expected = features_oracle.expected_rows(date.fromisoformat(day), variant)
    assert len(rows) == len(expected) == FLIGHTS[day]
    for row, wanted in zip(rows, expected, strict=True):
        assert row == wanted


@pytest.mark.parametrize("variant", ["control", "treatment"])
def test_the_days_under_test_cover_missing_history_missing_weather_and_cancelled_flights(variant: str) -> None:
    first, last, storm = (
        features_oracle.expected_rows(date.fromisoformat(day), variant)
        for day in ("2013-01-01", "2013-12-31", "2013-02-08")
    )
    assert {row["carrier_hist_flights"] for row in first} == {None}
    assert {row["history_days"] for row in first} == {0}
    assert {row["weather_temp_f"] for row in last} == {None}
    assert {row["day_of_year"] for row in last} == {365}
    assert {row["history_days"] for row in storm} == {7}
    assert sum(row["label_dep_delay"] is None for row in storm) == 472
    assert all(0 < row["origin_hist_share_delayed"] < 1 for row in storm)


@pytest.mark.usefixtures("aws_environment")
def test_the_file_says_which_columns_are_keys_features_and_the_label(
    job_environment: Callable[..., dict[str, str]], s3: S3
) -> None:
    environ = job_environment("HA", "2013-01-03", run="schema")
    run(Job.from_environment(environ), time.monotonic())
    content = io.BytesIO(s3.read(environ["OUTPUT_URI"]))
    assert dict(pl.read_parquet_schema(content)) == schema.POLARS
    metadata = pl.read_parquet_metadata(content)
    assert (metadata["label"], metadata["variant"], metadata["feature_version"]) == ("label_dep_delay", "control", "1")
    assert [column.name for column in schema.COLUMNS if column.role == "label"] == ["label_dep_delay"]
