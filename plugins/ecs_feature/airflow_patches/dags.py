"""A triggerer's DAGs, which Airflow makes of their serialized form twice for each shard."""

from __future__ import annotations

import functools
import marshal
import sys
from collections.abc import Callable
from typing import Any, Final

from ecs_feature.airflow_patches.rounds import TRIGGERER

KEPT: Final = 8
"""DAGs; one of 200 named shards is some 1 MB."""
ALL_BY_VALUE: Final = 2
"""The version of marshal's format that writes equal values alike, however often one is referred to."""


def make_dags_once(operator: str) -> None:
    """Have a triggerer make a DAG once, see :func:`once`; where its code is not loaded, nothing happens.

    :param operator: the class name of the shards' operator.
    """
    serialization = getattr(sys.modules.get(TRIGGERER), "DagSerialization", None)
    if serialization is not None:
        # Airflow decides there whether the operators of all DAGs that are made from now on get their links.
        with_links = functools.partial(getattr, serialization, "_load_operator_extra_links", True)
        serialization.from_dict = once(serialization.from_dict, operator, with_links)


def once(
    make: Callable[[dict[str, Any]], Any], operator: str, variant: Callable[[], bool]
) -> Callable[[dict[str, Any]], Any]:
    """What makes a DAG of its serialized form, or gives the one that was made of the same before.

    For each task that starts in the triggerer, Airflow 3.3 makes the whole DAG of its serialized form to look at one
    task: in the supervisor, and in the runner, where the event loop of all shards stands still meanwhile. That was
    1.6 ms of CPU for each shard of a mapped DAG, and 15 for one of 200 named shards; to find that the serialized form
    is the one of before takes 0.02 and 0.3. Neither process changes a DAG. Those that have no task of the operator are
    made each time.

    :param make: Airflow's ``DagSerialization.from_dict``.
    :param operator: the class name of the shards' operator.
    :param variant: tells what else than the serialized form decides what is made.
    """

    @functools.lru_cache(KEPT)
    def made(content: bytes, _: bool) -> Any:
        return make(marshal.loads(content))

    @functools.wraps(make)
    def from_dict(serialized: dict[str, Any]) -> Any:
        content = _content(serialized, operator)
        return make(serialized) if content is None else made(content, variant())

    return from_dict


def _content(serialized: dict[str, Any], operator: str) -> bytes | None:
    """What tells a DAG from others, since 1 and True are equal; None: it has no shards, or who knows."""
    try:
        if any(task["__var"]["task_type"] == operator for task in serialized["dag"]["tasks"]):
            return marshal.dumps(serialized, ALL_BY_VALUE)
    except (KeyError, TypeError, ValueError):  # an older form, or one that was never JSON
        pass
    return None
