"""The Airflow plugin: links to the AWS console, the order in which shards are taken on, and patches if asked for."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

# What a pipeline's DAG file imports. The DAG processor loads plugins before it forks: a parse does not import it anew,
# 0.2 s each time.
import ecs_feature.pipeline.dag  # noqa: F401
from ecs_feature.links.ecs import EcsTaskLink, EcsTaskLogLink, TaskLink
from ecs_feature.operators.shard import EcsShardOperator
from ecs_feature.shards.priority import ShardsInTurns
from ecs_feature.triggers.shard import ShardTrigger
from ecs_feature.ui import registration

log = logging.getLogger(__name__)

TaskLink.operators = [EcsShardOperator]


class EcsFeaturePlugin(AirflowPlugin):  # type: ignore[misc]
    """Registered by the wheel's entry point and by ``plugins/ecs_feature_plugin.py``; Airflow takes it once."""

    name = "ecs_feature"
    operator_extra_links: ClassVar[list[object]] = [EcsTaskLink(), EcsTaskLogLink()]
    priority_weight_strategies: ClassVar[list[object]] = [ShardsInTurns]

    @property
    def react_apps(self) -> list[dict[str, Any]]:
        """The pages of the Shards tab; an Airflow that knows none never asks."""
        return registration.react_apps()

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The app of the Shards tab. Airflow asks for it in the API server, and nothing else needs FastAPI.

        Where it cannot be made, in an Airflow whose API server is another, the tab is missing and nothing else.
        """
        try:
            return registration.fastapi_apps()
        except Exception as error:
            log.warning("The Shards tab is missing: this Airflow does not have what it needs: %r", error)
            return []

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Patch Airflow if the user asks for it; Airflow calls this in each of its processes, in some twice."""
        _patch_airflow()


@cache
def _patch_airflow() -> None:
    from airflow.providers.common.compat.sdk import conf

    try:
        if conf.has_option("ecs_feature", "tune_airflow"):
            log.warning("[ecs_feature] tune_airflow is ignored: it has been replaced by patch_airflow (default False).")
        if conf.getboolean("ecs_feature", "patch_airflow", fallback=False):
            from ecs_feature.airflow_patches import apply_patches, patches

            apply_patches(patches(EcsShardOperator.__name__, ShardTrigger))
    except Exception as error:  # Airflow would drop the plugin, without which mapped pipelines cannot be read.
        log.warning("[ecs_feature] patch_airflow (True or False): not all patches of Airflow are applied: %s", error)
