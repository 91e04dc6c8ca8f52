"""Airflow DAG: the same features with one shard a destination; which ones is found in the day's data."""

import pendulum

from ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant
from flights.destinations import destinations_of_day
from flights.ingest import ingest_day

dag = FeaturePipeline(
    dag_id="destination_features",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1),
    cluster="${CLUSTER}",
    shards=destinations_of_day,
    variants=[
        Variant(
            "control",
            task_definition="flight-features-control",
            services=[ScaledService("encoder-control", count=2)],
            environment={"ENCODER_URL": "${ENCODER_CONTROL_URL}", "SHARD_COLUMN": "dest"},
        )
    ],
    container="features",
    ingest=ingest_day,
    input_uri="s3://${BUCKET}/raw/",
    output_uri="s3://${BUCKET}/features/destinations",
).dag()
