"""What the operator hands to its trigger, from Airflow's scheduler and from a worker."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from ecs_feature.operators.shard import EcsShardOperator, start_args
from ecs_feature.shards.records import record_text, shard_record
from ecs_feature.tasks.launch import Launch, Network
from ecs_feature.triggers.shard import ShardTrigger


class TaskInstance:
    def __init__(self) -> None:
        self.pushed: dict[str, object] = {}

    def xcom_push(self, key: str, value: object) -> None:
        self.pushed[key] = value


LAUNCH = Launch("features", "f:1", "features", Network(("subnet-0a",)), {"SHARD": "{shard}"})


def operator(**changes: object) -> EcsShardOperator:
    return EcsShardOperator(task_id="UA", shard="UA", launch=LAUNCH, **changes)


def test_a_worker_defers_to_the_same_trigger_with_the_same_arguments_rendered() -> None:
    task = operator(record={"result_uri": "s3://b/{{ ds }}/{shard}"})
    dag_run = SimpleNamespace(start_date=datetime(2013, 1, 1, tzinfo=UTC))
    context = {
        "ti": SimpleNamespace(id="uuid"),
        "ds": "2013-01-01",
        "dag": SimpleNamespace(dag_id="d"),
        "dag_run": dag_run,
        "params": {"live_log_shards": ["UA"]},
    }
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    path, kwargs = deferred.value.trigger.serialize()
    templates = task.start_trigger_args.trigger_kwargs
    assert path == task.start_trigger_args.trigger_cls == "ecs_feature.triggers.shard.ShardTrigger"
    assert kwargs == {
        **templates,
        "launch": {**templates["launch"], "started_by": "d/uuid"},
        "token_id": "uuid",
        "record": {"result_uri": "s3://b/2013-01-01/{shard}"},
        "since": "2013-01-01T00:00:00+00:00",
        "live_log_shards": ["UA"],
        "end_in_triggerer": False,
    }


@pytest.mark.parametrize(
    ("given", "starts_in_triggerer", "ends_in_triggerer"),
    [
        ({}, True, True),
        ({"on_failure_callback": print}, True, True),
        ({"on_success_callback": print}, True, False),
        ({"default_args": {"on_success_callback": print}}, True, False),
        ({"outlets": [Asset("x-made://UA")]}, True, False),
        ({"on_execute_callback": print}, False, True),
    ],
)
def test_what_airflow_does_on_workers_only_takes_the_shard_to_a_worker(
    given: dict[str, object], starts_in_triggerer: bool, ends_in_triggerer: bool
) -> None:
    task = operator(**given)
    assert task.start_from_trigger is starts_in_triggerer
    assert ShardTrigger(**task.start_trigger_args.trigger_kwargs).end_in_triggerer is ends_in_triggerer


def test_a_mapped_shard_is_told_to_end_on_a_worker() -> None:
    assert start_args("UA", LAUNCH, ends_on_worker=True).trigger_kwargs["end_in_triggerer"] is False
    assert "end_in_triggerer" not in start_args("UA", LAUNCH).trigger_kwargs


def test_the_trigger_survives_serialization() -> None:
    kwargs = operator().start_trigger_args.trigger_kwargs
    assert ShardTrigger(**kwargs).serialize()[1] == {**kwargs, "end_in_triggerer": True}


def test_a_shard_that_is_not_selected_is_skipped_on_a_worker_too() -> None:
    with pytest.raises(AirflowSkipException):
        operator(selected='["AA"]').execute({})


RECORD = {"shard": "UA", "launches": [{"task_arn": "arn:aws:ecs:us-east-1:1:task/features/abc"}]}


def test_a_success_returns_the_record_and_leaves_nothing_else() -> None:
    ti = TaskInstance()
    assert operator().execute_complete({"ti": ti}, {"state": "success", "record": RECORD}) == record_text(RECORD)
    assert ti.pushed == {}


@pytest.mark.parametrize(("payer", "error"), [("application", AirflowException), ("permanent", AirflowFailException)])
def test_a_failure_raises_so_that_airflow_retries_what_a_retry_can_help(payer: str, error: type[Exception]) -> None:
    event = {"state": "failed", "message": "Shard UA: x.", "kind": "k", "payer": payer, "record": RECORD}
    ti = TaskInstance()
    with pytest.raises(error, match=r"Shard UA: x\.") as raised:
        operator().execute_complete({"ti": ti}, event)
    assert type(raised.value) is error
    assert shard_record(ti.pushed["return_value"]) == RECORD
