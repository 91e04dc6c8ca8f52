"""Rows that the plugin does not understand are written as Airflow wants them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ecs_feature.tuning import NoSuccessCallbacks


class DagProcessorCallback(SimpleNamespace):
    """Of another Airflow than the one that the tests have."""


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"req_data": "{"},
        {"req_data": "[]"},
        {"req_data": '{"task_callback_type": "success"}'},
        {"req_data": '{"task_callback_type": "success", "ti": {"id": "17"}}'},
        {"req_data": '{"is_failure_callback": true}'},
    ],
)
def test_a_row_of_another_form_is_left_alone(data: Any) -> None:
    taken: list[Any] = []
    session: Any = SimpleNamespace(new=[DagProcessorCallback(data=data)], expunge=taken.append, get=lambda *_: None)
    NoSuccessCallbacks("EcsShardOperator").before_flush(session)
    assert taken == []
