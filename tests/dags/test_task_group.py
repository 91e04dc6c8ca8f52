"""A pipeline inside a DAG of the user's own: its tasks, and what is hung before and behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup
from airflow.serialization.serialized_objects import BaseSerialization, DagSerialization
from pipelines import pipeline

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.pipeline import FeaturePipeline, Partial, ScaledService, Variant
from ecs_feature.shards import SHARED_ARGUMENTS

PLACEHOLDERS = {"CLUSTER": "features", "SUBNETS": "subnet-0a", "SECURITY_GROUPS": ""}
SHARDS = ("CA", "NY")


def plain(**changes: Any) -> FeaturePipeline:
    """A pipeline without variants, for a DAG of one's own."""
    values: dict[str, Any] = {
        "shards": SHARDS,
        "task_definition": "rt",
        "container": "rt",
        "output_uri": "s3://b/rt",
        "placeholders": PLACEHOLDERS,
    }
    return FeaturePipeline(**(values | changes))


def own_dag(build: Callable[[], Any], **arguments: Any) -> Any:
    """A DAG whose tasks ``build`` makes, as the scheduler sees it."""
    with DAG("own", schedule=None, start_date=datetime(2026, 1, 1), **arguments) as dag:
        build()
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


def trigger_kwargs(dag: Any, task_id: str) -> Any:
    return BaseSerialization.deserialize(dag.get_task(task_id).start_trigger_args.trigger_kwargs)


def test_the_smallest_pipeline_has_no_level_of_a_variant() -> None:
    dag = plain(dag_id="rt", start_date=datetime(2026, 1, 1)).dag()
    assert set(dag.task_ids) == {"plan", "register", "shards.CA", "shards.NY", "publish", "receipt"}
    assert set(dag.params) == {"shards", "live_log_shards", "debug_shards"}
    launch = dag.default_args[SHARED_ARGUMENTS]["shards"]["launch"]
    assert "VARIANT" not in launch["environment"]
    assert "INPUT_URI" not in launch["environment"]
    assert launch["environment"]["OUTPUT_URI"] == "s3://b/rt/ds={{ ds }}/shard={shard_id}/{{ ti.id }}.parquet"
    assert dag.get_task("publish").prefix == "s3://b/rt/ds={{ ds }}"
    assert launch["task_definition"] == "xcom://register"


def test_what_is_hung_before_a_group_precedes_all_of_it_and_what_is_hung_behind_follows_the_publish() -> None:
    def build() -> None:
        group = plain(services=[ScaledService("embedder", 2)]).task_group("features")
        EmptyOperator(task_id="raw") >> group >> EmptyOperator(task_id="train")
        group.published >> EmptyOperator(task_id="notify")
        group.done >> EmptyOperator(task_id="tidy")

    dag = own_dag(build)
    assert dag.get_task("raw").downstream_task_ids == {"features.plan"}
    assert dag.get_task("train").upstream_task_ids == {"features.publish"}
    assert dag.get_task("notify").upstream_task_ids == {"features.publish"}
    assert dag.get_task("tidy").upstream_task_ids == {"features.receipt"}
    for task_id in ("features.scale_up", "features.shards.NY"):
        assert "raw" in dag.get_task(task_id).get_flat_relative_ids(upstream=True)
    assert dag.get_task("features.scale_down").is_teardown
    assert dag.get_task("features.receipt").is_teardown


def test_with_several_variants_one_task_says_that_one_of_them_is_published() -> None:
    def build() -> None:
        group = plain(task_definition="", variants=[Variant("a", "rt"), Variant("b", "rt")]).task_group()
        group >> EmptyOperator(task_id="train")

    dag = own_dag(build)
    assert dag.get_task("train").upstream_task_ids == {"features.published"}
    assert dag.get_task("features.published").upstream_task_ids == {"features.a.publish", "features.b.publish"}
    assert dag.get_task("features.published").trigger_rule == "none_failed_min_one_success"


