"""The Airflow plugin: the links from shards to the AWS console, and the order in which Airflow takes shards on."""

from __future__ import annotations

import gc
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

# What a pipeline's DAG file imports. The DAG processor loads plugins before it forks: a parse does not import it anew,
# 0.2 s each time, and there is one for every batch of shards that have ended.
import ecs_feature.pipeline_dag  # noqa: F401
from ecs_feature.links.ecs import EcsTaskLink, EcsTaskLogLink, TaskLink
from ecs_feature.operators.shard import EcsShardOperator
from ecs_feature.shard_order import ShardsInTurns

TaskLink.operators = [EcsShardOperator]

FULL_ROUND = 100
"""A full round of garbage collection comes after so many of the middle generation, if much is new; Python has 10."""


class EcsFeaturePlugin(AirflowPlugin):  # type: ignore[misc]
    """Registered by the wheel's entry point and by ``plugins/ecs_feature_plugin.py``; Airflow takes it once."""

    name = "ecs_feature"
    operator_extra_links: ClassVar[list[object]] = [EcsTaskLink(), EcsTaskLogLink()]
    priority_weight_strategies: ClassVar[list[object]] = [ShardsInTurns]

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Spare Airflow's processes full rounds of garbage collection, in which a triggerer's shards all stand still.

        Airflow calls this once in each of its processes. What is imported is taken out of the rounds, as Airflow's DAG
        processor does: modules and classes are 280,000 objects that nobody lets go of. And a full round comes a tenth
        as often: with hundreds of shards the scheduler and the triggerer load and drop so many objects that 22 and 21
        of them took 8 s of CPU in a run of 1,000, now 2. Young objects are collected as before. What is let go of is
        freed all the same, unless it is in a cycle that has lived for long.
        """
        gc.freeze()
        gc.set_threshold(*gc.get_threshold()[:2], FULL_ROUND)
