"""An estimate as plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WHAT_HELPS = {
    "launch rate": "Fargate's launch rate: ask AWS for a higher one, or use fewer, longer shards",
    "vCPU quota": "the vCPU quota: ask AWS for more, or use smaller tasks",
    "parallelism": "the pipeline's parallelism or max_vcpus: raise it, or run more triggerers",
    "triggerer capacity": "what the triggerers hold: run more, or raise [triggerer] capacity",
    "runs at once": "--max-active-runs: raise it",
    "slowest shard": "shards slower than the others: split them",
    "hand-over": "how fast the triggerer takes shards on: find them at run time instead of naming them",
    "before the shards": "what precedes the shards: ingest, and services that come up",
    "after the shards": "what follows the shards: publish, and services that go down",
    "shards": "nothing but the shards' own time",
}


def render(answer: Mapping[str, Any]) -> str:
    """What :func:`ecs_feature.cli.estimate_command.answer_of` returned, as a table for people."""
    lines = [_title(answer), _source(answer), ""]
    rows = [
        ("", "p50", "p90"),
        ("a run", *_each(answer["run_seconds"], _clock)),
        *([("all runs", *_each(answer["seconds"], _clock))] if answer["runs"] > 1 else []),
        ("USD a run", *_each(answer["run_usd"], _dollars)),
        *([("USD all runs", *_each(answer["usd"], _dollars))] if answer["runs"] > 1 else []),
        ("  shards", *_each(answer["shards_usd"], _dollars)),
        ("  services", *_each(answer["services_usd"], _dollars)),
        ("vCPU-seconds", *_each(answer["vcpu_seconds"], _count)),
        ("GB-seconds", *_each(answer["gb_seconds"], _count)),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines += [f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}".rstrip() for row in rows]
    lines += ["", f"At once at most: {answer['peak_tasks']} tasks of shards, {answer['peak_vcpus']:.2f} vCPUs."]
    lines += [f"Bound by {WHAT_HELPS[answer['binding']]}."]
    lines += [f"  without {name}: {_clock(seconds)} less" for name, seconds in answer["bounds"].items()]
    return "\n".join([*lines, *answer["notes"]])


def _title(answer: Mapping[str, Any]) -> str:
    runs = "one run"
    if answer["from"]:
        plural = "s" if answer["runs"] > 1 else ""
        runs = f"{answer['runs']} run{plural}, {answer['from']} to {answer['to']}, {answer['max_active_runs']} at once"
    variants = " and ".join(filter(None, answer["variants"]))
    where = f"{variants}; " if variants else ""
    return f"{answer['dag_id']}: {runs}; {where}{answer['shards']['p50']:g} shards on {answer['capacity']}"


def _source(answer: Mapping[str, Any]) -> str:
    count = answer["past_runs"]
    if not count:
        return "From the durations given."
    return f"From {count} past run{'s' if count > 1 else ''}, drawn {answer['draws']} times."


def _each(value: Mapping[str, float], text: Any) -> tuple[str, str]:
    return text(value["p50"]), text(value["p90"])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _dollars(value: float) -> str:
    return f"{value:,.2f}" if value >= 10 else f"{value:.4f}"


def _count(value: float) -> str:
    return f"{value:,.0f}"
