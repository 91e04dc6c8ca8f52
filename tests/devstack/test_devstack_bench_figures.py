from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from devstack.bench import bars, calls, options, plots, report, suite, tables
from devstack.bench.fan_outs import FanOut, shard_task_filter
from devstack.bench.measure import Measured
from devstack.bench.trees import Sampler, Usage, piece_of_work, usages
from devstack.errors import UsageError


def call(at: float, tasks: int, status: int = 200, error: str | None = None) -> dict[str, Any]:
    return {"at": at, "request": {"tasks": ["arn"] * tasks}, "status": status, "error": error}


MEASURED = Measured(
    side="ours",
    shards=100,
    runs=1,
    shard_seconds=10.0,
    succeeded=100,
    limit_seconds=10.0,
    bucket_seconds=8.0,
    makespan_seconds=11.0,
    run_seconds=[11.0],
    cpu_seconds_per_shard=0.03,
    cpu_by_process={"scheduler": 0.01, "triggerer": 0.02, "postgres": 0.005},
    api_calls={"RunTask": 100, "DescribeTasks": 5},
    throttled_calls=0,
    watching=calls.Watching(calls=5, described=400, polls=5, fewest=5),
    worker_starts=0,
    triggerer_peak_mib=300.0,
    triggerer_kib_per_shard=50.0,
    loop_blocked_seconds=0.3,
    loop_blocked_times=1,
    machine_work_ms=20.0,
    stolen_share=0.0,
    after_seconds=2.0,
    launches=[0.5 + 0.05 * number for number in range(100)],
)
STOCK = replace(MEASURED, side="stock", makespan_seconds=110.0, worker_starts=200)


@pytest.mark.parametrize(
    ("shards", "seconds", "latency", "limit"),
    [(1, 10.0, 0.0, 10.0), (20, 10.0, 0.42, 10.42), (100, 10.0, 0.42, 14.42), (1000, 10.0, 0.42, 59.42)],
)
def test_the_bound_is_20_calls_a_second_and_the_last_ones_own_time(
    shards: int, seconds: float, latency: float, limit: float
) -> None:
    assert calls.limit_seconds(shards, seconds, latency) == pytest.approx(limit)


def test_the_launch_bucket_alone_allows_a_burst_of_100() -> None:
    assert calls.bucket_seconds(100, 10.0, 0.42) == pytest.approx(10.42)
    assert calls.bucket_seconds(1000, 10.0, 0.42) == pytest.approx(55.42)


def test_a_poll_of_250_tasks_needs_three_calls_and_every_call_more_is_a_waste() -> None:
    wasteful = calls.watching([call(1.0, 100), call(1.1, 100), call(1.2, 50), call(4.0, 10), call(4.1, 10)])
    assert wasteful == calls.Watching(calls=5, described=270, polls=2, fewest=4)
    assert wasteful.ratio == 1.25
    assert calls.watching([]).ratio == 0.0


def test_refused_calls_are_neither_launches_nor_polls() -> None:
    refused = call(1.0, 3, 400, "ThrottlingException")
    assert calls.launch_times([refused, call(2.0, 0)]) == [2.0]
    assert calls.watching([refused]).calls == 0
    assert calls.throttled([refused, call(2.0, 0), call(3.0, 0, 400, "ClientException")]) == 1


def test_only_operations_that_were_called_are_in_a_difference() -> None:
    assert calls.difference({"RunTask": 7, "ListTasks": 2, "PutObject": 1}, {"RunTask": 4, "ListTasks": 2}) == {
        "PutObject": 1,
        "RunTask": 3,
    }


def test_per_shard_overhead_counts_only_what_is_above_the_bound() -> None:
    assert MEASURED.overhead_ratio == pytest.approx(1.1)
    assert MEASURED.overhead_per_shard_seconds == pytest.approx(0.01)
    assert bars.speedup(MEASURED, STOCK) == pytest.approx(100)
    assert MEASURED.api_calls_per_shard == pytest.approx(1.05)


