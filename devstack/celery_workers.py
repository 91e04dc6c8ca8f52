"""ECS services whose tasks are the stack's Celery workers: what they are made of in the local Fargate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from devstack.provision import BUCKET

ENVIRONMENT_KEY: Final = "config/airflow-workers.env"
"""In the bucket: what makes a worker one of this stack. Task definitions name it in ``environmentFiles``, as in AWS."""
SERVER: Final = (
    "AIRFLOW__API__",
    "AIRFLOW__SCHEDULER__",
    "AIRFLOW__DAG_PROCESSOR__REFRESH",
    "AIRFLOW__DATABASE__",
    "AWS_",
)
"""Beginnings of variables that workers do not need, or have from ECS."""


def options(broker_url: str) -> dict[str, dict[str, str]]:
    """Airflow's configuration with Celery beside LocalExecutor, which keeps the tasks that name no executor."""
    return {
        "core": {"executor": "LocalExecutor,CeleryExecutor"},
        "celery": {
            "broker_url": broker_url,
            "result_backend": broker_url,
        },
        "celery_broker_transport_options": {"visibility_timeout": "86400"},
    }


def write_environment(s3: Any, settings: Mapping[str, str]) -> None:
    """Put the workers' environment file into the bucket."""
    lines = [f"{name}={value}" for name, value in settings.items() if not name.startswith(SERVER) and "\n" not in value]
    s3.put_object(Bucket=BUCKET, Key=ENVIRONMENT_KEY, Body="\n".join(lines).encode())
