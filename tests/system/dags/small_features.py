"""Airflow DAG of the system tests: the flight pipeline with two shards, a separate output and quick retries."""

import datetime
import sys
from pathlib import Path

import pendulum

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.pipeline import FeaturePipeline, PipelineNotifier, ScaledService, Variant

# Of another bundle than dags/, whose modules it uses.
sys.path.append(str(Path(__file__).parents[3] / "dags"))
from flights.ingest import ingest_day


def tell(text: str) -> None:
    """Runs in the DAG processor when a run has succeeded."""
    s3 = AwsConnection("aws_default").client("s3")
    s3.put_object(Bucket="ecs-feature-local", Key=f"told/{text.split(':')[0]}", Body=text.encode())


dag = FeaturePipeline(
    dag_id="small_features",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1),
    cluster="${CLUSTER}",
    shards=("OO", "UA"),
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
    output_uri="s3://${BUCKET}/features/small",
    retries=1,
    retry_delay=datetime.timedelta(seconds=1),
    poll_seconds=1,
    on_success=PipelineNotifier(tell),
).dag()
