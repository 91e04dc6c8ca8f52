"""The one pipeline of the tests; each test changes what it is about."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ecs_feature.pipeline import FeaturePipeline, Variant


def pipeline(**changes: Any) -> FeaturePipeline:
    """A pipeline ``p`` of one shard and one variant, without placeholders and without services.

    :param changes: arguments of FeaturePipeline, instead of these or besides.
    """
    arguments: dict[str, Any] = {
        "dag_id": "p",
        "schedule": None,
        "start_date": datetime(2013, 1, 1),
        "cluster": "features",
        "shards": ("AA",),
        "variants": [Variant("control", "features")],
        "container": "features",
        "input_uri": "s3://b/raw/",
        "output_uri": "s3://b/features",
        "placeholders": {"SUBNETS": "subnet-0a", "SECURITY_GROUPS": ""},
    }
    return FeaturePipeline(**(arguments | changes))
