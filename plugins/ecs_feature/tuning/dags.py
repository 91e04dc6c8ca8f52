"""A triggerer's DAGs, which Airflow makes of their serialized form twice for each shard."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from ecs_feature.tuning.rounds import TRIGGERER

KEPT: Final = 8
"""DAGs; one of 200 named shards is some 2 MB with what it is made of."""


def make_dags_once(operator: str) -> None:
    """Have a triggerer make a DAG once, see :class:`KeptDags`; elsewhere nothing happens.

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
    is the one of before takes 0.1. Neither changes a DAG; DAGs that have no task of the operator are made each time.

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
        self._kept: OrderedDict[tuple[Any, bool], tuple[dict[str, Any], Any]] = OrderedDict()

    def __call__(self, serialized: dict[str, Any]) -> Any:
        """The DAG of its serialized form."""
        if not self._has_shards(serialized):
            return self._make(serialized)
        key = serialized["dag"].get("dag_id"), self._variant()
        known, dag = self._kept.get(key, (None, None))
        if known != serialized:
            dag = self._make(serialized)
            self._kept[key] = serialized, dag
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return dag

    def _has_shards(self, serialized: dict[str, Any]) -> bool:
        try:
            return any(task["__var"]["task_type"] == self._operator for task in serialized["dag"]["tasks"])
        except (KeyError, TypeError):  # an older form, which Airflow reads as well
            return False
