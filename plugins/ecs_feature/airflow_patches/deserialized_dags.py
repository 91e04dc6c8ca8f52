"""A triggerer's DAGs, which Airflow deserializes twice for each shard."""

from __future__ import annotations

import functools
import marshal
from collections.abc import Callable
from typing import Any, Final

from ecs_feature.airflow_patches.patch import TRIGGERER

CACHE_SIZE: Final = 8
"""DAGs; one of 200 named shards is some 1 MB."""
ALL_BY_VALUE: Final = 2
"""The version of marshal's format that writes equal values alike, however often one is referred to."""
TARGETS: Final = {
    "airflow.serialization.serialized_objects": {
        "DagSerialization.from_dict": "7f64142c59ec3644ae47a4e472b4707c468beed8829363eab13cca3e434cf1f8",
    },
    TRIGGERER: {
        "TriggerRunnerSupervisor._create_workload": "3cc2cff157f57a8084226ca9171d68568be5a018d70b8a14739dc24ad5287cce",
        "TriggerRunner.create_runtime_ti": "af65ff8b8d100ff63424f82ad4bf92d4b5e5c8e1f9082486892b8615949aa192",
    },
}


def cache_deserialized_dags(operator: str) -> None:
    """Have a triggerer's processes deserialize a DAG once, see :func:`cached`.

    :param operator: the class name of the shards' operator.
    """
    from airflow.serialization.serialized_objects import DagSerialization

    # Airflow decides there whether the operators of all DAGs that are made from now on get their links.
    with_links = functools.partial(getattr, DagSerialization, "_load_operator_extra_links", True)
    DagSerialization.from_dict = cached(DagSerialization.from_dict, operator, with_links)


def cached(
    deserialize: Callable[[dict[str, Any]], Any], operator: str, variant: Callable[[], bool]
) -> Callable[[dict[str, Any]], Any]:
    """``deserialize`` with a cache for the DAGs that have shards.

    For each task that starts in the triggerer, Airflow 3.3 deserializes the whole DAG to look at one task: in the
    supervisor, and in the runner, where the event loop of all shards waits meanwhile. That was 1.6 ms of CPU for each
    shard of a mapped DAG, and 15 for one of 200 named shards; to compare the serialized form with the last ones takes
    0.02 and 0.3. Neither process changes a DAG. DAGs without a task of the operator are deserialized each time.

    :param deserialize: Airflow's ``DagSerialization.from_dict``.
    :param operator: the class name of the shards' operator.
    :param variant: the other input of ``deserialize``, beside the serialized form.
    """

    @functools.lru_cache(CACHE_SIZE)
    def dag_of(content: bytes, _: bool) -> Any:
        return deserialize(marshal.loads(content))

    @functools.wraps(deserialize)
    def from_dict(serialized: dict[str, Any]) -> Any:
        content = _content(serialized, operator)
        return deserialize(serialized) if content is None else dag_of(content, variant())

    return from_dict


def _content(serialized: dict[str, Any], operator: str) -> bytes | None:
    """The cache's key, in which 1 and True differ; None: the DAG has no shards, or is not understood."""
    try:
        if any(task["__var"]["task_type"] == operator for task in serialized["dag"]["tasks"]):
            return marshal.dumps(serialized, ALL_BY_VALUE)
    except (KeyError, TypeError, ValueError):  # an older form, or one that was never JSON
        pass
    return None
