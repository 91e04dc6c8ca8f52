"""The Airflow plugin: the links from shards to the AWS console."""

from __future__ import annotations

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from ecs_feature.links.ecs import EcsTaskLink, EcsTaskLogLink


class EcsFeaturePlugin(AirflowPlugin):  # type: ignore[misc]
    """Registered by the wheel's entry point and by ``plugins/ecs_feature_plugin.py``; Airflow takes it once."""

    name = "ecs_feature"
    operator_extra_links: ClassVar[list[object]] = [EcsTaskLink(), EcsTaskLogLink()]
