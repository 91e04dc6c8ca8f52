"""Requests for success callbacks that Airflow writes and never executes."""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.orm import Session

TARGETS: Final = {
    "airflow.models.trigger": {
        "_": "270677bbb4ecb4736a0aa38abd9e50c70af83458f1f4d95932b245278dff92fc",
    },
    "airflow.dag_processing.processor": {
        "_execute_task_callbacks": "bffc5c25ac96c6ae75eb82910defaa64118125708bf747a5ba3fac2b4fabadbd",
    },
}


def skip_unused_success_callbacks(operator: str) -> None:
    """See :class:`SuccessCallbackFilter`.

    :param operator: the class name of the shards' operator.
    """
    event.listen(Session, "before_flush", SuccessCallbackFilter(operator).before_flush)


class SuccessCallbackFilter:
    """Keeps requests for the success callbacks of shards out of Airflow's database.

    For each task that succeeds in the triggerer, Airflow writes a row that asks the DAG processor for its success
    callbacks. Airflow 3.3.2 executes none there: it forks, parses the DAG file, logs a warning for each task, and
    parses the file once more because it forgets when it last did. That was 108 forks for 1,000 shards, a quarter of
    their CPU. A shard with success callbacks ends on a worker (:class:`~ecs_feature.operators.shard.EcsShardOperator`).
    Requests for other operators, subclasses included, and for failures are left as they are.

    :param operator: the class name of the shards' operator, as task instances have it.
    """

    def __init__(self, operator: str) -> None:
        self._operator = operator

    def before_flush(self, session: Session, *_: Any) -> None:
        """Remove such requests from the rows to be written; a row that is not understood stays."""
        for row in session.new:
            if type(row).__name__ == "DagProcessorCallback" and self._is_success_of_a_shard(row, session):
                session.expunge(row)

    def _is_success_of_a_shard(self, row: Any, session: Session) -> bool:
        try:
            from airflow.models.taskinstance import TaskInstance  # only where Airflow writes such rows

            request = json.loads(row.data["req_data"])
            if request["task_callback_type"] != "success":
                return False
            shard = session.get(TaskInstance, UUID(request["ti"]["id"]))  # in the session: the row comes with its end
        except Exception:  # an error here would be one of the shard's end, which Airflow then tries for ever
            return False
        return shard is not None and shard.operator == self._operator
