"""Stopped tasks as ECS describes them."""

from __future__ import annotations

from datetime import UTC, datetime

from ecs_feature.aws.resources import EcsContainer, EcsTask

STARTED = datetime(2026, 11, 21, tzinfo=UTC)


def task(stop_code: str, stopped_reason: str = "", *containers: EcsContainer, started: bool = True) -> EcsTask:
    return EcsTask(
        arn="arn:aws:ecs:us-east-1:123456789012:task/features/abc",
        cluster_arn="",
        task_definition_arn="",
        last_status="STOPPED",
        desired_status="STOPPED",
        stop_code="".join(list(stop_code)),  # a string of its own, as from the wire
        stopped_reason=stopped_reason,
        containers=containers,
        memory_mib=1024,
        started_at=STARTED if started else None,
    )


def ran(exit_code: int | None, reason: str = "", name: str = "features") -> EcsContainer:
    return EcsContainer(name, "STOPPED", exit_code, reason)


ESSENTIAL = "Essential container in task exited"
