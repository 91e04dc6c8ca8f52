"""The DAG files as Airflow loads them, and the shape of the DAG that a pipeline becomes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.serialization.serialized_objects import BaseSerialization, DagSerialization
from pipelines import pipeline

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.pipeline import EbsVolume, FeaturePipeline, ScaledService, Variant
from ecs_feature.pipeline.dag import S3Asset
from ecs_feature.shards import SHARED_ARGUMENTS
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.tasks.capacity import Fallback
from ecs_feature.tasks.launch import Launch
from ecs_feature.triggers.service import EcsServiceSteadyTrigger
from ecs_feature.triggers.shard import ShardTrigger

ROOT = Path(__file__).resolve().parents[2]
DAY = datetime(2013, 1, 1, tzinfo=UTC)
VALUES = {
    "CLUSTER": "features",
    "BUCKET": "bucket",
    "SUBNETS": "subnet-0a,subnet-0b",
    "SECURITY_GROUPS": "sg-0a",
    "ENCODER_CONTROL_URL": "http://control",
    "ENCODER_TREATMENT_URL": "http://treatment",
}


@pytest.fixture
def environment_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "environment.json"
    path.write_text(json.dumps(VALUES))
    monkeypatch.setenv("AIRFLOW__ECS_FEATURE__ENVIRONMENT_FILE", str(path))
    monkeypatch.syspath_prepend(str(ROOT / "dags"))
    return path


def test_every_dag_file_is_found_by_airflow_and_parses(environment_file: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"), safe_mode=True)
    assert bag.import_errors == {}
    assert {"flight_delay_features", "destination_features", "rt_live"} <= set(bag.dags)


def test_the_picture_of_rt_live_comes_between_publish_and_receipt(environment_file: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    dag = DagBag(str(ROOT / "dags" / "rt_live.py"), safe_mode=True).dags["rt_live"]
    picture = dag.get_task("picture")
    assert (picture.upstream_task_ids, picture.downstream_task_ids) == ({"publish"}, {"receipt"})
    assert sum(task_id.startswith("shards.") for task_id in dag.task_ids) == 51


def test_parsing_rt_live_imports_neither_numpy_nor_matplotlib(environment_file: Path) -> None:
    code = "import sys; before = set(sys.modules); import ecs_feature.pipeline; ours = set(sys.modules); import rt_live"
    code += "; print(*sorted({name.partition('.')[0] for name in set(sys.modules) - ours}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "dags"), str(ROOT / "plugins")])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"rt_live", "rt_live_data"} <= set(done.stdout.split())
    assert {"numpy", "matplotlib", "boto3", "gzip"}.isdisjoint(done.stdout.split())


def with_values(**changes: Any) -> FeaturePipeline:
    """A pipeline with placeholders, two shards, and two variants, of which one has a service."""
    values: dict[str, Any] = {
        "cluster": "${CLUSTER}",
        "shards": ("AA", "UA"),
        "variants": [
            Variant("control", "f-control", [ScaledService("encoder", 2)]),
            Variant("treatment", "f-treatment"),
        ],
        "input_uri": "s3://${BUCKET}/raw/",
        "output_uri": "s3://${BUCKET}/features",
        "placeholders": VALUES,
    }
    return pipeline(**(values | changes))


def serialized(**changes: Any) -> Any:
    """The DAG as the scheduler sees it."""
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(with_values(**changes).dag()))))


def test_a_named_shard_is_a_task_that_starts_in_the_triggerer() -> None:
    task = serialized().get_task("control.shards.UA")
    assert task.start_from_trigger is True
    assert task.start_trigger_args.trigger_cls == "ecs_feature.triggers.shard.ShardTrigger"


def test_named_shards_of_a_variant_share_all_arguments_but_their_name() -> None:
    dag = serialized()
    for variant in ("control", "treatment"):
        own = BaseSerialization.deserialize(dag.get_task(f"{variant}.shards.UA").start_trigger_args.trigger_kwargs)
        assert own == {"shard": "UA", "shared": variant}
        trigger = ShardTrigger(**own)
        ti, run = SimpleNamespace(id="uuid", try_number=2), SimpleNamespace(start_date=None, logical_date=DAY)
        params = {"shards": ["UA"]}
        context = {"dag": dag, "params": params, "ti": ti, "dag_run": run, "run_id": "r", "ds": "not the partition's"}
        trigger.render_template_fields(context)
        assert (trigger.shard, trigger.selected) == ("UA", '["UA"]')
        assert trigger.launch["environment"]["VARIANT"] == variant
        assert trigger.launch["environment"]["LOGICAL_DATE"] == "2013-01-01"
        assert trigger.launch["environment"]["PARTITION"] == "2013-01-01"
        assert trigger.record["result_uri"].split("/")[5:7] == ["ds=2013-01-01", "shard={shard_id}"]
        assert trigger.policy["parallel_group"] == f"{dag.dag_id}/{variant}"
        assert trigger.record["variant"] == variant
        assert trigger.token_id == "uuid"
        assert trigger.aws["aws_conn_id"] == "aws_default"


def test_setups_and_the_teardown_frame_the_shards_of_a_variant_with_services() -> None:
    dag = serialized()
    assert {task.task_id for task in dag.tasks if task.is_setup} == {
        "control.register",
        "control.scale_up",
        "control.services_steady",
        "treatment.register",
    }
    down = dag.get_task("control.scale_down")
    assert down.is_teardown
    assert down.on_failure_fail_dagrun
    assert {"control.shards.AA", "control.shards.UA", "control.scale_up"} <= down.upstream_task_ids
    assert "treatment.scale_down" not in dag.task_ids


def test_variants_share_nothing_but_the_plan_and_the_receipt() -> None:
    dag = serialized()
    for task in dag.tasks:
        group = task.task_id.split(".")[0]
        for other in task.upstream_task_ids | task.downstream_task_ids:
            assert other.split(".")[0] in (group, "plan", "receipt") or "receipt" in task.task_id or group == "plan"


def test_the_receipt_decides_nothing_about_the_runs_state() -> None:
    receipt = serialized().get_task("receipt")
    assert receipt.is_teardown
    assert not receipt.on_failure_fail_dagrun
    assert receipt.upstream_task_ids == {"control.publish", "control.scale_down", "treatment.publish"}


@pytest.mark.parametrize(
    "shards", [lambda **_: ["AA"], "s3://${BUCKET}/raw/ds={{ ds }}/carrier=*/"], ids=["callable", "listing"]
)
def test_shards_found_at_run_time_are_mapped_and_start_in_the_triggerer_too(shards: Any) -> None:
    dag = serialized(shards=shards)
    task = dag.get_task("control.shard")
    assert task.is_mapped
    assert task.start_from_trigger is True
    kwargs = task.start_trigger_args.trigger_kwargs
    assert "find_shards" in json.dumps(kwargs, default=str)
    assert "find_shards" in task.upstream_task_ids
    assert dag.get_task("find_shards").upstream_task_ids == {"plan"}
    weights = [task.weight_rule.get_weight(SimpleNamespace(map_index=index)) for index in (-1, 0, 1, 999)]
    assert weights == [0, 0, -1, -999]


def test_publish_and_receipt_know_which_shards_a_whole_day_has() -> None:
    named, found = with_values().dag(), with_values(shards="s3://bucket/raw/carrier=*/").dag()
    publish = named.get_task("control.publish")
    assert (publish.shards, publish.found_by, named.get_task("receipt").found_by) == (["AA", "UA"], "", "")
    publish = found.get_task("control.publish")
    assert (publish.shards, publish.found_by, found.get_task("receipt").found_by) == ([], *["find_shards"] * 2)


def test_what_the_launches_need_is_checked_before_anything_starts() -> None:
    dag = with_values(capacity="spot_with_fallback").dag()
    assert dag.get_task("plan").capacity_providers == ["FARGATE_SPOT"]
    assert dag.get_task("control.register").container == "features"
    assert with_values().dag().get_task("plan").capacity_providers == []


def test_what_launches_carry_is_in_the_arguments_of_the_shards_and_in_register() -> None:
    volume = EbsVolume("scratch", "${ROLE}", 10)
    options = {"volumes": [volume], "ephemeral_storage_gib": 50, "max_ephemeral_storage_gib": 100}
    role = "arn:aws:iam::123456789012:role/infrastructure"
    dag = with_values(**options, placeholders={**VALUES, "ROLE": role}).dag()
    made = EbsVolume("scratch", role, 10)
    assert dag.get_task("control.register").volumes == [made]
    for name in ("control", "treatment"):
        arguments = dag.default_args[SHARED_ARGUMENTS][name]
        launch, policy = Launch.from_dict(arguments["launch"]), ShardPolicy.from_dict(arguments["policy"])
        assert (launch.volumes, launch.ephemeral_gib, policy.max_ephemeral_gib) == ((made,), 50, 100)
    with pytest.raises(ConfigurationError, match=r"^params: debug_shards belong to the pipeline; rename yours\.$"):
        with_values(params={"debug_shards": []}).dag()


def test_the_trigger_form_offers_the_shards_and_the_variants() -> None:
    params = serialized().params.dump()
    assert params == {"shards": [], "variants": [], "live_log_shards": [], "debug_shards": []}
    for name in ("shards", "live_log_shards", "debug_shards"):
        schema = serialized().params.get_param(name).schema
        assert (schema["type"], schema["examples"]) == (["null", "array"], ["AA", "UA"])


def test_200_named_shards_serialize_small_enough_to_start_quickly() -> None:
    dag = with_values(shards=tuple(f"S{i}" for i in range(200)), variants=[Variant("control", "f")]).dag()
    # Each shard's trigger is sent all of it: no task may carry a copy of what all shards have in common.
    assert len(json.dumps(DagSerialization.to_dict(dag))) < 202_000


def test_the_asset_is_the_one_that_airflow_makes_of_its_uri() -> None:
    uri = "s3://bucket/features/variant=control/"
    made, airflows = S3Asset(uri), Asset(uri)
    assert made == airflows
    assert hash(made) == hash(airflows)
    assert BaseSerialization.serialize(made) == BaseSerialization.serialize(airflows)
    assert (made.name, made.uri, made.group) == (airflows.name, airflows.uri, airflows.group)


def policy_of(**changes: Any) -> dict[str, Any]:
    kwargs = serialized(**changes).default_args[SHARED_ARGUMENTS]["control"]
    return {**kwargs["policy"], "capacity": kwargs["launch"]["capacity"]}


@pytest.mark.parametrize(
    ("fields", "policy"),
    [
        ({"capacity": "spot"}, {"capacity": "spot"}),
        (
            {"capacity": "spot_with_fallback", "fallback": Fallback(3, timedelta(minutes=5))},
            {"capacity": "spot", "fallback_interruptions": 3, "fallback_seconds": 300.0},
        ),
        (
            {"capacity": [{"capacityProvider": "FARGATE", "weight": 1}]},
            {"capacity": [{"capacityProvider": "FARGATE", "weight": 1}]},
        ),
        ({"start_timeout": timedelta(minutes=5)}, {"start_seconds": 300.0}),
        ({"capacity_timeout": timedelta(minutes=5)}, {"capacity_seconds": 300.0}),
        ({"max_memory_mib": 8192, "max_vcpus": 16.0}, {"max_memory_mib": 8192, "max_vcpus": 16.0}),
        (
            {"non_retryable_exit_codes": [2], "skip_exit_codes": [3, 4]},
            {"non_retryable_exit_codes": [2], "skip_exit_codes": [3, 4]},
        ),
    ],
)
def test_what_the_pipeline_says_of_endings_reaches_every_shard(fields: dict[str, Any], policy: dict[str, Any]) -> None:
    assert policy_of(**fields).items() >= policy.items()
    assert "fallback_interruptions" not in policy_of(capacity="spot")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"capacity": "reserved"}, "capacity: 'reserved' is not known"),
        ({"non_retryable_exit_codes": [0]}, "non_retryable_exit_codes: 0 is no failing exit code; give 1 to 255."),
        ({"skip_exit_codes": [256]}, "skip_exit_codes: 256 is no failing exit code; give 1 to 255."),
        (
            {"non_retryable_exit_codes": [2, 3], "skip_exit_codes": [3]},
            "skip_exit_codes: 3 stands in non_retryable_exit_codes, too; leave it in one of them.",
        ),
        ({"max_memory_mib": 249857}, "max_memory_mib: 249857 is no size of a Fargate task; give 0 to 249856, or None"),
        ({"max_vcpus": 0}, "max_vcpus: 0 is too small; give more than 0, or None."),
        ({"start_timeout": timedelta(0)}, "start_timeout: 0:00:00 is not a time to wait; give more than 0."),
        ({"retry_delay": timedelta(seconds=-1)}, "retry_delay: -1 day, 23:59:59 is not a pause; give 0 or more."),
    ],
)
def test_a_wrong_value_fails_at_parse_time_with_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        with_values(**fields).dag()
    assert sentence in str(refused.value)


@pytest.mark.parametrize(("parallelism", "waves"), [(None, 1), (2, 1), (1, 2)])
def test_the_backstop_outlasts_shards_that_wait_for_their_turn(parallelism: int | None, waves: int) -> None:
    dag = with_values(parallelism=parallelism).dag()
    once = with_values().dag()
    # A lease lasts as long as its run anyway.
    assert dag.get_task("control.scale_up").lease == once.get_task("control.scale_up").lease < timedelta(hours=4)
    backstops = [of.get_task("control.shards.UA").execution_timeout - timedelta(days=1) for of in (dag, once)]
    assert backstops[0] == waves * backstops[1]


def test_the_shards_the_steady_wait_and_both_scalings_of_a_variant_agree_on_what_the_run_holds() -> None:
    dag = serialized()
    held = dag.default_args[SHARED_ARGUMENTS]["control"]["run_lease"]
    assert held["holder"] == "{{ dag.dag_id }}/{{ run_id }}/control"
    steady, up, down = (dag.get_task(f"control.{name}") for name in ("services_steady", "scale_up", "scale_down"))
    assert [task.holder for task in (up, down)] == [held["holder"]] * 2
    assert held["counts"].keys() == held["policies"].keys()
    # As the triggerer does it.
    kwargs = BaseSerialization.deserialize(steady.start_trigger_args.trigger_kwargs)
    trigger = EcsServiceSteadyTrigger(**kwargs)
    trigger.task_instance = SimpleNamespace(task=steady, task_id=steady.task_id)
    trigger.render_template_fields({"dag": dag, "run_id": "r"})
    assert trigger.run_lease == held | {"holder": f"{dag.dag_id}/r/control"}
