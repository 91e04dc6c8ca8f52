"""Whether the run that holds a lease still goes on, as Airflow knows."""

from __future__ import annotations

from typing import Any

from ecs_feature.leases import GoesOn


def known_to(task_instance: Any) -> GoesOn:
    """Tells of a lease's holder, ``dag/run`` with or without more, whether that run is queued or running.

    A run that this Airflow does not know, because it was deleted or is another Airflow's, does not go on.

    :param task_instance: the context's ``ti``, by which a worker asks Airflow's API.
    """

    def goes_on(holder: str) -> bool:
        dag_id, _, run = holder.partition("/")
        run_id = run.partition("/")[0]
        count: int = task_instance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=["queued", "running"])
        return count > 0

    return goes_on
