"""The patches of a triggerer's two processes, on Airflow's own supervisor, runner, messages and database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow_home import SYNC_DAGS, Patched, home_with

DAGS = '''
"""Two airflow dags."""
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from ecs_feature.tasks.launch import Launch, Network
from ecs_feature.operators.shard import EcsShardOperator

with DAG("starts") as starts:
    launch = Launch("features", "job", "job", Network(("subnet-0a",)))
    for shard in ("UA", "DL", "AA", "WN"):
        EcsShardOperator(task_id=shard, shard=shard, launch=launch, aws_conn_id=None)
with DAG("other") as other:
    EmptyOperator(task_id="other")
'''
LOADED = """
import airflow.cli.commands.triggerer_command  # what has loaded a triggerer's code
from airflow.plugins_manager import ensure_plugins_loaded

ensure_plugins_loaded()
"""
SUPERVISOR = (
    LOADED
    + SYNC_DAGS
    + """
import datetime as dt, json
import structlog
from airflow.jobs.job import Job
from airflow.jobs.triggerer_job_runner import TriggerEventEntry, TriggerRunnerSupervisor, messages
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk.execution_time.comms import MaskSecret
from airflow.triggers.base import TaskSuccessEvent
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

answers, dags = [], []

class Supervisor(TriggerRunnerSupervisor):
    def send_msg(self, msg, request_id, error=None, **_):
        if isinstance(msg, messages.TriggerStateSync):
            answers.append(sorted(each.ti.task_id for each in msg.to_create) + sorted(msg.to_cancel))
            dags.extend(each.dag_data["dag"]["dag_id"] for each in msg.to_create)

class Blind(Supervisor):
    def load_triggers(self):
        raise RuntimeError("the database is away")

def made(kind):
    return kind(id=job.id, job=job, capacity=10, pid=1, stdin=None, process=None, process_log=structlog.get_logger())

def ask(supervisor, question=None):
    supervisor._handle_request(question or messages.TriggerStateChanges(), structlog.get_logger(), 1)

def start(*shards):
    # As the scheduler does.
    with create_session() as session:
        run = session.scalar(select(DagRun))
        run.dag = dag
        tis = [ti for ti in run.task_instances if ti.task_id in shards]
        for ti in tis:
            ti.task = dag.get_task(ti.task_id)
        run.schedule_tis(tis, session=session)
        assert {ti.state for ti in tis} == {"deferred"}, tis

dag = SerializedDagModel.get_dag("starts")
with create_session() as session:
    job = Job(job_type="TriggererJob")
    session.add(job)
    date = dt.datetime(2013, 1, 1, tzinfo=dt.timezone.utc)
    dag.create_dagrun(
        run_id="r0", logical_date=date, data_interval=(date, date), run_after=date, session=session,
        run_type=DagRunType.MANUAL, triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.RUNNING,
    )
supervisor = made(Supervisor)
start("UA")
ask(supervisor)
supervisor.load_triggers()  # its own look, after the answer
ask(supervisor)
start("DL")
ask(made(Blind))
ask(supervisor, MaskSecret(value="not a turn"))
supervisor.cancelling_triggers.add(99)
event = TriggerEventEntry(1, TaskSuccessEvent(), None)
for finished, shard in (([], "AA"), ([-1], "WN")):  # whatever a message has, Airflow's own function answers it
    ask(supervisor, messages.TriggerStateChanges(events=[event], finished=finished))
    start(shard)
assert [event.trigger_id for event in supervisor.events] == [1, 1]
supervisor.stop = True
ask(supervisor)
print(json.dumps([answers, sorted(set(dags))]))
"""
)
RUNNER = (
    LOADED
    + """
import asyncio, json
from types import SimpleNamespace
from uuid import uuid4
from airflow.jobs.triggerer_job_runner import TriggerRunner, messages
from airflow.triggers.base import TaskSuccessEvent
from ecs_feature.triggers.shard import ShardTrigger

reported = []
killed = []

class Supervisor:
    async def asend(self, msg):
        reported.append([[event.trigger_id for event in msg.events or ()], msg.finished])
        return messages.TriggerStateSync(to_create=[], to_cancel={9})  # until it hears that this one is done

