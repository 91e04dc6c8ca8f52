"""What a pipeline gives to a DAG of its own, and what it leaves to somebody else's."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any, Final

from ecs_feature.exceptions import ConfigurationError

_OF_THE_DAG: Final = {
    **dict.fromkeys(("dag_id", "schedule", "start_date", "end_date", "catchup", "max_active_runs"), "..."),
    **dict.fromkeys(("tags", "params", "deadline"), "..."),
    "on_success": "on_success_callback=...",
    "on_failure": "on_failure_callback=...",
}
"""The fields that a pipeline in somebody's DAG leaves to it, and how they are given there."""


def check_own_dag(pipeline: Any) -> None:
    """:raises ConfigurationError: when it cannot be a DAG of its own."""
    if not pipeline.dag_id:
        raise ConfigurationError("dag_id: none is given; name the DAG, or use task_group() inside one of yours.")
    if pipeline.schedule is not None and pipeline.start_date is None and pipeline.catchup:
        raise ConfigurationError("start_date: none is given, so there is nothing to catch up; give one.")


def check_group(pipeline: Any) -> None:
    """:raises ConfigurationError: when a field is given that the surrounding DAG has."""
    given = [
        each.name
        for each in fields(pipeline)
        if each.name in _OF_THE_DAG and getattr(pipeline, each.name) != _default(each)
    ]
    if given:
        how = _OF_THE_DAG[given[0]]
        raise ConfigurationError(
            f"{given[0]}: in a task group it is the DAG's; give it to DAG({how}), and leave it out of the pipeline."
        )


def _default(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()
