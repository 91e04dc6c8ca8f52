"""``airflow ecs-feature logs`` as a user runs it: a real Airflow command, a metadata database, containers that talk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow_home import COMMANDS_FIRST, SYNC_DAGS, environment, home_with
from forks import Forks
from operator_context import CLUSTER, register_logged

from ecs_feature.tasks.launch import started_by
from fargate_local import LocalFargate, Settings

ROOT = Path(__file__).resolve().parents[2]
GROUP = "/ecs/talk"
TALK = """
import sys, time
name, lines, every = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
for line in range(lines):
    print(f"{name} {line}", flush=True)
    time.sleep(every)
"""
DAGS = '''"""Airflow DAGs of the test."""
from airflow.sdk import DAG, task
from ecs_feature.tasks.launch import Launch, Network
from ecs_feature.operators.shard import EcsShardOperator, start_args
from ecs_feature.operators.worker_shard import WorkerShardOperator
from ecs_feature.triggerer.references import reference


def launch():
    return Launch("features", "talk", "talk", Network(("subnet-1",)))


with DAG("talks") as talks:
    for variant in ("control", "treatment"):
        for name in ("AA", "UA"):
            EcsShardOperator(task_id=f"{variant}_{name}", shard=name, launch=launch(), record={"variant": variant},
                             aws_conn_id=None)

with DAG("many") as many:
    for number in range(120):
        EcsShardOperator(task_id=f"S{number}", shard=f"S{number}", launch=launch(), aws_conn_id=None)

with DAG("on_workers"):
    WorkerShardOperator(task_id="AA", shard="AA", launch=launch(), aws_conn_id=None)

@task
def find():
    return []


with DAG("found") as found:
    EcsShardOperator.partial(
        task_id="shard", launch=launch(), start_trigger_args=start_args(reference("find", "{{ ti.map_index }}"),
        launch=launch(), aws_conn_id=None), aws_conn_id=None,
    ).expand(shard=find())

with DAG("other") as other:
    pass
'''
SETUP = (
    SYNC_DAGS
    + """
import datetime as dt, json
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

ids = {}
with create_session() as session:
    for dag_id in ("talks", "many", "found"):
        date = dt.datetime(2013, 1, 1, tzinfo=dt.timezone.utc)
        run = SerializedDagModel.get_dag(dag_id).create_dagrun(
            run_id="r0", logical_date=date, data_interval=(date, date), run_after=date, session=session,
            run_type=DagRunType.MANUAL, triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.RUNNING,
        )
        session.flush()
        for ti in run.task_instances:
            ti.state = "upstream_failed" if dag_id == "found" else "deferred"
            ids[f"{dag_id}/{ti.task_id}"] = str(ti.id)
print(json.dumps(ids))
"""
)
END = """
import json
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

with create_session() as session:
    for dag_id, task_id, state, record in CHANGES:
        ti = session.scalar(select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.task_id == task_id))
        ti.state = state
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id))
        session.merge(XComModel(dag_run_id=run.id, dag_id=dag_id, run_id="r0", task_id=task_id, map_index=-1,
                                key="return_value", value=json.dumps(record)))
"""


class Following:
    """The command while it runs; its output is in files."""

    def __init__(self, world: World, *arguments: str) -> None:
        self.out, self.err = world.home / "out.txt", world.home / "err.txt"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], env=world.environment, cwd=world.home, stdout=out, stderr=err
            )

    def lines(self, least: int = 0) -> list[str]:
        """What it has printed, once there are so many lines."""
        end = time.monotonic() + 60
        while len(found := self.out.read_text().splitlines()) < least:
            assert time.monotonic() < end, (found, self.err.read_text()[-2000:])
            time.sleep(0.1)
        return found

    def ended(self) -> tuple[int, str]:
        return self.process.wait(timeout=60), self.err.read_text()


class World:
    """An Airflow home with two runs, and a local Fargate with the tasks of their shards."""

    def __init__(self, home: Path, aws: LocalFargate) -> None:
        self.home, self.aws, self.ecs = home, aws, aws.client("ecs")
        self.processes: list[Following] = []
        home_with(home, DAGS)
        self.environment = {
            **environment(home),
            **aws.environ,
            "PYTHONPATH": str(ROOT / "plugins"),
            # The package is also installed: Airflow warns of a plugin that it knows already.
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        }
        self.forks = Forks(COMMANDS_FIRST, home, self.environment)
        made = self.forks.run(SETUP)
        assert made.returncode == 0, made.stderr[-3000:]
        self.ids: dict[str, str] = json.loads(made.stdout.splitlines()[-1])

    def logs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.forks.run_module("ecs_feature.cli", "logs", *arguments)

    def following(self, *arguments: str) -> Following:
        self.processes.append(Following(self, "-m", "ecs_feature.cli", "logs", *arguments, "--follow"))
        return self.processes[-1]

    def launch(self, task: str, *command: str) -> str:
        """Start what the shard's trigger would start."""
        dag_id, _, task_id = task.partition("/")
        network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
        override = {"name": "talk", "command": ["python", "talk.py", *command]}
        answer = self.ecs.run_task(
            cluster=CLUSTER,
            taskDefinition="talk",
            launchType="FARGATE",
            networkConfiguration=network,
            startedBy=started_by(f"{dag_id}/{self.ids[f'{dag_id}/{task_id}']}"),
            overrides={"containerOverrides": [override]},
        )
        return str(answer["tasks"][0]["taskArn"])

    def wait(self, arn: str, status: str = "STOPPED") -> None:
        end = time.monotonic() + 30
        while self.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]["lastStatus"] != status:
            assert time.monotonic() < end
            time.sleep(0.1)

    def end(self, *shards: tuple[str, str, str, str]) -> None:
        """(task, its Airflow state, its outcome, its ECS task): as the trigger leaves them."""
        changes = []
        for task, state, outcome, arn in shards:
            dag_id, _, task_id = task.partition("/")
            ecs = self.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]
            times = {
                f"{when}_at": ecs[f"{when}At"].isoformat()
                for when in ("created", "started", "stopped")
                if f"{when}At" in ecs
            }
            launch = {"task_arn": arn, "outcome": outcome, **times}
            record = {"shard": task_id.rpartition("_")[2], "outcome": outcome, "launches": [launch]}
            changes.append((dag_id, task_id, state, record))
        done = self.forks.run(f"CHANGES = {changes!r}\n{END}")
        assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    images = tmp_path_factory.mktemp("images")
    (images / "talk").mkdir()
    (images / "talk" / "talk.py").write_text(TALK)
    state = tmp_path_factory.mktemp("state")
    with LocalFargate(Settings(images=images, state_dir=state, pace=0.001)) as aws:
        aws.client("ecs").create_cluster(clusterName=CLUSTER)
        register_logged(aws, "talk", GROUP)
        world = World(tmp_path_factory.mktemp("airflow"), aws)
        with world.forks:
            yield world


