"""Airflow DAGs of the crash tests: each shard's container ends when its file is in the folder ``gates``."""

from pathlib import Path

import pendulum
from airflow.sdk import DAG

from ecs_feature.environment import load_environment, substitute
from ecs_feature.operators.shard import EcsShardOperator
from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.tasks.launch import Launch, Network

VALUES = load_environment()
TASKDEF = Path(__file__).parents[3] / "include" / "taskdefs" / "flight-features-control.json"
POINTS = ("before", "unheard", "waiting", "ended")
SHARDS = {
    "crashed_shards": [f"{point}-{number}" for point in POINTS for number in (1, 2)],
    "aged_shards": ["kept", "gone"],
    "orphaned_shards": ["one", "two"],
    "cleared_shards": ["again"],
}
CONTAINER = """
import os, pathlib, time
while not pathlib.Path(os.environ["GATE"]).exists():
    time.sleep(0.1)
if os.environ["SHARD"] == "kept":
    import boto3
    bucket, _, key = os.environ["RESULT_URI"].removeprefix("s3://").partition("/")
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"{}")
print("Shard", os.environ["SHARD"], "is done.")
"""

for dag_id, shards in SHARDS.items():
    result_uri = f"s3://{VALUES['BUCKET']}/{dag_id}/{{{{ ds }}}}/{{shard}}.json"
    with DAG(dag_id, schedule=None, start_date=pendulum.datetime(2013, 1, 1)) as dag:
        register = EcsTaskDefinitionOperator(task_id="register", path=TASKDEF)
        for name in shards:
            register >> EcsShardOperator(
                task_id=name,
                shard=name,
                launch=Launch(
                    cluster=substitute("${CLUSTER}", VALUES, where="cluster"),
                    task_definition="{{ ti.xcom_pull(task_ids='register', map_indexes=-1) }}",
                    container="features",
                    network=Network(("subnet-0a",)),
                    environment={
                        "SHARD": "{shard}",
                        "RUN_ID": "{{ run_id }}",
                        "LOGICAL_DATE": "{{ ds }}",
                        "RESULT_URI": result_uri,
                        "GATE": "{{ dag_run.conf['gates'] }}/{shard}",
                    },
                    command=("python", "-c", CONTAINER),
                ),
                policy=ShardPolicy(poll_seconds=1, log_lines=5, timeout_seconds=3600),
                record={"result_uri": result_uri},
                retries=1,
                retry_delay=pendulum.duration(seconds=1),
            )
    globals()[dag_id] = dag
