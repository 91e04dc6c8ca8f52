"""FeaturePipeline: a batch feature pipeline, declared, and its DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_feature.notifications.pipeline import PipelineNotifier
from ecs_feature.pipeline.results import Partial
from ecs_feature.pipeline.spec import PipelineSpec
from ecs_feature.pipeline.surroundings import check_group, check_own_dag
from ecs_feature.pipeline.variants import ScaledService, Variant, WorkerService
from ecs_feature.services.readiness import CeleryWorkers, HttpHealth, ReadyCheck
from ecs_feature.tasks.volumes import EbsVolume

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from ecs_feature.pipeline.dag import FeatureTaskGroup

__all__ = [
    "CeleryWorkers",
    "EbsVolume",
    "FeaturePipeline",
    "HttpHealth",
    "Partial",
    "PipelineNotifier",
    "ReadyCheck",
    "ScaledService",
    "Variant",
    "WorkerService",
]


class FeaturePipeline(PipelineSpec):
    # Without a docstring of its own, so that help() shows that of the spec, with the fields.

    def dag(self) -> DAG:
        """The pipeline's DAG; assign it to a name at module level so that Airflow finds it.

        :raises ConfigurationError: for the first value that is wrong.
        """
        from ecs_feature.pipeline.dag import build_dag  # all operators; reading a spec does without

        check_own_dag(self)
        return build_dag(self.resolved())

    def task_group(self, group_id: str = "features") -> FeatureTaskGroup:
        """The pipeline's tasks as a task group in the DAG of the surrounding ``with``.

        What is put before the group comes before all of its tasks, also before its services start. What is put behind
        it comes after the publish. The run's params are called ``<group_id>_shards`` and so on, since a DAG may have
        several groups.

        :param group_id: must not be that of another group of the DAG.
        :returns: the group, with ``published`` and ``done``, the tasks behind which others are hung.
        :raises ConfigurationError: for the first value that is wrong, and outside a DAG.
        """
        from ecs_feature.pipeline.dag import build_group

        check_group(self)
        return build_group(self.resolved(), group_id)
