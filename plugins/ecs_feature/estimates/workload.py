"""The work of runs: their variants, shards, launches, and the services that they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ecs_feature.tasks.cost import Usage

_NO_USAGE = Usage()


@dataclass(frozen=True)
class LaunchSample:
    """One launch of a shard's ECS task.

    :param start_seconds: from RunTask to the container's start.
    :param run_seconds: from the container's start to its stop.
    :param vcpus: of the task.
    :param used: the billed usage; its ``usd`` is what it costs.
    :param detection_lag_seconds: from the container's stop to the release of its slot.
    """

    start_seconds: float
    run_seconds: float
    vcpus: float = 0.0
    used: Usage = _NO_USAGE
    detection_lag_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it holds its slot."""
        return self.start_seconds + self.run_seconds + self.detection_lag_seconds


LaunchHistory = tuple[LaunchSample, ...]
"""The launches of one shard in order; the shard ends with the last one."""


@dataclass(frozen=True)
class Services:
    """What one run holds of its variant's services, all of them together.

    :param lead_seconds: how long they are held before the first shard may start; ``tail_seconds``: after the last.
    """

    vcpus: float = 0.0
    gigabytes: float = 0.0
    lead_seconds: float = 0.0
    tail_seconds: float = 0.0


@dataclass(frozen=True)
class VariantWork:
    """One variant's part of a run.

    :param before_seconds: from the run's start to when its first shard may start; at least the services' lead.
    :param handover_seconds: the end of that: what the triggerer needs to take the shards on, if it takes no others on
        meanwhile. It takes those of all runs on together, so that each waits for all.
    """

    name: str
    shards: tuple[LaunchHistory, ...]
    before_seconds: float = 0.0
    services: Services = Services()
    handover_seconds: float = 0.0


@dataclass(frozen=True)
class Run:
    """One run. ``after_seconds``: from the end of its last shard to its own."""

    variants: tuple[VariantWork, ...]
    after_seconds: float = 0.0

    def samples(self) -> Iterator[LaunchSample]:
        return (sample for work in self.variants for shard in work.shards for sample in shard)


def total(usages: Iterable[Usage]) -> Usage:
    """Their sum, without what is metered; with ``+`` alone a thousand shards would make a thousand values."""
    vcpu_seconds = gb_seconds = usd = 0.0
    for used in usages:
        vcpu_seconds += used.vcpu_seconds
        gb_seconds += used.gb_seconds
        usd += used.usd
    return Usage(vcpu_seconds, gb_seconds, usd=usd)
