"""Airflow DAGs of the tests that stop shards or lose sight of them: long ones, by the operators alone."""

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

for dag_id, retries in {"killed_shards": 1, "deleted_shards": 1, "unseen_shards": 2}.items():
    with DAG(dag_id, schedule=None, start_date=pendulum.datetime(2013, 1, 1)) as dag:
        register = EcsTaskDefinitionOperator(task_id="register", path=TASKDEF)
        for name in ("one", "two", "three", "four"):
            register >> EcsShardOperator(
                task_id=name,
                shard=name,
                launch=Launch(
                    cluster=substitute("${CLUSTER}", VALUES, where="cluster"),
                    task_definition="{{ ti.xcom_pull(task_ids='register', map_indexes=-1) }}",
                    container="features",
                    network=Network(("subnet-0a",)),
                    environment={"SHARD": "{shard}", "RUN_ID": "{{ run_id }}", "LOGICAL_DATE": "{{ ds }}"},
                    command=("sleep", "{{ dag_run.conf.get('seconds', 600) }}"),
                ),
                policy=ShardPolicy(poll_seconds=1, log_lines=0),
                retries=retries,
                retry_delay=pendulum.duration(seconds=1),
            )
    globals()[dag_id] = dag
