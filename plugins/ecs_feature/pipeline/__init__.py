"""FeaturePipeline: a batch feature pipeline, declared, and its DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_feature.pipeline.spec import PipelineSpec
from ecs_feature.pipeline.variants import ScaledService, Variant

if TYPE_CHECKING:
    from airflow.sdk import DAG

__all__ = ["FeaturePipeline", "ScaledService", "Variant"]


class FeaturePipeline(PipelineSpec):
    # Without a docstring of its own, so that help() shows that of the spec, with the fields.

    def dag(self) -> DAG:
        """The pipeline's DAG; assign it to a name at module level so that Airflow finds it."""
        from ecs_feature.pipeline.dag import build_dag  # all operators; reading a spec does without

        return build_dag(self.resolved())
