"""What past runs took, and runs to come that are drawn from them. Pure.

A past run is drawn whole, because a busy day is slow for all its shards; what it lacks comes from the others.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from ecs_feature.estimates.simulation import Bounds, simulate
from ecs_feature.estimates.workload import LaunchHistory, LaunchSample, Run, Services, VariantWork
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.tasks.cost import MINIMUM_BILLED_SECONDS, Usage

NO_SERVICES = Services()
Priced = Callable[[str, Usage, float], Usage]


@dataclass(frozen=True)
class PastVariant:
    """One variant of a past run.

    :param shards: name -> its launches; only of shards that succeeded.
    :param before_seconds: from the run's start to the first launch; None: unknown, as of a run that was cleared.
    :param handover_seconds: the end of that, since Airflow gave the shards to the triggerer.
    :param tasks: shards that it gave, those that were not selected too; 0: as many as ``shards``.
    """

    shards: Mapping[str, LaunchHistory]
    before_seconds: float | None = None
    services: Services = NO_SERVICES
    handover_seconds: float = 0.0
    tasks: int = 0

    @property
    def handed(self) -> int:
        return self.tasks or len(self.shards)


@dataclass(frozen=True)
class PastRun:
    """A past run.

    :param after_seconds: from the end of its last shard to its own; None where that says nothing, as of a failed run.
    :param start: when it started, in seconds since any moment; ``seconds``: how long it took.
    :param partial: whether it was restricted to some of its shards.
    """

    run_id: str
    variants: Mapping[str, PastVariant]
    after_seconds: float | None = None
    start: float = 0.0
    seconds: float | None = None
    partial: bool = False


@dataclass(frozen=True)
class EstimateRequest:
    """What is to be estimated.

    :param variants: names; every run computes all of them.
    :param shards: names, or none: as many as the drawn past run had.
    :param shard_count: so many instead, whatever their names.
    :param chosen: instead, variant -> names of its shards; an empty name is any shard of the variant.
    """

    runs: int
    variants: Sequence[str]
    shards: Sequence[str] = ()
    shard_count: int | None = None
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def names(self, variant: str) -> Sequence[str]:
        """Of the variant's shards; none: as many as the drawn past run had."""
        return self.chosen.get(variant, self.shards)


def calibrated(past: Sequence[PastRun], bounds: Bounds) -> list[PastRun]:
    """The past, with what the simulation does not explain of each run added to what follows its shards.

    The runs are replayed as they overlapped, so that time they have waited for each other is not taken for their own.
    A run whose stages are unknown stays as it is.

    :param bounds: those that the past was under, as far as is known.
    """
    past = alone(past)
    known = [run for run in past if run.after_seconds is not None and run.seconds is not None]
    if not known:
        return past
    first = min(run.start for run in known)
    runs = [_replayed(run, run.start - first) for run in known]
    bounds = dataclasses.replace(bounds, max_active_runs=len(known))
    try:
        replay = simulate(runs, bounds)
    except ConfigurationError:  # they had more vCPUs
        replay = simulate(runs, dataclasses.replace(bounds, max_vcpus=None))
    more = {
        run.run_id: max(0.0, (run.seconds or 0.0) - (times.end - (run.start - first)))
        for run, times in zip(known, replay.runs, strict=True)
    }
    return [
        dataclasses.replace(run, after_seconds=(run.after_seconds or 0.0) + more[run.run_id])
        if run.run_id in more
        else run
        for run in past
    ]


def alone(past: Sequence[PastRun]) -> list[PastRun]:
    """The past as it would have been if the triggerer had taken each variant's shards on by themselves.

    It takes on what it is given together, so of the time of those that overlapped each keeps its share, by shards.
    """
    spans = [
        (ready - work.handover_seconds, ready, work.handed)
        for run in past
        for work in run.variants.values()
        if work.before_seconds is not None and work.handover_seconds
        for ready in [run.start + work.before_seconds]
    ]

    def own(run: PastRun, work: PastVariant) -> PastVariant:
        if work.before_seconds is None or not work.handover_seconds:
            return work
        end = run.start + work.before_seconds
        begin = end - work.handover_seconds
        together = sum(count for start, stop, count in spans if start < end and stop > begin)
        seconds = work.handover_seconds * work.handed / together
        waited = work.handover_seconds - seconds
        lead = max(0.0, work.services.lead_seconds - waited)
        return dataclasses.replace(
            work,
            before_seconds=work.before_seconds - waited,
            services=dataclasses.replace(work.services, lead_seconds=lead),
            handover_seconds=seconds,
        )

    return [
        dataclasses.replace(run, variants={name: own(run, work) for name, work in run.variants.items()}) for run in past
    ]


def _replayed(run: PastRun, offset: float) -> Run:
    works = tuple(
        VariantWork(
            name,
            tuple(work.shards.values()),
            offset + (work.before_seconds or 0.0),
            work.services,
            work.handover_seconds,
        )
        for name, work in run.variants.items()
    )
    return Run(works, run.after_seconds or 0.0)


