"""One shard of a pipeline."""

from typing import Final

SHARED_ARGUMENTS: Final = "ecs_feature_shards"
"""Key in a DAG's default arguments: what the shard tasks of a variant have in common, by the variant's name."""
