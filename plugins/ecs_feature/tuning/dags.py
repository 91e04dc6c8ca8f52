"""A triggerer's DAGs, which Airflow makes of their serialized form twice for each shard."""

from __future__ import annotations

import marshal
import sys
from collections.abc import Callable
from typing import Any, Final

from ecs_feature.tuning.rounds import TRIGGERER

KEPT: Final = 8
"""DAGs; one of 200 named shards is some 1 MB."""
ALL_BY_VALUE: Final = 2
"""The version of marshal's format that writes equal values alike, however often one is referred to."""


def make_dags_once(operator: str) -> None:
    """Have a triggerer make a DAG once, see :class:`KeptDags`; where its code is not loaded, nothing happens.

    :param operator: the class name of the shards' operator.
    """
    serialization = getattr(sys.modules.get(TRIGGERER), "DagSerialization", None)
    if serialization is not None:
        serialization.from_dict = KeptDags(serialization.from_dict, operator, lambda: _with_links(serialization))


def _with_links(serialization: Any) -> bool:
    """Whether operators get their links, which Airflow decides for all DAGs that are made from now on."""
    return bool(getattr(serialization, "_load_operator_extra_links", True))


class KeptDags:
    """Makes a DAG of its serialized form, or gives the one that it made of the same before.

    For each task that starts in the triggerer, Airflow 3.3 makes the whole DAG of its serialized form to look at one
    task: in the supervisor, and in the runner, where the event loop of all shards stands still meanwhile. That was
    1.6 ms of CPU for each shard of a mapped DAG, and 15 for one of 200 named shards; to find that the serialized form
    is the one of before takes 0.02 and 0.3. Neither changes
    a DAG; DAGs that have no task of the operator are made each time.

    :param make: Airflow's ``DagSerialization.from_dict``.
    :param operator: the class name of the shards' operator.
    :param variant: tells what else than the serialized form decides what is made.
    """

    def __init__(
        self, make: Callable[[dict[str, Any]], Any], operator: str, variant: Callable[[], bool] = lambda: True
    ) -> None:
        self._make = make
        self._operator = operator
        self._variant = variant
        self._kept: dict[tuple[Any, bool], tuple[bytes, Any]] = {}  # the one of latest use is the last

    def __call__(self, serialized: dict[str, Any]) -> Any:
        """The DAG of its serialized form."""
        content = self._content(serialized)
        if content is None:
            return self._make(serialized)
        key = serialized["dag"].get("dag_id"), self._variant()
        known, dag = self._kept.pop(key, (b"", None))
        if known != content:
            dag = self._make(serialized)
        self._kept[key] = content, dag
        if len(self._kept) > KEPT:
            self._kept.pop(next(iter(self._kept)), None)
        return dag

    def _content(self, serialized: dict[str, Any]) -> bytes | None:
        """What tells it from others, since 1 and True are equal; None: the DAG has no shards, or who knows."""
        try:
            tasks = serialized["dag"]["tasks"]
            if any(task["__var"]["task_type"] == self._operator for task in tasks):
                return marshal.dumps(serialized, ALL_BY_VALUE)
        except (KeyError, TypeError, ValueError):  # an older form, or one that was never JSON
            pass
        return None
