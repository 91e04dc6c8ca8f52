"""What tasks cost, from their vCPU-seconds and GB-seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ecs_feature.aws.resources import EcsTask, is_of_instances

MINIMUM_BILLED_SECONDS: Final = 60
"""Fargate bills from the start of the image pull to the end of the task, per second, at least a minute
(https://aws.amazon.com/fargate/pricing/)."""


@dataclass(frozen=True)
class Price:
    """Dollars per vCPU-hour and per GB-hour."""

    vcpu_hour_usd: float
    gb_hour_usd: float

    def of(self, usage: Usage) -> float:
        return (usage.vcpu_seconds * self.vcpu_hour_usd + usage.gb_seconds * self.gb_hour_usd) / 3600


# https://aws.amazon.com/fargate/pricing/, Linux/X86 on demand in us-east-1 (N. Virginia).
ON_DEMAND: Final = Price(vcpu_hour_usd=0.04048, gb_hour_usd=0.004445)
SPOT_SHARE: Final = 0.3
"""Spot's part of the on-demand price: same page, "up to 70% discount". The real price changes, so Spot costs are
estimates."""
SPOT: Final = Price(ON_DEMAND.vcpu_hour_usd * SPOT_SHARE, ON_DEMAND.gb_hour_usd * SPOT_SHARE)


INSTANCES: Final = Price(vcpu_hour_usd=0.0, gb_hour_usd=0.0)
"""A task on the user's own instances costs nothing extra: the instances are paid for anyway."""


def price_of(capacity: str) -> Price:
    """The price for a capacity: ``FARGATE_SPOT``, instances, or Fargate on demand.

    :param capacity: as :attr:`EcsTask.capacity`; empty, when it is not known, is Fargate.
    """
    if is_of_instances(capacity):
        return INSTANCES
    return SPOT if capacity == "FARGATE_SPOT" else ON_DEMAND


@dataclass(frozen=True)
class Usage:
    """vCPU-seconds and GB-seconds; a GB is 1024 MiB, as Fargate bills it."""

    vcpu_seconds: float = 0.0
    gb_seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.vcpu_seconds + other.vcpu_seconds, self.gb_seconds + other.gb_seconds)


def usage(cpu: int, memory_mib: int, seconds: float) -> Usage:
    """The usage of a task of that size in ``seconds``.

    :param cpu: CPU units, 1024 to a vCPU.
    """
    return Usage(cpu / 1024 * seconds, memory_mib / 1024 * seconds)


def billed_seconds(task: EcsTask, now: datetime | None = None) -> float:
    """The billed seconds of a task; 0 when its image was never pulled. On instances: the seconds that it ran.

    :param now: the end of a task that still runs.
    """
    start = task.pull_started_at or task.started_at
    end = task.stopped_at or now
    if start is None or end is None:
        return 0.0
    seconds = (end - start).total_seconds()
    return seconds if task.on_instances else max(float(MINIMUM_BILLED_SECONDS), seconds)


def of_task(task: EcsTask) -> Usage:
    """What a stopped task is billed for; on instances, what it held of them."""
    return usage(task.cpu, task.whole_memory_mib, billed_seconds(task))
