from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from devstack.backfill import Days, compact, parse, summary
from devstack.errors import UsageError


def receipt(day: str, rows: int) -> dict[str, Any]:
    variant = {
        "shards": {"total": 16, "succeeded": 16, "failed": 0, "skipped": 0},
        "services": [{"name": "encoder-control", "before": 2, "peak": 6, "after": 0, "others": 4}],
        "rows": rows,
        "cost_usd": 0.0069,
    }
    return {"logical_date": day, "state": "success", "seconds": 61.4, "variants": {"control": variant}}


@pytest.mark.parametrize(
    ("options", "days"),
    [
        pytest.param(("2013-01-01", "2013-01-07", "3"), Days(date(2013, 1, 1), date(2013, 1, 7), 3), id="as-given"),
        pytest.param(("2013-03-01", "", "1"), Days(date(2013, 3, 1), date(2013, 3, 7), 1), id="a-week"),
        pytest.param(("2013-12-30", "", "10"), Days(date(2013, 12, 30), date(2013, 12, 31), 10), id="end-of-year"),
        pytest.param(("2013-01-05", "2013-01-05", "1"), Days(date(2013, 1, 5), date(2013, 1, 5), 1), id="one-day"),
    ],
)
def test_a_range_of_days_is_read(options: tuple[str, str, str], days: Days) -> None:
    assert parse(*options) == days


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("2012-12-31", "2013-01-07", "3"),
            "FROM is '2012-12-31', but must be a day of 2013, which is all that the source has, like FROM=2013-02-08.",
        ),
        (
            ("2013-01-01", "soon", "3"),
            "TO is 'soon', but must be a day of 2013, which is all that the source has, like TO=2013-02-08.",
        ),
        (("2013-01-07", "2013-01-01", "3"), "TO is 2013-01-01, but must not be before FROM, which is 2013-01-07."),
        *(
            (
                ("2013-01-01", "2013-01-07", runs),
                f"RUNS is {runs!r}, but must be a whole number of days at a time from 1 to 10, like RUNS=3.",
            )
            for runs in ("0", "11", "-1", "2.5", "many", "", "٣")
        ),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(options: tuple[str, str, str], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*options)
    assert str(caught.value) == sentence


def test_both_ends_of_the_range_are_days_of_it() -> None:
    days = Days(date(2013, 1, 30), date(2013, 2, 1), 1)
    assert [str(day) for day in days.all] == ["2013-01-30", "2013-01-31", "2013-02-01"]


def test_a_receipt_is_one_line() -> None:
    assert compact(receipt("2013-01-01", 842)) == (
        "2013-01-01  success in  61 s  |  control 16/16 shards, 842 rows, encoder-control 2-6-0, $0.0069"
    )


def test_the_summary_adds_up_the_days() -> None:
    days = [receipt("2013-01-01", 842), receipt("2013-01-02", 943)]
    assert summary(days) == "2 days: 1,785 rows of control, $0.0138"
