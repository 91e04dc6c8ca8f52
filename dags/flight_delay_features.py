"""Airflow DAG: delay features of New York's flights. One day a run, one shard a carrier, two encoder variants."""

import pendulum

from ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant
from flights.carriers import CARRIERS
from flights.ingest import ingest_day


def variant(name: str) -> Variant:
    return Variant(
        name,
        task_definition=f"flight-features-{name}",
        services=[ScaledService(f"encoder-{name}", count=2)],
        environment={"ENCODER_URL": f"${{ENCODER_{name.upper()}_URL}}"},
    )


dag = FeaturePipeline(
    dag_id="flight_delay_features",
    schedule="@daily",
    start_date=pendulum.datetime(2013, 1, 1),
    end_date=pendulum.datetime(2013, 12, 31),
    cluster="${CLUSTER}",
    shards=tuple(CARRIERS),
    variants=[variant("control"), variant("treatment")],
    container="features",
    ingest=ingest_day,
    input_uri="s3://${BUCKET}/raw/",
    output_uri="s3://${BUCKET}/features/flight_delay",
).dag()
