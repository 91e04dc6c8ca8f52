"""The benchmark's figures as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from devstack.bench.fan_outs import SIDE_NAMES

HEADS = (
    "what", "shards", "makespan, s", "bound, s", "ratio", "above the bound, ms a shard", "Airflow's CPU, ms a shard",
    "AWS calls a shard", "worker starts", "triggerer's peak, MiB", "loop's longest stop, s", "machine, ms", "stolen, %",
)  # fmt: skip


PREDICTION_HEADS = (
    "airflow ecs-feature estimate", "runs", "past runs", "shards", "said, s (p50, p90)", "took, s", "off by",
    "said, USD", "receipts, USD", "off by", "bound by",
)  # fmt: skip

PATCHED = ", Airflow patched"
"""Marks what was measured with ``PATCH=1``."""


def results(reports: Iterable[Mapping[str, Any]]) -> str:
    """A page with all fan-outs of some reports, and what held.

    :param reports: oldest first; of a fan-out that is in several, the newest counts.
    """
    fan_outs: dict[tuple[str, str], Mapping[str, Any]] = {}
    held: dict[str, Mapping[str, Any]] = {}
    predictions: dict[str, Mapping[str, Any]] = {}
    lines = ["# Figures", "", "Written by `python -m devstack.bench plots`; README.md beside it explains them.", ""]
    for report in reports:
        machine, suite = report["machine"], ",".join(report["options"]["parts"])
        patched = PATCHED if report["options"].get("patch") else ""
        lines.append(
            f"- `SUITE={suite}`{patched}: {machine['at']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
            f"Python {machine['python']}, load average at the end {machine['load_average'][0]:g}."
        )
        fan_outs |= {(name, patched): each for name, each in report["fan_outs"].items()}
        predictions |= {name + patched: each for name, each in report.get("estimate", {}).items()}
        held |= {bar["what"] + patched: bar for bar in report["bars"]}
    lines += ["", *table(HEADS, [_row(name, patched, each) for (name, patched), each in fan_outs.items()])]
    if predictions:
        rows = [_prediction(name, each) for name, each in predictions.items()]
        lines += ["", "## What was said before the runs", "", *table(PREDICTION_HEADS, rows)]
    bars = [
        (what, f"{bar['value']:.4g}", _bound(bar), "yes" if bar["passed"] else "**no**") for what, bar in held.items()
    ]
    lines += ["", "## What must hold", "", *table(("what", "measured", "bar", "holds"), bars)]
    processes = sorted({name for each in fan_outs.values() for name in each["cpu_by_process"]})
    cpu = [
        [name + patched, *(f"{1000 * each['cpu_by_process'].get(process, 0.0):.1f}" for process in processes)]
        for (name, patched), each in fan_outs.items()
    ]
    lines += ["", "## CPU, ms a shard, by process", "", *table(("fan-out", *processes), cpu)]
    calls = [
        (name + patched, ", ".join(f"{op} {n:,}" for op, n in each["api_calls"].items()))
        for (name, patched), each in fan_outs.items()
    ]
    lines += ["", "## AWS API calls", "", *table(("fan-out", "calls"), calls)]
    return "\n".join(lines) + "\n"


def _row(name: str, patched: str, each: Mapping[str, Any]) -> list[str]:
    runs = f"{each['runs']} x " if each["runs"] > 1 else ""
    side = f"{SIDE_NAMES[each['side']]} ({name})" if name.startswith("triggerers") else SIDE_NAMES[each["side"]]
    return [
        side + patched,
        f"{runs}{each['shards']:,} of {each['shard_seconds']:g} s",
        f"{each['makespan_seconds']:.1f}",
        f"{each['limit_seconds']:.1f}",
        f"{each['overhead_ratio']:.3f}",
        f"{1000 * each['overhead_seconds_per_shard']:.1f}",
        f"{1000 * each['cpu_seconds_per_shard']:.0f}",
        f"{each['api_calls_per_shard']:.2f}",
        f"{each['worker_starts']:,}",
        f"{each['triggerer_peak_mib']:.0f}",
        f"{each['loop_blocked_seconds']:.2f}",
        f"{each['machine_work_ms']:.1f}" if "machine_work_ms" in each else "",
        f"{100 * each['stolen_share']:.0f}" if "stolen_share" in each else "",
    ]


def _prediction(name: str, each: Mapping[str, Any]) -> list[str]:
    said, usd = each["predicted_seconds"], each["predicted_usd"]
    return [
        name,
        f"{each['runs']}",
        f"{each['past_runs']}" if each["past_runs"] else "none",
        f"{each['shards']:,}",
        f"{said['p50']:.1f}, {said['p90']:.1f}",
        f"{each['seconds']:.1f}",
        f"{each['time_error']:+.1%}",
        f"{usd['p50']:.4f}",
        f"{each['usd']:.4f}",
        f"{each['cost_error']:+.1%}",
        each["binding"],
    ]


def _bound(bar: Mapping[str, Any]) -> str:
    return f"at most {bar['most']:g}" if bar["most"] is not None else f"at least {bar['least']:g}"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A table's lines."""
    names = list(heads)
    return [
        f"| {' | '.join(names)} |",
        f"|{' --- |' * len(names)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
