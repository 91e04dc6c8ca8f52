"""rt_live's ingest: what was known on the day, and corrections of a past day."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from datetime import date

import pytest
from conftest import BUCKET, S3

from rt_live_data import source
from rt_live_data.ingest import ingest_day
from rt_live_data.states import STATES

DAY = "2020-06-15"


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.fixture
def prefix(request: pytest.FixtureRequest, aws_environment: None) -> str:
    return f"s3://{BUCKET}/{request.node.name}/"


def correct(s3: S3, prefix: str, content: str, day: str = DAY) -> None:
    key = f"{prefix.removeprefix(f's3://{BUCKET}/')}corrections/ds={day}.csv"
    s3.client.put_object(Bucket=BUCKET, Key=key, Body=content.encode())


def ingested(s3: S3, prefix: str, day: str = DAY) -> list[dict[str, str]]:
    return rows(s3.read(f"{prefix}ds={day}/states_daily.csv"))


def test_a_days_file_has_all_rows_up_to_the_day_and_none_of_a_later_one(s3: S3, prefix: str) -> None:
    done = ingest_day(DAY, prefix, aws_conn_id=None)
    with gzip.open(source.FILE) as file:
        whole = file.read().decode().splitlines(keepends=True)
    expected = "".join([whole[0], *(line for line in whole[1:] if line[:10] <= DAY)])
    assert s3.read(f"{prefix}ds={DAY}/states_daily.csv").decode() == expected
    assert done == {
        **{"day": DAY, "rows": 5729, "states": 56, "corrected": []},
        **{"bytes": len(expected.encode()), "written": True},
    }
    assert ingest_day(DAY, prefix, aws_conn_id=None) == {**done, "written": False}


def test_every_day_of_the_source_can_be_ingested_and_only_grows() -> None:
    counts = [len(source.published(date.fromordinal(n))) for n in range(737446, 737610, 20)]
    assert counts == sorted(counts)
    assert len(source.published(source.FIRST_DAY)) == 1
    assert len(source.published(source.LAST_DAY)) == 6737


def test_corrected_rows_of_two_states_replace_the_published_ones_and_all_others_stay(s3: S3, prefix: str) -> None:
    ingest_day(DAY, prefix, aws_conn_id=None)
    before = ingested(s3, prefix)
    correct(s3, prefix, f"date,state,positive\n{DAY},NY,390000\n2020-06-14,NJ,166000\n{DAY},NJ,\n")
    done = ingest_day(DAY, prefix, aws_conn_id=None)
    after = ingested(s3, prefix)
    assert (done["corrected"], done["written"], done["rows"]) == (["NJ", "NY"], True, 5729)
    changed = {
        (new["date"], new["state"]): new["positive"] for old, new in zip(before, after, strict=True) if old != new
    }
    assert changed == {(DAY, "NY"): "390000", ("2020-06-14", "NJ"): "166000", (DAY, "NJ"): ""}
    # what a correction leaves out stays, also in the row that it changes
    assert [row["death"] for row in before] == [row["death"] for row in after]


def test_a_correction_counts_for_its_own_day_alone(s3: S3, prefix: str) -> None:
    correct(s3, prefix, f"date,state,positive\n{DAY},NY,390000\n")
    for day in ("2020-06-14", "2020-06-16"):
        assert ingest_day(day, prefix, aws_conn_id=None)["corrected"] == []
        assert [row for row in ingested(s3, prefix, day) if row["positive"] == "390000"] == []


def test_a_day_that_was_not_reported_can_be_added(s3: S3, prefix: str) -> None:
    correct(s3, prefix, "date,state,positive\n2020-01-23,NY,7\n")
    assert ingest_day(DAY, prefix, aws_conn_id=None)["rows"] == 5730
    found = [row for row in ingested(s3, prefix) if (row["date"], row["state"]) == ("2020-01-23", "NY")]
    assert [(row["positive"], row["death"]) for row in found] == [("7", "")]


def test_a_correction_that_is_taken_back_leaves_what_was_published(s3: S3, prefix: str) -> None:
    first = ingest_day(DAY, prefix, aws_conn_id=None)
    before = s3.read(f"{prefix}ds={DAY}/states_daily.csv")
    correct(s3, prefix, f"date,state,positive\n{DAY},NY,390000\n")
    ingest_day(DAY, prefix, aws_conn_id=None)
    correct(s3, prefix, "date,state,positive\n")
    assert ingest_day(DAY, prefix, aws_conn_id=None) == first
    assert s3.read(f"{prefix}ds={DAY}/states_daily.csv") == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("date,state\n", "has no column positive: it needs date, state and positive."),
        ("", "has no column date, state, positive: it needs date, state and positive."),
        ("date,state,positive,rt\n", "has the column rt, which the source does not have."),
        (
            "date,state,positive\n2020-06-16,NY,1\n",
            "has a row of 2020-06-16, which is after 2020-06-15: a run uses nothing of its future.",
        ),
        (f"date,state,positive\n{DAY},,1\n", f"has a row of {DAY} without a state."),
        (f"date,state,positive\n{DAY},NY\n", None),
        (
            f"date,state,positive\n{DAY},NY,-5\n",
            "has positive = '-5' for NY on 2020-06-15: it must be a whole number or empty.",
        ),
        (
            f"date,state,positive\n{DAY},NY,1.5\n",
            "has positive = '1.5' for NY on 2020-06-15: it must be a whole number or empty.",
        ),
        (f"date,state,positive\n{DAY},NY,1,2\n", f"has a row of {DAY} with more cells than columns."),
        ("date,state,positive\n15.06.2020,NY,1\n", None),
    ],
    ids=range(10),
)
def test_a_wrong_correction_is_refused_in_one_sentence(content: str, sentence: str | None) -> None:
    where = "s3://bucket/c.csv"
    if content.endswith(f"{DAY},NY\n"):
        assert source.corrections(content.encode(), date(2020, 6, 15), where)[0]["positive"] is None
        return
    with pytest.raises(source.SourceError) as refused:
        source.corrections(content.encode(), date(2020, 6, 15), where)
    dated = f"{where}: date '15.06.2020' is not a date: write it as YYYY-MM-DD, for example 2020-06-15."
    assert str(refused.value) == (f"{where} {sentence}" if sentence else dated)


@pytest.mark.parametrize("day", ["2020-01-21", "2020-07-04", "2013-01-01"])
def test_a_day_that_the_source_does_not_have_is_refused_in_one_sentence(day: str) -> None:
    with pytest.raises(source.SourceError) as refused:
        ingest_day(day, "s3://bucket/raw/")
    assert str(refused.value) == (
        f"day {day} is outside the source, which holds 2020-01-22 to 2020-07-03 (The COVID Tracking Project): "
        "choose a day in between."
    )


@pytest.mark.parametrize("day", ["20200615", "2020-06-31", "yesterday", ""])
def test_what_is_no_day_is_refused_in_one_sentence(day: str) -> None:
    with pytest.raises(source.SourceError) as refused:
        ingest_day(day, "s3://bucket/raw/")
    assert str(refused.value) == f"day {day!r} is not a date: write it as YYYY-MM-DD, for example 2020-06-15."


def test_the_states_are_those_of_the_source_without_its_territories() -> None:
    found = Counter(row["state"] for row in source.published(source.LAST_DAY))
    assert set(found) - set(STATES) == {"AS", "GU", "MP", "PR", "VI"}
    assert set(STATES) <= set(found)
    assert list(STATES) == sorted(set(STATES))
    assert len(STATES) == 51


def test_the_data_carries_its_attribution() -> None:
    text = (source.FILE.parent / "README.md").read_text()
    assert "The COVID Tracking Project at The Atlantic" in text
    assert "CC BY 4.0" in text
