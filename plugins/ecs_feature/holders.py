"""Whether the run that holds a lease still goes on, as Airflow knows."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError

from ecs_feature.leases import GoesOn

log = logging.getLogger(__name__)


def known_to(task_instance: Any) -> GoesOn:
    """Tells of a lease's holder, ``dag/run`` with or without more, whether that run is queued or running.

    A run that this Airflow does not know, because it was deleted or is another Airflow's, does not go on. Where Airflow
    does not answer, it may.

    :param task_instance: the context's ``ti``, by which a worker asks Airflow's API.
    """

    def goes_on(holder: str) -> bool:
        dag_id, _, run = holder.partition("/")
        run_id = run.partition("/")[0]
        try:
            count: int = task_instance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=["queued", "running"])
        except AirflowRuntimeError as error:
            log.warning("Whether run %s of DAG %s goes on is not known; its lease stays: %s", run_id, dag_id, error)
            return True
        return count > 0

    return goes_on