class Shard(ShardTrigger):
    def __init__(self, number, task_id="control.shard"):
        super().__init__(shard=f"s{number}")
        self.end = asyncio.Event()
        self.task_instance = SimpleNamespace(
            id=uuid4(), dag_id="starts", run_id="r0", task_id=task_id, try_number=1, map_index=number,
            context_carrier={}, dag_version_id=None, queue="default", task=None,
        )

    async def run(self):
        await self.end.wait()
        yield TaskSuccessEvent()

    async def on_kill(self):
        await asyncio.sleep(0.1)
        killed.append(self.shard)

async def main():
    runner = TriggerRunner()
    runner.comms_decoder = Supervisor()
    shards = {1: Shard(1), 2: Shard(2), 9: Shard(9, "treatment.shard")}
    for number, shard in shards.items():
        task = asyncio.create_task(runner.run_trigger(number, shard))
        runner.triggers[number] = {"task": task, "name": f"s{number}", "events": 0, "is_watcher": False}
    for number in (1, 2):
        shards[number].end.set()
        await runner.triggers[number]["task"]
        await asyncio.sleep(0.05)
    at_once = reported[:]
    await runner.sync_state_to_supervisor(await runner.cleanup_finished_triggers())  # its own turn
    killing = runner.triggers[9]["task"]
    await runner.cancel_triggers()
    await asyncio.wait([killing])
    print(json.dumps([at_once, reported[len(at_once):], killed]))

asyncio.run(main())
"""
)
MADE = (
    LOADED
    + SYNC_DAGS
    + """
import json
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.session import create_session

same = []
for dag_id in ("starts", "other"):
    with create_session() as session:
        model = SerializedDagModel.get(dag_id, session=session)
        sent = json.loads(json.dumps(model.data))  # as the runner gets it
        with_links = model.dag
        same.append([with_links is model.dag, with_links is DagSerialization.from_dict(sent)])
        assert DagSerialization.from_dict(sent).dag_id == dag_id
        model.load_op_links = False
        assert model.dag is not with_links
print(json.dumps(same))
"""
)
DEPTHS = (
    LOADED
    + """
import json
from airflow.jobs.triggerer_job_runner import TriggerRunner, TriggerRunnerSupervisor
from airflow.serialization.serialized_objects import DagSerialization
from airflow.sdk.plugins_manager import integrate_macros_plugins
from ecs_feature.plugin import EcsFeaturePlugin

def depth(function):
    inner = getattr(function, "__wrapped__", None)
    return 0 if inner is None else 1 + depth(inner)

integrate_macros_plugins()  # loads the plugins once more, in the runner
EcsFeaturePlugin.on_load()
functions = (TriggerRunner.run_trigger, TriggerRunnerSupervisor._handle_request, DagSerialization.from_dict)
print(json.dumps([*map(depth, functions)]))
"""
)


CONNECTED = (
    LOADED
    + SYNC_DAGS
    + """
import asyncio, datetime as dt, json, socket, threading
from types import SimpleNamespace
from uuid import uuid4
import msgspec, structlog
from airflow.jobs.job import Job
from airflow.jobs.triggerer_job_runner import TriggerCommsDecoder, TriggerRunner, TriggerRunnerSupervisor
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk.execution_time.comms import _RequestFrame
from airflow.triggers.base import TaskSuccessEvent
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from ecs_feature.triggers.shard import ShardTrigger

class Shard(ShardTrigger):
    task_instance = SimpleNamespace(
        id=uuid4(), dag_id="starts", run_id="r0", task_id="control.shard", try_number=1, map_index=0,
        context_carrier={}, dag_version_id=None, queue="default", task=None,
    )

    async def run(self):
        yield TaskSuccessEvent()

with create_session() as session:
    job = Job(job_type="TriggererJob")
    session.add(job)
    date = dt.datetime(2013, 1, 1, tzinfo=dt.timezone.utc)
    dag = SerializedDagModel.get_dag("starts")
    run = dag.create_dagrun(
        run_id="r0", logical_date=date, data_interval=(date, date), run_after=date, session=session,
        run_type=DagRunType.MANUAL, triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.RUNNING,
    )
    session.flush()
    run.dag = dag
    [ti] = [ti for ti in run.task_instances if ti.task_id == "UA"]
    ti.task = dag.get_task("UA")
    run.schedule_tis([ti], session=session)  # as the scheduler does; its trigger waits to be started

