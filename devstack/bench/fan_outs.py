"""The fan-outs that are compared: what each is, and the DAG that Airflow runs for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import pendulum
from airflow.sdk import DAG, task

from ecs_feature.environment import load_environment
from ecs_feature.pipeline import FeaturePipeline, Variant

Side = Literal["ours", "named", "stock", "stock_logs", "executor"]
"""``ours``: mapped EcsShardOperators of a FeaturePipeline; ``named``: the same with shards named in the file;
``stock``: mapped EcsRunTaskOperators; ``stock_logs``: these with the containers' logs, which ours always has;
``executor``: Airflow tasks that the AwsEcsExecutor runs."""

SIDE_NAMES: Final[Mapping[Side, str]] = {
    "ours": "EcsShardOperator, mapped",
    "named": "EcsShardOperator, named",
    "stock": "EcsRunTaskOperator",
    "stock_logs": "EcsRunTaskOperator with logs",
    "executor": "AwsEcsExecutor",
}
TASKDEFS: Final = Path(__file__).parent / "taskdefs"
CONTAINER: Final = "job"
START: Final = pendulum.datetime(2026, 1, 1)
EXECUTOR: Final = "airflow.providers.amazon.aws.executors.ecs.ecs_executor.AwsEcsExecutor"


class DagFile(Protocol):
    """What a DAG file is written from."""

    @property
    def dag_id(self) -> str:
        """Of its DAG."""

    def source(self) -> str:
        """The file's text."""


@dataclass(frozen=True)
class FanOut:
    """One DAG with one fan-out.

    :param seconds: how long each shard's container runs.
    :param runs: of this DAG at once.
    :param about: tells fan-outs apart that are otherwise the same; a part of the DAG's id.
    """

    side: Side
    shards: int
    seconds: float
    runs: int = 1
    about: str = ""

    @property
    def dag_id(self) -> str:
        """Of its DAG."""
        parts = ("bench", self.side, f"{self.shards}", f"{self.seconds:g}s".replace(".", "_"), self.about)
        return "_".join(part for part in parts if part)

    def source(self) -> str:
        """The DAG file."""
        return (
            '"""Airflow DAG of a benchmark."""\n\n'
            "from devstack.bench.fan_outs import FanOut, build\n\n"
            f"dag = build({self!r})\n"
        )

    def names(self) -> list[str]:
        """The shards' names."""
        return [f"s{number:05d}" for number in range(self.shards)]


def build(fan_out: FanOut) -> DAG:
    """The DAG of a fan-out."""
    if fan_out.side in ("ours", "named"):
        return _pipeline(fan_out).dag()
    return _executor(fan_out) if fan_out.side == "executor" else _stock(fan_out)


def shard_task_filter(side: Side) -> str:
    """The task ids of a fan-out's shards, as a pattern of SQL's LIKE."""
    return {"ours": "control.shard", "named": "control.shards.%"}.get(side, "shard")


def _pipeline(fan_out: FanOut) -> FeaturePipeline:
    def found(**_: Any) -> list[str]:
        return fan_out.names()

    return FeaturePipeline(
        dag_id=fan_out.dag_id,
        schedule=None,
        start_date=START,
        cluster="${CLUSTER}",
        shards=fan_out.names() if fan_out.side == "named" else found,
        variants=[Variant("control", "bench-job", environment={"SIMULATED_SECONDS": f"{fan_out.seconds:g}"})],
        container=CONTAINER,
        taskdefs=TASKDEFS,
        input_uri="s3://${BUCKET}/bench/input/",
        output_uri=f"s3://${{BUCKET}}/bench/{fan_out.dag_id}",
        max_active_runs=max(4, fan_out.runs),
    )


def _stock(fan_out: FanOut) -> DAG:
    """As the provider's documentation has it: deferrable, every setting that is not asked for at its default."""
    from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator  # slow to import; only this side pays

    values = load_environment()
    logs: dict[str, Any] = {
        "awslogs_group": values["LOG_GROUP"],
        "awslogs_region": values["REGION"],
        "awslogs_stream_prefix": f"bench/{CONTAINER}",
        "container_name": CONTAINER,
    }
    with DAG(fan_out.dag_id, schedule=None, start_date=START, catchup=False) as dag:

        @task
        def overrides() -> list[dict[str, Any]]:
            seconds = {"name": "SIMULATED_SECONDS", "value": f"{fan_out.seconds:g}"}
            return [
                {
                    "containerOverrides": [
                        {"name": CONTAINER, "environment": [{"name": "SHARD", "value": name}, seconds]}
                    ]
                }
                for name in fan_out.names()
            ]

        EcsRunTaskOperator.partial(
            task_id="shard",
            cluster=values["CLUSTER"],
            task_definition="bench-job",
            launch_type="FARGATE",
            network_configuration={
                "awsvpcConfiguration": {
                    "subnets": values["SUBNETS"].split(","),
                    "securityGroups": values["SECURITY_GROUPS"].split(","),
                }
            },
            deferrable=True,
            **(logs if fan_out.side == "stock_logs" else {}),
        ).expand(overrides=overrides())
    return dag


def _executor(fan_out: FanOut) -> DAG:
    """Each shard is an Airflow task in a Fargate container of its own, which sleeps as long as ours would run."""
    with DAG(fan_out.dag_id, schedule=None, start_date=START, catchup=False) as dag:

        @task
        def names() -> list[str]:
            return fan_out.names()

        @task(task_id="shard", executor=EXECUTOR)
        def shard(name: str) -> None:
            import time

            time.sleep(fan_out.seconds)

        shard.expand(name=names())
    return dag