def given(
    seconds: Mapping[str, Sequence[float]],
    variants: Mapping[str, tuple[float, float, Services]],
    *,
    start_seconds: float,
    before_seconds: float,
    after_seconds: float,
    detection_lag_seconds: float = 0.0,
    priced: Priced = lambda variant, used, seconds: used,
) -> list[PastRun]:
    """Past runs made from given durations instead of records.

    :param seconds: shard -> how long its container runs, once or more often; ``*`` for every other shard.
    :param variants: name -> vCPUs and GB of its task, and what a run holds of its services.
    :param start_seconds: from launch to start; billed as well, so at most what Fargate bills.
    :param before_seconds: what precedes the shards; the services are held for all of it.
    :param detection_lag_seconds: from a container's stop to the release of its slot.
    :param priced: the usage of a launch of a variant that is billed for so many seconds, with what it costs.
    """
    rounds = max(map(len, seconds.values()))
    return [
        PastRun(
            "given",
            {
                variant: PastVariant(
                    {
                        shard: (
                            _given(
                                values[i % len(values)],
                                start_seconds,
                                vcpus,
                                gigabytes,
                                detection_lag_seconds,
                                partial(priced, variant),
                            ),
                        )
                        for shard, values in seconds.items()
                    },
                    before_seconds,
                    dataclasses.replace(services, lead_seconds=before_seconds),
                )
                for variant, (vcpus, gigabytes, services) in variants.items()
            },
            after_seconds,
        )
        for i in range(rounds)
    ]


def _given(
    run_seconds: float,
    start_seconds: float,
    vcpus: float,
    gigabytes: float,
    detection_lag_seconds: float,
    priced: Callable[[Usage, float], Usage],
) -> LaunchSample:
    billed = max(float(MINIMUM_BILLED_SECONDS), start_seconds + run_seconds)
    used = priced(Usage(vcpus * billed, gigabytes * billed), billed)
    return LaunchSample(start_seconds, run_seconds, vcpus, used, detection_lag_seconds)


@dataclass(eq=False)
class Draw:
    """Draws runs to come from past ones; what a past run lacks comes from the others.

    A past run comes again when all have come once: with a handful of them, chance alone would prefer one.
    """

    request: EstimateRequest
    past: Sequence[PastRun]
    rng: random.Random

    def __post_init__(self) -> None:
        self.borrowed: set[str] = set()
        self.pools: dict[str, dict[str, list[LaunchHistory]]] = {}
        for run in self.past:
            for variant, work in run.variants.items():
                for name, shard in work.shards.items():
                    self.pools.setdefault(variant, {}).setdefault(name, []).append(shard)
        if not self.pools:
            raise ConfigurationError(
                "durations: no past run has a shard that succeeded; give --shard-seconds or --durations."
            )
        self.everything = {
            variant: [shard for shards in pool.values() for shard in shards] for variant, pool in self.pools.items()
        }
        # A run whose own stages are unknown (failed, cleared) still lends its shards' durations.
        self.whole = [run for run in self.past if run.after_seconds is not None] or list(self.past)
        if (
            not self.request.shards and not self.request.chosen
        ):  # as many shards as the drawn run had: a run of some of them would make it too few
            self.whole = [run for run in self.whole if not run.partial] or self.whole
        self.deck: list[PastRun] = []

    def runs(self) -> list[Run]:
        return [self._run() for _ in range(self.request.runs)]

    def notes(self) -> list[str]:
        return sorted(self.borrowed)

    def _run(self) -> Run:
        if not self.deck:
            self.deck = self.rng.sample(self.whole, len(self.whole))
        past = self.deck.pop()
        works = tuple(self._variant(past, name) for name in self.request.variants)
        return Run(works, past.after_seconds or 0.0)

    def _variant(self, past: PastRun, name: str) -> VariantWork:
        pool_of = name if name in self.pools else sorted(self.pools)[0]
        if pool_of != name:
            self.borrowed.add(f"Variant {name} has no past; that of {pool_of} stands in.")
        own = past.variants.get(pool_of)
        if own is None or own.before_seconds is None:
            known = [run.variants[pool_of] for run in self.whole if pool_of in run.variants]
            known = [work for work in known if work.before_seconds is not None]
            own = self.rng.choice(known) if known else own or PastVariant({})
        shards = tuple(self._shards(own.shards, pool_of, self.request.names(name)))
        before = max(own.before_seconds or 0.0, own.services.lead_seconds)
        if self.request.shard_count is None or not own.handed:
            return VariantWork(name, shards, before, own.services, own.handover_seconds)
        handover = own.handover_seconds * self.request.shard_count / own.handed
        more, lead = handover - own.handover_seconds, own.services.lead_seconds
        services = dataclasses.replace(own.services, lead_seconds=lead + more if lead else lead)
        return VariantWork(name, shards, before + more, services, handover)

    def _shards(self, own: Mapping[str, LaunchHistory], variant: str, names: Sequence[str]) -> Iterator[LaunchHistory]:
        pool, everything = self.pools[variant], self.everything[variant]
        if self.request.shard_count is not None:
            yield from self.rng.choices(everything, k=self.request.shard_count)
        elif not names:
            yield from own.values() or [self.rng.choice(everything)]
        for name in names if self.request.shard_count is None else ():
            if not name:
                yield self.rng.choice(everything)
            elif name in own:
                yield own[name]
            elif name in pool:
                yield self.rng.choice(pool[name])
            else:
                if "*" not in pool:
                    self.borrowed.add(f"Shard {name} has no past in {variant}; the variant's other shards stand in.")
                yield self.rng.choice(pool.get("*", everything))
