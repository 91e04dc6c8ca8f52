"""Whether the run that holds a lease is still active, according to Airflow."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from airflow.sdk.exceptions import AirflowRuntimeError

from ecs_feature.services.leases import CUT, RunIsActive

log = logging.getLogger(__name__)

ACTIVE: Final = ("scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule")
"""The states of a task that was started and has not ended."""
CHECKS: Final = 4
CHECK_SECONDS: Final = 10.0
"""Between two tasks of a run none is active for one scheduler loop, so one check is not enough."""


def active_run_checker(task_instance: Any) -> RunIsActive:
    """A function that says whether the run of a lease's holder (``dag/run`` or ``dag/run/...``) is active.

    A run is active when it is queued or running and one of its tasks is active. The second condition is needed: a run
    of a paused or deleted DAG stays in state running for ever, and its ``scale_down`` never starts.

    A run that this Airflow does not know is not active. When Airflow does not answer, the run counts as active. Where
    the holder was too long for its tag, any active run of its DAG counts; where even the DAG's id was, it is active.

    :param task_instance: the context's ``ti``, through which a worker asks Airflow's API.
    """

    idle: set[tuple[str, str]] = set()

    def run_is_active(holder: str) -> bool:
        dag_id, _, run = holder.partition("/")
        run_id = run.partition("/")[0]
        if (dag_id, run_id) in idle:
            return False
        if CUT in dag_id:
            log.warning("The lease of %s stays: its DAG's id is too long for a tag; shorten the id.", holder)
            return True
        runs: dict[str, Any] = {"dag_id": dag_id} if CUT in run_id else {"dag_id": dag_id, "run_ids": [run_id]}
        try:
            for check in range(CHECKS):
                if check:
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
