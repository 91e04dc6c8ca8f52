"""Container health checks, by the rules of AmazonECS/latest/APIReference/API_HealthCheck."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fargate_local import limits
from fargate_local.containers import Container
from fargate_local.runtimes.base import RunningContainer
from fargate_local.shapes import JsonObject


async def watch(
    check: JsonObject,
    container: Container,
    running: RunningContainer,
    changed: Callable[[], None],
    interval_limit_seconds: float | None,
) -> None:
    """Run the check again and again, for as long as the container runs, and keep its health status.

    :param interval_limit_seconds: upper bound of the interval until the container is healthy. Checks that come
        earlier than the check's own interval can only succeed, so a container has as much time as on AWS to come up.
    """
    interval = float(check.get("interval", limits.HEALTH_INTERVAL_SECONDS))
    timeout = float(check.get("timeout", limits.HEALTH_TIMEOUT_SECONDS))
    retries = int(check.get("retries", limits.HEALTH_RETRIES))
    clock = asyncio.get_running_loop().time
    forgiven_until = clock() + float(check.get("startPeriod", 0))
    failures, due = 0, clock() + interval
    while True:
        short = interval_limit_seconds is not None and container.health_status != "HEALTHY"
        await asyncio.sleep(min(interval, interval_limit_seconds or 0) if short else interval)
        if await running.probe(check["command"], timeout):
            failures, status = 0, "HEALTHY"
        else:
            # Failures in the start period do not count, until the first success.
            early = short and clock() < due
            forgiven = clock() < forgiven_until and container.health_status == "UNKNOWN"
            if not early:
                failures, due = failures + (0 if forgiven else 1), clock() + interval
            status = "UNHEALTHY" if failures >= retries else container.health_status
        if status != container.health_status:
            container.health_status = status
            changed()