def test_two_groups_have_params_leases_and_shared_arguments_of_their_own() -> None:
    services = [ScaledService("embedder", 2)]

    def build() -> None:
        first = plain(services=services).task_group("first")
        first >> plain(services=services, shards=("UA",)).task_group("second")

    dag = own_dag(build, params={"mine": 1}, default_args={"retries": 7, "owner": "me"})
    assert set(dag.params) == {
        "mine", "first_shards", "first_live_log_shards", "first_debug_shards",
        "second_shards", "second_live_log_shards", "second_debug_shards",
    }  # fmt: skip
    shared = dag.default_args[SHARED_ARGUMENTS]
    assert {name: each["run_lease"]["holder"] for name, each in shared.items()} == {
        "first": "{{ dag.dag_id }}/{{ run_id }}/first",
        "second": "{{ dag.dag_id }}/{{ run_id }}/second",
    }
    assert shared["first"]["selected"] == "{{ params.first_shards | tojson }}"
    assert shared["first"]["policy"]["parallel_group"] == "own/first"
    assert dag.get_task("first.shards.NY").retries == 2, "a pipeline's own retries are its shards'"
    assert dag.get_task("first.shards.NY").owner == "me"


def test_no_task_of_a_group_carries_a_copy_of_all_names() -> None:
    names = [f"shard-{number:04}" for number in range(100)]

    def build() -> None:
        plain(shards=names).task_group("first") >> plain(shards=names).task_group("second")

    with DAG("own", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
        build()
    for task in dag.tasks:
        assert not dict(task.params), task.task_id
    assert len(json.dumps(DagSerialization.to_dict(dag))) < 210_000


def test_a_group_in_a_group_and_the_same_shards_twice() -> None:
    def build() -> None:
        with TaskGroup("outer"):
            plain().task_group("features")

    dag = own_dag(build)
    assert trigger_kwargs(dag, "outer.features.shards.NY")["shared"] == "outer.features"
    assert "outer_features_shards" in dag.params


def test_callbacks_in_the_dags_default_arguments_make_shards_end_on_a_worker() -> None:
    def build() -> None:
        plain().task_group("named")
        plain(shards=lambda **_: ["x"]).task_group("found")

    def tell(context: Any) -> None: ...

    dag = own_dag(build, default_args={"on_success_callback": tell})
    for task_id in ("named.shards.NY", "found.shard"):
        assert trigger_kwargs(dag, task_id)["end_in_triggerer"] is False, task_id


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dag_id": "x"}, "dag_id: in a task group it is the DAG's"),
        ({"schedule": "@daily"}, "schedule: in a task group"),
        ({"params": {"a": 1}}, "params: in a task group"),
        ({"max_active_runs": 9}, "max_active_runs: in a task group"),
        (
            {"on_failure": print},
            "on_failure: in a task group it is the DAG's; give it to DAG.on_failure_callback=",
        ),
        ({"on_success": [print]}, "on_success: in a task group it is the DAG's; give it to DAG.on_success_callback="),
        ({"deadline": object()}, "deadline: in a task group it is the DAG's; give it to DAG"),
        ({"task_definition": ""}, "task_definition: none is given"),
        ({"variants": [Variant("a", "rt")]}, "task_definition: each of the variants has its own"),
        ({"task_definition": "", "services": [ScaledService("s")], "variants": [Variant("a", "rt")]}, "services: each"),
        ({"output_uri": ""}, "output_uri: none is given"),
        ({"command": "python rt.py"}, "command: 'python rt.py' is no list of texts"),
        ({"environment": {"SHARD": "x"}}, "environment: SHARD is set by the pipeline"),
        ({"environment": {"DAYS": 3}}, "environment: DAYS is 3; ECS takes text, '3'."),
        ({"result": "files"}, "result: 'files' is not known"),
        ({"publish": "some"}, "publish: 'some' is not known"),
        ({"publish": Partial(required=["XX"])}, "publish: XX is required, but no shard"),
        ({"shards": ()}, "shards: none are given"),
    ],
)
def test_a_wrong_group_is_an_import_error(changes: dict[str, Any], sentence: str) -> None:
    with DAG("own", schedule=None, start_date=datetime(2026, 1, 1)), pytest.raises(ConfigurationError, match=sentence):
        plain(**changes).task_group()


