"""Airflow DAG of the system tests: shards that are found at run time, as mapped tasks."""

import datetime
import sys
from pathlib import Path

import pendulum

from ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant

# Of another bundle than dags/, whose modules it uses.
sys.path.append(str(Path(__file__).parents[3] / "dags"))
from flights.destinations import destinations_of_day
from flights.ingest import ingest_day


def three_destinations(**arguments: str) -> list[str]:
    return destinations_of_day(**arguments)[:3]


dag = FeaturePipeline(
    dag_id="mapped_features",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1),
    cluster="${CLUSTER}",
    shards=three_destinations,
    variants=[
        Variant(
            "control",
            task_definition="flight-features-control",
            services=[ScaledService("encoder-control")],
            environment={"ENCODER_URL": "${ENCODER_CONTROL_URL}", "SHARD_COLUMN": "dest"},
        )
    ],
    container="features",
    ingest=ingest_day,
    input_uri="s3://${BUCKET}/raw/",
    output_uri="s3://${BUCKET}/features/mapped",
    retries=1,
    retry_delay=datetime.timedelta(seconds=1),
    poll_seconds=1,
).dag()
