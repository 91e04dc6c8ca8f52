"""What the plugin changes in Airflow's processes, and what it leaves alone: on Airflow's own database and functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow_home import SYNC_DAGS, home_with, printed

DAGS = '''
"""An airflow dag."""
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from ecs_feature.tasks.launch import Launch, Network
from ecs_feature.operators.shard import EcsShardOperator

with DAG("ends"):
    launch = Launch("features", "job", "job", Network(("subnet-0a",)))
    for shard in ("UA", "DL"):
        EcsShardOperator(task_id=shard, shard=shard, launch=launch, aws_conn_id=None)
    EmptyOperator(task_id="other")
'''
END_THEM = (
    SYNC_DAGS
    + """
import datetime as dt, json
from airflow.models.callback import DagProcessorCallback
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import handle_event_submit
from airflow.plugins_manager import ensure_plugins_loaded
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

ensure_plugins_loaded()
with create_session() as session:
    date = dt.datetime(2013, 1, 1, tzinfo=dt.timezone.utc)
    run = SerializedDagModel.get_dag("ends").create_dagrun(
        run_id="r0", logical_date=date, data_interval=(date, date), run_after=date, session=session,
        run_type=DagRunType.MANUAL, triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.RUNNING,
    )
    session.flush()
    for ti in run.task_instances:
        ti.state = "deferred"
events = {"UA": TaskSuccessEvent(xcoms={"return_value": 1}), "DL": TaskFailedEvent(), "other": TaskSuccessEvent()}
for task_id, event in events.items():
    with create_session() as session:  # one for each, as in Trigger.submit_event
        ti = session.scalar(select(TaskInstance).where(TaskInstance.task_id == task_id))
        handle_event_submit(event, task_instance=ti, session=session)
with create_session() as session:
    states = {ti.task_id: ti.state for ti in session.scalars(select(TaskInstance))}
    requests = [row.get_callback_request().ti.task_id for row in session.scalars(select(DagProcessorCallback))]
print(json.dumps([states, sorted(requests)]))
"""
)
SHOW = """
import gc, json
from airflow.cli.commands import triggerer_command
from airflow.jobs.job import Job
from airflow.plugins_manager import get_plugin_info
from airflow.sdk.execution_time.supervisor import make_buffered_socket_reader

before = gc.get_freeze_count()
Job()  # of the triggerer, before it starts its runner
frozen = gc.get_freeze_count() - before > 100_000
names = [plugin["name"] for plugin in get_plugin_info()]
read_bytes = make_buffered_socket_reader.__kwdefaults__["buffer_size"]
print(json.dumps([names.count("ecs_feature"), read_bytes, frozen, gc.get_threshold()[2]]))
"""


@pytest.mark.parametrize(("tuned", "requests"), [("True", ["DL", "other"]), ("False", ["DL", "UA", "other"])])
def test_only_a_shard_that_succeeded_asks_for_no_callback(tmp_path: Path, tuned: str, requests: list[str]) -> None:
    states, asked = printed(home_with(tmp_path, DAGS), END_THEM, tuned=tuned)
    assert states == {"UA": "success", "DL": "failed", "other": "success"}
    assert asked == requests


@pytest.mark.parametrize(
    ("tuned", "shown"),
    [("True", [1, 65536, True, 100]), ("False", [1, 4096, False, 10]), ("", [1, 4096, False, 10])],
)
def test_a_triggerer_is_tuned_unless_the_configuration_says_otherwise(
    tmp_path: Path, tuned: str, shown: list[Any]
) -> None:
    assert printed(tmp_path, SHOW, tuned=tuned) == shown