@pytest.fixture(autouse=True)
def _no_process_is_left(world: World) -> Iterator[None]:
    yield
    for process in world.processes:
        process.process.kill()
        process.process.wait()


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


@pytest.mark.timeout(300)
def test_a_run_is_read_while_it_goes_on_and_afterwards(world: World) -> None:
    ended = world.launch("talks/control_AA", "control-AA", "30", "0.01")
    failed = world.launch("talks/treatment_AA", "treatment-AA", "3", "0.01")
    for arn in (ended, failed):
        world.wait(arn)
    world.end(
        ("talks/control_AA", "success", "succeeded", ended),
        ("talks/treatment_AA", "up_for_retry", "application_failure", failed),
    )
    running = world.launch("talks/control_UA", "control-UA", "1000", "0.3")
    world.wait(running, "RUNNING")

    # The last ones of each, in order of time: the running shard's come last.
    printed = lines(world.logs("talks", "r0", "--lines", "4"))
    control = [f"[control/AA] control-AA {line}" for line in range(26, 30)]
    treatment = [f"[treatment/AA] treatment-AA {line}" for line in range(3)]
    assert [line for line in printed if line.startswith("[control/AA]")] == control
    assert [line for line in printed if line.startswith("[treatment/AA]")] == treatment
    assert printed[-1].startswith("[control/UA] control-UA ")
    assert len(printed) <= 11

    assert lines(world.logs("talks", "r0", "--failed")) == treatment
    assert lines(world.logs("talks", "r0", "--shard", "control/AA", "--lines", "1")) == control[-1:]
    assert {line.split()[0] for line in lines(world.logs("talks", "r0", "--shard", "UA"))} == {"[control/UA]"}

    following = world.following("talks", "r0", "--shard", "UA", "treatment/AA")
    following.lines(least=40)
    world.ecs.stop_task(cluster=CLUSTER, task=running)
    world.wait(running)
    again = world.launch("talks/treatment_UA", "treatment-UA", "3", "0.01")
    world.wait(again)
    world.end(
        ("talks/control_UA", "success", "succeeded", running),
        ("talks/treatment_UA", "success", "succeeded", again),
        ("talks/treatment_AA", "failed", "application_failure", failed),
    )
    assert following.ended() == (0, "")
    printed = following.lines()
    ua = [line for line in printed if line.startswith("[control/UA]")]
    first = int(ua[0].rpartition(" ")[2])
    logged = world.aws.client("logs").filter_log_events(logGroupName=GROUP, filterPattern='"control-UA"')["events"]
    assert ua == [f"[control/UA] control-UA {line}" for line in range(first, len(logged))]
    assert [line for line in printed if line.startswith("[treatment/UA]")] == [
        f"[treatment/UA] treatment-UA {line}" for line in range(3)
    ]
    assert [line for line in printed if line.startswith("[treatment/AA]")] == treatment


