"""Airflow DAGs of the chaos scenarios with the amazon provider's own operator, deferrable, as its guide shows it.

It gets what a user would give it: the container's name and log stream (without the name it sleeps for up to 40 s), the
same retries, the same polling, and a bound on the wait as long as ours.
"""

import datetime
import os
import sys
from pathlib import Path

import pendulum

# The project's folder, which has devstack.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.sdk import DAG, get_parsing_context

from devstack.chaos import scenarios
from ecs_feature.environment import load_environment

LEDGER = Path(os.environ["AIRFLOW_HOME"]).parent / "ledger.jsonl"
VALUES = load_environment()


def stock_dag(scenario: scenarios.Scenario) -> DAG:
    dag_id = scenario.dag_id("stock")
    with DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=pendulum.datetime(2013, 1, 1),
        catchup=False,
        max_active_runs=16,
        params={"failing": "", "hungry": "", "seconds": ""},
    ) as dag:
        for shard in scenario.shard_names():
            shard_task(scenario, shard)
    return dag


def shard_task(scenario: scenarios.Scenario, shard: str) -> EcsRunTaskOperator:
    file = f"s3://{VALUES['BUCKET']}/chaos/{scenario.dag_id('stock')}/ds={{{{ ds }}}}/shard={shard}/{{{{ ti.id }}}}"
    environment = {
        "SHARD": shard,
        "LOGICAL_DATE": "{{ ds }}",
        "RUN_ID": "{{ run_id }}",
        "ATTEMPT": "{{ ti.try_number }}",
        "OUTPUT_URI": f"{file}.parquet",
        "RESULT_URI": f"{file}.json",
        "CHAOS_LEDGER": str(LEDGER),
        "CHAOS_DAG": scenario.dag_id("stock"),
        "CHAOS_SECONDS": "{{ params.seconds }}",
        "CHAOS_FAILING": "{{ params.failing }}",
        "CHAOS_HUNGRY": "{{ params.hungry }}",
    }
    capacity = (
        {"capacity_provider_strategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}
        if scenario.capacity == "spot"
        else {"launch_type": "FARGATE"}
    )
    return EcsRunTaskOperator(
        task_id=shard,
        aws_conn_id=scenario.connection("stock"),
        cluster=scenario.cluster("stock"),
        task_definition=scenarios.SHARD_FAMILY,
        overrides={
            "containerOverrides": [
                {
                    "name": scenarios.CONTAINER,
                    "environment": [{"name": name, "value": value} for name, value in environment.items()],
                }
            ]
        },
        network_configuration={
            "awsvpcConfiguration": {
                "subnets": VALUES["SUBNETS"].split(","),
                "securityGroups": VALUES["SECURITY_GROUPS"].split(","),
                "assignPublicIp": "DISABLED",
            }
        },
        container_name=scenarios.CONTAINER,
        awslogs_group=VALUES["LOG_GROUP"],
        awslogs_region=VALUES["REGION"],
        awslogs_stream_prefix=scenarios.SHARD_FAMILY,
        deferrable=True,
        reattach=True,
        waiter_delay=scenarios.POLL_SECONDS,
        waiter_max_attempts=int(scenario.shard_timeout_seconds // scenarios.POLL_SECONDS),
        retries=scenarios.RETRIES,
        retry_delay=datetime.timedelta(seconds=scenarios.RETRY_DELAY_SECONDS),
        **capacity,
    )


# A worker needs one of them only; to build all for each task is what would take longest on it.
wanted = get_parsing_context().dag_id
for each in scenarios.KNOWN:
    if "stock" in each.sides and wanted in (None, each.dag_id("stock")):
        globals()[each.dag_id("stock")] = stock_dag(each)
