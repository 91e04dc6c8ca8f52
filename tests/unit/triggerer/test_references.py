"""Values that another task has left."""

from __future__ import annotations

import pytest

from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.triggerer.references import look_up, reference

LEFT = {"control.register": "arn:definition:3", "find_shards": ["AA", "UA"]}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("UA", "UA"),
        ("arn:aws:ecs:us-east-1:1:task-definition/f:1", "arn:aws:ecs:us-east-1:1:task-definition/f:1"),
        (reference("control.register"), "arn:definition:3"),
        (reference("find_shards", "1"), "UA"),
    ],
)
def test_a_reference_is_what_it_names_and_anything_else_is_itself(value: str, found: str) -> None:
    assert look_up(value, LEFT.get) == found


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            reference("gone"),
            "Task gone has left no value (XCom return_value); clear it to run it again.",
        ),
        (
            reference("find_shards", "2"),
            "Task find_shards has left no value (XCom return_value, item 2); clear it to run it again.",
        ),
    ],
)
def test_a_reference_to_nothing_is_told_in_one_sentence(value: str, sentence: str) -> None:
    with pytest.raises(EcsFeatureError) as error:
        look_up(value, LEFT.get)
    assert str(error.value) == sentence
