"""Whether the run that holds a lease still goes on, as Airflow knows."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from airflow.sdk.exceptions import AirflowRuntimeError

from ecs_feature.services.leases import RunIsActive

log = logging.getLogger(__name__)

ACTIVE: Final = ("scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule")
"""The states of a task that was started and has not ended."""
CHECKS: Final = 4
CHECK_SECONDS: Final = 10.0
"""A run is between two of its tasks for as long as a scheduler's round takes."""


def active_run_checker(task_instance: Any) -> RunIsActive:
    """Tells of a lease's holder, ``dag/run`` with or without more, whether that run is at work.

    It is when it is queued or running and one of its tasks is under way. A run of a paused DAG, or of one whose file is
    gone, stays running without end, and nobody ever starts its ``scale_down``.

    A run that this Airflow does not know, because it was deleted or is another Airflow's, does not go on. Where Airflow
    does not answer, it may.

    :param task_instance: the context's ``ti``, by which a worker asks Airflow's API.
    """

    idle: set[tuple[str, str]] = set()

    def run_is_active(holder: str) -> bool:
        dag_id, _, run = holder.partition("/")
        run_id = run.partition("/")[0]
        if (dag_id, run_id) in idle:
            return False
        runs = {"dag_id": dag_id, "run_ids": [run_id]}
        try:
            for look in range(CHECKS):
                if look:
                    time.sleep(CHECK_SECONDS)
                if not task_instance.get_dr_count(**runs, states=["queued", "running"]):
                    return False
                if task_instance.get_ti_count(**runs, states=list(ACTIVE)):
                    return True
        except AirflowRuntimeError as error:
            log.warning("Whether run %s of DAG %s goes on is not known; its lease stays: %s", run_id, dag_id, error)
            return True
        idle.add((dag_id, run_id))
        log.warning("Run %s of DAG %s goes on, but none of its tasks: its lease ends. Is it paused?", run_id, dag_id)
        return False

    return run_is_active
