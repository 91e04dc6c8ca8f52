"""``airflow ecs-feature rerun`` as a user runs it: a real Airflow command, on a real metadata database."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_home import COMMANDS_FIRST, SYNC_DAGS, environment, home_with
from forks import Forks

ROOT = Path(__file__).resolve().parents[2]
DAGS = '''"""Airflow DAGs of the rerun's test."""
from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronDataIntervalTimetable
from ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant

COMMON = dict(cluster="features", container="features", taskdefs=TASKDEFS, subnets="subnet-0a", security_groups="")


def ingest(**_):
    pass


def found(**_):
    return ["acme", "acme-eu"]


def variant(name):
    return Variant(name, "flight-features-control", [ScaledService("encoder-control", 2)])


named = FeaturePipeline(
    dag_id="named", schedule="@daily", start_date=datetime(2013, 1, 1), shards=("acme", "acme-eu", "globex"),
    variants=[variant("control"), variant("treatment")], ingest=ingest, output_uri="s3://b/out", **COMMON,
).dag()
tokyo = FeaturePipeline(
    dag_id="tokyo", schedule=CronDataIntervalTimetable("@daily", timezone="Asia/Tokyo"),
    start_date=datetime(2012, 1, 1), shards=("acme",), task_definition="flight-features-control",
    output_uri="s3://b/out", **COMMON,
).dag()
mapped = FeaturePipeline(
    dag_id="mapped", schedule=None, start_date=datetime(2013, 1, 1), shards=found, variants=[variant("control")],
    ingest=ingest, output_uri="s3://b/out", **COMMON,
).dag()
with DAG("own", start_date=datetime(2013, 1, 1)):
    groups = [
        FeaturePipeline(
            shards=("acme", "globex"), task_definition="flight-features-control", output_uri="s3://b/" + name,
            ingest=ingest if name == "second" else None, **COMMON,
        ).task_group(name)
        for name in ("first", "second")
    ]
    groups[0] >> groups[1] >> EmptyOperator(task_id="train")
