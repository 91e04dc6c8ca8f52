"""Airflow DAGs of the tests of task groups: a DAG as a user writes it, and the same job by the stock operator."""

import pendulum
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.sdk import DAG, task

from ecs_feature.environment import load_environment
from ecs_feature.pipeline import FeaturePipeline, Partial, ScaledService
from ecs_feature.results.reader import read_manifest

VALUES = load_environment()
JOB = """
import os, sys, boto3
state, day = sys.argv[1:3]
if state == "bad":
    sys.exit(3)
if len(sys.argv) > 3:
    bucket, _, key = sys.argv[3].removeprefix("s3://").partition("/")
    boto3.client("s3").put_object(Bucket=bucket, Key=key + "/part-0.csv", Body=f"{state},{day}".encode())
print("done", state, day)
"""
COMMON = {"task_definition": "flight-features-control", "container": "features", "result": "exit_code"}

with DAG("own_dag", schedule=None, start_date=pendulum.datetime(2013, 1, 1), tags=["mine"], params={"mine": 1}):

    @task
    def raw() -> str:
        return "there"

    @task
    def train(manifest_uri: str) -> list[str]:
        s3 = AwsBaseHook(client_type="s3").get_conn()
        return read_manifest(manifest_uri, s3=s3).uris()

    @task(trigger_rule="all_done")
    def tidy() -> str:
        return "tidied"

    states = FeaturePipeline(
        shards=("CA", "NY"),
        command=["python", "-c", JOB, "{shard}", "{{ ds }}", "{output_uri}"],
        environment={"MINE": "{shard}-{{ params.mine }}"},
        output_uri="s3://${BUCKET}/own/states",
        services=[ScaledService("encoder-control", count=1)],
        **COMMON,
    ).task_group("states")
    tenants = FeaturePipeline(
        shards=("bad", "good"),
        command=["python", "-c", JOB, "{shard}", "{{ ds }}", "{output_uri}"],
        output_uri="s3://${BUCKET}/own/tenants",
        publish=Partial(share=0.5, required=["good"]),
        retries=0,
        **COMMON,
    ).task_group("tenants")
    raw() >> states >> train("{{ ti.xcom_pull(task_ids='states.publish')['manifest_uri'] }}") >> tenants
    states.done >> tidy()


with DAG("before_migrating", schedule=None, start_date=pendulum.datetime(2013, 1, 1)):
    # As in docs/migrate.md.
    EcsRunTaskOperator.partial(
        task_id="rt",
        cluster=VALUES["CLUSTER"],
        task_definition="flight-features-control",
        launch_type="FARGATE",
        network_configuration={"awsvpcConfiguration": {"subnets": ["subnet-0a"], "assignPublicIp": "DISABLED"}},
        waiter_delay=1,
        deferrable=True,
        # On a busy machine the scheduler can fail a try whose trigger fires early (apache/airflow#72716).
        retries=3,
        retry_delay=pendulum.duration(seconds=1),
    ).expand(
        overrides=[
            {"containerOverrides": [{"name": "features", "command": ["python", "-c", JOB, state, "{{ ds }}"]}]}
            for state in ("CA", "NY")
        ]
    )


with DAG("after_migrating", schedule=None, start_date=pendulum.datetime(2013, 1, 1)):
    FeaturePipeline(shards=("CA", "NY"), command=["python", "-c", JOB, "{shard}", "{{ ds }}"], **COMMON).task_group(
        "rt"
    )