def test_each_bar_says_whether_it_was_kept_with_its_figure() -> None:
    held = bars.of_fan_out(MEASURED, ratio=1.05, name="100 mapped")
    assert [bar.line() for bar in held if not bar.passed] == [
        "FAIL  100 mapped: makespan by Fargate's bound: 1.1 (at most 1.05)"
    ]
    more = replace(MEASURED, shards=1000, makespan_seconds=22.5)
    stock = [replace(STOCK, side="stock_logs", makespan_seconds=400.0), STOCK]
    assert [bar.line() for bar in bars.of_comparison([MEASURED, more], stock)] == [
        "pass  overhead per shard, stock at 100 by ours at 1000: 80 (at least 20)",
        "pass  overhead per shard, stock at 100 by ours at 100: 100 (at least 20)",
    ]
    [_, fair] = bars.of_runs(replace(MEASURED, runs=2, run_seconds=[10.0, 14.0]))
    assert fair.line() == "FAIL  2 runs of 100 at once: slowest run by fastest: 1.4 (at most 1.3)"


def test_the_report_has_both_sides_and_the_speedup() -> None:
    more = replace(MEASURED, shards=1000, makespan_seconds=22.5)
    results = suite.Results({"ours_1000": more, "ours_100": MEASURED, "stock_100": STOCK})
    written = report.report(options.Options(), results)
    assert written["limit_seconds"] == 10.0
    assert written["ours"] == {
        "shards": 1000,
        "makespan_seconds": 22.5,
        "limit_seconds": 10.0,
        "overhead_ratio": 2.25,
        "ratio_to_launch_bucket": 2.8125,
        "overhead_seconds_per_shard": 0.0125,
        "cpu_seconds_per_shard": 0.03,
        "api_calls_per_shard": 0.105,
        "triggerer_peak_mib": 300.0,
        "worker_starts": 0,
    }
    assert written["stock"]["worker_starts"] == 200
    assert written["executor"] is None
    assert written["speedup"] == pytest.approx(80)
    assert written["speedup_at_same_size"] == pytest.approx(100)


def test_every_picture_is_drawn_and_the_same_figures_draw_the_same_picture(tmp_path: Path) -> None:
    fan_outs = {"ours_100": report.details(MEASURED), "stock_100": report.details(STOCK)}
    first = {path.name: path.read_bytes() for path in plots.draw(fan_outs, tmp_path / "first")}
    second = {path.name: path.read_bytes() for path in plots.draw(fan_outs, tmp_path / "second")}
    assert sorted(first) == [
        "api_calls_per_shard.svg",
        "cpu_per_shard.svg",
        "launches.svg",
        "makespan.svg",
        "overhead_per_shard.svg",
        "triggerer_memory.svg",
    ]
    assert first == second


def test_without_options_the_issues_own_comparison_is_run() -> None:
    asked = options.parse({})
    assert asked == options.Options(shards=1000, stock_shards=100, seconds=10.0, sides=("ours", "stock"))
    assert [(each.side, each.shards) for each in suite.plan(asked)] == [("ours", 100), ("ours", 1000), ("stock", 100)]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"SHARDS": "1e3"}, "SHARDS is '1e3', but must be a whole number from 1 to 50000, like SHARDS=1000."),
        ({"PATCH": "yes"}, "PATCH is 'yes', but must be 0 or 1, like PATCH=1."),
        ({"SECONDS": "-1"}, "SECONDS is '-1', but must be a number from 0 to 3600, like SECONDS=10."),
        (
            {"SIDES": "ours,theirs"},
            "SIDES has 'theirs', but may have ours, stock, stock_logs, executor, like SIDES=ours,stock.",
        ),
        (
            {"SUITE": "sizes,all"},
            "SUITE has 'all', but may have compare, sizes, large, runs, triggerers, estimate, ui, like SUITE=compare.",
        ),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        options.parse(given)
    assert str(caught.value) == sentence


def test_parts_of_the_suite_share_a_stack_and_full_is_all_of_them() -> None:
    asked = options.parse({"SUITE": "runs, large", "SIDES": "ours"})
    assert [(each.shards, each.runs) for each in suite.plan(asked)] == [(5000, 1), (2000, 5)]
    assert report.name(asked) == "report-large-runs.json"
    assert options.parse({"SUITE": "full"}).parts == options.PARTS


