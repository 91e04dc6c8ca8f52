"""DAGs that a triggerer makes once: of which serialized forms the same DAG is given again."""

from __future__ import annotations

import copy
from enum import StrEnum
from typing import Any

import pytest

from ecs_feature.airflow_patches.deserialized_dags import CACHE_SIZE, cached


def serialized(dag_id: str = "features", *task_types: str, **more: Any) -> dict[str, Any]:
    tasks = [{"__type": "operator", "__var": {"task_id": f"t{i}", "task_type": t}} for i, t in enumerate(task_types)]
    return {"__version": 3, "dag": {"dag_id": dag_id, "tasks": tasks, **more}}


class Version(StrEnum):
    """A value that JSON does not give back."""

    THREE = "3"


SHARDS = serialized("features", "FeaturePlanOperator", "EcsShardOperator")


class Made:
    """Airflow's function, as far as it is looked at; what it makes is told apart by identity."""

    def __init__(self) -> None:
        self.of: list[dict[str, Any]] = []

    def __call__(self, encoded: dict[str, Any]) -> object:
        self.of.append(encoded)
        return object()


def test_a_dag_is_made_once_of_the_same_serialized_form() -> None:
    made = Made()
    dags = cached(made, "EcsShardOperator", lambda: True)
    first = dags(SHARDS)
    assert dags(copy.deepcopy(SHARDS)) is first  # another process was sent it once more
    assert dags(SHARDS) is first
    assert made.of == [SHARDS]


def test_another_version_of_a_dag_is_made_anew_and_then_kept() -> None:
    dags = cached(Made(), "EcsShardOperator", lambda: True)
    changed = serialized("features", "FeaturePlanOperator", "EcsShardOperator", "EcsShardOperator")
    first, second = dags(SHARDS), dags(changed)
    assert second is not first
    assert dags(changed) is second


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), (1, 1.0), ("1", 1)])
def test_what_is_equal_only_to_python_is_another_dag(one: Any, other: Any) -> None:
    dags = cached(Made(), "EcsShardOperator", lambda: True)
    first = dags(serialized("features", "EcsShardOperator", params={"p": one}))
    assert dags(serialized("features", "EcsShardOperator", params={"p": other})) is not first


def test_a_form_that_has_changed_in_place_is_another_dag() -> None:
    dags = cached(Made(), "EcsShardOperator", lambda: True)
    form = serialized("features", "EcsShardOperator")
    first = dags(form)
    form["dag"]["tasks"].append(form["dag"]["tasks"][0])
    assert dags(form) is not first


def test_equal_forms_are_the_same_however_often_a_value_is_referred_to() -> None:
    dags = cached(Made(), "EcsShardOperator", lambda: True)
    policy = {"timeout": 60}
    first = dags(serialized("features", "EcsShardOperator", a=policy, b=policy))
    assert dags(serialized("features", "EcsShardOperator", a={"timeout": 60}, b={"timeout": 60})) is first


def test_with_and_without_links_are_two_dags() -> None:
    links = [True, False, True]
    dags = cached(Made(), "EcsShardOperator", lambda: links[-1])
    first = dags(SHARDS)
    links.pop()
    assert dags(SHARDS) is not first
    links.pop()
    assert dags(SHARDS) is first


@pytest.mark.parametrize(
    "other",
    [
        serialized("other", "EmptyOperator"),
        serialized("none"),
        {"__version": 1, "dag": {"_dag_id": "old", "tasks": [{"task_id": "a", "_task_type": "EcsShardOperator"}]}},
        {"__version": 1, "dag": {"tasks": None}},
        {"__version": 3},
        serialized("never-json", "EcsShardOperator", version=Version.THREE),
    ],
    ids=["another-operator", "no-tasks", "old-form", "no-list", "no-dag", "never-json"],
)
def test_other_dags_are_made_each_time(other: dict[str, Any]) -> None:
    made = Made()
    dags = cached(made, "EcsShardOperator", lambda: True)
    assert dags(other) is not dags(other)
    assert made.of == [other, other]


def test_the_dags_of_latest_use_are_kept() -> None:
    made = Made()
    dags = cached(made, "EcsShardOperator", lambda: True)
    many = [serialized(f"d{i}", "EcsShardOperator") for i in range(CACHE_SIZE + 1)]
    first = dags(many[0])
    for each in many[1:-1]:
        dags(each)
    assert dags(many[0]) is first  # used again, so that the second is the oldest
    dags(many[-1])
    assert dags(many[0]) is first
    assert len(made.of) == CACHE_SIZE + 1
    dags(many[1])
    assert len(made.of) == CACHE_SIZE + 2


def test_an_error_is_airflows_and_nothing_is_kept_of_it() -> None:
    def refuse(_: dict[str, Any]) -> object:
        raise ValueError("Unsure how to deserialize version 4")

    dags = cached(refuse, "EcsShardOperator", lambda: True)
    for _ in range(2):
        with pytest.raises(ValueError, match="version 4"):
            dags(SHARDS)
