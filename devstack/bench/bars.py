"""What must hold, each with the figure that was measured against its bar. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from devstack.bench.calls import fairness
from devstack.bench.measure import Measured
from devstack.bench.predictions import Prediction


@dataclass(frozen=True)
class Bar:
    """One figure and what it may be at most or must be at least."""

    what: str
    value: float
    most: float | None = None
    least: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the figure is within the bar."""
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    def line(self) -> str:
        """For the screen."""
        bound = f"at most {self.most:g}" if self.most is not None else f"at least {self.least:g}"
        return f"{'pass' if self.passed else 'FAIL'}  {self.what}: {self.value:.4g} ({bound})"

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {"what": self.what, "value": self.value, "most": self.most, "least": self.least, "passed": self.passed}


def of_fan_out(measured: Measured, *, ratio: float, name: str, patched: bool = False) -> list[Bar]:
    """The bars of our side alone.

    :param ratio: the most that the makespan may be of Fargate's bound.
    :param patched: whether the plugin patches Airflow, which saves CPU.
    """
    cpu_seconds = 0.040 if patched else 0.060
    return [
        Bar(f"{name}: shards that did not succeed", measured.total - measured.succeeded, most=0),
        Bar(f"{name}: makespan by Fargate's bound", measured.overhead_ratio, most=ratio),
        Bar(f"{name}: worker starts", measured.worker_starts, most=0),
        Bar(f"{name}: RunTask calls per shard", measured.api_calls.get("RunTask", 0) / measured.total, most=1),
        Bar(f"{name}: DescribeTasks per 100 shards per poll", measured.watching.ratio, most=1.5),
        Bar(f"{name}: CPU seconds per shard, all of Airflow", measured.cpu_seconds_per_shard, most=cpu_seconds),
        Bar(f"{name}: longest stand-still of a triggerer's loop, s", measured.loop_blocked_seconds, most=1.0),
    ]


def of_large(measured: Measured) -> list[Bar]:
    """Item 3, the large fan-out."""
    name = f"{measured.shards} mapped"
    return [
        Bar(f"{name}: shards that did not succeed", measured.total - measured.succeeded, most=0),
        Bar(f"{name}: triggerer memory, KiB per shard", measured.triggerer_kib_per_shard, most=100),
    ]


def of_runs(measured: Measured) -> list[Bar]:
    """Item 3, the runs at once."""
    name = f"{measured.runs} runs of {measured.shards} at once"
    return [
        Bar(f"{name}: shards that did not succeed", measured.total - measured.succeeded, most=0),
        Bar(f"{name}: slowest run by fastest", fairness(measured.run_seconds), most=1.3),
    ]


def of_comparison(ours: Iterable[Measured], stock: Iterable[Measured]) -> list[Bar]:
    """Item 2: overhead per shard of the better stock side by ours.

    The stock side is run at a size that it can finish, ours at its own and at the stock side's, where most of what is
    above the bound is Airflow's turns of a second, the same for a hundred shards as for a thousand.
    """
    best = better(stock)
    return [
        Bar(
            f"overhead per shard, {best.side} at {best.total} by ours at {mine.total}",
            speedup(mine, best),
            least=20,
        )
        for mine in sorted(ours, key=lambda mine: -mine.total)
    ]


def better(stock: Iterable[Measured]) -> Measured:
    """The stock side with the least overhead per shard."""
    return min(stock, key=lambda measured: measured.overhead_per_shard_seconds)


def speedup(ours: Measured, stock: Measured) -> float:
    """How many times less each of our shards costs above Fargate's bound."""
    return stock.overhead_per_shard_seconds / max(ours.overhead_per_shard_seconds, 1e-6)


def of_predictions(found: Mapping[str, Prediction]) -> list[Bar]:
    """What the estimate must keep to."""
    return [
        bar
        for name, each in found.items()
        for bar in (
            Bar(f"estimate, {name}: time off by", abs(each.time_error), most=0.15),
            Bar(f"estimate, {name}: cost off by", abs(each.cost_error), most=0.05),
        )
    ]


def of_parse_times(found: Mapping[str, Any]) -> list[Bar]:
    """Item 5."""
    slowest = max(found["files"], key=lambda name: found["files"][name])
    return [
        Bar(f"parsing dags/{slowest} after the first import, s", found["files"][slowest], most=0.3),
        Bar("importing ecs_feature.pipeline after airflow.sdk, s", found["import_seconds"], most=0.150),
    ]
