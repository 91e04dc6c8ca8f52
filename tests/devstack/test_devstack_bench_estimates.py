"""What the estimate's part of the benchmark compares, and how its pipelines' shards get their times."""

from __future__ import annotations

import statistics
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from devstack.bench import bars, estimates, options, report, suite, tables
from devstack.bench.predictions import Prediction, Ran, Stages, ran


def at(second: int) -> str:
    return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}+00:00"


def run(start: int, end: int) -> dict[str, Any]:
    return {"start_date": at(start), "end_date": at(end)}


def receipt(first: int, last: int, usd: float, shards: int = 2) -> dict[str, Any]:
    launches = [
        {"started_at": at(first + 1), "stopped_at": at(last)},
        {"started_at": at(first), "stopped_at": at(last - 1)},
    ]
    return {"variants": {"control": {"cost_usd": usd, "shards": {"succeeded": shards}, "launches": launches}}}


ANSWER = {
    "seconds": {"p50": 110.0, "p90": 120.0},
    "run_seconds": {"p50": 60.0, "p90": 66.0},
    "usd": {"p50": 0.98, "p90": 1.0},
    "runs": 2,
    "past_runs": 3,
    "binding": "vCPU quota",
    "bounds": {"vCPU quota": 12.0},
    "peak_vcpus": 16.0,
    "max_vcpus": 16.0,
    "parallelism": None,
    "notes": [],
}
PREDICTION = Prediction("p", ("--from", "2026-01-05"), ANSWER, Ran(100.0, (60.0, 50.0), 1.0, 240))


def test_runs_take_from_the_first_ones_start_to_the_last_ones_end_and_cost_what_their_receipts_say() -> None:
    took = ran([run(10, 70), run(30, 110)], [receipt(20, 60, 0.25), receipt(40, 100, 0.5)])
    assert took == Ran(seconds=100.0, run_seconds=(60.0, 80.0), usd=0.75, shards=4)


def test_stages_are_what_precedes_the_first_shard_and_what_follows_the_last() -> None:
    runs = [run(10, 70), run(30, 110), run(0, 99)]
    receipts = [receipt(20, 60, 0), receipt(42, 100, 0), receipt(14, 98, 0)]
    assert Stages.of(runs, receipts) == Stages(before=12.0, after=10.0)


def test_an_error_is_signed_and_the_bars_are_15_percent_of_the_time_and_5_of_the_cost() -> None:
    assert (PREDICTION.time_error, PREDICTION.cost_error) == (pytest.approx(0.1), pytest.approx(-0.02))
    late = replace(PREDICTION, ran=Ran(140.0, (), 0.9, 240))
    assert [bar.line() for bar in bars.of_predictions({"good": PREDICTION, "late": late})] == [
        "pass  estimate, good: time off by: 0.1 (at most 0.15)",
        "pass  estimate, good: cost off by: 0.02 (at most 0.05)",
        "FAIL  estimate, late: time off by: 0.2143 (at most 0.15)",
        "FAIL  estimate, late: cost off by: 0.08889 (at most 0.05)",
    ]


def test_the_report_and_the_page_have_what_was_said_and_what_it_took() -> None:
    results = suite.Results(predictions={"a backfill": PREDICTION})
    written = report.report(options.parse({"SUITE": "estimate"}), results)
    assert written["estimate"]["a backfill"]["time_error"] == 0.1
    assert written["estimate"]["a backfill"]["arguments"] == ["--from", "2026-01-05"]
    page = tables.results([written])
    assert "| a backfill | 2 | 3 | 240 | 110.0, 120.0 | 100.0 | +10.0% | 0.9800 | 1.0000 | -2.0% | vCPU quota |" in page
    without = {name: value for name, value in written.items() if name != "estimate"}  # an older report
    assert "What was said" not in tables.results([without])


def seconds_of(pipeline: estimates.Skewed, index: int, day: str, shards: list[str] | None = None) -> float:
    template = jinja2.Environment(autoescape=False).from_string(pipeline.template)
    context = {"ti": SimpleNamespace(map_index=index), "params": SimpleNamespace(shards=shards), "ds_nodash": day}
    return float(template.render(context))


def test_a_shard_takes_its_time_give_or_take_a_tenth_each_day_in_whatever_selection() -> None:
    usual = estimates.PAST.seconds
    for index in (0, 7, len(usual) - 1):
        days = [seconds_of(estimates.PAST, index, f"202601{day:02d}") for day in range(1, 29)]
        assert all(abs(each / usual[index] - 1) <= estimates.JITTER + 1e-9 for each in days)
        assert statistics.stdev(days) > 0.01 * usual[index]
    chosen = estimates.PAST.names()[::3]
    assert seconds_of(estimates.PAST, 2, "20260105", chosen) == seconds_of(estimates.PAST, 6, "20260105")


def test_most_shards_are_short_and_some_of_those_without_a_past_are_longer_than_the_billed_minute() -> None:
    least, most = estimates.SECONDS
    assert all(least <= each <= most for each in estimates.PAST.seconds)
    assert statistics.median(estimates.PAST.seconds) < 0.3 * most
    assert max(estimates.PAST.seconds) > 0.9 * most
    assert sum(each >= 60 for each in estimates.NEW.seconds) == 6
    assert all(each < 60 for each in estimates.NEW.seconds[: estimates.TRIAL])