def test_many_running_shards_cost_a_call_for_a_hundred_and_ctrl_c_ends_quietly(world: World) -> None:
    quiet = ("quiet", "1", "120")
    arns = [world.launch(f"many/S{number}", f"S{number}", "1", "120") for number in range(3)] + [
        world.launch(f"many/S{number}", *quiet) for number in range(3, 12)
    ]
    for arn in arns:
        world.wait(arn, "RUNNING")
    before = Counter(call.operation for call in world.aws.calls())
    following = world.following("many", "r0")
    assert {"[S0] S0 0", "[S1] S1 0", "[S2] S2 0"} <= set(following.lines(least=12))
    following.process.send_signal(signal.SIGINT)
    assert following.ended() == (130, "")
    assert len(following.lines()) == 12
    made = Counter(call.operation for call in world.aws.calls()) - before
    assert (made["ListTasks"], made["DescribeTaskDefinition"], made["GetLogEvents"]) == (1, 1, 0)
    assert made["DescribeTasks"] <= 4
    assert made["FilterLogEvents"] <= 3
    for arn in arns:
        world.ecs.stop_task(cluster=CLUSTER, task=arn)


REJECTED = (
    "AWS rejected the credentials (ExpiredTokenException: It has expired); check the aws connection's key, token and "
    "role.\n"
)


@pytest.fixture
def faults(world: World) -> Iterator[LocalFargate]:
    yield world.aws
    httpx.delete(f"{world.aws.endpoint_url}/_fargate_local/faults").raise_for_status()


@pytest.mark.parametrize("error", ["AccessDeniedException", "ExpiredTokenException"])
def test_logs_that_cannot_be_read_for_a_moment_are_waited_for(world: World, faults: LocalFargate, error: str) -> None:
    arn = world.launch("many/S50", "S50", "3", "0.01")
    world.wait(arn)
    world.end(("many/S50", "success", "succeeded", arn))
    faults.add_fault({"match": {"operation": "GetLogEvents", "service_api": "logs"}, "error": error, "times": 1})
    assert lines(world.logs("many", "r0", "--shard", "S50")) == [f"[S50] S50 {line}" for line in range(3)]


def test_keys_that_have_expired_are_read_again_from_the_connection(world: World, faults: LocalFargate) -> None:
    arn = world.launch("many/S52", "S52", "3", "0.01")
    world.wait(arn)
    world.end(("many/S52", "success", "succeeded", arn))
    faults.add_fault({"match": {"operation": "DescribeTasks"}, "error": "ExpiredTokenException", "times": 1})
    assert lines(world.logs("many", "r0", "--shard", "S52")) == [f"[S52] S52 {line}" for line in range(3)]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            {"match": {"operation": "*", "service_api": "logs"}, "error": "AccessDeniedException", "message": "No."},
            "GetLogEvents was denied (AccessDeniedException: No); allow it in Airflow's role.\n",
        ),
        (
            {
                "match": {"operation": "*", "service_api": "logs"},
                "error": "ExpiredTokenException",
                "message": "It has expired.",
            },
            REJECTED,
        ),
        (
            {"match": {"operation": "*"}, "error": "ExpiredTokenException", "message": "It has expired."},
            REJECTED,
        ),
    ],
    ids=["logs denied", "logs expired", "ecs expired"],
)
def test_logs_that_cannot_be_read_end_the_command_with_one_sentence(
    world: World, faults: LocalFargate, rule: dict[str, Any], sentence: str
) -> None:
    arn = world.launch("many/S53", "S53", "3", "0.01")
    world.wait(arn)
    world.end(("many/S53", "success", "succeeded", arn))
    faults.add_fault(rule)
    began = time.monotonic()
    done = world.logs("many", "r0", "--shard", "S53")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)
    assert time.monotonic() - began < 40


def test_where_lines_are_missing_is_told(world: World) -> None:
    arn = world.launch("many/S51", "S51", "3", "0.01")
    world.wait(arn)
    world.end(("many/S51", "success", "succeeded", arn))
    missing = {"error": "ResourceNotFoundException", "message": "The specified log group does not exist."}
    world.aws.add_fault({"match": {"operation": "GetLogEvents", "service_api": "logs"}, "times": 1, **missing})
    done = world.logs("many", "r0", "--shard", "S51")
    assert done.stderr.startswith("[S51] its log group ")
    assert done.stderr.endswith(" does not exist, so there are no lines here\n")
    assert done.stderr.count("\n") == 1


def test_a_run_that_never_found_its_shards_is_not_followed_for_ever(world: World) -> None:
    assert world.following("found", "r0").ended() == (0, "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nope", "r0"], "DAG 'nope' is not known to this Airflow"),
        (["on_workers", "r0"], "DAG 'on_workers' runs its shards on workers: their lines are in Airflow's task logs"),
        (["other", "r0"], "DAG 'other' has no EcsShardOperator, so there are no containers' logs."),
        (["talks", "r9"], "DAG 'talks' has no run 'r9'; its last ones are r0."),
        (
            ["talks", "r0", "--shard", "AA", "ZZ"],
            "--shard: run 'r0' of DAG 'talks' has no shard 'ZZ'; choose from AA, UA.",
        ),
        (["many", "r0", "--shard", "S1", "--failed"], "--failed: no such shard of run 'r0' of DAG 'many' has failed."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there_is_refused_with_one_sentence(world: World, arguments: list[str], sentence: str) -> None:
    done: Any = world.logs(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