def test_a_patched_airflow_has_reports_and_rows_of_its_own() -> None:
    asked = options.parse({"SUITE": "compare", "PATCH": "1"})
    assert asked.patch
    assert report.name(asked) == "report-patched.json"
    assert report.name(options.parse({"SUITE": "large", "PATCH": "1"})) == "report-large-patched.json"
    held = [bars.Bar("x", 0.5, most=1)]
    reports = [
        report.report(options.Options(patch=patch), suite.Results({"ours_100": MEASURED}, held))
        for patch in (False, True)
    ]
    heads = [line.split(" | ")[0] for line in tables.results(reports).splitlines()]
    for row in ("| EcsShardOperator, mapped", "| x", "| ours_100"):
        assert heads.count(row) == heads.count(f"{row}, Airflow patched") == (2 if row == "| ours_100" else 1)


def test_a_fan_outs_dag_file_makes_its_dag() -> None:
    fan_out = FanOut("stock_logs", 30, 0.5, about="try")
    assert fan_out.dag_id == "bench_stock_logs_30_0_5s_try"
    names: dict[str, Any] = {}
    exec(fan_out.source().replace("import FanOut, build", "import FanOut"), names | {"build": lambda each: each}, names)
    assert names["dag"] == fan_out
    assert shard_task_filter("named") == "control.shards.%"


def test_what_a_child_used_stays_when_it_has_ended() -> None:
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    code = (
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint('done', flush=True)\ninput()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"done\n"
        assert psutil.Process(parent.pid).children() == []
        used = usages({"component": parent.pid, "we": os.getpid()})
    finally:
        parent.communicate(b"\n")
    assert 0.3 <= used["component"].cpu_seconds < 3
    assert used["component"].rss_bytes > 2**20


def test_cpu_between_two_samples_is_shared_in_proportion_and_memory_is_of_the_samples_between() -> None:
    sampler = Sampler(dict)
    sampler.samples = [
        (10.0, {"triggerer-1": Usage(1.0, 2**20), "scheduler": Usage(5.0, 2**20)}),
        (20.0, {"triggerer-1": Usage(3.0, 3 * 2**20), "scheduler": Usage(6.0, 2**20)}),
        (30.0, {"triggerer-1": Usage(3.0, 2 * 2**20), "scheduler": Usage(6.0, 2**20)}),
    ]
    assert sampler.cpu_seconds(15.0, 99.0) == {"triggerer-1": pytest.approx(1.0), "scheduler": pytest.approx(0.5)}
    assert sampler.memory_mib(["triggerer-1"], 15.0, 25.0) == [3.0]


def test_the_machine_is_measured_meanwhile() -> None:
    sampler = Sampler(dict, work=[(10.0, 0.02), (20.0, 0.03), (25.0, 0.05), (30.0, 0.04), (40.0, 0.9)])
    assert sampler.work_seconds(15.0, 35.0) == 0.04
    assert sampler.work_seconds(50.0, 60.0) == 0.04


def test_what_the_host_gave_to_others_is_a_share_of_the_time_that_passed() -> None:
    sampler = Sampler(dict, stolen=[(9.0, 5.0, 100.0), (10.0, 5.0, 102.0), (11.0, 5.5, 104.0), (12.0, 6.5, 106.0)])
    assert sampler.stolen_share(10.0, 11.0) == pytest.approx(1.5 / 6)
    assert sampler.stolen_share(50.0, 60.0) == 0.0
    assert piece_of_work() > 0


def test_the_page_of_figures_has_the_newest_of_each_fan_out_and_what_did_not_hold() -> None:
    old = report.report(options.Options(shards=100), suite.Results({"ours_100": MEASURED}, [bars.Bar("x", 2, most=1)]))
    faster = replace(MEASURED, makespan_seconds=10.5)
    new = report.report(options.Options(shards=100), suite.Results({"ours_100": faster}, [bars.Bar("x", 0.5, most=1)]))
    assert "| x | 2 | at most 1 | **no** |" in tables.results([old])
    page = tables.results([old, new])
    assert "| x | 0.5 | at most 1 | yes |" in page
    assert "| x | 2 |" not in page
    [row] = [line for line in page.splitlines() if line.startswith("| EcsShardOperator, mapped |")]
    assert row == (
        "| EcsShardOperator, mapped | 100 of 10 s | 10.5 | 10.0 | 1.050 | 5.0 | 30 | 1.05 | 0 | 300 | 0.30 | 20.0 | 0 |"
    )
