"""How many Fargate vCPUs a fleet may use at once: the account's quota, less what other tasks of the account use.

The quota comes from Service Quotas. Other tasks' usage is read with ListTasks and DescribeTasks from the account's
clusters. CloudWatch's usage metrics lag by minutes, in which a fleet starts a thousand tasks, and do not separate its
tasks from others. What is not counted (EKS pods on Fargate) makes RunTask fail for lack of capacity, and the shard
waits and tries again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from ecs_feature.aws import limits
from ecs_feature.detached import spawn_detached
from ecs_feature.exceptions import AccessDeniedError

log = logging.getLogger(__name__)

REFRESH_SECONDS = 60.0
READ_SECONDS = 15.0
"""Timeout of reading the quota; after it there is no cap."""
CLUSTERS = 50
"""How many clusters are read for other tasks, those with most tasks first."""

Call = Callable[..., Awaitable[Any]]
"""``(service, operation, **parameters)`` -> the answer."""


@dataclass(eq=False)
class VcpuQuota:
    """The account's vCPUs by capacity; read once, then at most once a minute while requests wait for the quota.

    :param call: calls AWS.
    :param is_own: (ARN, ``startedBy``) -> whether the task is this fleet's.
    :param waits: capacity -> whether a request waits for its quota.
    :param changed: called after each reading.
    """

    call: Call
    is_own: Callable[[str, str], bool]
    waits: Callable[[str], bool]
    changed: Callable[[], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _quotas: dict[str, float | None] = field(default_factory=dict)
    _others: dict[str, float] = field(default_factory=dict)
    _sizes: dict[str, tuple[str, float, str]] = field(default_factory=dict)
    _foreign: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    _reading: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def left(self, capacity: str) -> float | None:
        """vCPUs for this fleet's own tasks; None: no cap is known."""
        quota = self._quotas.get(capacity)
        return None if quota is None else max(0.0, quota - self._others.get(capacity, 0.0))

    def quota(self, capacity: str) -> float | None:
        """The account's vCPUs, as they were read last; None: not known."""
        return self._quotas.get(capacity)

    async def known(self, capacity: str) -> None:
        """Wait until the quota was read once; after a failure there is no cap."""
        if capacity not in limits.FARGATE_VCPU_QUOTAS:
            return
        if capacity not in self._reading:
            self._reading[capacity] = spawn_detached(self._read(capacity))
        await asyncio.shield(self._reading[capacity])

    def own(self, started_by: str) -> None:
        """Count tasks with this ``startedBy`` as the fleet's own from now on; empty: do nothing."""
        if not started_by:
            return
        for capacity, vcpus in self._foreign.pop(started_by, ()):
            self._others[capacity] -= vcpus

    async def watch(self) -> None:
        """Read again once a minute while a request waits. Runs until it is cancelled."""
        while True:
            await self.sleep(REFRESH_SECONDS)
            for capacity in [key for key, quota in self._quotas.items() if quota is not None and self.waits(key)]:
                await self._read(capacity)

    def renew(self) -> None:
        """Forget all quotas and read them again."""
        asked = list(self._reading)
        for reading in self._reading.values():
            reading.cancel()
        self._quotas.clear()
        self._reading = {capacity: spawn_detached(self._read(capacity)) for capacity in asked}

    async def close(self) -> None:
        for reading in self._reading.values():
            reading.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)

    async def _read(self, capacity: str) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                quota = await self._quota(capacity)
                self._others = await self._used_if_allowed()
                self._quotas[capacity] = quota
        except Exception as error:  # whatever it is, shards run without a cap
            self._quotas.setdefault(capacity, None)
            why = str(error) or f"no answer within {READ_SECONDS:g} s"
            self._say(f"unread {capacity}", "The vCPU quota of %s cannot be read, so it sets no cap: %s", capacity, why)
        else:
            self._say(
                capacity,
                "%s allows %g vCPUs at once in this account; others of its ECS tasks use %g of them.",
                capacity,
                quota,
                self._others.get(capacity, 0.0),
            )
        self.changed()

    async def _quota(self, capacity: str) -> float:
        """:raises AccessDeniedError: without servicequotas:GetServiceQuota."""
        code = limits.FARGATE_VCPU_QUOTAS[capacity]
        answer = await self.call("service-quotas", "get_service_quota", ServiceCode="fargate", QuotaCode=code)
        return float(answer["Quota"]["Value"])

    async def _used_if_allowed(self) -> dict[str, float]:
        """Other tasks' vCPUs; none when Airflow's role may not list them: then RunTask refuses what is too much."""
        try:
            return await self._used_by_others()
        except AccessDeniedError as error:
            self._say("others", "What others use of the vCPU quota is not known: %s", error)
            self._foreign = {}
            return {}

    async def _used_by_others(self) -> dict[str, float]:
        used = dict.fromkeys(limits.FARGATE_VCPU_QUOTAS, 0.0)
        sizes: dict[str, tuple[str, float, str]] = {}
        for cluster in await self._clusters():
            arns = await self._listed(cluster)
            unknown = [arn for arn in arns if arn not in self._sizes and not self.is_own(arn, "")]
            for start in range(0, len(unknown), limits.DESCRIBE_TASKS):
                some = unknown[start : start + limits.DESCRIBE_TASKS]
                answer = await self.call("ecs", "describe_tasks", cluster=cluster, tasks=some)
                for task in answer["tasks"]:
                    capacity = task.get("capacityProviderName") or task.get("launchType", "")
                    vcpus = int(task.get("cpu") or 0) / 1024
                    self._sizes[task["taskArn"]] = (capacity, vcpus, task.get("startedBy", ""))
            sizes |= {arn: self._sizes[arn] for arn in arns if arn in self._sizes}
        self._sizes, self._foreign = sizes, {}
        # Check ownership last: this fleet launches tasks while it reads.
        for arn, (capacity, vcpus, started_by) in sizes.items():
            if capacity in used and not self.is_own(arn, started_by):
                used[capacity] += vcpus
                self._foreign.setdefault(started_by, []).append((capacity, vcpus))
        return used

    async def _clusters(self) -> list[str]:
        """The clusters with tasks, those with most tasks first."""
        arns: list[str] = []
        token: dict[str, str] = {}
        while True:
            answer = await self.call("ecs", "list_clusters", **token)
            arns += answer["clusterArns"]
            if not answer.get("nextToken"):
                break
            token = {"nextToken": answer["nextToken"]}
        counts: dict[str, int] = {}
        for start in range(0, len(arns), limits.DESCRIBE_CLUSTERS):
            some = arns[start : start + limits.DESCRIBE_CLUSTERS]
            answer = await self.call("ecs", "describe_clusters", clusters=some)
            for one in answer["clusters"]:
                counts[one["clusterArn"]] = one.get("runningTasksCount", 0) + one.get("pendingTasksCount", 0)
        return sorted((arn for arn in counts if counts[arn]), key=lambda arn: -counts[arn])[:CLUSTERS]

    async def _listed(self, cluster: str) -> list[str]:
        arns: list[str] = []
        request = {"cluster": cluster, "desiredStatus": "RUNNING"}
        while True:
            answer = await self.call("ecs", "list_tasks", **request)
            arns += answer["taskArns"]
            if not answer.get("nextToken"):
                return arns
            request["nextToken"] = answer["nextToken"]

    def _say(self, key: str, *line: Any) -> None:
        if key not in self._said:
            self._said.add(key)
            log.info(*line)
