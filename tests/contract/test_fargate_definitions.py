"""RegisterTaskDefinition refuses what AWS refuses: each rule of the table at both sides, and the table is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

import fargate_local.definitions
from fargate_local.definitions.rule import TASK, Definition, Rule
from fargate_local.definitions.table import RULES, as_markdown, check_definition, compatibilities
from fargate_local.errors import ApiError

from .conftest import Stack
from .definition_examples import EXAMPLES, ec2, fargate, on_windows

CHECKED = [rule for rule in RULES if rule.check is not None]


def sentences(rule: Rule, document: dict[str, object]) -> list[str]:
    assert rule.check is not None
    return list(rule.check(Definition(document)))


@pytest.mark.parametrize("rule", CHECKED, ids=[rule.name for rule in CHECKED])
def test_a_rule_lets_its_accepted_definition_through_and_is_the_first_to_refuse_the_other(rule):
    accepted, refused = EXAMPLES[rule.name]
    check_definition(accepted)
    assert sentences(rule, accepted) == [] or rule.launch_type not in ["", *accepted.get("requiresCompatibilities", [])]
    with pytest.raises(ApiError) as caught:
        check_definition(refused)
    assert caught.value.code == "ClientException"
    assert caught.value.message in sentences(rule, refused)


def test_every_checked_rule_has_a_name_of_its_own_and_examples():
    assert sorted(EXAMPLES) == sorted(rule.name for rule in CHECKED)


@pytest.mark.parametrize("rule", [r for r in CHECKED if r.launch_type], ids=lambda rule: rule.name)
def test_a_definition_that_a_launch_type_refuses_is_registered_without_it_and_not_compatible_with_it(rule):
    refused = EXAMPLES[rule.name][1]
    others = [name for name in refused["requiresCompatibilities"] if name != rule.launch_type]
    document = refused | {"requiresCompatibilities": others}
    check_definition(document)
    assert rule.launch_type not in compatibilities(document)


def members_of_the_pages() -> set[str]:
    """Every member of every shape in a RegisterTaskDefinition request."""

    def walk(shape: Shape) -> Iterator[StructureShape]:
        if isinstance(shape, StructureShape):
            yield shape
            for member in shape.members.values():
                yield from walk(member)
        elif isinstance(shape, ListShape):
            yield from walk(shape.member)
        elif isinstance(shape, MapShape):
            yield from walk(shape.value)

    model = ServiceModel(Loader().load_service_model("ecs", "service-2"), "ecs")
    shapes = walk(model.operation_model("RegisterTaskDefinition").input_shape)
    return {f"{shape.name}.{member}" for shape in shapes for member in shape.members}


def test_every_member_of_every_page_has_a_row_and_every_row_has_members_that_there_are():
    named = {member for rule in RULES for member in rule.members}
    assert named == members_of_the_pages()


def test_a_row_is_either_checked_or_says_why_not():
    assert [rule for rule in RULES if (rule.check is None) != bool(rule.why_not)] == []
    assert all(rule.says and rule.members and rule.page for rule in RULES)
    assert {rule.page for rule in RULES if rule.members[0].startswith(f"{TASK}.") and not rule.guide} == {
        "APIReference/API_RegisterTaskDefinition"
    }


def test_the_printed_table_is_the_one_that_is_checked():
    readme = Path(fargate_local.definitions.__file__).with_name("README.md").read_text()
    assert readme == as_markdown(), "python -m fargate_local.definitions > fargate_local/definitions/README.md"


def test_the_server_answers_as_the_table_says(stack: Stack):
    answers = {}
    for rule in CHECKED:
        accepted, refused = EXAMPLES[rule.name]
        stack.ecs.register_task_definition(**accepted)
        with pytest.raises(ClientError) as caught:
            stack.ecs.register_task_definition(**refused)
        answers[rule.name] = caught.value.response["Error"]
    assert {error["Code"] for error in answers.values()} == {"ClientException"}
    assert answers["fargate_log_driver"]["Message"] == (
        "json-file is not a valid log driver. Must be one of [awslogs,splunk,awsfirelens]"
    )


@pytest.mark.parametrize(
    ("document", "launch_types"),
    [
        pytest.param(fargate(requiresCompatibilities=[]), ["EC2", "MANAGED_INSTANCES", "FARGATE"], id="awsvpc"),
        pytest.param(fargate(), ["EC2", "MANAGED_INSTANCES", "FARGATE"], id="FARGATE is required"),
        pytest.param(ec2(), ["EXTERNAL", "EC2"], id="bridge"),
        pytest.param(ec2(networkMode="awsvpc"), ["EC2", "MANAGED_INSTANCES"], id="awsvpc without size"),
        pytest.param(ec2(networkMode="host"), ["EXTERNAL", "EC2", "MANAGED_INSTANCES"], id="host"),
        pytest.param(on_windows(), ["EC2", "FARGATE"], id="Windows"),
    ],
)
def test_compatibilities_are_computed(stack: Stack, document, launch_types):
    registered = stack.ecs.register_task_definition(**document)["taskDefinition"]
    assert registered["compatibilities"] == launch_types
