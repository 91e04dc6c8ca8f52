"""Airflow DAG: every ten minutes, services whose leases have ended go back to baseline, overdue shard tasks stop."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param

from ecs_feature.operators.janitor import EcsJanitorOperator

with DAG(
    dag_id="ecs_feature_janitor",
    schedule="*/10 * * * *",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["ecs_feature"],
    params={"dry_run": Param(False, type="boolean", title="Dry run", description="Only report; change nothing.")},
    doc_md=__doc__,
) as dag:
    EcsJanitorOperator(
        task_id="tidy",
        clusters=["${CLUSTER}"],
        dry_run="{{ params.dry_run }}",
        execution_timeout=timedelta(minutes=9),
    )
