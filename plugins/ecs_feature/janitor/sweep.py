"""Finds abandoned services and overdue tasks of one cluster, and corrects them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ecs_feature.aws import limits
from ecs_feature.aws.errors import translated
from ecs_feature.aws.resources import LINUX_X86, EcsService, EcsTask, platform_of
from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.janitor.findings import GRACE, AbandonedService, OverdueTask, abandoned, overdue
from ecs_feature.services.client import EcsServices
from ecs_feature.services.leases import policy_of
from ecs_feature.services.snapshot import seen
from ecs_feature.tasks.cost import dollars
from ecs_feature.tasks.outcomes import STOP_REASON_JANITOR
from ecs_feature.tasks.prices import PriceTable, package_prices


@dataclass(eq=False)
class ClusterJanitor:
    """The janitor of one cluster. It never changes resources without our tags.

    :param dry_run: only report.
    :param log: the task log.
    :param prices: of what was left behind.
    """

    services: EcsServices
    log: Any
    dry_run: bool = False
    errors: list[EcsFeatureError] = field(default_factory=list)
    prices: PriceTable = field(default_factory=package_prices)
    _seen: dict[str, dict[str, Any]] = field(default_factory=dict)

    def sweep(self) -> dict[str, Any]:
        """Correct all services and tasks. A failure does not stop the sweep; it is added to ``errors``.

        :returns: JSON-safe: ``{"cluster", "services": [...], "tasks": [...], "seen": [...]}``; services to put right
            and tasks to stop with their cost, and all services that runs have leased as they are after it.
        :raises EcsFeatureError: when the cluster cannot be read.
        """
        self.services.check_cluster()
        return {
            "cluster": self.services.cluster,
            "services": [self._settled(service) for service in self._abandoned()],
            "tasks": [self._stopped(task) for task in overdue(self._tasks(), self.services.now(), GRACE)],
            "seen": list(self._seen.values()),
        }

    def _abandoned(self) -> list[AbandonedService]:
        found = []
        for service in self._services():
            if not service.active or policy_of(service.tags) is None:
                continue
            try:
                reading = self.services.inspect(service.name)
            except EcsFeatureError as error:
                self._note(error)
                continue
            self._note_seen(reading.service)
            finding = abandoned(reading.service, reading.decision)
            if finding is not None:
                found.append(finding)
        return found

    def _settled(self, finding: AbandonedService) -> dict[str, Any]:
        name = finding.service.name
        why_not = self._carry_out(lambda: self._note_seen(self.services.settle(name)))
        row = finding.row(self.services.now(), *self._size(finding.service), self.prices)
        self.log.info(
            "Service %s: %s %d -> %d; leases that had ended: %s; idle for %.0f task-seconds, %s.%s",
            name,
            row["of"],
            finding.before,
            finding.after,
            ", ".join(lease.holder for lease in finding.expired) or "none",
            row["idle_seconds"],
            dollars(row["cost_usd"]),
            f" Not done: {why_not}" if why_not else "",
        )
        return {**row, "done": not why_not, "why_not": why_not}

    def _stopped(self, finding: OverdueTask) -> dict[str, Any]:
        arn = finding.task.arn

        def stop() -> None:
            with translated(f"Task {arn!r}"):
                self.services.ecs.stop_task(cluster=self.services.cluster, task=arn, reason=STOP_REASON_JANITOR)

        why_not = self._carry_out(stop)
        row = finding.row(self.services.now(), self.prices)
        self.log.info(
            "Task %s of shard %s (%s, run %s): stopped %.0f s past its deadline of %s, %s.%s",
            arn,
            row["shard"],
            row["dag"],
            row["run"],
            row["idle_seconds"],
            row["deadline"],
            dollars(row["cost_usd"]),
            f" Not done: {why_not}" if why_not else "",
        )
        return {**row, "done": not why_not, "why_not": why_not}

    def _carry_out(self, act: Callable[[], object]) -> str:
        """Do it; return why it was not done, empty when it was."""
        if self.dry_run:
            return "dry run"
        try:
            act()
        except EcsFeatureError as error:
            self._note(error)
            return str(error)
        return ""

    def _note_seen(self, service: EcsService) -> None:
        self._seen[service.name] = seen(service, self.services.now())

    def _note(self, error: EcsFeatureError) -> None:
        self.log.error("%s", error)
        self.errors.append(error)

    def _size(self, service: EcsService) -> tuple[tuple[int, int], str]:
        """CPU units and MiB of one of the service's tasks, zeros when not known; and its platform."""
        try:
            definition = self.services.task_definition(service)
        except EcsFeatureError as error:
            self._note(error)
            return (0, 0), LINUX_X86
        return (int(definition.get("cpu") or 0), int(definition.get("memory") or 0)), platform_of(definition)

    def _services(self) -> list[EcsService]:
        ecs, cluster = self.services.ecs, self.services.cluster
        with translated(f"Cluster {cluster!r}"):
            arns = _listed(ecs, "list_services", "serviceArns", cluster=cluster)
            return [
                EcsService.from_aws(raw)
                for some in _batches(arns, limits.DESCRIBE_SERVICES)
                for raw in ecs.describe_services(cluster=cluster, services=some, include=["TAGS"])["services"]
            ]

    def _tasks(self) -> list[EcsTask]:
        ecs, cluster = self.services.ecs, self.services.cluster
        with translated(f"Cluster {cluster!r}"):
            arns = _listed(ecs, "list_tasks", "taskArns", cluster=cluster, desiredStatus="RUNNING")
            return [
                EcsTask.from_aws(raw)
                for some in _batches(arns, limits.DESCRIBE_TASKS)
                for raw in ecs.describe_tasks(cluster=cluster, tasks=some, include=["TAGS"])["tasks"]
            ]


def _listed(ecs: Any, operation: str, member: str, **arguments: Any) -> list[str]:
    """All pages of ListServices or ListTasks, 100 to a page."""
    pages = ecs.get_paginator(operation).paginate(**arguments, PaginationConfig={"PageSize": 100})
    return [arn for page in pages for arn in page[member]]


def _batches(items: Sequence[str], size: int) -> list[list[str]]:
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
