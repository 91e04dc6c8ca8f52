"""When a triggerer's supervisor looks for new triggers in the database."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, Final

from ecs_feature.airflow_patches.patch import TRIGGERER

TARGETS: Final = {
    TRIGGERER: {
        "TriggerRunnerSupervisor._handle_request": "76b620264138c7da7ff3a9d49598b502712e6f29b1bca18eba9ddbd95513233b",
        "TriggerRunnerSupervisor.load_triggers": "1c55ebd398f7172014b30c5ad681d23a2e71d777854640ec67fb15e538c8d974",
        "TriggerRunnerSupervisor.run_once": "11a9e2701a6b116af2ba983b783b7bfcbdd7beaf724be20c8554dd21cd86d96b",
    },
}


def load_triggers_before_reply() -> None:
    """Have the supervisor also load new triggers right before it replies to its runner.

    The runner asks once a second for new triggers, and the supervisor loads them right after it has replied: a new
    trigger starts one to two seconds after it is written. With this it starts within one.
    """
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor, messages

    handle_request = TriggerRunnerSupervisor._handle_request

    @functools.wraps(handle_request)
    def load_and_handle(self: Any, message: Any, *more: Any, **named: Any) -> Any:
        if isinstance(message, messages.TriggerStateChanges):
            with contextlib.suppress(Exception):  # Airflow's own call, which comes next, meets it as well
                if not self.should_stop():
                    self.load_triggers()
        return handle_request(self, message, *more, **named)

    TriggerRunnerSupervisor._handle_request = load_and_handle
