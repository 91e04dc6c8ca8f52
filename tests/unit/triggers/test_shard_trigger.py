"""What the trigger of a shard costs Airflow: requests to its API, and templates to compile."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import weakref
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from log_supervisor import Supervisor

from ecs_feature.aws.resources import EcsContainer, EcsTask
from ecs_feature.exceptions import AwsError, ConfigurationError, CredentialsError, MissingValueError
from ecs_feature.operators.shard import EcsShardOperator
from ecs_feature.services.run_lease import RunLease
from ecs_feature.shards.records import RUNNING_KEY, launched_task, record_text, running_record
from ecs_feature.tasks.launch import Launch, Network
from ecs_feature.triggerer import references
from ecs_feature.triggerer.references import reference
from ecs_feature.triggers import shard as module
from ecs_feature.triggers.shard import ShardTrigger

ARN = "arn:aws:ecs:us-east-1:1:task/features/abc"
ENDED = "arn:aws:ecs:us-east-1:1:task/features/def"


class Fleet:
    """Runs one task that ends with ``exit_code`` after ``seconds``."""

    def __init__(self, exit_code: int = 0, seconds: float = 0.0) -> None:
        self.exit_code, self.seconds = exit_code, seconds
        self.stopped: list[str] = []
        self.definitions: list[str] = []
        self.followed: list[str] = []
        self.quota: float | None = None

    def quota_vcpus(self, capacity: str) -> float | None:
        return self.quota if capacity == "FARGATE" else None

    @asynccontextmanager
    async def slot(self, *_: Any, **__: Any) -> Any:
        yield

    async def task_definition(self, name: str) -> dict[str, Any]:
        return {}

    async def launch(self, launch: Launch, **_: Any) -> EcsTask:
        self.definitions.append(launch.task_definition)
        return EcsTask(ARN, "", "", "RUNNING", "RUNNING", created_at=datetime.now(UTC))

    async def tasks(self, cluster: str, arns: list[str]) -> list[EcsTask]:
        return [EcsTask(arn, "", "", "RUNNING", "STOPPED" if arn == ENDED else "RUNNING") for arn in arns]

    async def stop(self, cluster: str, task_arn: str, reason: str) -> None:
        assert self.definitions == []  # before the next one is launched
        self.stopped.append(task_arn)

    def live_log(self, task: EcsTask, *_: Any, **__: Any) -> Any:
        self.followed.append(task.arn)
        return nullcontext()

    async def ended(self, *_: Any, **__: Any) -> EcsTask:
        await asyncio.sleep(self.seconds)
        container = EcsContainer("features", "STOPPED", self.exit_code)
        return EcsTask(ARN, "", "", "STOPPED", "STOPPED", "EssentialContainerExited", containers=(container,))


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the trigger has stored by requests to Airflow's API, by key."""
    stored: dict[str, Any] = {}

    async def push(ti: Any, key: str, value: Any, log: Any) -> bool:
        stored[key] = value
        return True

    async def pull_own(ti: Any, key: str, log: Any) -> Any:
        if key == RUNNING_KEY:
            return stored.get(key)
        return record_text({"shard": "UA", "launches": [{"attempt": 1}]})

    monkeypatch.setattr(module, "push", push)
    monkeypatch.setattr(module, "pull_own", pull_own)
    return stored


async def event_of(
    fleet: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    *,
    try_number: int = 1,
    params: dict[str, Any] | None = None,
    ti: Any = None,
    context: dict[str, Any] | None = None,
    **arguments: Any,
) -> Any:
    @asynccontextmanager
    async def joined(key: Any, **_: Any) -> Any:
        yield fleet

    monkeypatch.setattr(module, "joined", joined)
    values = {"shard": "UA", "launch": launch().to_dict(), "policy": {"log_lines": 0}, "aws": {}, "token_id": "uuid"}
    trigger = ShardTrigger(**{**values, **arguments})
    trigger._task_instance = ti or SimpleNamespace(
        dag_id="d", run_id="r", task_id="UA", map_index=-1, try_number=try_number
    )
    trigger.render_template_fields(
        context or {"dag": SimpleNamespace(dag_id="d"), "ti": SimpleNamespace(id="uuid"), "params": params or {}}
    )
    (event,) = [event async for event in trigger.run()]
    return event


def launch(task_definition: str = "f:1") -> Launch:
    return Launch("features", task_definition, "features", Network(("subnet-0a",)), {"SHARD": "{shard}"})


