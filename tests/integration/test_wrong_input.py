"""What cannot work is refused before anything is launched, each with one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from operator_context import CLUSTER, context
from pipelines import pipeline

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.operators.plan import FeaturePlanOperator
from ecs_feature.operators.service_scale import EcsServiceScaleOperator
from ecs_feature.operators.shard import EcsShardOperator
from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from ecs_feature.pipeline import ScaledService, Variant
from ecs_feature.tasks.launch import Launch, Network
from fargate_local import LocalFargate


def one_sentence(error: BaseException) -> str:
    """The message, which must be one sentence: one line that ends once."""
    text = str(error)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def plan(**changes: Any) -> FeaturePlanOperator:
    values = {"cluster": CLUSTER, "shards": ["AA", "UA"], "first_tasks": {"control": "control.register"}, **changes}
    return FeaturePlanOperator(task_id="plan", **values)


def refused(operator: Any, **of_context: Any) -> str:
    with pytest.raises(AirflowException) as error:
        operator.execute.__wrapped__(operator, context(**of_context)) if hasattr(
            operator.execute, "__wrapped__"
        ) else operator.execute(context(**of_context))
    return one_sentence(error.value)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"shards": ["ZZ"]}, "shards: 'ZZ' is not among the pipeline's 2 shards; choose from AA, UA."),
        ({"variants": ["x"]}, "variants: 'x' is not among the pipeline's 1 variants; choose from control."),
    ],
)
def test_an_unknown_shard_or_variant(aws: LocalFargate, params: dict[str, Any], said: str) -> None:
    assert refused(plan(), params=params) == said


def test_a_key_that_airflow_has_put_among_the_params_is_still_unknown(aws: LocalFargate) -> None:
    """Airflow's params have all that a run was triggered with."""
    known = context(params={"shards": [], "shard": ["AA"]})
    known["dag_run"].conf = {"shard": ["AA"]}
    known["dag"] = SimpleNamespace(params={"shards": []})
    with pytest.raises(AirflowFailException, match="'shard' is not a param of this DAG; did you mean shards"):
        plan().execute(known)


def test_a_fault_of_aws_that_passes_leaves_the_plan_its_retries(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"operation": "DescribeClusters"}, "error": "ServerException", "times": 5})
    with pytest.raises(AirflowException) as error:
        plan().execute(context())
    assert not isinstance(error.value, AirflowFailException)


def test_a_run_without_a_logical_date(aws: LocalFargate) -> None:
    assert "logical_date: this run has none" in refused(plan(), logical_date=None)


def test_a_cluster_that_does_not_exist(aws: LocalFargate) -> None:
    assert refused(plan(cluster="nope")).startswith("Cluster 'nope' does not exist in this account and region")


def test_a_service_that_does_not_exist(aws: LocalFargate) -> None:
    said = refused(plan(services={"control": ["nope"]}))
    assert said.startswith("Service 'nope' does not exist in cluster 'features' or is not active")


def test_a_capacity_provider_that_the_cluster_does_not_have(aws: LocalFargate) -> None:
    said = refused(plan(capacity_providers=["FARGATE_SPOT"]))
    assert said == (
        "capacity: cluster 'features' is not associated with FARGATE_SPOT, only with none; associate it "
        "(PutClusterCapacityProviders) or choose another capacity."
    )


