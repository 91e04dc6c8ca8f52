"""``${NAME}`` in hand-written operators, and the examples in docstrings, which are run as they stand."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

import ecs_feature
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.operators.find_shards import FindShardsOperator
from ecs_feature.operators.plan import FeaturePlanOperator
from ecs_feature.operators.publish import FeaturePublishOperator
from ecs_feature.operators.service_scale import EcsServiceScaleOperator
from ecs_feature.operators.shard import EcsShardOperator, start_args
from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from ecs_feature.sensors.service_steady import EcsServiceSteadySensor
from ecs_feature.services.leases import SharingPolicy
from ecs_feature.tasks.launch import Launch, Network

VALUES = {"CLUSTER": "features", "SUBNETS": "subnet-a, subnet-b", "GROUPS": "", "BUCKET": "b", "SERVICE": "encoder",
          "CONN": "aws_mine", "TASKDEFS": "/t", "SECURITY_GROUPS": ""}  # fmt: skip
LAUNCH = Launch(
    "${CLUSTER}",
    "rt",
    "rt",
    Network(("${SUBNETS}",), ("${GROUPS}",)),
    {"OUT": "s3://${BUCKET}/{shard}"},
    ["$HOME", "x"],
)


@pytest.fixture(autouse=True)
def _values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "environment.json"
    file.write_text(json.dumps(VALUES))
    monkeypatch.setenv("AIRFLOW__ECS_FEATURE__ENVIRONMENT_FILE", str(file))


def test_every_operator_takes_placeholders() -> None:
    with DAG("d"):
        shard: Any = EcsShardOperator(
            task_id="s", shard="UA", launch=LAUNCH, record={"result_uri": "s3://${BUCKET}/r"}, aws_conn_id="${CONN}"
        )
        scale = EcsServiceScaleOperator(
            task_id="up",
            cluster="${CLUSTER}",
            services={"${SERVICE}": 2},
            policies={"${SERVICE}": SharingPolicy(1)},
            aws_conn_id="${CONN}",
        )
        steady: Any = EcsServiceSteadySensor(task_id="st", cluster="${CLUSTER}", services=["${SERVICE}"])
        plan = FeaturePlanOperator(
            task_id="p", cluster="${CLUSTER}", shards=["a"], first_tasks={"": "s"}, services={"": ["${SERVICE}"]}
        )
        publish = FeaturePublishOperator(task_id="pub", shard_task_ids=["s"], prefix="s3://${BUCKET}/p", about={})
        found = FindShardsOperator(task_id="f", source="s3://${BUCKET}/raw/x=*/")
        register = EcsTaskDefinitionOperator(task_id="r", path="${TASKDEFS}/rt.json")
    for arguments in (shard.start_trigger_args.trigger_kwargs, start_args("UA", LAUNCH).trigger_kwargs):
        launch = arguments["launch"]
        assert (launch["cluster"], launch["environment"]) == ("features", {"OUT": "s3://b/{shard}"})
        assert launch["network"]["subnets"] == ["subnet-a", "subnet-b"]
        assert launch["network"]["security_groups"] == []
        assert launch["command"] == ["$HOME", "x"]
    assert shard.start_trigger_args.trigger_kwargs["record"] == {"result_uri": "s3://b/r"}
    assert shard.start_trigger_args.trigger_kwargs["aws"]["aws_conn_id"] == "aws_mine"
    assert (scale.cluster, scale.services, list(scale.policies)) == ("features", {"encoder": 2}, ["encoder"])
    assert scale.aws.aws_conn_id == "aws_mine"
    assert (steady.cluster, steady.services) == ("features", ["encoder"])
    assert steady.start_trigger_args.trigger_kwargs["cluster"] == "features"
    assert (plan.cluster, plan.services) == ("features", {"": ["encoder"]})
    assert (publish.prefix, found.source, register.path) == ("s3://b/p", "s3://b/raw/x=*/", "/t/rt.json")


def test_a_placeholder_without_a_value_is_named() -> None:
    with DAG("d"), pytest.raises(ConfigurationError, match=r"cluster: the placeholder \$\{CLUSTR\} has no value"):
        EcsServiceScaleOperator(task_id="up", cluster="${CLUSTR}", services={"a": 1})


def examples() -> Iterator[tuple[str, str]]:
    """The code in the package's docstrings that makes a DAG, by where it stands."""
    for module in pkgutil.walk_packages(ecs_feature.__path__, "ecs_feature."):
        if ".files" in module.name or "__main__" in module.name:
            continue
        path = Path(str(importlib.util.find_spec(module.name).origin))  # type: ignore[union-attr]
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Module):
                continue
            for number, block in enumerate((ast.get_docstring(node) or "").split("::\n")[1:]):
                lines = [line for line in textwrap.dedent(_indented(block)).splitlines()]
                code = "\n".join(lines)
                if "DAG(" in code or "FeaturePipeline(" in code:
                    yield f"{module.name}:{getattr(node, 'name', 'module')}:{number}", code


def _indented(block: str) -> str:
    """The lines up to the first one that is not indented."""
    taken = []
    for line in block.splitlines():
        if line and not line.startswith("    "):
            break
        taken.append(line)
    return "\n".join(taken)


EXAMPLES = dict(examples())


def test_all_operators_for_users_have_an_example() -> None:
    named = {name.split(":")[1] for name in EXAMPLES}
    assert {"PipelineSpec", "EcsShardOperator", "EcsServiceScaleOperator", "EcsServiceSteadySensor"} <= named
    assert {"EcsTaskDefinitionOperator", "EcsJanitorOperator"} <= named


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_runs_as_it_stands(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taskdefs = tmp_path / "include" / "taskdefs"
    taskdefs.mkdir(parents=True)
    (taskdefs / "tenant-features.json").write_text('{"containerDefinitions": [{"name": "job"}]}')
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    exec(compile(EXAMPLES[name], name, "exec"), {})
