"""How long runs will take and what they will cost, from what past ones took. Pure.

Past runs are drawn many times over (:mod:`ecs_feature.estimates.past_runs`); each draw is simulated under the bounds
(:mod:`ecs_feature.estimates.simulation`), and the answer is the middle and the 90 % mark of what came out.
"""

from __future__ import annotations

import dataclasses
import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ecs_feature.estimates.past_runs import Draw, EstimateRequest, PastRun
from ecs_feature.estimates.simulation import Bounds, Timeline, simulate
from ecs_feature.estimates.workload import LaunchHistory, Run, VariantWork, total
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.tasks.cost import NOTHING, Price

DRAWS: Final = (10, 200)
"""How many times the past is drawn, at least and at most: as many as :data:`SHARDS` shards allow. Always even, so that
two past runs are drawn equally often and p50 lies between them."""
SHARDS: Final = 100_000


@dataclass(frozen=True)
class Range:
    """What half of the draws stay below, and what nine in ten do; between two draws, in proportion."""

    p50: float
    p90: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Range:
        drawn = list(values)
        tenths = statistics.quantiles(drawn, n=10, method="inclusive") if len(drawn) > 1 else drawn * 9
        return cls(tenths[4], tenths[8])


@dataclass(frozen=True)
class Estimate:
    """The answer.

    :param run_seconds: of one run; ``seconds``: of all. Likewise ``run_usd`` and ``usd``.
    :param bounds: how many seconds less all runs would take without each bound, most first; only those that cost time.
    """

    runs: int
    shards: Range
    draws: int
    run_seconds: Range
    seconds: Range
    run_usd: Range
    usd: Range
    shards_usd: Range
    services_usd: Range
    vcpu_seconds: Range
    gb_seconds: Range
    peak_tasks: int
    peak_vcpus: float
    bounds: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def binding(self) -> str:
        """The bound that costs most time; ``shards`` when none does: they simply take that long."""
        return next(iter(self.bounds), "shards")

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe; numbers rounded to what they are good for."""
        values = {**dataclasses.asdict(self), "binding": self.binding}
        return {key: _rounded(value) for key, value in values.items()}


def estimate(
    request: EstimateRequest,
    past: Sequence[PastRun],
    bounds: Bounds,
    *,
    shard_price: Price = NOTHING,
    service_price: Price = NOTHING,
    seed: int = 0,
) -> Estimate:
    """Answer ``request``. The same seed gives the same answer.

    :param shard_price: of launches whose usage has no dollars of its own.
    :raises ConfigurationError: when the past has no shard that succeeded, or a bound lets nothing through.
    """
    draw = Draw(request, past, random.Random(seed))
    first = draw.runs()
    shards = sum(len(work.shards) for run in first for work in run.variants)
    draws = max(DRAWS[0], min(DRAWS[1], SHARDS // max(1, shards) // 2 * 2))
    drawn = [first, *(draw.runs() for _ in range(draws - 1))]
    results = [(simulate(runs, bounds), runs) for runs in drawn]
    middle = sorted(results, key=lambda result: result[0].seconds)[len(results) // 2]
    timelines = [timeline for timeline, _ in results]
    shards_used = [total(run.shards for run in timeline.runs) for timeline in timelines]
    services_used = [total(run.services for run in timeline.runs) for timeline in timelines]
    shards_usd = [shard_price.of(used) for used in shards_used]
    services_usd = [service_price.of(used) for used in services_used]
    all_runs = [run for timeline in timelines for run in timeline.runs]
    return Estimate(
        runs=request.runs,
        shards=Range.of(sum(len(work.shards) for run in runs for work in run.variants) for runs in drawn),
        draws=draws,
        run_seconds=Range.of(run.seconds for run in all_runs),
        seconds=Range.of(timeline.seconds for timeline in timelines),
        run_usd=Range.of(shard_price.of(run.shards) + service_price.of(run.services) for run in all_runs),
        usd=Range.of(map(sum, zip(shards_usd, services_usd, strict=True))),
        shards_usd=Range.of(shards_usd),
        services_usd=Range.of(services_usd),
        vcpu_seconds=Range.of(a.vcpu_seconds + b.vcpu_seconds for a, b in zip(shards_used, services_used, strict=True)),
        gb_seconds=Range.of(a.gb_seconds + b.gb_seconds for a, b in zip(shards_used, services_used, strict=True)),
        peak_tasks=middle[0].peak_tasks,
        peak_vcpus=middle[0].peak_vcpus,
        bounds=savings(middle[1], bounds, middle[0]),
        notes=draw.notes(),
    )


def savings(runs: Sequence[Run], bounds: Bounds, timeline: Timeline) -> dict[str, float]:
    """Bound -> the seconds that ``runs`` would take less without it; most first, without those under 1 % of it all."""
    free = (float(10**9), float(10**9))
    lifted: dict[str, tuple[Sequence[Run], Bounds]] = {
        "launch rate": (runs, dataclasses.replace(bounds, launches=free, run_task_calls=free)),
        "vCPU quota": (runs, dataclasses.replace(bounds, max_vcpus=None)),
        "parallelism": (runs, dataclasses.replace(bounds, parallelism=None, variant_vcpus=None)),
        "triggerer capacity": (runs, dataclasses.replace(bounds, max_shards=None)),
        "runs at once": (runs, dataclasses.replace(bounds, max_active_runs=max(1, len(runs)))),
        "slowest shard": ([_evened(run) for run in runs], bounds),
        "hand-over": ([_handed_at_once(run) for run in runs], bounds),
        "before the shards": ([_at_once(run) for run in runs], bounds),
        "after the shards": ([dataclasses.replace(run, after_seconds=0.0) for run in runs], bounds),
    }
    saved = {}
    for name, (those, under) in lifted.items():
        if (those, under) == (runs, bounds):
            continue
        try:
            saved[name] = timeline.seconds - simulate(those, under).seconds
        except ConfigurationError:  # more runs at once may be too many for the quota
            continue
    return dict(sorted(((k, v) for k, v in saved.items() if v > 0.01 * timeline.seconds), key=lambda item: -item[1]))


def _evened(run: Run) -> Run:
    """The run with no shard slower than the variant's median."""
    return dataclasses.replace(run, variants=tuple(_evened_variant(work) for work in run.variants))


