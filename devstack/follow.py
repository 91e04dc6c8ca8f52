"""What a run looks like from outside: shards done per variant, services running, and what has changed since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

DONE: Final = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States that a task instance does not leave by itself."""


@dataclass(frozen=True)
class Shards:
    """The shards of one variant.

    :param done: in a final state, however they got there.
    :param failed: of those, failed.
    """

    total: int
    done: int
    failed: int


@dataclass(frozen=True)
class Service:
    """One ECS service: how many tasks it runs, and how many it was asked for."""

    name: str
    running: int
    desired: int


@dataclass(frozen=True)
class RunView:
    """One look at a run.

    :param state: of the Airflow run: queued, running, success, failed.
    :param shards: by variant.
    """

    state: str
    shards: Mapping[str, Shards] = field(default_factory=dict)
    services: tuple[Service, ...] = ()


def look(state: str, task_instances: Iterable[Mapping[str, Any]], services: Iterable[Mapping[str, Any]]) -> RunView:
    """Read a run from Airflow's task instances and ECS's ``DescribeServices``."""
    return RunView(
        state,
        count_shards(task_instances),
        tuple(Service(each["serviceName"], each["runningCount"], each["desiredCount"]) for each in services),
    )


def count_shards(task_instances: Iterable[Mapping[str, Any]]) -> dict[str, Shards]:
    """Count the shards by variant: tasks named ``<variant>.shards.<shard>``, or mapped ones ``<variant>.shards``; those
    of a pipeline without variants, ``shards.<shard>``, are of ``all``."""
    states: dict[str, list[str | None]] = {}
    for instance in task_instances:
        parts = instance["task_id"].split(".")
        if parts[0] == "shards":
            parts.insert(0, "all")
        if len(parts) > 1 and parts[1] == "shards":
            states.setdefault(parts[0], []).append(instance["state"])
    return {
        variant: Shards(len(each), sum(state in DONE for state in each), each.count("failed"))
        for variant, each in sorted(states.items())
    }


def changes(before: RunView | None, after: RunView) -> list[str]:
    """One line for each thing that is new in the later look; none when they are alike."""
    lines: list[str] = []
    old_services = {service.name: service for service in before.services} if before else {}
    for service in after.services:
        old = old_services.get(service.name, Service(service.name, 0, 0))
        if service != old:
            lines.append(f"service {service.name}: {service.running} of {service.desired} running")
    for variant, shards in after.shards.items():
        old_shards = before.shards.get(variant) if before else None
        if shards != old_shards and (shards.done or old_shards):
            failed = f", {shards.failed} failed" if shards.failed else ""
            lines.append(f"{variant}: {shards.done} of {shards.total} shards done{failed}")
    if before is None or before.state != after.state:
        lines.append(f"run: {after.state}")
    return lines
