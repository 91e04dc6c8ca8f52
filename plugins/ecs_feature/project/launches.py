"""What the shards of a DAG are launched with, and what of it their task definition cannot take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ecs_feature.operators.shard import EcsShardOperator
from ecs_feature.shards import SHARED_ARGUMENTS
from ecs_feature.tasks.capacity import CLUSTER_DEFAULT, bucket_of
from ecs_feature.triggerer.references import is_reference, source_of


@dataclass(frozen=True)
class ShardLaunch:
    """The launch that shards share.

    :param launch: :meth:`ecs_feature.tasks.launch.Launch.to_dict`.
    """

    launch: Mapping[str, Any]

    def conflicts(self, definition: Mapping[str, Any]) -> Iterator[str]:
        """One sentence for each thing that RunTask would refuse, or that a launch would overwrite silently."""
        name = self.launch["container"]
        container: Mapping[str, Any] = next(
            (one for one in definition["containerDefinitions"] if one["name"] == name), {}
        )
        given = self.launch["environment"]
        for secret in container.get("secrets", ()):
            if secret["name"] in given:
                # "The secret name must be unique and not shared with any new or existing environment variables":
                # AmazonECS/latest/developerguide/secrets-envvar.html.
                yield (
                    f"secret {secret['name']} of container {name} has the name of a variable that the pipeline sets, "
                    "and ECS refuses that; rename one of them."
                )
        for variable in container.get("environment", ()):
            if variable["name"] in given:
                yield (
                    f"environment {variable['name']} of container {name} is overwritten by the pipeline for each "
                    "shard; take it out."
                )
        capacity, compatible = self.launch["capacity"], definition.get("requiresCompatibilities") or ()
        on_fargate = capacity != CLUSTER_DEFAULT and bucket_of(capacity)
        if on_fargate and compatible and "FARGATE" not in compatible:
            yield (
                f"requiresCompatibilities is {', '.join(compatible)}, but the pipeline's shards run on Fargate; add "
                'FARGATE, or give the pipeline capacity="ec2".'
            )


def launches_of(dag: Any) -> dict[str, list[ShardLaunch]]:
    """The launches of a DAG's shards by the task that registers their task definition; equal ones once."""
    shared = (dag.default_args or {}).get(SHARED_ARGUMENTS, {})
    found: dict[str, list[ShardLaunch]] = {}
    for task in dag.tasks:
        launch = _launch(task, shared)
        if launch is None or not is_reference(launch["task_definition"]):
            continue
        mine = found.setdefault(source_of(launch["task_definition"]), [])
        if ShardLaunch(launch) not in mine:
            mine.append(ShardLaunch(launch))
    return found


def _launch(task: Any, shared: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The launch of a shard's task, mapped or not; None of other tasks."""
    if isinstance(task, EcsShardOperator):
        start = task.start_trigger_args
    elif issubclass(getattr(task, "operator_class", object), EcsShardOperator):
        start = task.partial_kwargs.get("start_trigger_args")
    else:
        start = None
    if start is None:
        return None
    own = start.trigger_kwargs or {}
    arguments = {**shared.get(own.get("shared", ""), {}), **own}
    launch: Mapping[str, Any] | None = arguments.get("launch")
    return launch
