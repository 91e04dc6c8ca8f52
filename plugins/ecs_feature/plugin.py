"""The Airflow plugin: the links from shards to the AWS console."""

from __future__ import annotations

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

# What a pipeline's DAG file imports. The DAG processor loads plugins before it forks: a parse does not import it anew,
# 0.2 s each time, and there is one for every batch of shards that have ended.
import ecs_feature.pipeline_dag  # noqa: F401
from ecs_feature.links.ecs import EcsTaskLink, EcsTaskLogLink, TaskLink
from ecs_feature.operators.shard import EcsShardOperator

TaskLink.operators = [EcsShardOperator]


class EcsFeaturePlugin(AirflowPlugin):  # type: ignore[misc]
    """Registered by the wheel's entry point and by ``plugins/ecs_feature_plugin.py``; Airflow takes it once."""

    name = "ecs_feature"
    operator_extra_links: ClassVar[list[object]] = [EcsTaskLink(), EcsTaskLogLink()]
