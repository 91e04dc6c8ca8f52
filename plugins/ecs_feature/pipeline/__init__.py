"""FeaturePipeline: a batch feature pipeline, declared, and its DAG."""

from ecs_feature.pipeline.spec import FeaturePipeline, ScaledService, Variant

__all__ = ["FeaturePipeline", "ScaledService", "Variant"]
