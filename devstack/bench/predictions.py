"""What the estimate said and what the runs then took. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Ran:
    """Runs that have ended.

    :param seconds: from the first one's start to the last one's end.
    :param run_seconds: of each run.
    :param usd: of all, by their receipts.
    :param shards: that succeeded.
    """

    seconds: float
    run_seconds: tuple[float, ...]
    usd: float
    shards: int


@dataclass(frozen=True)
class Prediction:
    """One question to ``airflow ecs-feature estimate``, its answer, and what the runs then took.

    :param arguments: of the command, without the DAG's id; long lists are cut.
    :param answer: the command's JSON.
    """

    dag_id: str
    arguments: tuple[str, ...]
    answer: Mapping[str, Any]
    ran: Ran

    @property
    def time_error(self) -> float:
        """The middle estimate of all runs' time by what they took, less 1."""
        return float(self.answer["seconds"]["p50"]) / self.ran.seconds - 1

    @property
    def cost_error(self) -> float:
        """The middle estimate of the cost by the receipts', less 1."""
        return float(self.answer["usd"]["p50"]) / self.ran.usd - 1

    def line(self) -> str:
        """For the screen."""
        seconds, usd = self.answer["seconds"], self.answer["usd"]
        return (
            f"    said {seconds['p50']:.1f} s (p90 {seconds['p90']:.1f}) and {usd['p50']:.4f} USD; took "
            f"{self.ran.seconds:.1f} s ({self.time_error:+.1%}) and {self.ran.usd:.4f} USD ({self.cost_error:+.1%}); "
            f"bound by {self.answer['binding']}"
        )

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "dag_id": self.dag_id,
            "arguments": list(self.arguments),
            "runs": self.answer["runs"],
            "shards": self.ran.shards,
            "past_runs": self.answer["past_runs"],
            "binding": self.answer["binding"],
            "bounds": self.answer["bounds"],
            "peak_vcpus": self.answer["peak_vcpus"],
            "max_vcpus": self.answer["max_vcpus"],
            "parallelism": self.answer["parallelism"],
            "notes": self.answer["notes"],
            "predicted_seconds": self.answer["seconds"],
            "seconds": round(self.ran.seconds, 2),
            "time_error": round(self.time_error, 4),
            "predicted_run_seconds": self.answer["run_seconds"],
            "run_seconds": [round(each, 2) for each in self.ran.run_seconds],
            "predicted_usd": self.answer["usd"],
            "usd": round(self.ran.usd, 6),
            "cost_error": round(self.cost_error, 4),
        }


def ran(runs: Iterable[Mapping[str, Any]], receipts: Iterable[Mapping[str, Any]]) -> Ran:
    """Runs as Airflow's API has them, with their receipts."""
    times = [(_moment(run["start_date"]), _moment(run["end_date"])) for run in runs]
    variants = [variant for receipt in receipts for variant in receipt["variants"].values()]
    return Ran(
        seconds=(max(end for _, end in times) - min(start for start, _ in times)).total_seconds(),
        run_seconds=tuple((end - start).total_seconds() for start, end in times),
        usd=sum(variant["cost_usd"] or 0.0 for variant in variants),
        shards=sum(variant["shards"]["succeeded"] for variant in variants),
    )


@dataclass(frozen=True)
class Stages:
    """What a run took beside its shards; seconds.

    :param before: from the run's start to its first shard's; ``after``: from its last shard's end to its own.
    """

    before: float
    after: float

    @classmethod
    def of(cls, runs: Sequence[Mapping[str, Any]], receipts: Sequence[Mapping[str, Any]]) -> Stages:
        """The medians over some runs, from their receipts."""
        found = [_stages(run, receipt) for run, receipt in zip(runs, receipts, strict=True)]
        return cls(*(statistics.median(values) for values in zip(*found, strict=True)))


def _stages(run: Mapping[str, Any], receipt: Mapping[str, Any]) -> tuple[float, float]:
    launches = [launch for variant in receipt["variants"].values() for launch in variant["launches"]]
    first = min(_moment(launch["started_at"]) for launch in launches)
    last = max(_moment(launch["stopped_at"]) for launch in launches)
    return (first - _moment(run["start_date"])).total_seconds(), (_moment(run["end_date"]) - last).total_seconds()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
