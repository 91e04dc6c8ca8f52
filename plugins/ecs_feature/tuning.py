"""What the plugin changes in Airflow's own processes, because a run of a thousand shards pays for it a thousand times.

``[ecs_feature] tune_airflow = False`` (``AIRFLOW__ECS_FEATURE__TUNE_AIRFLOW``) leaves Airflow as it is.
"""

from __future__ import annotations

import gc
import json
import sys
from typing import Any, ClassVar, Final
from uuid import UUID

import airflow
from sqlalchemy import event
from sqlalchemy.orm import Session

FULL_ROUND: Final = 100
"""A full round of garbage collection comes after so many of the middle generation, if much is new; Python has 10."""
READ_BYTES: Final = 64 << 10
"""How much a supervisor reads of its triggers' log records in one of its rounds; Airflow has 4 KiB."""
READER: Final = ("airflow.sdk.execution_time.supervisor", "make_buffered_socket_reader", "buffer_size")
CALLS_NO_SUCCESS_CALLBACK: Final = "3.3."
"""How the versions of Airflow begin whose DAG processor is known to call no success callback of a task."""


def tune(operator: str) -> None:
    """Do all of it, in this process; Airflow has no settings for it.

    :param operator: the class name of the shards' operator.
    """
    collect_seldom()
    read_much_at_once()
    if airflow.__version__.startswith(CALLS_NO_SUCCESS_CALLBACK):
        NoSuccessCallbacks.keep(operator)


def collect_seldom() -> None:
    """Spare this process full rounds of garbage collection, in which a triggerer's shards all stand still.

    What is imported is taken out of the rounds, as Airflow's DAG processor does: modules and classes are 280,000
    objects that nobody lets go of. And a full round comes a tenth as often: with hundreds of shards the scheduler and
    the triggerer load and drop so many objects that 22 and 21 of them took 8 s of CPU in a run of 1,000, now 2. Young
    objects are collected as before. What is let go of is freed all the same, unless it is in a cycle that has lived
    for long.
    """
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], FULL_ROUND)


def read_much_at_once() -> None:
    """Let a triggerer's supervisor read up to 64 KiB of log records in each of its rounds.

    In each round it also asks the database for all its triggers, 13 ms of CPU. A shard's five records are 2.3 KiB, so
    that 4 KiB a round meant 600 rounds for 1,000 shards, and hundreds that started at once filled the socket: the
    event loop of all shards stood still until the supervisor came to reading.

    It is the default of a parameter that Airflow's callers leave out. A triggerer has imported the function when it
    loads plugins, unless ``[core] lazy_load_plugins`` is off; where it has not, or there is no such parameter any more,
    nothing happens.
    """
    module, function, parameter = READER
    reader = getattr(sys.modules.get(module), function, None)
    defaults = getattr(reader, "__kwdefaults__", None) or {}
    if parameter in defaults:
        defaults[parameter] = READ_BYTES


class NoSuccessCallbacks:
    """Keeps requests for success callbacks that nobody calls out of Airflow's database.

    For each task that succeeds in the triggerer, Airflow writes a row that asks the DAG processor for its success
    callbacks. Airflow 3.3.2 calls none there: it forks, parses the DAG file, logs a warning for each task, and parses
    the file once more because it forgets when it last did. That was 108 forks for 1,000 shards, a quarter of their CPU.
    A shard with success callbacks ends on a worker (:class:`~ecs_feature.operators.shard.EcsShardOperator`). Requests
    for other operators, subclasses included, and for failures are left as they are.

    :param operator: the class name of the shards' operator, by which their task instances are told.
    """

    kept: ClassVar[NoSuccessCallbacks | None] = None

    def __init__(self, operator: str) -> None:
        self._operator = operator

    @classmethod
    def keep(cls, operator: str) -> None:
        """From now on, in this process; a second time changes nothing."""
        if cls.kept is None:
            cls.kept = cls(operator)
            event.listen(Session, "before_flush", cls.kept.before_flush)

    def before_flush(self, session: Session, *_: Any) -> None:
        """Take such requests out of what is about to be written; a row that is not understood stays."""
        for row in session.new:
            if type(row).__name__ == "DagProcessorCallback" and self._is_for_a_shard(row, session):
                session.expunge(row)

    def _is_for_a_shard(self, row: Any, session: Session) -> bool:
        try:
            from airflow.models.taskinstance import TaskInstance  # only where Airflow writes such rows

            request = json.loads(row.data["req_data"])
            if request["task_callback_type"] != "success":
                return False
            shard = session.get(TaskInstance, UUID(request["ti"]["id"]))  # at hand: the row is written with its end
        except Exception:  # an error here would be one of the shard's end, which Airflow then tries for ever
            return False
        return shard is not None and shard.operator == self._operator
