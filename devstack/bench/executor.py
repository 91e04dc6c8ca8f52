"""The AwsEcsExecutor's stack: each shard is an Airflow task in a Fargate container with all of Airflow in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from devstack.bench.fan_outs import EXECUTOR, FanOut
from devstack.bench.measure import Bench
from devstack.bench.site import bench
from devstack.processes import ROOT
from devstack.provision import CLUSTER
from devstack.stack import Stack

IMAGES: Final = Path(__file__).parent / "images"
FAMILY: Final = "bench-airflow-worker"
CONTAINER: Final = "worker"


@contextlib.contextmanager
def executor_bench(folder: Path, fan_out: FanOut, *, pace: float) -> Iterator[Bench]:
    """A stack with the LocalExecutor for everything but the shards, and real processes in the local Fargate."""
    options = {
        "core": {"executor": f"LocalExecutor,{EXECUTOR}"},
        "aws_ecs_executor": {
            "conn_id": "aws_default",
            "region_name": "us-east-1",
            "cluster": CLUSTER,
            "container_name": CONTAINER,
            "task_definition": FAMILY,
            "launch_type": "FARGATE",
            "platform_version": "LATEST",
            # The default VPC's are not known before the stack has started; the local Fargate has no network to check.
            "subnets": "subnet-0a1b2c3d",
            "security_groups": "sg-0a1b2c3d",
        },
    }
    arguments = ("--runtime", "process", "--images", str(IMAGES))
    with bench(
        folder, pace=pace, capacity=1000, fan_outs=[fan_out], options=options, fargate_arguments=arguments
    ) as running:
        _register(running.stack)
        yield running


def _register(stack: Stack) -> None:
    """The worker's task definition; its environment is what an Airflow worker image is given."""
    # The DAG file imports devstack, which an image would have installed.
    given = {name: value for name, value in stack.settings.items() if name.startswith("AIRFLOW")}
    environment: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in {**given, "PYTHONPATH": str(ROOT)}.items()
    ]
    stack.client("ecs").register_task_definition(
        family=FAMILY,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="1024",
        memory="2048",
        executionRoleArn="arn:aws:iam::123456789012:role/features-execution",
        containerDefinitions=[
            {"name": CONTAINER, "image": FAMILY, "essential": True, "environment": environment},
        ],
    )
