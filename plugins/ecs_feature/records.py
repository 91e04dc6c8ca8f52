"""What a shard leaves in its XCom, and how to read it.

A shard that ends in the triggerer hands its record over with the end event: a request of its own would cost the
triggerer more than the shard (docs/decisions/0009-records-come-with-the-end-event.md). Airflow 3.3.2 encodes such
values once too often, so that ``xcom_pull`` gives JSON text. Shards that end on a worker leave text as well, so that
there is one way to read them all::

    record = shard_record(ti.xcom_pull(task_ids="control.shards.UA"))
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def shard_record(value: Any) -> dict[str, Any] | None:
    """The record in a shard's XCom; None when the shard has left none.

    :returns: ``{"shard", "outcome", "exit_code", "launches": [...]}`` and what the pipeline added, e.g. ``result_uri``.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, dict) and "shard" in value else None


def shard_records(values: Iterable[Any]) -> list[dict[str, Any]]:
    """The records in several XComs; those of shards that left none are missing."""
    return [record for record in map(shard_record, values) if record is not None]


def record_text(record: Mapping[str, Any]) -> str:
    """What a worker leaves in the XCom of a shard."""
    return json.dumps(record)
