"""``build/bench/report.json``."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from devstack.bench import bars
from devstack.bench.measure import Measured
from devstack.bench.options import Options
from devstack.bench.suite import Results


def report(options: Options, results: Results) -> dict[str, Any]:
    """The report: both sides at their own size, then everything in detail."""
    ours = results.measured.get(f"ours_{options.shards}")
    same = results.measured.get(f"ours_{options.stock_shards}")
    stock = [each for name, each in results.measured.items() if name.startswith("stock") and _is(each, options)]
    best = bars.better(stock) if stock else None
    return {
        "limit_seconds": ours.limit_seconds if ours else None,
        "ours": _side(ours),
        "stock": _side(best),
        "executor": _side(results.measured.get("executor")),
        "speedup": bars.speedup(ours, best) if ours and best else None,
        "speedup_at_same_size": bars.speedup(same, best) if same and best else None,
        "passed": all(bar.passed for bar in results.bars),
        "bars": [bar.to_json() for bar in results.bars],
        "parse": results.parse,
        "estimate": {name: each.to_json() for name, each in results.predictions.items()},
        "boards": {name: each.to_json() for name, each in results.boards.items()},
        "options": dataclasses.asdict(options),
        "machine": machine(),
        "fan_outs": {name: details(each) for name, each in results.measured.items()},
    }


def _is(measured: Measured, options: Options) -> bool:
    return measured.shards == options.stock_shards


def _side(measured: Measured | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    return {
        "shards": measured.total,
        "makespan_seconds": round(measured.makespan_seconds, 2),
        "limit_seconds": round(measured.limit_seconds, 2),
        "overhead_ratio": round(measured.overhead_ratio, 4),
        "ratio_to_launch_bucket": round(measured.makespan_seconds / measured.bucket_seconds, 4),
        "overhead_seconds_per_shard": round(measured.overhead_per_shard_seconds, 4),
        "cpu_seconds_per_shard": round(measured.cpu_seconds_per_shard, 4),
        "api_calls_per_shard": round(measured.api_calls_per_shard, 3),
        "triggerer_peak_mib": round(measured.triggerer_peak_mib, 1),
        "worker_starts": measured.worker_starts,
    }


def details(measured: Measured) -> dict[str, Any]:
    """All figures of one fan-out."""
    values = dataclasses.asdict(measured)
    values["launches"] = [round(at, 2) for at in measured.launches]
    values["watching"]["ratio"] = measured.watching.ratio
    return values | {name: value for name, value in (_side(measured) or {}).items() if name not in values}


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def name(options: Options) -> str:
    """The file's name; a part of the suite has a report of its own, and so has a patched Airflow."""
    parts = [] if "compare" in options.parts else list(options.parts)
    return f"{'-'.join(['report', *parts, *(['patched'] if options.patch else [])])}.json"


def write(path: Path, content: dict[str, Any]) -> None:
    """Write it in one step."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(path)
