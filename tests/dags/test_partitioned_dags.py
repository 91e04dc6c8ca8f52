"""A pipeline's partitions in its DAG: templates as the triggerer and the workers render them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.sdk import Asset, CronDataIntervalTimetable, PartitionedAssetTimetable
from airflow.sdk.exceptions import TaskDeferred
from airflow.serialization.serialized_objects import BaseSerialization, DagSerialization
from pipelines import pipeline

from ecs_feature.pipeline import FeaturePipeline, Variant
from ecs_feature.shards.sources import called
from ecs_feature.triggers.shard import ShardTrigger

TOKYO = CronDataIntervalTimetable("@daily", timezone="Asia/Tokyo")
LOCAL_DAY = datetime(2026, 3, 27, 15, tzinfo=UTC)
"""2026-03-28 begins in Tokyo."""


def in_tokyo(**changes: Any) -> FeaturePipeline:
    """The pipeline of apache/airflow#11182: every run computed the day before."""
    values: dict[str, Any] = {
        "schedule": TOKYO,
        "start_date": pendulum.datetime(2026, 3, 1, tz="Asia/Tokyo"),
        "input_uri": "s3://b/raw/ds={{ ds }}/",
        "environment": {"KEY": "{partition}", "NODASH": "{{ ds_nodash }}", "KEPT": "{{partition}}"},
        "command": ["job", "--partition={partition}", "{shard}"],
    }
    return pipeline(**(values | changes))


def context_of(dag: Any, **run: Any) -> dict[str, Any]:
    values = {
        "logical_date": LOCAL_DAY,
        "run_type": "scheduled",
        "partition_key": None,
        "partition_date": None,
        "start_date": None,
    }
    ti = SimpleNamespace(id="uuid", try_number=1, xcom_pull=lambda **_: "arn")
    params = {"shards": [], "region": "eu"}
    return {"dag": dag, "params": params, "ti": ti, "run_id": "r", "dag_run": SimpleNamespace(**(values | run))}


def rendered(dag: Any, **run: Any) -> ShardTrigger:
    """The trigger of a shard, rendered as in the triggerer: from the serialized DAG."""
    dag = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    own = BaseSerialization.deserialize(dag.get_task("control.shards.AA").start_trigger_args.trigger_kwargs)
    trigger = ShardTrigger(**own)
    context = context_of(dag, **run)
    # Airflow's own ds is UTC's day; a run without a logical date has none.
    trigger.render_template_fields(context | ({"ds": "2026-03-27"} if context["dag_run"].logical_date else {}))
    assert "partition" not in context
    return trigger


def test_a_day_in_tokyo_is_the_local_one_wherever_the_pipeline_says_it() -> None:
    trigger = rendered(in_tokyo().dag())
    environment = trigger.launch["environment"]
    assert environment["LOGICAL_DATE"] == environment["PARTITION"] == environment["KEY"] == "2026-03-28"
    assert (environment["NODASH"], environment["KEPT"]) == ("20260328", "2026-03-28")
    assert environment["INPUT_URI"] == "s3://b/raw/ds=2026-03-28/"
    assert environment["OUTPUT_URI"].startswith("s3://b/features/variant=control/ds=2026-03-28/shard={shard_id}/uuid")
    assert trigger.launch["command"] == ["job", "--partition=2026-03-28", "{shard}"]
    assert trigger.launch["tags"]["ecs-feature:partition"] == "2026-03-28"
    assert trigger.record["partition"] == "2026-03-28"


def test_a_worker_renders_the_same_as_the_triggerer() -> None:
    dag = in_tokyo().dag()
    with pytest.raises(TaskDeferred) as deferred:
        dag.get_task("control.shards.AA").execute(context_of(dag) | {"ds": "2026-03-27"})
    in_triggerer = rendered(dag)
    for name in ("launch", "record"):
        mine = json.loads(
            json.dumps(getattr(deferred.value.trigger, name)).replace('"arn"', '"xcom://control.register"')
        )
        assert mine == getattr(in_triggerer, name)
    publish = dag.get_task("control.publish")
    publish.render_template_fields(context_of(dag) | {"ds": "2026-03-27"})
    assert publish.prefix == "s3://b/features/variant=control/ds=2026-03-28"
    assert (publish.about["logical_date"], publish.about["partition"]) == ("2026-03-28", "2026-03-28")


