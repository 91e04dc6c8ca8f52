"""Airflow DAG of the secrets test: its connection, its containers and its processes all know secrets."""

import datetime
import os
from pathlib import Path

import pendulum

from ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant

HERE = Path(__file__).resolve().parent

dag = FeaturePipeline(
    dag_id="chaos_secrets",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1),
    cluster="chaos-secrets",
    # The names of the shards are no secrets: they must be found everywhere, or the search sees nothing.
    shards=("canary-quiet", "canary-failing"),
    variants=[
        Variant(
            "control",
            task_definition="chaos-secret",
            services=[ScaledService("chaos-secrets")],
            environment={
                "CHAOS_LEDGER": str(Path(os.environ["AIRFLOW_HOME"]).parent / "ledger.jsonl"),
                "CHAOS_DAG": "chaos_secrets",
                "CHAOS_SECONDS": "4",
                "CHAOS_FAILING": "canary-failing:1",
                "CHAOS_HUNGRY": "",
                # What nobody should do: the search must find it, or it would find nothing.
                "LEAKED_ON_PURPOSE": os.environ.get("LEAKED_TOKEN", ""),
            },
        )
    ],
    container="shard",
    input_uri="s3://${BUCKET}/raw/",
    output_uri="s3://${BUCKET}/chaos/secrets",
    taskdefs=HERE.parent / "taskdefs",
    aws_conn_id="aws_secret",
    retries=2,
    retry_delay=datetime.timedelta(seconds=1),
    poll_seconds=1,
).dag()
