"""What the plugin changes in Airflow's own processes, because a run of a thousand shards pays for it a thousand times.

``[ecs_feature] tune_airflow = False`` (``AIRFLOW__ECS_FEATURE__TUNE_AIRFLOW``) leaves Airflow as it is.
"""

from __future__ import annotations

import gc
import json
import sys
from typing import Any, Final
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.orm import Session

FULL_ROUND: Final = 100
"""A full round of garbage collection comes after so many of the middle generation, if much is new; Python has 10."""
READ_BYTES: Final = 64 << 10
"""How much a supervisor reads of its triggers' log records in one of its rounds; Airflow has 4 KiB."""
READER: Final = ("airflow.sdk.execution_time.supervisor", "make_buffered_socket_reader", "buffer_size")


def tune(operator: str) -> None:
    """Do all of it, in this process; Airflow has no settings for it.

    :param operator: the class name of the shards' operator.
    """
    collect_seldom()
    read_much_at_once()
    NoSuccessCallbacks(operator).keep()


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
    """Let a supervisor read up to 64 KiB of log records in each of its rounds.

    In each round a triggerer's supervisor also asks the database for all its triggers, 13 ms of CPU. A shard's five
    records are 2.3 KiB, so that 4 KiB a round meant 600 rounds for 1,000 shards, and hundreds that started at once
    filled the socket: the event loop of all shards stood still until the supervisor came to reading.

    It is the default of a parameter that Airflow's callers leave out; where Airflow has no such parameter any more,
    nothing happens.
    """
    module, function, parameter = READER
    reader = getattr(sys.modules.get(module), function, None)  # a process that supervises has imported it by now
    defaults = getattr(reader, "__kwdefaults__", None) or {}
    if parameter in defaults:
        defaults[parameter] = READ_BYTES


class NoSuccessCallbacks:
    """Keeps requests for success callbacks that do not exist out of Airflow's database.

    For each task that succeeds in the triggerer, Airflow writes a row that asks the DAG processor for its success
    callbacks. A shard ends there only when it has none (:class:`~ecs_feature.operators.shard.EcsShardOperator`), and
    Airflow 3.3.2 calls no success callback there anyway: it forks, parses the DAG file, logs a warning for each shard,
    and parses the file once more because it forgets when it last did. That was 108 forks for 1,000 shards, a quarter of
    their CPU. Requests for other operators, and for failures, are left as they are.

    :param operator: the class name of the shards' operator, by which their task instances are told.
    """

    def __init__(self, operator: str) -> None:
        self._operator = operator

    def keep(self) -> None:
        """From now on, in this process."""
        event.listen(Session, "before_flush", self.before_flush)

    def before_flush(self, session: Session, *_: Any) -> None:
        """Take such requests out of what is about to be written; a row that is not understood stays."""
        for row in session.new:
            if type(row).__name__ == "DagProcessorCallback" and self._is_for_a_shard(row, session):
                session.expunge(row)

    def _is_for_a_shard(self, row: Any, session: Session) -> bool:
        from airflow.models.taskinstance import TaskInstance  # only where Airflow writes such rows

        try:
            request = json.loads(row.data["req_data"])
            if request["task_callback_type"] != "success":
                return False
            shard = session.get(TaskInstance, UUID(request["ti"]["id"]))  # at hand: the row is written with its end
        except (KeyError, TypeError, ValueError):
            return False
        return shard is not None and shard.operator == self._operator