theirs, ours = socket.socketpair()
supervisor = TriggerRunnerSupervisor(
    id=job.id, job=job, capacity=10, pid=1, stdin=ours, process=None, process_log=structlog.get_logger()
)
supervisor.cancelling_triggers.add(99)
supervisor.persisted_event_seqs.append(7)

def serve():
    handler = supervisor.handle_requests(structlog.get_logger())
    next(handler)
    while head := ours.recv(4, socket.MSG_WAITALL):
        body = ours.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
        handler.send(msgspec.msgpack.decode(body, type=_RequestFrame))

async def main():
    runner = TriggerRunner()
    reader, writer = await asyncio.open_connection(sock=theirs)
    runner.comms_decoder = TriggerCommsDecoder(async_writer=writer, async_reader=reader, socket=theirs)
    await runner.comms_decoder.start_reader()
    confirmed = []
    runner._shared_streams.confirm_persisted = confirmed.extend
    shard = Shard(shard="s0")
    runner.triggers[1000] = {"task": None, "name": "s0", "events": 0, "is_watcher": False}
    runner.triggers[1000]["task"] = asyncio.create_task(runner.run_trigger(1000, shard))
    await runner.triggers[1000]["task"]
    async with asyncio.timeout(20):
        while not runner.to_create:
            await asyncio.sleep(0.01)
    seen = [[event.trigger_id for event in supervisor.events], list(runner.to_cancel), confirmed[:]]
    await runner.sync_state_to_supervisor(await runner.cleanup_finished_triggers())  # the runner's turn
    seen.append([[each.ti.task_id for each in runner.to_create], list(runner.to_cancel), confirmed])
    [new] = [each.id for each in runner.to_create]
    assert new in supervisor.running_triggers
    await runner.create_triggers()
    seen.append(type(runner.triggers[new]["task"]).__name__)
    runner.triggers[new]["task"].cancel()
    runner.comms_decoder._reader_task.cancel()
    writer.close()
    print(json.dumps(seen))

threading.Thread(target=serve, daemon=True).start()
asyncio.run(main())
"""
)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patched]:
    patched = Patched(home_with(tmp_path_factory.mktemp("airflow"), DAGS))
    with patched.forks:
        yield patched


@pytest.mark.parametrize(
    ("patched", "answers"),
    [
        ("True", [["UA"], [], [], ["DL", 99], ["AA", 99], [99]]),
        ("False", [[], ["UA"], [], [99], [99], [99]]),
    ],
    ids=["patched", "as-it-is"],
)
def test_what_was_written_after_the_last_look_is_in_the_next_answer(
    airflow: Patched, patched: str, answers: list[list[str]]
) -> None:
    assert airflow.printed(SUPERVISOR, patched=patched) == [answers, ["starts"]]


@pytest.mark.parametrize(
    ("patched", "at_once", "turn"),
    [("True", [[[1, 2], None]], [[[], [1, 2]]]), ("False", [], [[[1, 2], [1, 2]]])],
    ids=["patched", "as-it-is"],
)
def test_the_ends_of_a_group_are_reported_with_its_last_and_kills_are_for_the_runners_turn(
    airflow: Patched, patched: str, at_once: list[Any], turn: list[Any]
) -> None:
    assert airflow.printed(RUNNER, patched=patched) == [at_once, turn, ["s9"]]


def test_what_the_supervisor_replies_to_a_report_between_turns_is_not_lost(airflow: Patched) -> None:
    reported, to_cancel, confirmed, turn, started = airflow.printed(CONNECTED, patched="True")
    assert (reported, to_cancel, confirmed) == ([1000], [], [7])
    assert turn == [["UA"], [99], [7]]  # the new trigger once, and what is to be cancelled with the turn's own reply
    assert started == "Task"


@pytest.mark.parametrize(
    ("patched", "same"),
    [("True", [[True, True], [False, False]]), ("False", [[False, False], [False, False]])],
    ids=["patched", "as-it-is"],
)
def test_a_triggerer_makes_a_dag_of_shards_once(airflow: Patched, patched: str, same: list[list[bool]]) -> None:
    assert airflow.printed(MADE, patched=patched) == same


def test_functions_are_replaced_only_once(airflow: Patched) -> None:
    assert airflow.printed(DEPTHS, patched="True") == [1, 1, 1]
