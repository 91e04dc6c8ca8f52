"""Airflow DAGs of the chaos scenarios: each a FeaturePipeline, as a user writes it."""

import datetime
import os
import sys
from pathlib import Path

import pendulum

# The project's folder, which has devstack.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from airflow.sdk import get_parsing_context

from devstack.chaos import scenarios
from ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant

TASKDEFS = Path(__file__).resolve().parents[1] / "taskdefs"
LEDGER = Path(os.environ["AIRFLOW_HOME"]).parent / "ledger.jsonl"


def pipeline(scenario: scenarios.Scenario) -> FeaturePipeline:
    dag_id = scenario.dag_id("ours")
    return FeaturePipeline(
        dag_id=dag_id,
        schedule=None,
        start_date=pendulum.datetime(2013, 1, 1),
        cluster=scenario.cluster("ours"),
        shards=scenario.shard_names(),
        variants=[
            Variant(
                "control",
                task_definition=scenarios.SHARD_FAMILY,
                services=[ScaledService(scenario.service(), count=scenario.count, baseline=scenario.baseline)],
                environment={
                    "CHAOS_LEDGER": str(LEDGER),
                    "CHAOS_DAG": dag_id,
                    "CHAOS_SECONDS": "{{ params.seconds }}",
                    "CHAOS_FAILING": "{{ params.failing }}",
                    "CHAOS_HUNGRY": "{{ params.hungry }}",
                },
            )
        ],
        container=scenarios.CONTAINER,
        input_uri="s3://${BUCKET}/raw/",
        output_uri=f"s3://${{BUCKET}}/chaos/{dag_id}",
        taskdefs=TASKDEFS,
        capacity=scenario.capacity,
        retries=scenarios.RETRIES,
        retry_delay=datetime.timedelta(seconds=scenarios.RETRY_DELAY_SECONDS),
        shard_timeout=datetime.timedelta(seconds=scenario.shard_timeout_seconds),
        start_timeout=datetime.timedelta(seconds=scenarios.START_TIMEOUT_SECONDS),
        max_memory_mib=scenarios.MAX_MEMORY_MIB,
        steady_timeout=datetime.timedelta(minutes=3),
        poll_seconds=scenarios.POLL_SECONDS,
        max_active_runs=16,
        params={"failing": "", "hungry": "", "seconds": ""},
        aws_conn_id=scenario.connection("ours"),
    )


# A worker needs one of them only; to build all for each task is what would take longest on it.
wanted = get_parsing_context().dag_id
for each in scenarios.KNOWN:
    if wanted in (None, each.dag_id("ours")):
        globals()[each.dag_id("ours")] = pipeline(each).dag()
