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


class EcsFeaturePlugin(AirflowPlugin):  # type: ignore[misc]
    """Registered by the wheel's entry point and by ``plugins/ecs_feature_plugin.py``; Airflow takes it once."""

    name = "ecs_feature"
    operator_extra_links: ClassVar[list[object]] = [EcsTaskLink(), EcsTaskLogLink()]
    priority_weight_strategies: ClassVar[list[object]] = [ShardsInTurns]

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Take what is imported out of the full rounds of garbage collection, as Airflow's DAG processor does.

        Airflow calls this once in each of its processes. Modules and classes are 280,000 objects that nobody lets go
        of; walking them takes 0.3 to 0.7 s, in which nothing else happens in a triggerer, and with hundreds of shards
        there are a dozen such rounds in each of its two processes. What is let go of later is freed all the same,
        unless it is in a cycle.
        """
        gc.freeze()
