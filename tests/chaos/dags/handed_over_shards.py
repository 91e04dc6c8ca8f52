"""Airflow DAG of the hand-over test: each shard's container ends when its file is in the folder ``gates``."""

from pathlib import Path

import pendulum
from airflow.sdk import DAG

from ecs_feature.environment import load_environment, substitute
from ecs_feature.operators.shard import EcsShardOperator
from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.tasks.launch import Launch, Network

VALUES = load_environment()
TASKDEF = Path(__file__).parents[3] / "devstack" / "chaos" / "taskdefs" / "chaos-shard.json"
CONTAINER = "import os, time\nwhile not os.path.exists(os.environ['GATE']):\n    time.sleep(0.1)\n"

with DAG("handed_over_shards", schedule=None, start_date=pendulum.datetime(2013, 1, 1)) as dag:
    register = EcsTaskDefinitionOperator(task_id="register", path=TASKDEF)
    for name in ("before", "unheard", "waiting-1", "waiting-2"):
        register >> EcsShardOperator(
            task_id=name,
            shard=name,
            launch=Launch(
                cluster=substitute("${CLUSTER}", VALUES, where="cluster"),
                task_definition="{{ ti.xcom_pull(task_ids='register', map_indexes=-1) }}",
                container="shard",
                network=Network(("subnet-0a",)),
                environment={"SHARD": "{shard}", "GATE": "{{ dag_run.conf['gates'] }}/{shard}"},
                command=("python", "-c", CONTAINER),
            ),
            policy=ShardPolicy(poll_seconds=1, log_lines=0),
            retries=1,
            retry_delay=pendulum.duration(seconds=1),
        )