'''
SETUP = (
    SYNC_DAGS
    + """
import datetime as dt
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskmap import TaskMap
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

RUNS = [
    ("named", "day", 1, 0), ("named", "twice-a", 2, 0), ("named", "twice-b", 2, 1), ("mapped", "day", 1, 0),
    ("own", "day", 1, 0), ("tokyo", "first-of-january", 0, 15), ("tokyo", "second-of-january", 1, 15),
]
with create_session() as session:
    for dag_id, run_id, day, hour in RUNS:
        date = dt.datetime(2012, 12, 31, hour, tzinfo=dt.timezone.utc) + dt.timedelta(days=day)
        run = SerializedDagModel.get_dag(dag_id).create_dagrun(
            run_id=run_id, logical_date=date, data_interval=(date, date), run_after=date, session=session,
            run_type=DagRunType.MANUAL, triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.SUCCESS,
        )
        session.flush()
        if dag_id == "mapped":
            (first,) = [ti for ti in run.task_instances if ti.task_id == "control.shard"]
            first.map_index = 0
            task = SerializedDagModel.get_dag(dag_id).get_task("control.shard")
            session.add(TaskInstance(task, run_id=run_id, map_index=1, dag_version_id=first.dag_version_id))
            session.add(TaskMap(dag_id, "find_shards", run_id, -1, 2, None))
            session.add(XComModel(dag_run_id=run.id, dag_id=dag_id, run_id=run_id, task_id="find_shards", map_index=-1,
                                  key="return_value", value=["acme", "acme-eu"]))
"""
)
RESET = """
import datetime as dt
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session

date = dt.datetime(2013, 1, 1, tzinfo=dt.timezone.utc)
with create_session() as session:
    every = session.query(TaskInstance)
    every.update({"state": "success", "start_date": date, "end_date": date, "duration": 0.0})
    # This run was started without globex: Airflow skipped it.
    left_out = every.filter(TaskInstance.run_id == "twice-b", TaskInstance.task_id.endswith(".globex"))
    left_out.update({"state": "skipped"})
    CHANGES
"""
STATES = """
import json
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session

found = {}
with create_session() as session:
    for ti in session.query(TaskInstance):
        name = ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"
        found.setdefault(f"{ti.dag_id}/{ti.run_id}", {})[name] = [ti.state, ti.end_date is not None]
print(json.dumps(found))
"""
CLEARED_WITH = {"register", "scale_up", "services_steady", "publish", "scale_down"}


class World:
    """An Airflow home with finished runs."""

    def __init__(self, home: Path) -> None:
        home_with(home, DAGS.replace("TASKDEFS", repr(str(ROOT / "include" / "taskdefs"))))
        variables = {
            **environment(home),
            "PYTHONPATH": str(ROOT / "plugins"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        }
        self.forks = Forks(COMMANDS_FIRST, home, variables)
        made = self.forks.run(SETUP)
        assert made.returncode == 0, made.stderr[-3000:]

    def rerun(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.forks.run_module("ecs_feature.cli", "rerun", *arguments)

    def reset(self, changes: str = "") -> None:
        done = self.forks.run(RESET.replace("CHANGES", changes))
        assert done.returncode == 0, done.stderr[-3000:]

    def states(self) -> dict[str, dict[str, Any]]:
        done = self.forks.run(STATES)
        assert done.returncode == 0, done.stderr[-3000:]
        found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        return found

    def cleared(self) -> dict[str, set[str]]:
        """By DAG and run: the tasks that have no state."""
        return {
            run: names
            for run, tasks in self.states().items()
            if (names := {name for name, (state, _) in tasks.items() if state is None})
        }


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("rerun"))
    with world.forks:
        yield world


@pytest.fixture
def world(airflow: World) -> World:
    """All tasks have succeeded."""
    airflow.reset()
    return airflow


def of(lane: str, *names: str) -> set[str]:
    return {f"{lane}.{name}" for name in names}


def test_exactly_the_named_shards_are_cleared_and_what_they_need(world: World) -> None:
    shown = world.rerun(
        "named", "--run", "day", "--shards", "acme,control/globex", "--variants", "control", "--dry-run"
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines() == [
        "Run day of DAG named, logical date 2013-01-01T00:00:00+00:00",
        "  shards     control/acme, control/globex",
        "  with them  control.publish, control.register, control.scale_down, control.scale_up, "
        "control.services_steady, receipt",
        "  The shards read the raw data that is there; --fresh-input brings it anew.",
        "  The DAG is paused, so nothing runs before: airflow dags unpause named",
        "Nothing was cleared.",
    ]
    assert world.cleared() == {}
    done = world.rerun("named", "--date", "2013-01-01", "--shards", "acme", "-y")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "13 tasks cleared."
    lanes = set().union(*(of(lane, *CLEARED_WITH, "shards.acme") for lane in ("control", "treatment")))
    assert world.cleared() == {"named/day": {*lanes, "receipt"}}
    states = world.states()["named/day"]
    assert states["control.shards.acme"] == [None, False]
    assert states["control.shards.acme-eu"] == ["success", True]


def test_fresh_input_clears_the_ingest_too_and_no_other_shard(world: World) -> None:
    asked = ("named", "--run", "day", "--shards", "acme-eu", "--variants", "treatment", "--fresh-input")
    assert world.rerun(*asked, "-y").returncode == 0
    assert world.cleared() == {"named/day": {*of("treatment", *CLEARED_WITH, "shards.acme-eu"), "ingest", "receipt"}}


def test_mapped_shards_are_cleared_by_name_and_found_anew_only_all_together(world: World) -> None:
    assert world.rerun("mapped", "--run", "day", "--shards", "acme-eu", "--fresh-input", "-y").returncode == 0
    assert world.cleared() == {"mapped/day": {*of("control", *CLEARED_WITH, "shard[1]"), "ingest", "receipt"}}
    assert world.rerun("mapped", "--run", "day", "--fresh-input", "-y").returncode == 0
    assert world.cleared()["mapped/day"] == {
        *of("control", *CLEARED_WITH, "shard[0]", "shard[1]"), "ingest", "find_shards", "receipt"
    }  # fmt: skip


def test_a_date_is_the_partition_in_the_schedules_time_zone(world: World) -> None:
    """The second of January in Tokyo begins on the first in UTC, which is another run's date."""
    for date, run_id in (("2013-01-01", "first-of-january"), ("2013-01-02", "second-of-january")):
        asked = world.rerun("tokyo", "--date", date, "--shards", "acme", "--dry-run")
        assert f"Run {run_id} of DAG tokyo" in asked.stdout, asked.stderr
    moment = world.rerun("tokyo", "--date", "2013-01-01T15:00:00+00:00", "--shards", "acme", "--dry-run")
    assert "Run second-of-january of DAG tokyo" in moment.stdout


def test_in_a_dag_of_ones_own_what_hangs_behind_the_group_runs_again_too(world: World) -> None:
    asked = ("own", "--run", "day", "--shards", "second/acme", "--fresh-input", "-y")
    assert world.rerun(*asked).returncode == 0
    # Airflow counts the register of the first group, a setup without a teardown, to all that comes after it.
    assert world.cleared() == {
        "own/day": {*of("second", "register", "shards.acme", "publish", "ingest", "receipt"), "first.register", "train"}
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("named",), "Name the run with either --run or --date."),
        (
            ("named", "--run", "day", "--shards", "acm"),
            "--shards: run 'day' of DAG 'named' has no shard 'acm'; choose from acme, acme-eu, globex.",
        ),
        (
            ("named", "--run", "day", "--variants", "cntrl"),
            "--variants: run 'day' of DAG 'named' has no variant 'cntrl'; choose from control, treatment.",
        ),
        (("named", "--date", "2013-01-02"), "--date: DAG 'named' has 2 runs of 2013-01-02; name one, --run twice-b."),
        (
            ("named", "--date", "2013-01-03"),
            "--date: DAG 'named' has no run of 2013-01-03; see airflow dags list-runs named.",
        ),
        (("named", "--date", "yesterday"), "--date: 'yesterday' is no date; write it as 2013-02-08."),
        (
            ("named", "--date", "2013-01-02T01:00", "--shards", "globex"),
            "--shards: run 'twice-b' of DAG 'named' was started without 'globex', and would leave it out again; start "
            "a new run of it instead, see docs/rerun.md.",
        ),
        (
            ("own", "--run", "day", "--shards", "first/acme", "--fresh-input"),
            "--fresh-input: the pipeline of DAG 'own' has no ingest that could run again; whatever brings its raw data "
            "has to do so before.",
        ),
        (("named", "--run", "never"), "DAG 'named' has no run 'never'; its last ones are twice-b, twice-a, day."),
    ],
)
def test_what_cannot_be_rerun_gets_one_sentence_and_nothing_is_cleared(
    world: World, arguments: tuple[str, ...], sentence: str
) -> None:
    done = world.rerun(*arguments, "-y")
    assert (done.returncode, done.stderr.strip().splitlines()[-1:]) == (1, [sentence])
    assert world.cleared() == {}


def test_a_task_that_is_going_on_is_not_stopped(world: World) -> None:
    world.reset('every.filter_by(dag_id="named", task_id="control.publish").update({"state": "running"})')
    done = world.rerun("named", "--run", "day", "--shards", "acme", "-y")
    assert (done.returncode, done.stderr.strip().splitlines()[-1]) == (
        1,
        "control.publish is still going on in this run, and would be stopped; wait for its end.",
    )
    assert world.cleared() == {}


RACE = """
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from ecs_feature.exceptions import SelectionError
from ecs_feature.runs.rerun import rerun_of

planned = rerun_of("named", "day", shards=["acme"])
with create_session() as session:
    session.query(TaskInstance).filter_by(dag_id="named", task_id="receipt").update({"state": "running"})
try:
    planned.clear()
except SelectionError as error:
    print(error)
"""


def test_a_task_that_starts_while_the_user_is_asked_is_not_stopped_either(world: World) -> None:
    done = world.forks.run(RACE)
    assert done.stdout.splitlines()[-1:] == [
        "receipt is still going on in this run, and would be stopped; wait for its end."
    ], done.stderr[-2000:]
    assert world.cleared() == {}
