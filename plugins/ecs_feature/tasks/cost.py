"""What tasks use, and what it costs at a price. Pure; the prices are in :mod:`ecs_feature.tasks.prices`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from ecs_feature.aws.resources import EcsTask
from ecs_feature.tasks.volumes import EbsVolume

MINIMUM_BILLED_SECONDS: Final = 60
"""Fargate bills from the start of the image pull to the end of the task, per second, at least a minute
(https://aws.amazon.com/fargate/pricing/). EBS likewise for as long as a volume is there
(https://aws.amazon.com/ebs/pricing/)."""
FREE_EPHEMERAL_GB: Final = 20
"""What a Fargate task has of ephemeral storage at no cost (https://aws.amazon.com/fargate/pricing/)."""
EPHEMERAL: Final = "ephemeral_gb"
"""The meter of ephemeral storage above that."""


@dataclass(frozen=True)
class Usage:
    """What was used, each times the seconds that it was.

    :param gb_seconds: a GB is 1024 MiB, as Fargate bills it.
    :param metered: by meter: :data:`EPHEMERAL`, and those of EBS, see :func:`of_volumes`.
    :param usd: dollars of usage that has been priced already and is not in the others' price.
    """

    vcpu_seconds: float = 0.0
    gb_seconds: float = 0.0
    metered: Mapping[str, float] = field(default_factory=dict)
    usd: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        metered = self.metered
        if other.metered:
            meters = {**self.metered, **other.metered}
            metered = {name: self.metered.get(name, 0.0) + other.metered.get(name, 0.0) for name in meters}
        return Usage(
            self.vcpu_seconds + other.vcpu_seconds, self.gb_seconds + other.gb_seconds, metered, self.usd + other.usd
        )

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Usage:
        """The usage in a launch's record, or in what a scale-down has left; also in those of older versions."""
        return cls(row.get("vcpu_seconds", 0.0), row.get("gb_seconds", 0.0), row.get("metered") or {})


@dataclass(frozen=True)
class Price:
    """Dollars per vCPU-hour and per GB-hour; None where that is not known.

    :param metered: dollars per hour of one unit of a meter; those that are missing are not known.
    :param gb_per_vcpu: of the instance that a task has a part of: the price is that of as many vCPUs as the greater
        of the task's parts of vCPUs and memory takes; 0: vCPUs and GB have prices of their own.
    :param name: what it is the price of, for the sentence that says that it is not known.
    """

    vcpu_hour_usd: float | None
    gb_hour_usd: float | None
    metered: Mapping[str, float] = field(default_factory=dict)
    gb_per_vcpu: float = 0.0
    name: str = ""

    def of(self, usage: Usage) -> float:
        """The dollars of all usage whose price is known."""
        dollars = sum(seconds * self.metered.get(meter, 0.0) for meter, seconds in usage.metered.items())
        if self.vcpu_hour_usd is not None and self.gb_per_vcpu:
            dollars += max(usage.vcpu_seconds, usage.gb_seconds / self.gb_per_vcpu) * self.vcpu_hour_usd
        elif self.vcpu_hour_usd is not None and self.gb_hour_usd is not None:
            dollars += usage.vcpu_seconds * self.vcpu_hour_usd + usage.gb_seconds * self.gb_hour_usd
        return dollars / 3600 + usage.usd

    def unknown(self, usage: Usage) -> tuple[str, ...]:
        """What of the usage has no known price: a task's vCPUs and memory by the price's name, meters by theirs."""
        lacks = self.vcpu_hour_usd is None or (self.gb_hour_usd is None and not self.gb_per_vcpu)
        of_task = (self.name,) if lacks and (usage.vcpu_seconds or usage.gb_seconds) else ()
        return of_task + tuple(
            sorted(name for name, used in usage.metered.items() if used and name not in self.metered)
        )


NOTHING: Final = Price(vcpu_hour_usd=0.0, gb_hour_usd=0.0)


@dataclass(frozen=True)
class Billing:
    """What the price of a launch depends on, beside what DescribeTasks shows of its task.

    :param volumes: the EBS volumes that were configured at the launch.
    :param kind: of its capacity provider, where ECS manages the instances, see
        :func:`ecs_feature.tasks.capacity.kind_of`; ``instance_type`` is the instance's.
    """

    volumes: tuple[EbsVolume, ...] = ()
    kind: str = ""
    instance_type: str = ""


NO_BILLING: Final = Billing()


def usage(cpu: int, memory_mib: int, seconds: float) -> Usage:
    """The usage of a task of that size in ``seconds``.

    :param cpu: CPU units, 1024 to a vCPU.
    """
    return Usage(cpu / 1024 * seconds, memory_mib / 1024 * seconds)


def dollars(usd: float | None) -> str:
    """Dollars for a log line; None: the price is not known."""
    return "at a price that is not known" if usd is None else f"${usd:.4f}"


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


def of_task(task: EcsTask, volumes: Iterable[EbsVolume] = ()) -> Usage:
    """What a stopped task is billed for; on instances, what it held of them.

    :param volumes: the EBS volumes that it was launched with.
    """
    seconds = billed_seconds(task)
    used = usage(task.cpu, task.whole_memory_mib, seconds)
    metered = of_volumes(volumes, _there_seconds(task))
    extra = max(0, task.ephemeral_gib - FREE_EPHEMERAL_GB)
    if extra and seconds and not task.on_instances:
        metered[EPHEMERAL] = extra * seconds
    return Usage(used.vcpu_seconds, used.gb_seconds, metered)


def of_volumes(volumes: Iterable[EbsVolume], seconds: float) -> dict[str, float]:
    """The usage of EBS volumes that were there for ``seconds``, by meter: ``ebs.gp3.gb``, ``.iops``, ``.mib``.

    IOPS and MiB/s are those above what the type has at no cost. A volume as large as its snapshot has a meter of its
    own, ``ebs.gp3.gb of snap-0a``, for which there is no price.
    """
    metered: dict[str, float] = {}
    for volume in volumes if seconds > 0 else ():
        for meter, amount in volume.billed().items():
            metered[f"ebs.{meter}"] = metered.get(f"ebs.{meter}", 0.0) + amount * seconds
    return metered


def _there_seconds(task: EcsTask) -> float:
    """How long its volumes were there: ECS makes them before the task starts and deletes them after its end."""
    start = task.created_at or task.pull_started_at or task.started_at
    if start is None or task.stopped_at is None or (task.pull_started_at or task.started_at) is None:
        return 0.0
    return max(float(MINIMUM_BILLED_SECONDS), (task.stopped_at - start).total_seconds())
