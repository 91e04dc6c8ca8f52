"""One try of a shard on a local Fargate, without Airflow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from ecs_feature.fleet.fleet import FleetKey
from ecs_feature.fleet.registry import joined
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.shards.run import ShardRun
from ecs_feature.tasks.launch import Launch, Network
from fargate_local import LocalFargate
from tests.loggers import PromptLog

RESULT = "s3://bucket/shard=UA/try.json"


@asynccontextmanager
async def shard(
    *,
    seconds: float = 0.2,
    capacity: Any = "on_demand",
    definition: str = "job",
    since: datetime | None = None,
    aws_conn_id: str | None = None,
    **policy: Any,
) -> AsyncIterator[ShardRun]:
    """One try of a shard, not yet run. Each has the same token, as after a triggerer's crash."""
    environment = {
        "SIMULATED_SECONDS": str(seconds),
        "SHARD": "UA",
        "OUTPUT_URI": RESULT.replace("json", "parquet"),
        "RESULT_URI": RESULT,
    }
    launch = Launch(
        "features", definition, "job", Network(("subnet-1",)), environment, capacity=capacity, started_by="flights/try"
    )
    async with joined(FleetKey(aws_conn_id=aws_conn_id)) as fleet:
        yield ShardRun(
            fleet,
            "UA",
            launch,
            ShardPolicy(poll_seconds=0.1, **policy),
            "try",
            PromptLog(logging.getLogger(__name__)),
            since=since,
            result_uri=RESULT,
        )


def launches(aws: LocalFargate) -> list[dict[str, Any]]:
    """The RunTask calls, whatever was answered."""
    return [call.to_json()["request"] for call in aws.calls("RunTask")]


def told(run: ShardRun) -> list[tuple[str, str, int]]:
    return [(record.outcome, record.capacity, record.memory_mib) for record in run.launches]


def all_tasks(aws: LocalFargate) -> set[str]:
    lists = [
        aws.client("ecs").list_tasks(cluster="features", desiredStatus=status) for status in ("RUNNING", "STOPPED")
    ]
    return {arn for listed in lists for arn in listed["taskArns"]}


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (what it waits for happens in the server)
        await asyncio.sleep(0.02)
