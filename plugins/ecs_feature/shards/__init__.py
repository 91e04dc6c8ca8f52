"""One shard of a pipeline."""

from typing import Final

SHARED_ARGUMENTS: Final = "ecs_feature_shards"
"""Key in a DAG's default arguments: the trigger arguments that all shards of a variant share, by variant."""


def task_in(lane: str, name: str) -> str:
    """The id of a task of one variant.

    :param lane: what the ids of the variant's tasks begin with: the task group and the variant, either, or nothing.
    """
    return f"{lane}.{name}" if lane else name