def _evened_variant(work: VariantWork) -> VariantWork:
    if not work.shards:
        return work
    median = statistics.median(sum(sample.seconds for sample in shard) for shard in work.shards)

    def evened(shard: LaunchHistory) -> LaunchHistory:
        seconds = sum(sample.seconds for sample in shard)
        if seconds <= median:
            return shard
        return (dataclasses.replace(shard[-1], start_seconds=0.0, run_seconds=median),)

    return dataclasses.replace(work, shards=tuple(map(evened, work.shards)))


def _at_once(run: Run) -> Run:
    """The run with shards that may start with it: no ingest, no steady wait."""

    def hasty(work: VariantWork) -> VariantWork:
        services = dataclasses.replace(work.services, lead_seconds=0.0)
        return dataclasses.replace(work, before_seconds=0.0, services=services)

    return dataclasses.replace(run, variants=tuple(map(hasty, run.variants)))


def _handed_at_once(run: Run) -> Run:
    """The run with shards that the triggerer takes on in no time."""

    def quick(work: VariantWork) -> VariantWork:
        seconds = work.handover_seconds
        services = dataclasses.replace(work.services, lead_seconds=max(0.0, work.services.lead_seconds - seconds))
        before = max(0.0, work.before_seconds - seconds)
        return dataclasses.replace(work, before_seconds=before, services=services, handover_seconds=0.0)

    return dataclasses.replace(run, variants=tuple(map(quick, run.variants)))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 6) if isinstance(value, float) else value
