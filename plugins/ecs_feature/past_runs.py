"""What past runs took, and runs to come that are drawn from them. Pure.

A past run is drawn whole, because a busy day is slow for all its shards; what it lacks comes from the others.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ecs_feature.cost import MINIMUM_BILLED_SECONDS, Usage
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.simulation import Attempt, Bounds, Run, Services, Shard, VariantWork, simulate

NO_SERVICES = Services()


@dataclass(frozen=True)
class PastVariant:
    """One variant of a past run.

    :param shards: name -> its launches; only of shards that succeeded.
    :param before_seconds: from the run's start to the first launch; None: unknown, as of a run that was cleared.
    """

    shards: Mapping[str, Shard]
    before_seconds: float | None = None
    services: Services = NO_SERVICES


@dataclass(frozen=True)
class PastRun:
    """A past run.

    :param after_seconds: from the end of its last shard to its own; None where that says nothing, as of a failed run.
    :param start: when it started, in seconds since any moment; ``seconds``: how long it took.
    """

    run_id: str
    variants: Mapping[str, PastVariant]
    after_seconds: float | None = None
    start: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True)
class Ask:
    """What is to be estimated.

    :param variants: names; every run computes all of them.
    :param shards: names, or none: as many as the drawn past run had.
    :param shard_count: so many instead, whatever their names.
    """

    runs: int
    variants: Sequence[str]
    shards: Sequence[str] = ()
    shard_count: int | None = None


def calibrated(past: Sequence[PastRun], bounds: Bounds) -> list[PastRun]:
    """The past, with what the simulation does not explain of each run added to what follows its shards.

    The runs are replayed as they overlapped, so that time they have waited for each other is not taken for their own.
    A run whose stages are unknown stays as it is.
    """
    known = [run for run in past if run.after_seconds is not None and run.seconds is not None]
    if not known:
        return list(past)
    first = min(run.start for run in known)
    replay = simulate(
        [_replayed(run, run.start - first) for run in known],
        dataclasses.replace(bounds, max_vcpus=None, max_active_runs=len(known)),
    )
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


def _replayed(run: PastRun, offset: float) -> Run:
    works = tuple(
        VariantWork(name, tuple(work.shards.values()), offset + (work.before_seconds or 0.0), work.services)
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
) -> list[PastRun]:
    """A past made of durations that somebody gives, instead of receipts.

    :param seconds: shard -> how long its container runs, once or more often; ``*`` for every other shard.
    :param variants: name -> vCPUs and GB of its task, and what a run holds of its services.
    :param start_seconds: from launch to start; billed as well, so at most what Fargate bills.
    :param before_seconds: what precedes the shards; the services are held for all of it.
    """
    rounds = max(map(len, seconds.values()))
    return [
        PastRun(
            "given",
            {
                variant: PastVariant(
                    {
                        shard: (_given(values[i % len(values)], start_seconds, vcpus, gigabytes),)
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


def _given(run_seconds: float, start_seconds: float, vcpus: float, gigabytes: float) -> Attempt:
    billed = max(float(MINIMUM_BILLED_SECONDS), start_seconds + run_seconds)
    return Attempt(start_seconds, run_seconds, vcpus, Usage(vcpus * billed, gigabytes * billed))


@dataclass(eq=False)
class Draw:
    """Draws runs to come from past ones; what a past run lacks comes from the others."""

    ask: Ask
    past: Sequence[PastRun]
    rng: random.Random

    def __post_init__(self) -> None:
        self.borrowed: set[str] = set()
        self.pools: dict[str, dict[str, list[Shard]]] = {}
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

    def runs(self) -> list[Run]:
        return [self._run() for _ in range(self.ask.runs)]

    def notes(self) -> list[str]:
        return sorted(self.borrowed)

    def _run(self) -> Run:
        past = self.rng.choice(self.whole)
        works = tuple(self._variant(past, name) for name in self.ask.variants)
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
        shards = tuple(self._shards(own.shards, pool_of))
        before = max(own.before_seconds or 0.0, own.services.lead_seconds)
        return VariantWork(name, shards, before, own.services)

    def _shards(self, own: Mapping[str, Shard], variant: str) -> Iterator[Shard]:
        pool, everything = self.pools[variant], self.everything[variant]
        if self.ask.shard_count is not None:
            yield from self.rng.choices(everything, k=self.ask.shard_count)
        elif not self.ask.shards:
            yield from own.values() or [self.rng.choice(everything)]
        for name in self.ask.shards if self.ask.shard_count is None else ():
            if name in own:
                yield own[name]
            elif name in pool:
                yield self.rng.choice(pool[name])
            else:
                if "*" not in pool:
                    self.borrowed.add(f"Shard {name} has no past in {variant}; the variant's other shards stand in.")
                yield self.rng.choice(pool.get("*", everything))