def test_bad_credentials(aws: LocalFargate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    said = refused(plan())
    assert said.startswith("AWS rejected the credentials for Cluster 'features' (UnrecognizedClientException")


def test_an_endpoint_that_cannot_be_reached(aws: LocalFargate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    said = refused(plan())
    assert "http://127.0.0.1:1" in said
    assert "cannot be reached for Cluster 'features'" in said


def task_definition(tmp_path: Path, container: str = "", **changes: Any) -> EcsTaskDefinitionOperator:
    definition = {
        "family": "features",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{"name": "features", "image": "features:1"}],
        **changes,
    }
    path = tmp_path / "features.json"
    path.write_text(json.dumps({key: value for key, value in definition.items() if value is not None}))
    return EcsTaskDefinitionOperator(task_id="register", path=path, container=container)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cpu": "256", "memory": "4096"}, "Fargate has no task with cpu 256 and memory 4096 MiB"),
        ({"cpu": "300"}, "cpu 300 is not a Fargate size"),
        ({"networkMode": "bridge"}, "networkMode is 'bridge', but Fargate runs awsvpc only"),
        ({"networkMode": None}, "networkMode is None, but Fargate runs awsvpc only"),
        ({"taskRoleArn": "${NO_SUCH_NAME}"}, "the placeholder ${NO_SUCH_NAME} has no value"),
        ({"containerDefinitions": []}, "containerDefinitions has 0 containers"),
        ({"colour": "red"}, "colour"),
    ],
    ids=["pair", "cpu", "bridge", "no mode", "placeholder", "no container", "unknown field"],
)
def test_a_wrong_task_definition(aws: LocalFargate, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    before = len(aws.calls("RegisterTaskDefinition"))
    message = refused(task_definition(tmp_path, **changes))
    assert said in message
    assert message.startswith("features.json")
    assert len(aws.calls("RegisterTaskDefinition")) == before


def test_a_container_that_the_task_definition_does_not_have(aws: LocalFargate, tmp_path: Path) -> None:
    assert refused(task_definition(tmp_path, container="feature")) == (
        "container: 'feature' is not in features.json; it has features."
    )
    assert task_definition(tmp_path, container="features").execute(context())


def test_a_task_definition_is_registered_once_and_again_only_when_it_changes(aws: LocalFargate, tmp_path: Path) -> None:
    first = task_definition(tmp_path).execute(context())
    assert task_definition(tmp_path).execute(context()) == first
    second = task_definition(tmp_path, memory="1024").execute(context())
    assert (first.rsplit(":", 1)[1], second.rsplit(":", 1)[1]) == ("1", "2")


def test_a_negative_desired_count() -> None:
    with pytest.raises(ConfigurationError) as error:
        EcsServiceScaleOperator(task_id="up", cluster=CLUSTER, services={"encoder": -1})
    assert "services['encoder']: -1 is not a desired count; give 0 to 5000" in one_sentence(error.value)


def test_overrides_that_are_too_long() -> None:
    with pytest.raises(ConfigurationError) as error:
        EcsShardOperator(
            task_id="UA",
            shard="UA",
            launch=Launch(CLUSTER, "features", "features", Network(("subnet-0a",)), {"LONG": "x" * 8192}),
        )
    assert "but RunTask takes 8192, JSON included" in one_sentence(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subnets": ",".join(f"subnet-{i}" for i in range(17))}, "subnets: 17 given, but awsvpc takes 1 to 16"),
        ({"subnets": ""}, "subnets: 0 given"),
        ({"cluster": "${CLUSTER}"}, "cluster: the placeholder ${CLUSTER} has no value; add CLUSTER"),
        ({"shards": ()}, "shards: none are given"),
        ({"shards": ("AA", "AA")}, "shards: AA stands there more than once"),
        ({"shards": ("A\nA",)}, "has the control character"),
        ({"shards": "UA"}, "shards: 'UA' is one text; give a list of names, ['UA'], a callable, or a listing in S3."),
        (
            {"variants": [Variant("control", "f", services=[ScaledService("e", 1), ScaledService("e", 4)])]},
            "services: variant control has e more than once; add their counts up.",
        ),
        (
            {
                "variants": [
                    Variant("control", "f", services=[ScaledService("e", 1, cap=3)]),
                    Variant("treatment", "f", services=[ScaledService("e", 1)]),
                ]
            },
            "services: the variants give e different baselines, caps or ways of sharing",
        ),
        ({"capacity": "cheap"}, "capacity: 'cheap' is not known; give one of on_demand, spot"),
        ({"parallelism": 0}, "parallelism: 0 is too small"),
        ({"output_uri": "/tmp"}, "output_uri: '/tmp' is not an S3 URI"),
        ({"params": {"shards": 1}}, "params: shards belong to the pipeline"),
        ({"retries": -1}, "retries: -1 is too small"),
        ({"retries": "2"}, "retries: '2' is of type str; give a whole number."),
        ({"parallelism": True}, "parallelism: True is of type bool; give a whole number or None."),
        ({"shard_timeout": 60}, "shard_timeout: 60 is of type int; give a timedelta, e.g. timedelta(minutes=5)."),
        ({"max_vcpus": "4"}, "max_vcpus: '4' is of type str; give a number or None."),
        ({"container": None}, "container: None is of type NoneType; give text."),
        ({"variants": Variant("control", "features")}, "is of type Variant; give a list of Variant."),
        ({"variants": ["control"]}, "variants: 'control' is of type str; give a Variant."),
    ],
)
def test_a_wrong_pipeline_fails_at_parse_time(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        pipeline(**changes).dag()
    assert said in one_sentence(error.value)


def test_a_service_with_a_count_that_no_service_can_have() -> None:
    with pytest.raises(ConfigurationError, match="count: 5001 is not a desired count"):
        ScaledService("encoder", 5001)


def test_a_variant_whose_services_or_environment_are_of_another_type() -> None:
    with pytest.raises(ConfigurationError) as services:
        Variant("control", "features", services=["encoder"])  # type: ignore[list-item]
    assert "services: 'encoder' of variant control is of type str; give a ScaledService." in one_sentence(
        services.value
    )
    with pytest.raises(ConfigurationError) as environment:
        Variant("control", "features", environment={"N": 3})  # type: ignore[dict-item]
    assert "environment: N of variant control is 3; ECS takes text, '3'." in one_sentence(environment.value)


def test_a_permanent_fault_is_not_retried(aws: LocalFargate) -> None:
    with pytest.raises(AirflowFailException):
        plan(cluster="nope").execute(context())
