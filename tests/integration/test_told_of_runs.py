"""Who is told of a run: a pipeline in ``dag.test()`` on a local Fargate, with a notifier of Airflow's protocol."""

from __future__ import annotations

import json
from pathlib import Path

import airflow_home
import pytest

from fargate_local import LocalFargate, Settings

DAGS = """
from pathlib import Path

import pendulum
from airflow.sdk import BaseNotifier
from ecs_feature.pipeline import FeaturePipeline, PipelineNotifier


class Told(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, text):
        super().__init__()
        self.text = text

    def notify(self, context):
        print(f"{self.text} [{context['headline']}] {context['receipt']['state']} {context['dag'].dag_id}")


def pipeline(name, command):
    return FeaturePipeline(
        dag_id=name,
        start_date=pendulum.datetime(2013, 1, 1),
        cluster="features",
        shards=("AA", "UA"),
        task_definition="job",
        taskdefs=Path(__file__).parent,
        command=["python", "-c", command],
        result="exit_code",
        subnets="subnet-1",
        security_groups=[],
        aws_conn_id=None,
        retries=0,
        placeholders={},
        on_success=PipelineNotifier(lambda text: print("GOOD", text)),
        on_failure=[PipelineNotifier(Told("BAD {{ receipt_text }}")), lambda context: print("OWN", context["run_id"])],
    ).dag()


good = pipeline("good", "pass")
bad = pipeline("bad", "import os, sys; sys.exit(os.environ['SHARD'] == 'UA')")
"""
PROGRAM = """
import pendulum
from airflow.sdk import DAG
from dags import bad, good

for dag in (good, bad):
    run = dag.test(logical_date=pendulum.datetime(2013, 3, 1))
    print("RUN", dag.dag_id, str(run.state), run.run_id)
"""


@pytest.mark.timeout(180)
def test_the_receipt_and_the_way_to_the_shards_are_told(tmp_path: Path) -> None:
    home = airflow_home.home_with(tmp_path, DAGS)
    definition = {
        "family": "job",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{"name": "job", "image": "job:1"}],
    }
    (home / "dags" / "job.json").write_text(json.dumps(definition))
    (home / "images" / "job").mkdir(parents=True)
    with LocalFargate(Settings(images=home / "images", quotas=False, pace=0.001)) as aws:
        aws.client("ecs").create_cluster(clusterName="features")
        more = {
            **aws.environ,
            "PYTHONPATH": f"{home / 'dags'}:{airflow_home.PLUGINS}",
            "AIRFLOW__API__BASE_URL": "https://airflow.example.com/team/",
        }
        lines = airflow_home.python(home, "-c", PROGRAM, more=more)
    said = [line for line in lines if line.split(" ")[0] in ("GOOD", "BAD", "OWN", "RUN")]
    assert [line.split(" ")[0] for line in said] == ["GOOD", "RUN", "BAD", "OWN", "RUN"], said
    good, good_run, bad, own, bad_run = said
    assert good_run.startswith("RUN good success manual__")
    assert bad_run.startswith("RUN bad failed manual__")
    assert good.startswith("GOOD good 2013-03-01: success, 2 of 2 shards in ")
    assert good.endswith(f". Nothing published. Shards: {_page(good_run)}")
    assert bad.startswith("BAD bad 2013-03-01: failed, 1 of 2 shards in ")
    assert ". 1 failed, 1 launch ended as application_failure (in UA), nothing published. Shards: " in bad
    assert f"Shards: {_page(bad_run)} [bad 2013-03-01: failed, 1 of 2 shards in " in bad
    assert bad.endswith("] failed bad")
    assert own == f"OWN {bad_run.split(' ')[-1]}"


def _page(run: str) -> str:
    _, dag_id, _, run_id = run.split(" ")
    quoted = run_id.replace(":", "%3A").replace("+", "%2B")
    return f"https://airflow.example.com/team/dags/{dag_id}/runs/{quoted}/plugin/shards-run"
