"""Which of Airflow's requests for callbacks the plugin takes out, by the rows alone."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from ecs_feature.airflow_patches.callbacks import SuccessCallbackFilter

ID = "01a205cc-b266-7d6f-b892-56113904428b"


class DagProcessorCallback(SimpleNamespace):
    """Airflow's row, as far as it is looked at."""


class OtherCallback(DagProcessorCallback):
    """Another kind of row."""


def taken(row: Any, operator: str = "EcsShardOperator") -> bool:
    """Whether a row is taken out before it is written, for a task instance of an operator."""
    rows: list[Any] = []
    session: Any = SimpleNamespace(new=[row], expunge=rows.append, get=lambda *_: SimpleNamespace(operator=operator))
    SuccessCallbackFilter("EcsShardOperator").before_flush(session)
    return rows == [row]


def request(kind: str | None, **task_instance: Any) -> dict[str, Any]:
    return {"req_data": json.dumps({"task_callback_type": kind, "ti": task_instance or {"id": ID}})}


def test_a_shards_success_is_taken() -> None:
    assert taken(DagProcessorCallback(data=request("success")))


@pytest.mark.parametrize("kind", ["failed", "up_for_retry", None])
def test_failures_and_retries_stay(kind: str | None) -> None:
    assert not taken(DagProcessorCallback(data=request(kind)))


def test_other_operators_and_other_rows_stay() -> None:
    assert not taken(DagProcessorCallback(data=request("success")), operator="EmptyOperator")
    assert not taken(OtherCallback(data=request("success")))


@pytest.mark.parametrize(
    "row",
    [
        DagProcessorCallback(),
        DagProcessorCallback(data=None),
        DagProcessorCallback(data={}),
        DagProcessorCallback(data={"req_data": "{"}),
        DagProcessorCallback(data={"req_data": "[]"}),
        DagProcessorCallback(data={"req_data": '{"task_callback_type": "success"}'}),
        DagProcessorCallback(data=request("success", id="17")),
        DagProcessorCallback(data=request("success", id=17)),
        DagProcessorCallback(data={"req_data": '{"is_failure_callback": true}'}),
    ],
)
def test_a_row_of_another_form_stays(row: Any) -> None:
    assert not taken(row)
