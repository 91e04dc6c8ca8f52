"""Airflow DAG: rt.live, the reproduction number of 51 states a day from the COVID Tracking Project's counts.

The states run each in a Fargate task of its own, or, with RT_LIVE_DISPATCH=workers in the environment file, as rt.live
did: on the Celery workers of an ECS service, RT_LIVE_WORKERS of them.
"""

from typing import Any

import pendulum
from airflow.sdk import task

from ecs_feature.environment import load_environment
from ecs_feature.pipeline import FeaturePipeline, WorkerService
from rt_live_data.ingest import ingest_day
from rt_live_data.states import STATES

VALUES = load_environment()

dag = FeaturePipeline(
    dag_id="rt_live",
    schedule="@daily",
    start_date=pendulum.datetime(2020, 1, 22),
    end_date=pendulum.datetime(2020, 7, 3),
    cluster="${CLUSTER}",
    shards=STATES,
    task_definition="rt-live",
    workers=WorkerService("rt-live-workers", count=int(VALUES.get("RT_LIVE_WORKERS", "25")), queue="rt-live"),
    dispatch=VALUES.get("RT_LIVE_DISPATCH", "fargate"),
    ingest=ingest_day,
    input_uri="s3://${BUCKET}/raw/covid_tracking/",
    output_uri="s3://${BUCKET}/features/rt_live",
    output_suffix=".csv",
).dag()

with dag:

    @task(retries=3)
    def picture(ti: Any = None) -> dict[str, str]:
        """Writes one table of all states and draws the picture, beside the manifest; the receipt names both."""
        from rt_live_data.summary import write

        made = write(ti.xcom_pull(task_ids="publish")["manifest_uri"])
        ti.xcom_push(key="artifacts", value=made)
        return made

    dag.get_task("publish") >> picture() >> dag.get_task("receipt")