def test_a_group_needs_a_dag_around_it() -> None:
    with pytest.raises(ConfigurationError, match="there is no DAG around it"):
        plain().task_group()
    with pytest.raises(ConfigurationError, match="dag_id: none is given"):
        plain().dag()
    with pytest.raises(ConfigurationError, match="start_date: none is given, so there is nothing to catch up"):
        plain(dag_id="p", schedule="@daily", catchup=True, end_date=datetime(2026, 2, 1)).dag()


@pytest.mark.parametrize("shards", [SHARDS, lambda **_: SHARDS])
def test_services_wait_for_the_raw_data_and_what_brings_it(shards: Any) -> None:
    dag = own_dag(lambda: plain(shards=shards, services=[ScaledService("s")], ingest=lambda **_: None).task_group())
    ready = "features.ingest" if shards is SHARDS else "features.find_shards"
    assert ready in dag.get_task("features.scale_up").upstream_task_ids
    assert "features.ingest" in dag.get_task("features.scale_up").get_flat_relative_ids(upstream=True)


def test_the_register_task_knows_what_the_launches_set() -> None:
    dag = plain(dag_id="p", environment={"A": "1"}).dag()
    assert {"A", "SHARD", "OUTPUT_URI"} <= set(dag.get_task("register").variables)


def test_the_command_and_environment_of_any_container() -> None:
    def build() -> None:
        plain(
            result="exit_code",
            command=["python", "rt.py", "--state", "{shard}", "--day", "{{ ds }}", "--out", "{output_uri}"],
            environment={"WHERE": "{output_uri}/x", "A": "1"},
            task_definition="",
            variants=[Variant("a", "rt", environment={"A": "2"}), Variant("b", "rt", command=["b"])],
        ).task_group()

    dag = own_dag(build)
    launch = dag.default_args[SHARED_ARGUMENTS]["features.a"]["launch"]
    out = "s3://b/rt/variant=a/ds={{ ds }}/shard={shard_id}/{{ ti.id }}"
    assert launch["command"] == ["python", "rt.py", "--state", "{shard}", "--day", "{{ ds }}", "--out", out]
    assert launch["environment"]["WHERE"] == f"{out}/x"
    assert launch["environment"]["A"] == "2"
    assert "RESULT_URI" not in launch["environment"]
    assert dag.default_args[SHARED_ARGUMENTS]["features.b"]["launch"]["command"] == ["b"]
    assert dag.default_args[SHARED_ARGUMENTS]["features.a"]["record"] == {
        "variant": "features.a",
        "partition": "{{ partition }}",
        "output_uri": out,
    }


def test_a_pipeline_that_publishes_nothing_still_has_a_place_to_hang_tasks_on() -> None:
    dag = own_dag(lambda: plain(result="exit_code", output_uri="").task_group())
    assert dag.get_task("features.publish").task_type == "EmptyOperator"
    assert dag.get_task("features.publish").trigger_rule == "none_failed_min_one_success"


def test_the_container_is_the_only_essential_one_of_the_file(tmp_path: Path) -> None:
    def write(*containers: dict[str, Any]) -> FeaturePipeline:
        (tmp_path / "rt.json").write_text(json.dumps({"containerDefinitions": list(containers)}))
        return plain(container="", taskdefs=tmp_path, dag_id="p")

    one = write({"name": "main"}, {"name": "init", "essential": False}).dag()
    assert one.default_args[SHARED_ARGUMENTS]["shards"]["launch"]["container"] == "main"
    with pytest.raises(ConfigurationError, match=r"rt.json has 2 essential ones, a, b; give the one"):
        write({"name": "a"}, {"name": "b"}).dag()
    (tmp_path / "rt.json").unlink()
    with pytest.raises(ConfigurationError, match=r"task_definition: .*rt\.json: cannot be read"):
        plain(container="", taskdefs=tmp_path, dag_id="p").dag()


def test_old_pipelines_keep_their_ids_and_paths() -> None:
    dag = pipeline(placeholders=PLACEHOLDERS).dag()
    assert set(dag.task_ids) == {"plan", "control.register", "control.shards.AA", "control.publish", "receipt"}
    assert dag.get_task("control.publish").prefix == "s3://b/features/variant=control/ds={{ ds }}"
    assert set(dag.params) == {"shards", "variants", "live_log_shards", "debug_shards"}
