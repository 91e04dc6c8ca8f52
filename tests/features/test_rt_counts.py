"""Odd inputs: what becomes of the faults that such data has, and that no state fails for them."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from conftest import MODELS_DIR
from rt_state import counts, job, model
from rt_state.errors import JobError

FIRST = date(2020, 3, 1)
N = None


def csv_of(totals: list[Any], state: str = "NY") -> bytes:
    """A file with one row a day from FIRST on; None: no row."""
    rows = [f"{FIRST + timedelta(days=n)},{state},{text}" for n, text in enumerate(totals) if text is not None]
    return "\n".join(["date,state,positive", *rows, ""]).encode()


def new_of(totals: list[Any], days: int | None = None) -> list[float]:
    day = FIRST + timedelta(days=(days or len(totals)) - 1)
    return counts.daily(counts.read(csv_of(totals), "NY", day, "the file"), day).new.tolist()


NAN = math.nan


@pytest.mark.parametrize(
    ("totals", "new"),
    [
        pytest.param([5, 7, 10, 10], [NAN, 2, 3, 0], id="as it should be"),
        pytest.param([5, 9, 7, 10], [NAN, 4, 0, 3], id="a negative increase counts as 0"),
        pytest.param([5, 9, N, N, 15], [NAN, 4, 2, 2, 2], id="days without a row share the cases"),
        pytest.param([5, 9, "", "nan", 15], [NAN, 4, 2, 2, 2], id="days with an empty count share the cases"),
        pytest.param([5, 9, N, 8], [NAN, 4, 0, 0], id="a negative increase over a gap"),
        pytest.param([5, 9, N, N], [NAN, 4, NAN, NAN], id="the last days are not known"),
        pytest.param(["", "", 5, 7], [NAN, 2], id="the series begins with the first count"),
        pytest.param(["5.0", " 7 ", "1e1"], [NAN, 2, 3], id="other ways to write numbers"),
        pytest.param([0, 0, 0], [NAN, 0, 0], id="zeros"),
        pytest.param([7], [NAN], id="one day"),
        pytest.param([N, N, N], [NAN], id="no row at all"),
        pytest.param(["", "", ""], [NAN], id="no count at all"),
    ],
)
def test_new_cases_of_cumulative_counts(totals: list[Any], new: list[float]) -> None:
    assert new_of(totals) == pytest.approx(new, nan_ok=True)


def rows_of(totals: list[Any]) -> list[dict[str, str]]:
    """What the shard writes for a state with these counts."""
    day = FIRST + timedelta(days=len(totals) - 1)
    series = counts.daily(counts.read(csv_of(totals), "NY", day, "the file"), day)
    return [dict(zip(job.HEADER, row, strict=True)) for row in job.table("NY", series, model.load(MODELS_DIR))]


def grown(first: float, factor: float, days: int = 60) -> list[int]:
    return np.cumsum(first * factor ** np.arange(days)).astype(int).tolist()


@pytest.mark.parametrize(
    ("totals", "status"),
    [
        pytest.param([0] * 60, "no_estimate", id="all zero"),
        pytest.param([N] * 60, "no_estimate", id="no row"),
        pytest.param([""] * 60, "no_estimate", id="no count"),
        pytest.param([0] * 30 + [1] * 30, "no_estimate", id="one case"),
        pytest.param([0] * 30 + [40] * 30, "few_cases", id="one day with cases"),
        pytest.param([0] * 59 + [40], "few_cases", id="cases on the last day only"),
        pytest.param(list(range(60)), "few_cases", id="one case a day"),
        pytest.param([n // 7 * 9 for n in range(60)], "few_cases", id="reports once a week"),
        pytest.param(grown(100, 1.05), "estimated", id="growth"),
        pytest.param([5000 - n for n in range(60)], "no_estimate", id="negative every day"),
        pytest.param([*grown(100, 1.02, 59), 0], "estimated", id="all taken back on the last day"),
        pytest.param([*grown(100, 1.02, 50), *[N] * 10], "few_cases", id="no report for ten days"),
        pytest.param([*grown(100, 1.02, 57), N, N, N], "estimated", id="no report for three days"),
        pytest.param(grown(1e6, 1.02), "estimated", id="millions a day"),
        pytest.param([0] * 30 + [9_999_999_999] * 30, "few_cases", id="a typing error of ten digits"),
        pytest.param([0, 9_999_999_999] * 30, "estimated", id="ten digits and back every day"),
        pytest.param([5], "no_estimate", id="one row"),
    ],
)
def test_no_state_fails_for_its_counts(totals: list[Any], status: str) -> None:
    *_, last = rows = rows_of(totals)
    assert last["status"] == status
    for row in rows:
        numbers = [row[name] for name in ("rt_low", "rt", "rt_high")]
        if row["status"] == "no_estimate":
            assert numbers == ["", "", ""]
        else:
            low, rt, high = map(float, numbers)
            assert 0 <= low <= rt <= high <= 12
    assert last["date"] == str(FIRST + timedelta(days=len(totals) - 1))


def test_days_without_a_report_make_the_interval_wider_and_leave_rt() -> None:
    known = rows_of(grown(100, 1.03))
    waited = rows_of([*grown(100, 1.03), N, N, N, N])
    assert waited[:60] == known
    assert {row["smoothed"] for row in waited[60:]} == {""}
    widths = [float(row["rt_high"]) - float(row["rt_low"]) for row in waited[59:]]
    assert widths == sorted(widths)
    assert widths[-1] > widths[0] + 0.1
    assert float(waited[-1]["rt"]) == pytest.approx(float(known[-1]["rt"]), abs=0.05)


def test_a_week_that_reports_on_weekdays_only_does_not_move_rt_from_one() -> None:
    week = [150, 140, 140, 140, 130, 0, 0]
    found = [float(row["rt"]) for row in rows_of(np.cumsum(week * 10).tolist())[-14:]]
    assert 0.75 < min(found) < max(found) < 1.25


def test_the_window_of_the_smoothing_ends_with_the_day_and_has_what_is_known() -> None:
    flat = counts.smoothed(np.full(20, 70.0), 7, 3.0)
    assert flat == pytest.approx(np.full(20, 70.0))
    peak = counts.smoothed(np.array([0.0] * 9 + [100.0] + [0.0] * 10), 7, 3.0)
    assert np.flatnonzero(peak).tolist() == list(range(9, 16))
    assert int(peak.argmax()) == 12
    assert peak.sum() == pytest.approx(100)
    gaps = counts.smoothed(np.array([math.nan, 70.0, math.nan, 70.0]), 7, 3.0)
    assert gaps.tolist() == pytest.approx([math.nan, 70.0, math.nan, 70.0], nan_ok=True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"date,state\n", "the file has no column positive."),
        (b"", "the file has no column date, state, positive."),
        (b"date,state,positive\n\xff\xfe", "the file is not UTF-8 text."),
        (
            b"date,state,positive\n2020-03-01,NY,many\n",
            "the file has positive = 'many' for NY on 2020-03-01: it must be a number up to 1e+10 or empty.",
        ),
        (
            b"date,state,positive\n2020-03-01,NY,inf\n",
            "the file has positive = 'inf' for NY on 2020-03-01: it must be a number up to 1e+10 or empty.",
        ),
        (
            b"date,state,positive\n2020-03-01,NY,1e11\n",
            "the file has positive = '1e11' for NY on 2020-03-01: it must be a number up to 1e+10 or empty.",
        ),
        (b"date,state,positive\n01.03.2020,NY,5\n", "the file has date = '01.03.2020': it must be YYYY-MM-DD."),
        (b"state,positive,date\nNY,5\n", "the file has date = None: it must be YYYY-MM-DD."),
    ],
)
def test_a_file_that_is_none_is_one_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(JobError) as refused:
        counts.read(content, "NY", date(2020, 3, 2), "the file")
    assert str(refused.value) == sentence


def test_faults_of_other_states_are_not_ours() -> None:
    content = b"date,state,positive\n2020-03-01,NJ,many\nx,NJ,1\n2020-03-01,NY,5\n"
    assert counts.read(content, "NY", date(2020, 3, 2), "the file") == {date(2020, 3, 1): 5.0}


def test_of_two_rows_of_a_day_the_later_counts() -> None:
    content = b"date,state,positive\n2020-03-01,NY,5\n2020-03-01,NY,6\n"
    assert counts.read(content, "NY", date(2020, 3, 2), "the file") == {date(2020, 3, 1): 6.0}