@pytest.mark.parametrize(
    ("partition", "output", "day"),
    [
        ("hour", "hour=2026-03-28T00", "2026-03-28"),
        ("week", "week=2026-W13", "2026-03-23"),
        ("month", "month=2026-03", "2026-03-01"),
        ("{{ params.region }}-{{ local_time.strftime('%Y') }}", "partition=eu-2026", "2026-03-28"),
    ],
)
def test_every_length_names_its_folder(partition: str, output: str, day: str) -> None:
    trigger = rendered(in_tokyo(partition=partition, schedule=None).dag())
    environment = trigger.launch["environment"]
    assert environment["OUTPUT_URI"].split("/")[5] == output
    assert output == f"{output.partition('=')[0]}={environment['PARTITION']}"
    assert environment["LOGICAL_DATE"] == day
    assert f"/{output}/" in trigger.record["result_uri"]


def test_a_run_that_an_event_started_computes_the_events_partition() -> None:
    dag = in_tokyo(schedule=PartitionedAssetTimetable(assets=Asset("s3://b/raw")), partition="week").dag()
    trigger = rendered(dag, logical_date=None, partition_key="2026-W13", run_type="asset_triggered")
    environment = trigger.launch["environment"]
    assert (environment["PARTITION"], environment["LOGICAL_DATE"]) == ("2026-W13", "2026-03-23")
    assert environment["INPUT_URI"] == "s3://b/raw/ds=2026-03-23/"


def test_daily_pipelines_in_utc_keep_their_templates() -> None:
    dag = pipeline(schedule="@daily").dag()
    arguments = dag.default_args["ecs_feature_shards"]["control"]
    assert arguments["partition"] == {"crons": ["0 0 * * *"]}
    environment = arguments["launch"]["environment"]
    assert environment["LOGICAL_DATE"] == "{{ ds }}"
    assert environment["OUTPUT_URI"] == (
        "s3://b/features/variant=control/ds={{ ds }}/shard={shard_id}/{{ ti.id }}.parquet"
    )
    assert dag.get_task("control.publish").prefix == "s3://b/features/variant=control/ds={{ ds }}"


def test_a_callable_gets_the_partition_when_it_names_it() -> None:
    def with_partition(day: str, partition: str) -> tuple[str, str]:
        return day, partition

    def with_anything(**values: str) -> dict[str, str]:
        return values

    assert called(with_partition, partition="2026-W13", day="2026-03-23") == ("2026-03-23", "2026-W13")
    assert called(with_anything, partition="2026-W13", day="2026-03-23") == {"day": "2026-03-23"}
    seen: dict[str, Any] = {}

    def ingest(day: str, input_uri: str, partition: str, **aws: Any) -> str:
        seen.update(day=day, input_uri=input_uri, partition=partition, **aws)
        return "done"

    task = in_tokyo(ingest=ingest, partition="month", schedule=None).dag().get_task("ingest")
    context = context_of(None) | {"ds": "2026-03-27"}
    task.render_template_fields(context, task.get_template_env())
    assert task.execute(context) == "done"
    assert seen == {
        "day": "2026-03-01",
        "partition": "2026-03",
        "input_uri": "s3://b/raw/ds=2026-03-01/",
        "aws_conn_id": "aws_default",
        "region_name": None,
    }


def test_a_listing_and_a_variant_may_name_the_partition() -> None:
    dag = in_tokyo(
        shards="s3://b/raw/{partition}/carrier=*/", variants=[Variant("control", "f", environment={"P": "{partition}"})]
    ).dag()
    found = dag.get_task("find_shards")
    assert found.source == "s3://b/raw/{{ partition }}/carrier=*/"
    found.render_template_fields(context_of(dag), found.get_template_env())
    assert found.source == "s3://b/raw/2026-03-28/carrier=*/"
    environment = dag.default_args["ecs_feature_shards"]["control"]["launch"]["environment"]
    assert environment["P"] == "{{ partition }}"


def test_the_dags_description_says_when_a_run_has_no_tasks() -> None:
    dag = in_tokyo(end_date=pendulum.datetime(2026, 12, 31, tz="Asia/Tokyo")).dag()
    assert "A run before 2026-03-01 00:00 JST or after 2026-12-31 00:00 JST has no tasks" in dag.doc_md
    assert "has no tasks" not in pipeline(start_date=None).dag().doc_md
