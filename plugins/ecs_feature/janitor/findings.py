"""The janitor's findings: services whose leases have expired, shard tasks past their deadline. Pure.

Only resources with our tags are considered: services with ``ecs-feature:policy``, tasks with
``ecs-feature:timeout-seconds``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ecs_feature.aws.resources import MANAGED_INSTANCES, EcsService, EcsTask, region_of
from ecs_feature.services.leases import Decision, Lease, leases_of, policy_of
from ecs_feature.tasks import cost
from ecs_feature.tasks.cost import Price, Usage
from ecs_feature.tasks.launch import TAG_PREFIX, TIMEOUT_TAG
from ecs_feature.tasks.prices import PriceTable

GRACE: Final = timedelta(minutes=5)
"""How long after its deadline a task is left alone: a triggerer that watches it stops it."""
_MAX_SECONDS: Final = 366 * 86400


@dataclass(frozen=True)
class AbandonedService:
    """A service whose count differs from what its active leases want.

    :param before: its desired count, or MinCapacity if ``autoscaled``.
    :param after: the count that its leases want.
    :param expired: the expired leases; empty when a process died during a release.
    :param unreadable: how many leases cannot be read.
    """

    service: EcsService
    before: int
    after: int
    autoscaled: bool = False
    expired: tuple[Lease, ...] = ()
    unreadable: int = 0

    def idle(self, now: datetime) -> float:
        """Task-seconds of the surplus tasks since their leases expired; 0 when that time is not known."""
        left, seconds = max(0, self.before - self.after), 0.0
        for lease in sorted(self.expired, key=lambda lease: lease.until):
            count = min(lease.count, left)
            seconds += count * max(0.0, (now - lease.until).total_seconds())
            left -= count
        return seconds

    def row(self, now: datetime, size: tuple[int, int], platform: str, prices: PriceTable) -> dict[str, Any]:
        """JSON-safe. ``size``: CPU units and MiB of one task, on ``platform``."""
        seconds = self.idle(now)
        price = prices.price(region_of(self.service.arn), "FARGATE", platform=platform)
        return {
            "name": self.service.name,
            "before": self.before,
            "after": self.after,
            "of": "MinCapacity" if self.autoscaled else "desiredCount",
            "expired": [
                {"holder": lease.holder, "count": lease.count, "until": _iso(lease.until)} for lease in self.expired
            ],
            "unreadable_leases": self.unreadable,
            **_charge(cost.usage(*size, seconds), seconds, price),
        }


@dataclass(frozen=True)
class OverdueTask:
    """A shard's task that is past its deadline and the grace period."""

    task: EcsTask
    deadline: datetime

    def row(self, now: datetime, prices: PriceTable) -> dict[str, Any]:
        """JSON-safe."""
        seconds, task = (now - self.deadline).total_seconds(), self.task
        tags = dict(task.tags)
        kind = f"{MANAGED_INSTANCES}/UNKNOWN" if task.managed else ""
        price = prices.price(region_of(task.arn), task.capacity, platform=task.platform, kind=kind)
        return {
            "arn": self.task.arn,
            **{name: tags.get(TAG_PREFIX + name, "") for name in ("dag", "run", "variant", "shard")},
            "deadline": _iso(self.deadline),
            **_charge(cost.usage(task.cpu, task.whole_memory_mib, seconds), seconds, price),
        }


def abandoned(service: EcsService, decision: Decision) -> AbandonedService | None:
    """The finding for a service; None when it has no policy tag or nothing needs to change.

    :param decision: :func:`ecs_feature.services.leases.reconcile` of it.
    """
    if policy_of(service.tags) is None or decision.at_rest:
        return None
    leases = leases_of(service.tags)
    ended = [leases[key] for key in decision.expired]
    return AbandonedService(
        service,
        before=decision.found,
        after=decision.count,
        autoscaled=decision.autoscaled,
        expired=tuple(lease for lease in ended if lease is not None),
        unreadable=sum(lease is None for lease in ended),
    )


def deadline_of(task: EcsTask) -> datetime | None:
    """A shard task's deadline, from its tag; None without the tag."""
    seconds = dict(task.tags).get(TIMEOUT_TAG, "")
    if not seconds.isascii() or not seconds.isdigit() or task.created_at is None:
        return None
    return task.created_at + timedelta(seconds=min(int(seconds), _MAX_SECONDS))


def overdue(tasks: Iterable[EcsTask], now: datetime, grace: timedelta = GRACE) -> list[OverdueTask]:
    """The tasks that are past their deadline and the grace period, and not stopping yet."""
    found = []
    for task in tasks:
        deadline = deadline_of(task)
        if deadline is not None and task.desired_status != "STOPPED" and now >= deadline + grace:
            found.append(OverdueTask(task, deadline))
    return found


def _charge(used: Usage, seconds: float, price: Price) -> dict[str, Any]:
    """What was left behind; its cost is None where the price is not known."""
    return {
        "idle_seconds": round(seconds, 1),
        "vcpu_seconds": round(used.vcpu_seconds, 3),
        "gb_seconds": round(used.gb_seconds, 3),
        "cost_usd": None if price.unknown(used) else math.ceil(price.of(used) * 1e6) / 1e6,
    }


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
