"""What an operator is executed with when there is no Airflow around it, and what a shard runs as."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from fargate_local import LocalFargate

CLUSTER = "features"


def context(
    params: dict[str, Any] | None = None, logical_date: Any = datetime(2013, 1, 1, tzinfo=UTC)
) -> dict[str, Any]:
    """What an operator reads of its context."""
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(pushed=pushed, xcom_push=lambda key, value: pushed.__setitem__(key, value))
    return {"params": params or {}, "dag_run": SimpleNamespace(logical_date=logical_date, conf={}), "ti": ti}


def register_logged(aws: LocalFargate, name: str, group: str) -> None:
    """A task definition of 0.25 vCPU and 512 MiB, its only container and its image of that name, and its log group."""
    aws.client("logs").create_log_group(logGroupName=group)
    options = {"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": name}
    aws.client("ecs").register_task_definition(
        family=name,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        executionRoleArn="arn:aws:iam::123456789012:role/execution",
        containerDefinitions=[
            {"name": name, "image": f"{name}:1", "logConfiguration": {"logDriver": "awslogs", "options": options}}
        ],
    )
