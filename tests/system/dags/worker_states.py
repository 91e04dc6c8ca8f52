"""Airflow DAGs of the tests of dispatch: the same pipeline in Fargate tasks and on Celery workers."""

import datetime
from pathlib import Path

import pendulum

from ecs_feature.environment import load_environment
from ecs_feature.pipeline import FeaturePipeline, WorkerService

JOB = """
import os, time, boto3
bucket, _, key = os.environ["OUTPUT_URI"].removeprefix("s3://").partition("/")
print("state", os.environ["SHARD"], "at work", flush=True)
time.sleep(float(os.environ["SECONDS"]))
boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=os.environ["SHARD"].encode() * 10)
"""
STATES = [f"S{number:02}" for number in range(51)]

for dag_id, dispatch, count in (
    ("states_on_workers", "workers", 2),
    ("states_on_five_workers", "workers", 5),
    ("states_on_fargate", "fargate", 5),
):
    globals()[dag_id] = FeaturePipeline(
        dag_id=dag_id,
        schedule="@daily",
        start_date=pendulum.datetime(2013, 1, 1),
        end_date=pendulum.datetime(2013, 12, 31),
        taskdefs=Path(__file__).parents[1] / "taskdefs",
        task_definition="state",
        shards=STATES,
        workers=WorkerService("state-workers", count=count, queue="states"),
        dispatch=dispatch,
        result="exit_code",
        output_uri=f"s3://${{BUCKET}}/features/{dag_id}",
        environment={"SECONDS": "{{ params.seconds }}"},
        params={"seconds": 0},
        retries=1,
        retry_delay=datetime.timedelta(seconds=1),
        poll_seconds=1,
        placeholders={**load_environment(), "JOB": JOB},
    ).dag()
