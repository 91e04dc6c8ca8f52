"""What shards leave in their XComs, however Airflow gives it back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecs_feature.records import record_text, shard_record, shard_records

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
