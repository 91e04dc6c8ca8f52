"""The order in which Airflow starts the shards of concurrent runs."""

from __future__ import annotations

from typing import Any, Final

from airflow.task.priority_strategy import PriorityWeightStrategy


class ShardsInTurns(PriorityWeightStrategy):  # type: ignore[misc]
    """The later a mapped shard comes in its own run, the lower its priority: 0, -1, -2 and so on.

    A triggerer starts triggers of the highest priority first, and the oldest of equal ones. With equal priorities it
    would start one run after the other, and the last run would wait for triggerer capacity. This way it starts the
    first shards of all runs, then the second ones; the launch queue does the same with launches. Deferred tasks of
    other DAGs have priority 1 or higher by default and never wait behind a thousand shards.
    """

    def get_weight(self, ti: Any) -> int:
        """The task instance's priority weight."""
        return -max(0, int(ti.map_index))


SHARDS_IN_TURNS: Final = f"{ShardsInTurns.__module__}.{ShardsInTurns.__qualname__}"
"""For ``weight_rule``: the name, because Airflow does not serialize a strategy object of a mapped task."""
