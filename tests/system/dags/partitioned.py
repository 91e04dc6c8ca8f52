"""Airflow DAGs of the tests of partitions: an hourly pipeline, a daily one in Tokyo, and what their assets start."""

import pendulum
from airflow.sdk import (
    DAG,
    Asset,
    CronDataIntervalTimetable,
    CronTriggerTimetable,
    PartitionedAssetTimetable,
    task,
)

from ecs_feature.environment import load_environment
from ecs_feature.pipeline import FeaturePipeline

BUCKET = load_environment()["BUCKET"]
JOB = """
import os, sys, boto3
bucket, _, key = os.environ["OUTPUT_URI"].removeprefix("s3://").partition("/")
said = ",".join([*sys.argv[1:], os.environ["PARTITION"], os.environ["LOGICAL_DATE"]])
boto3.client("s3").put_object(Bucket=bucket, Key=key + "/part-0.csv", Body=said.encode())
"""
COMMON = {
    "task_definition": "flight-features-control",
    "container": "features",
    "result": "exit_code",
    "command": ["python", "-c", JOB, "{shard}", "{partition}", "{{ ds }}"],
    "shards": ("CA", "NY"),
}
YEAR = {"start_date": pendulum.datetime(2013, 1, 1), "end_date": pendulum.datetime(2013, 12, 31)}
LOCAL_YEAR = {key: pendulum.datetime(2013, *day, tz="Asia/Tokyo") for key, day in
              (("start_date", (1, 1)), ("end_date", (12, 31)))}  # fmt: skip

hourly = FeaturePipeline(
    dag_id="hourly_features",
    schedule=CronTriggerTimetable("@hourly", timezone="UTC"),
    partition="hour",
    asset_partitions="shard",
    output_uri="s3://${BUCKET}/partitioned/hourly",
    **YEAR,
    **COMMON,
).dag()

tokyo = FeaturePipeline(
    dag_id="tokyo_features",
    schedule=CronDataIntervalTimetable("@daily", timezone="Asia/Tokyo"),
    output_uri="s3://${BUCKET}/partitioned/tokyo",
    **LOCAL_YEAR,
    **COMMON,
).dag()

after_tokyo = FeaturePipeline(
    dag_id="after_tokyo",
    schedule=PartitionedAssetTimetable(assets=Asset(f"s3://{BUCKET}/partitioned/tokyo/")),
    start_date=pendulum.datetime(2013, 1, 1),
    output_uri="s3://${BUCKET}/partitioned/after",
    **COMMON,
).dag()

with DAG("after_each_shard", schedule=PartitionedAssetTimetable(assets=Asset(f"s3://{BUCKET}/partitioned/hourly/"))):

    @task
    def of(key: str) -> str:
        return key

    of("{{ partition_key }}")

with DAG("after_any", schedule=[Asset(f"s3://{BUCKET}/partitioned/tokyo/")]):

    @task
    def extra(triggering_asset_events=None) -> list[str]:  # type: ignore[no-untyped-def]
        return [event.extra["partition"] for events in triggering_asset_events.values() for event in events]

    extra()
