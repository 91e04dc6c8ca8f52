"""Airflow DAG: makes an earlier version of a partition's features the current one. Started by hand, e.g. from a run's
Shards tab, it moves the manifest's pointer and changes nothing else. Who may start it may do so for all pipelines: the
tab offers it only to those who may also clear the pipeline's tasks, and Airflow has no right for a run's conf."""

import pendulum
from airflow.sdk import DAG, Param

from ecs_feature.operators.roll_back import FeatureRollBackOperator
from ecs_feature.results.manifests import VERSION_URI
from ecs_feature.results.versions import ROLLBACK_DAG

with DAG(
    dag_id=ROLLBACK_DAG,
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1),
    is_paused_upon_creation=False,
    tags=["ecs_feature"],
    params={
        "manifest_uri": Param(
            type="string",
            pattern=f"^{VERSION_URI}$",
            title="Manifest URI",
            description="The version to make current, s3://.../manifest/v=0003.json: manifest_uri in a run's receipt.",
        ),
        "instead_of": Param(
            None,
            type=["null", "integer"],
            title="Instead of version",
            description="The version that is current as far as you know; if it is another by now, nothing is changed.",
        ),
        "of_dag": Param(
            None,
            type=["null", "string"],
            title="Of DAG",
            description="The DAG whose version it is; if another one has published it, nothing is changed.",
        ),
    },
    doc_md=__doc__,
) as dag:
    FeatureRollBackOperator(
        task_id="make_current",
        manifest_uri="{{ params.manifest_uri }}",
        instead_of="{{ params.instead_of or '' }}",
        of_dag="{{ params.of_dag or '' }}",
        retries=2,
    )
