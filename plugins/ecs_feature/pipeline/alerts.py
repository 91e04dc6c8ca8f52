"""Who is told how a run ended, and that it is late: Airflow's own callbacks and deadline alerts, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ecs_feature.exceptions import ConfigurationError

Callback = Callable[[Any], Any]
"""Called with Airflow's context of the run; a notifier is one."""
Callbacks = Callback | Sequence[Callback] | None


def check_callbacks(field: str, given: Any) -> None:
    """:raises ConfigurationError: when it is neither None nor callables."""
    for one in as_list(given):
        if isinstance(one, type):
            raise ConfigurationError(f"{field}: {one.__name__} is a class; give one of it, {one.__name__}(...).")
        if not callable(one):
            raise ConfigurationError(
                f"{field}: {one!r:.80} cannot be called; give a notifier, e.g. PipelineNotifier(...), or a function of "
                "Airflow's context (docs/notify.md)."
            )


def check_deadline(given: Any) -> None:
    """:raises ConfigurationError: when it is neither None nor Airflow's deadline alerts."""
    for one in as_list(given):
        from airflow.sdk.definitions.deadline import (
            DeadlineAlert,
        )  # most pipelines have none, and do not pay for its import

        if not isinstance(one, DeadlineAlert):
            raise ConfigurationError(
                f"deadline: {one!r:.80} is of type {type(one).__name__}; give an airflow.sdk.DeadlineAlert "
                "(docs/notify.md)."
            )


def as_list(given: Any) -> list[Any]:
    """One, several or none, as a list."""
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
