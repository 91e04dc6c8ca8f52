"""One shard of a pipeline."""

from typing import Final

SHARED_ARGUMENTS: Final = "ecs_feature_shards"
"""Key in a DAG's default arguments: the trigger arguments that all shards of a variant share, by variant."""
