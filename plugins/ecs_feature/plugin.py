"""The Airflow plugin: links to the AWS console, the order in which shards are taken on, and Airflow's tuning."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

# What a pipeline's DAG file imports. The DAG processor loads plugins before it forks: a parse does not import it anew,
# 0.2 s each time.
import ecs_feature.pipeline.dag  # noqa: F401
from ecs_feature.airflow_patches import tune
from ecs_feature.links.ecs import EcsTaskLink, EcsTaskLogLink, TaskLink
from ecs_feature.operators.shard import EcsShardOperator
from ecs_feature.shards.priority import ShardsInTurns
from ecs_feature.triggers.shard import ShardTrigger

log = logging.getLogger(__name__)

TaskLink.operators = [EcsShardOperator]


class EcsFeaturePlugin(AirflowPlugin):  # type: ignore[misc]
    """Registered by the wheel's entry point and by ``plugins/ecs_feature_plugin.py``; Airflow takes it once."""

    name = "ecs_feature"
    operator_extra_links: ClassVar[list[object]] = [EcsTaskLink(), EcsTaskLogLink()]
    priority_weight_strategies: ClassVar[list[object]] = [ShardsInTurns]

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Tune the process; Airflow calls this in each of its own. The plugin is there without it, too."""
        from airflow.providers.common.compat.sdk import conf

        try:
            if conf.getboolean("ecs_feature", "tune_airflow", fallback=True):
                tune(EcsShardOperator.__name__, ShardTrigger)
        except Exception as error:  # Airflow would drop the plugin, without which mapped pipelines cannot be read.
            log.warning("[ecs_feature] tune_airflow (True or False): Airflow is not, or not wholly, tuned: %s", error)
