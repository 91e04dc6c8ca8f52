"""The figures of the Shards tab as a page and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "ecs_feature"

from matplotlib import pyplot  # noqa: E402

from devstack.bench.tables import table  # noqa: E402

HEADS = (
    "shards x runs", "cells", "data, s", "first call, s", "CPU, s", "queries", "in the database, s", "wire, KB",
    "JSON, KB", "what changed, s", "painted, s", "90 runs painted, s", "longest task, ms", "most CPU, ms",
    "public API, s", "its calls", "its wire, KB", "ratio", "machine, ms", "load",
)  # fmt: skip


def write(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write ``board.md`` and ``board.svg``; returns the files."""
    boards, machine = report["boards"], report["machine"]
    rows = [_row(name, each) for name, each in boards.items()]
    held = [
        (bar["what"], f"{bar['value']:.4g}", _bound(bar), "yes" if bar["passed"] else "**no**")
        for bar in report["bars"]
    ]
    lines = [
        "# The Shards tab on large boards",
        "",
        "Written by `make bench SUITE=ui`: a seeded Airflow on PostgreSQL, its real API server, Debian's Chromium.",
        "*Data* is one call of `/ecs_feature/api/board`, the median of five, and *CPU* the API server's for it. *What",
        "changed* is a call with `since`: the newest run goes on, so all its cells are in the answer. *Public API* is",
        "what the same cells take by pages of 100 of `GET /api/v2/dags/D/dagRuns/~/taskInstances`: at most eight",
        "pages, evenly spread, were asked for, and all are reckoned from their mean. *Painted* is from the tab's mount",
        "to cells on the screen, of 30 runs; *90 runs painted* is from the choice of 90 runs to these. *Longest task*",
        "is the main thread's while the board is scrolled both ways, by the clock, with Airflow's own page;",
        "*most CPU* is what one of these tasks took of the processor, whichever it was.",
        "",
        f"{machine['at']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Python {machine['python']}.",
        "*Machine* is the CPU time of a fixed piece of Python's work (12 ms where this machine is at its best), and",
        "*load* the load average of a minute before and after: of more than the cores, most times are waiting.",
        "",
        "![time of the data, ours and the public API's](board.svg)",
        "",
        *table(HEADS, rows),
        "",
        *table(("what", "measured", "bar", "holds"), held),
    ]
    text, picture = folder / "board.md", folder / "board.svg"
    text.write_text("\n".join(lines) + "\n")
    _draw(boards, picture)
    return [text, picture]


def _row(name: str, each: Mapping[str, Any]) -> list[str]:
    drawn = ("painted", "widened", "longest_task", "longest_task_cpu")
    painted, widened, task, task_cpu = (each[f"{what}_seconds"] for what in drawn)
    load = each["load_average"]
    return [
        name,
        f"{each['cells']:,}",
        f"{each['seconds']:.2f}",
        f"{each['first_seconds']:.2f}",
        f"{each['cpu_seconds']:.2f}",
        f"{each['queries']}",
        f"{each['query_seconds']:.2f}",
        f"{each['wire_bytes'] / 1e3:,.0f}",
        f"{each['json_bytes'] / 1e3:,.0f}",
        f"{each['since_seconds']:.2f}",
        "" if painted is None else f"{painted:.2f}",
        "" if widened is None else f"{widened:.2f}",
        "" if task is None else f"{1000 * task:.0f}",
        "" if task_cpu is None else f"{1000 * task_cpu:.0f}",
        f"{each['public_seconds']:,.1f}",
        f"{each['public_calls']:,}",
        f"{each['public_bytes'] / 1e3:,.0f}",
        f"{each['public_seconds'] / each['seconds']:.0f}",
        f"{each['machine_work_ms']:.1f}",
        f"{load[0]:.1f} to {load[1]:.1f}",
    ]


def _bound(bar: Mapping[str, Any]) -> str:
    return f"at most {bar['most']:g}" if bar["most"] is not None else f"at least {bar['least']:g}"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _draw(boards: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    figure, (times, wire) = pyplot.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
    names = list(boards)
    for axes, what, unit, keys in (
        (times, "time", "s", ("seconds", "public_seconds")),
        (wire, "on the wire", "KB", ("wire_bytes", "public_bytes")),
    ):
        scale = 1.0 if unit == "s" else 1e-3
        for number, (key, label, color) in enumerate(
            zip(keys, ("Shards tab", "public API, pages of 100"), ("#1f77b4", "#d95f02"), strict=True)
        ):
            places = [place + 0.4 * number - 0.2 for place in range(len(names))]
            drawn = axes.bar(places, [scale * boards[name][key] for name in names], 0.38, label=label, color=color)
            axes.bar_label(drawn, [_shown(scale * boards[name][key]) for name in names], padding=2, fontsize=8)
        axes.set(yscale="log", ylabel=unit, title=f"Cells of a board: {what}")
        axes.set_xticks(range(len(names)), names)
        axes.margins(y=0.2)
        axes.spines[["top", "right"]].set_visible(False)
    times.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
