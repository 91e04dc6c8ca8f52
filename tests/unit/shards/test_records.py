"""What shards leave in their XComs, however Airflow gives it back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecs_feature.shards.records import (
    RUNNING_KEY,
    launched_task,
    record_text,
    running_record,
    shard_record,
    shard_records,
)

RECORD = {"shard": "UA", "outcome": "succeeded", "launches": []}


@pytest.mark.parametrize(
    ("value", "record"),
    [
        (RECORD, RECORD),
        (json.dumps(RECORD), RECORD),
        (record_text(RECORD), RECORD),
        (None, None),
        ("", None),
        ("not json", None),
        ("[]", None),
        ({"services": []}, None),
    ],
)
def test_a_record_is_read_as_text_and_as_an_object(value: Any, record: dict[str, Any] | None) -> None:
    assert shard_record(value) == record


def test_shards_without_a_record_are_missing() -> None:
    assert shard_records([None, record_text(RECORD), RECORD]) == [RECORD, RECORD]


def launched(*launches: tuple[str, int]) -> dict[str, Any]:
    return {
        **RECORD,
        "container": "job",
        "launches": [{"task_arn": arn, "attempt": attempt} for arn, attempt in launches],
    }


@pytest.mark.parametrize(
    ("xcoms", "arn"),
    [
        ({}, None),
        ({"return_value": record_text(launched())}, None),
        ({"return_value": launched(("a", 1), ("b", 1))}, "b"),
        ({"return_value": json.dumps(record_text(launched(("a", 1), ("b", 1), ("", 1))))}, "b"),
        ({"return_value": launched(("a", 1), ("b", 2)), RUNNING_KEY: running_record("a", "job", 1)}, "a"),
        ({"return_value": launched(("b", 2)), RUNNING_KEY: json.dumps(running_record("c", "job", 1))}, "c"),
        ({"return_value": launched(("b", 2)), RUNNING_KEY: running_record("c", "job", 3)}, None),
        ({RUNNING_KEY: running_record("c", "job", 1)}, "c"),
    ],
)
def test_the_task_of_a_try_is_found(xcoms: dict[str, Any], arn: str | None) -> None:
    assert launched_task(xcoms, 1) == (None if arn is None else (arn, "job"))
