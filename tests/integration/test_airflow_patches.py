"""What the plugin changes in Airflow's processes: nothing unless asked, and then only what was tested with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow_home import SYNC_DAGS, Patched, home_with

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
    "import airflow.cli.commands.triggerer_command  # what has loaded a triggerer's code"
    + SYNC_DAGS
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
SNAPSHOT = """
import gc, importlib, json, pkgutil, sys, types
import airflow.cli.commands.triggerer_command, airflow.dag_processing.processor, airflow.jobs.scheduler_job_runner
from airflow.plugins_manager import ensure_plugins_loaded, get_plugin_info
from airflow.sdk.plugins_manager import integrate_macros_plugins
from sqlalchemy.event import registry
from sqlalchemy.orm import configure_mappers

HOSTS = {"airflow", "asyncio", "pydantic", "sqlalchemy", "structlog"}
# Airflow, pydantic and SQLAlchemy set these themselves when they are first used.
LAZY = ("stats._backend", "__pydantic_core_schema__", "__pydantic_serializer__", "__pydantic_validator__",
        "_compiler_dispatch")

def attributes(name, owner):
    for key, value in list(vars(owner).items()):
        yield f"{name}.{key}", value
        if isinstance(value, type) and value.__module__ == getattr(owner, "__module__", name):
            yield from attributes(f"{name}.{key}", value)

def snapshot():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in HOSTS and isinstance(module, types.ModuleType):
            for key, value in attributes(name, module):
                function = getattr(value, "__func__", value)
                defaults = [repr(getattr(function, each, None)) for each in ("__defaults__", "__kwdefaults__")]
                found[key] = value, defaults
    return found

def process():
    return {"collector": (gc.get_threshold(), gc.get_freeze_count()), "listeners": len(registry._key_to_collection)}

configure_mappers()
before, process_before = snapshot(), process()
ensure_plugins_loaded()
integrate_macros_plugins()  # loads the plugins once more, as a triggerer's runner does
assert [each["name"] for each in get_plugin_info()].count("ecs_feature") == 1
import ecs_feature
for each in pkgutil.walk_packages(ecs_feature.__path__, "ecs_feature."):
    if not each.name.endswith("__main__"):
        importlib.import_module(each.name)
after, process_after = snapshot(), process()
changed = [
    key for key, (value, defaults) in before.items()
    if (key not in after or after[key][0] is not value or after[key][1] != defaults) and not key.endswith(LAZY)
]
assert len(before) > 30_000
changed += [key for key, value in process_before.items() if process_after[key] != value]
print(json.dumps(sorted(changed)))
"""
TRIGGERER = "airflow.jobs.triggerer_job_runner"
CHANGES = {
    "less_frequent_full_gc": ["collector"],
    "larger_log_reads": [
        f"{TRIGGERER}.make_buffered_socket_reader",
        "airflow.sdk.execution_time.supervisor.make_buffered_socket_reader",
    ],
    "skip_unused_success_callbacks": ["listeners"],
    "cache_deserialized_dags": ["airflow.serialization.serialized_objects.DagSerialization.from_dict"],
    "load_triggers_before_reply": [f"{TRIGGERER}.TriggerRunnerSupervisor._handle_request"],
    "report_last_event_immediately": [f"{TRIGGERER}.TriggerRunner.run_trigger"],
}
"""What each patch changes."""
ANOTHER_SOURCE = """
from airflow.serialization.serialized_objects import DagSerialization

DagSerialization.from_dict = classmethod(DagSerialization.from_json.__func__)  # a function of Airflow's, but another
"""
ANOTHER_VERSION = "import airflow\nairflow.__version__ = '3.3.3'\n"
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


def changed(*left_out: str) -> list[str]:
    """What all patches change, but for some of them."""
    return sorted(each for name, changes in CHANGES.items() if name not in left_out for each in changes)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patched]:
    patched = Patched(home_with(tmp_path_factory.mktemp("airflow"), DAGS))
    with patched.forks:
        yield patched


def walked(airflow: Patched, program: str = SNAPSHOT, **options: str) -> tuple[list[str], list[str]]:
    """What the plugin changes, and what it warns of."""
    lines = airflow.lines(program, **options)
    return json.loads(lines[-1]), [line for line in lines if "[ecs_feature]" in line]


def test_nothing_of_airflow_changes_unless_asked(airflow: Patched) -> None:
    assert walked(airflow) == ([], [])


def test_the_old_option_changes_nothing_and_gets_one_warning_that_names_the_new_one(airflow: Patched) -> None:
    changes, [warning] = walked(airflow, tune_airflow="True")
    assert changes == []
    assert "[ecs_feature] tune_airflow is ignored: it has been replaced by patch_airflow (default False)." in warning


def test_the_patches_change_what_they_name_and_nothing_else(airflow: Patched) -> None:
    assert walked(airflow, patch_airflow="True") == (changed(), [])


def test_another_source_leaves_out_its_patch_alone_with_one_warning(airflow: Patched) -> None:
    changes, [warning] = walked(airflow, ANOTHER_SOURCE + SNAPSHOT, patch_airflow="True")
    assert changes == changed("cache_deserialized_dags")
    assert (
        "patch_airflow: cache_deserialized_dags is left out, the source is not the one it was tested with: "
        "airflow.serialization.serialized_objects.DagSerialization.from_dict."
    ) in warning


def test_another_version_leaves_out_all_of_them_with_one_warning_each(airflow: Patched) -> None:
    changes, warnings = walked(airflow, ANOTHER_VERSION + SNAPSHOT, patch_airflow="True")
    assert changes == []
    for name, line in zip(CHANGES, warnings, strict=True):
        assert f"patch_airflow: {name} is left out, it was tested with Airflow 3.3.2, this is 3.3.3." in line


@pytest.mark.parametrize(("patched", "requests"), [("True", ["DL", "other"]), ("False", ["DL", "UA", "other"])])
def test_only_a_shard_that_succeeded_asks_for_no_callback(airflow: Patched, patched: str, requests: list[str]) -> None:
    states, asked = airflow.printed(END_THEM, patched=patched)
    assert states == {"UA": "success", "DL": "failed", "other": "success"}
    assert asked == requests


@pytest.mark.parametrize(
    ("patched", "shown"),
    [("True", [1, 65536, True, 100]), ("", [1, 4096, False, 10])],
    ids=["patched", "neither-true-nor-false"],
)
def test_a_triggerer_is_patched_before_it_starts_its_runner(airflow: Patched, patched: str, shown: list[Any]) -> None:
    assert airflow.printed(SHOW, patched=patched) == shown
