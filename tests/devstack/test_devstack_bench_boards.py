"""The figures of the Shards tab's boards: what is taken from Chromium's trace, and the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from devstack.bench import board, board_page, options, report, suite
from devstack.bench.board_drawn import longest_cpu_seconds

BOARD = board.Board(
    shards=500,
    runs=30,
    cells=14_600,
    seconds=0.25,
    first_seconds=0.6,
    cpu_seconds=0.16,
    queries=12,
    query_seconds=0.04,
    wire_bytes=87_000,
    json_bytes=700_000,
    since_seconds=0.1,
    public_seconds=50.0,
    public_calls=146,
    public_bytes=3e6,
    machine_work_ms=12.3,
    load_average=(9.1, 12.6),
    painted_seconds=0.5,
    longest_task_seconds=0.221,
    longest_task_cpu_seconds=0.066,
)


def named(tid: int, name: str) -> dict[str, Any]:
    return {"name": "thread_name", "pid": 1, "tid": tid, "ph": "M", "args": {"name": name}}


def test_the_longest_task_is_the_main_threads_by_its_cpu_and_not_by_the_wall() -> None:
    task = {"name": "RunTask", "pid": 1, "tid": 7, "ph": "X", "dur": 300_000, "tdur": 20_000}
    events = [
        named(7, "CrRendererMain"),
        named(8, "Compositor"),
        task,
        {**task, "dur": 70_000, "tdur": 66_000},
        {**task, "tid": 8, "tdur": 90_000},
        {**task, "name": "Paint", "tdur": 80_000},
    ]
    assert longest_cpu_seconds(events) == 0.066
    assert longest_cpu_seconds([]) == 0.0


def test_a_board_that_took_too_long_or_was_not_drawn_says_so(tmp_path: Path) -> None:
    large = replace(BOARD, shards=5000, runs=90, seconds=3.5, painted_seconds=None, longest_task_seconds=None)
    found = {"500 x 30": BOARD, "5,000 x 90": large}
    held = board.bars(found)
    assert {bar.what: bar.passed for bar in held} == {
        "board 500 x 30: seconds of the data": True,
        "board 500 x 30: bytes on the wire": True,
        "board 500 x 30: public API's time by ours": True,
        "board 500 x 30: seconds from mount to painted": True,
        "board 500 x 30: longest task while scrolling, s": False,
        "board 5,000 x 90: seconds of the data": False,
        "board 5,000 x 90: bytes on the wire": True,
        "board 5,000 x 90: public API's time by ours": True,
    }
    made = report.report(options.Options(), suite.Results(boards=found, bars=held))
    assert [path.name for path in board_page.write(made, tmp_path)] == ["board.md", "board.svg"]
    page = (tmp_path / "board.md").read_text()
    assert "| board 500 x 30: longest task while scrolling, s | 0.221 | at most 0.1 | **no** |" in page
    [row] = [line for line in page.splitlines() if line.startswith("| 5,000 x 90 |")]
    assert row.count("|") == len(board_page.HEADS) + 1
    assert "9.1 to 12.6" in row
    assert (tmp_path / "board.svg").read_text().startswith("<?xml")