async def test_a_short_shard_costs_no_request_and_its_record_comes_with_the_end(
    pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await event_of(Fleet(), monkeypatch)
    assert pushed == {}
    assert list(event.xcoms) == ["return_value"]
    assert event.xcoms["return_value"]["outcome"] == "succeeded"
    assert launched_task(event.xcoms, 1) == (ARN, "features")


@pytest.mark.parametrize("quota", [None, 4000.0])
async def test_the_record_has_the_vcpu_quota_as_the_fleet_knows_it(
    quota: float | None, pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet()
    fleet.quota = quota
    event = await event_of(fleet, monkeypatch)
    assert event.xcoms["return_value"].get("quota_vcpus") == quota
    assert ("quota_vcpus" in event.xcoms["return_value"]) is (quota is not None)


async def test_a_long_shard_shows_its_task_while_it_runs(
    pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINK_SECONDS", 0.0)
    await event_of(Fleet(seconds=0.05), monkeypatch)
    assert launched_task(pushed, 1) == (ARN, "features")


async def test_a_waiting_shard_keeps_no_copy_of_its_dag(
    pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dag:
        dag_id = "d"

    dag = Dag()
    gone = weakref.ref(dag)
    context = {"dag": dag, "ti": SimpleNamespace(id="uuid"), "params": {}}
    ti = SimpleNamespace(
        dag_id="d", run_id="r", task_id="UA", map_index=-1, try_number=1, task=SimpleNamespace(dag=dag)
    )
    del dag

    class Looking(Fleet):
        async def ended(self, *_: Any, **__: Any) -> EcsTask:
            gc.collect()
            assert gone() is None
            return await super().ended()

    event = await event_of(Looking(), monkeypatch, ti=ti, context=context)
    assert event.xcoms["return_value"]["outcome"] == "succeeded"


@pytest.mark.parametrize("exit_code", [0, 3])
async def test_a_shard_ends_when_its_last_lines_have_been_read(
    exit_code: int, pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, supervisor: Supervisor
) -> None:
    monkeypatch.setattr(ShardTrigger, "log", supervisor.log)
    end = asyncio.create_task(event_of(Fleet(exit_code), monkeypatch))
    await asyncio.sleep(0.3)
    assert not end.done()
    supervisor.reads()
    assert await end


async def test_a_retry_keeps_the_launches_of_the_tries_before(
    pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await event_of(Fleet(), monkeypatch, try_number=2)
    assert [launch["attempt"] for launch in event.xcoms["return_value"]["launches"]] == [1, 2]


@pytest.mark.parametrize(
    ("try_number", "left", "stopped"),
    [
        (2, running_record(ARN, "job", 1), [ARN]),
        (3, json.dumps(running_record(ARN, "job", 1)), [ARN]),
        (2, running_record(ENDED, "job", 1), []),
        (2, running_record(ARN, "job", 2), []),  # this try's, of an earlier triggerer: it is found and watched
        (2, None, []),
        (1, running_record(ARN, "job", 0), []),
    ],
)
async def test_what_an_earlier_try_left_running_is_stopped_first(
    try_number: int, left: Any, stopped: list[str], pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed[RUNNING_KEY] = left
    fleet = Fleet()
    assert (await event_of(fleet, monkeypatch, try_number=try_number)).xcoms
    assert fleet.stopped == stopped


async def test_a_shard_runs_though_what_an_earlier_try_left_cannot_be_stopped(
    pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(Fleet):
        async def tasks(self, cluster: str, arns: list[str]) -> list[EcsTask]:
            raise AwsError("ecs:DescribeTasks is not allowed")

    pushed[RUNNING_KEY] = running_record(ARN, "job", 1)
    assert (await event_of(Refusing(), monkeypatch, try_number=2)).xcoms


@pytest.mark.parametrize(
    ("error", "payer"),
    [
        (CredentialsError("AWS rejected the credentials.", "ExpiredTokenException"), "application"),
        (AwsError("AWS could not be asked: KeyError: 'x'."), "application"),
        (MissingValueError("no value."), "application"),
        (ConfigurationError("No AWS region is given."), "permanent"),
        (AwsError("RunTask failed: no.", "InvalidParameterException"), "permanent"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_shard_that_could_not_begin_keeps_its_retries_when_they_may_help(
    pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception, payer: str
) -> None:
    class Closed(Fleet):
        async def default_strategy(self, cluster: str) -> Any:
            raise error

    arguments = launch().to_dict() | {"capacity": "cluster_default"}
    event = await event_of(Closed(), monkeypatch, launch=arguments)
    assert (event.payload["state"], event.payload["kind"], event.payload["payer"]) == ("failed", "refused", payer)
    assert event.payload["message"] == f"Shard UA: {error}"


async def test_a_shard_that_fails_is_left_to_a_worker_with_its_record(
    pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await event_of(Fleet(exit_code=3), monkeypatch)
    assert pushed == {}
    assert (event.payload["state"], event.payload["kind"], event.payload["payer"]) == (
        "failed",
        "application_failure",
        "application",
    )
    assert event.payload["record"]["launches"][0]["task_arn"] == ARN


async def test_a_shard_whose_exit_code_skips_it_ends_in_the_triggerer(
    pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await event_of(Fleet(exit_code=3), monkeypatch, policy={"log_lines": 0, "skip_exit_codes": [3]})
    assert type(event).__name__ == "TaskSkippedEvent"
    assert event.xcoms["return_value"]["outcome"] == "skipped"


@pytest.mark.parametrize(
    ("params", "arguments", "followed"),
    [
        ({}, {}, []),
        ({"live_log_shards": None}, {}, []),
        ({"live_log_shards": ["AA"]}, {}, []),
        ({"live_log_shards": ["AA", "UA"]}, {}, [ARN]),
        ({}, {"live_log_shards": ["UA"]}, [ARN]),
    ],
)
async def test_a_run_names_the_shards_whose_logs_are_followed(
    pushed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    params: dict[str, Any],
    arguments: dict[str, Any],
    followed: list[str],
) -> None:
    fleet = Fleet()
    await event_of(fleet, monkeypatch, params=params, **arguments)
    assert fleet.followed == followed


@pytest.mark.parametrize(
    ("params", "arguments", "asked"),
    [
        ({}, {}, False),
        ({"debug_shards": ["AA"]}, {}, False),
        ({"debug_shards": ["AA", "UA "]}, {}, True),
        ({"debug_shards": ["AA", "UA "]}, {"padded": ["UA "]}, False),
        ({}, {"debug_shards": ["UA"]}, True),
    ],
)
async def test_a_run_names_the_shards_that_have_ecs_exec(
    pushed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    params: dict[str, Any],
    arguments: dict[str, Any],
    asked: bool,
) -> None:
    fleet, launched = Fleet(), []
    launch_of = fleet.launch

    async def note(launch: Launch, **more: Any) -> EcsTask:
        launched.append(launch.execute_command)
        return await launch_of(launch, **more)

    fleet.launch = note  # type: ignore[method-assign]
    await event_of(fleet, monkeypatch, params=params, **arguments)
    assert launched == [asked]


async def test_references_are_resolved_before_anything_is_launched(
    pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {"find_shards": ["AA", "UA"], "register": "arn:definition:3"}

    async def read(key: Any) -> Any:
        return left.get(key[2])

    monkeypatch.setattr(references, "_read", read)
    references._reads.clear()
    fleet = Fleet()
    described = launch(reference("register")).to_dict()
    event = await event_of(fleet, monkeypatch, shard=reference("find_shards", "1"), launch=described)
    assert fleet.definitions == ["arn:definition:3"]
    assert event.xcoms["return_value"]["shard"] == "UA"
    event = await event_of(fleet, monkeypatch, shard=reference("find_shards", "9"))
    assert event.payload["message"] == (
        "Shard xcom://find_shards#9: Task find_shards has left no value (XCom return_value, item 9); "
        "clear it to run it again."
    )
    assert event.payload["payer"] == "application"  # a retry waits for the task


async def test_a_value_that_is_missing_for_a_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [None, None, "arn:definition:3", "another"]

    async def aget_one(**_: Any) -> Any:
        return answers.pop(0)

    monkeypatch.setattr(references.XCom, "aget_one", aget_one)
    monkeypatch.setattr(references, "RETRY_SECONDS", 0.0)
    assert await references._read(("d", "r", "register")) == "arn:definition:3"
    monkeypatch.setattr(references, "TIMEOUT_SECONDS", 0.0)
    answers[:] = [None] * 100
    assert await references._read(("d", "r", "register")) is None


def test_a_worker_resolves_references_too() -> None:
    ti = SimpleNamespace(
        id="uuid", xcom_pull=lambda task_ids, map_indexes: {"register": "arn:definition:3"}.get(task_ids)
    )
    context = {"ti": ti, "dag": SimpleNamespace(dag_id="d"), "dag_run": SimpleNamespace(start_date=None)}
    with pytest.raises(TaskDeferred) as deferred:
        EcsShardOperator(task_id="UA", shard="UA", launch=launch(reference("register"))).execute(context)
    assert deferred.value.trigger.launch["task_definition"] == "arn:definition:3"
    with pytest.raises(AirflowException, match="Task gone has left no value") as missing:
        EcsShardOperator(task_id="UA", shard="UA", launch=launch(reference("gone"))).execute(context)
    assert not isinstance(missing.value, AirflowFailException)  # the next try may find it


def test_the_shards_of_a_run_compile_their_templates_once() -> None:
    arguments = EcsShardOperator(task_id="UA", shard="UA", launch=launch()).start_trigger_args.trigger_kwargs
    environments = [ShardTrigger(**arguments).get_template_env() for _ in range(2)]
    first, second = (environment.from_string("{{ run_id }}/{{ ti.id }}") for environment in environments)
    assert first is second
    assert first.render(run_id="r", ti={"id": 3}) == "r/3"


async def test_where_the_shard_began_on_a_worker_a_worker_ends_it(
    pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await event_of(Fleet(), monkeypatch, end_in_triggerer=False)
    assert (event.payload["state"], event.payload["record"]["outcome"]) == ("success", "succeeded")


async def test_a_stop_that_takes_long_goes_on_when_airflow_no_longer_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    may_stop, stopped = asyncio.Event(), asyncio.Event()
    open_fleets: list[int] = [0]

    @asynccontextmanager
    async def joined(key: Any) -> Any:
        open_fleets[0] += 1
        yield Fleet()
        open_fleets[0] -= 1

    class Run:
        fleet: Any = None

        async def kill(self) -> None:
            await may_stop.wait()
            stopped.set()

    monkeypatch.setattr(module, "joined", joined)
    monkeypatch.setattr(module, "KILL_SECONDS", 0.05)
    trigger = ShardTrigger(shard="UA", launch=launch().to_dict(), policy={}, aws={"aws_conn_id": None}, token_id="uuid")
    trigger._run = Run()  # type: ignore[assignment]
    await trigger.on_kill()
    assert (stopped.is_set(), open_fleets) == (False, [1])
    may_stop.set()
    await asyncio.wait_for(stopped.wait(), 5)
    await asyncio.gather(*module._stopping)
    assert open_fleets == [0]


@pytest.mark.parametrize(
    ("run_started", "token_id", "since"),
    [
        ("2026-11-22T10:00:00+00:00", "01a20418-05a5-747b-8fd5-fe572c4e07d4", "2026-11-22T16:30:12.901000+00:00"),
        ("2026-11-22T20:00:00+00:00", "01a20418-05a5-747b-8fd5-fe572c4e07d4", "2026-11-22T20:00:00+00:00"),
        ("2026-11-22T10:00:00", "5b0f6c0e-5f0a-4c7e-9a76-3c1f5a8d2b11", "2026-11-22T10:00:00+00:00"),
        ("2026-11-22T10:00:00", "uuid", "2026-11-22T10:00:00+00:00"),
    ],
)
def test_a_try_is_not_older_than_its_uuid(run_started: str, token_id: str, since: str) -> None:
    assert module._earliest(run_started, token_id) == datetime.fromisoformat(since)


def test_when_nothing_says_since_when_nothing_is_looked_for() -> None:
    assert module._earliest("", "01a20418-05a5-747b-8fd5-fe572c4e07d4") is None


async def test_what_a_kill_says_is_written_before_the_trigger_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def info(message: str, *arguments: Any) -> None:
        time.sleep(0.05)
        written.append(message % arguments)

    @asynccontextmanager
    async def joined(key: Any) -> Any:
        yield Fleet()

    class Run:
        fleet: Any = None

        async def kill(self) -> None:
            trigger._lines.info("Stopped ECS task %s of shard %s.", ARN, "UA")

    monkeypatch.setattr(module, "joined", joined)
    monkeypatch.setattr(ShardTrigger, "log", SimpleNamespace(info=info))
    trigger = ShardTrigger(shard="UA", launch=launch().to_dict(), policy={}, aws={"aws_conn_id": None}, token_id="uuid")
    trigger._run = Run()  # type: ignore[assignment]
    await trigger.on_kill()
    assert written == [f"Stopped ECS task {ARN} of shard UA."]


async def test_a_shards_services_are_guarded_while_it_runs_and_their_holder_is_the_run(
    pushed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[Any] = []

    @asynccontextmanager
    async def guarded(run_lease: Any, aws: Any, log: Any) -> Any:
        inside.append(run_lease)
        yield
        inside.append("left")

    class Looking(Fleet):
        async def ended(self, *_: Any, **__: Any) -> EcsTask:
            assert "left" not in inside
            return await super().ended()

    monkeypatch.setattr(module, "guarded", guarded)
    held = RunLease("features", "{{ dag.dag_id }}/{{ ti.id }}/control", {"encoder": 2}, {}, 60.0).to_dict()
    await event_of(Looking(), monkeypatch, run_lease=held)
    assert inside == [held | {"holder": "d/uuid/control"}, "left"]
