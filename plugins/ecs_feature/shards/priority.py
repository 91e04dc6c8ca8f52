"""In which order Airflow takes on the shards of runs that go on at once."""

from __future__ import annotations

from typing import Any, Final

from airflow.task.priority_strategy import PriorityWeightStrategy


class ShardsInTurns(PriorityWeightStrategy):  # type: ignore[misc]
    """The later a mapped shard comes in its own run, the lower its priority: 0, -1, -2 and so on.

    A triggerer takes on the tasks of the highest priority first, and of equal ones the oldest. Were all shards equal,
    it would take on one run after the other, and those that came last would wait for a place in its capacity; so it
    takes the first shards of all runs, then their second ones, which the launch queue then lets start in turns. What
    other DAGs defer has at least priority 1 by default and never waits behind a thousand shards.
    """

    def get_weight(self, ti: Any) -> int:
        """The task instance's priority weight."""
        return -max(0, int(ti.map_index))


SHARDS_IN_TURNS: Final = f"{ShardsInTurns.__module__}.{ShardsInTurns.__qualname__}"
"""As a ``weight_rule``: of a mapped task Airflow serializes a strategy's name only where a name was given."""
