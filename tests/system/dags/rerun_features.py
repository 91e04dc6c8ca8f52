"""Airflow DAG of the rerun and backfill tests: the flight pipeline with three shards and a schedule to backfill."""

import datetime
import sys
from pathlib import Path

import pendulum

from ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant

# Of another bundle than dags/, whose modules it uses.
sys.path.append(str(Path(__file__).parents[3] / "dags"))
from flights.ingest import ingest_day

dag = FeaturePipeline(
    dag_id="rerun_features",
    schedule="@daily",
    start_date=pendulum.datetime(2013, 1, 1),
    end_date=pendulum.datetime(2013, 12, 31),
    cluster="${CLUSTER}",
    shards=("HA", "OO", "UA"),
    variants=[
        Variant(
            name,
            task_definition=f"flight-features-{name}",
            services=[ScaledService(f"encoder-{name}", count=1)],
            environment={"ENCODER_URL": f"${{ENCODER_{name.upper()}_URL}}"},
        )
        for name in ("control", "treatment")
    ],
    container="features",
    ingest=ingest_day,
    input_uri="s3://${BUCKET}/raw/",
    output_uri="s3://${BUCKET}/features/rerun",
    retries=1,
    retry_delay=datetime.timedelta(seconds=1),
    poll_seconds=1,
).dag()
