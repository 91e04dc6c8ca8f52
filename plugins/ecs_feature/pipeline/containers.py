"""Which container of a task definition does the shard's work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.tasks.definition_files import parse

if TYPE_CHECKING:
    from ecs_feature.pipeline.spec import PipelineSpec
    from ecs_feature.pipeline.variants import Variant


def container_of(pipeline: PipelineSpec, variant: Variant) -> str:
    """The pipeline's container; without one, the only essential container in the variant's task definition.

    :raises ConfigurationError: when the file cannot be read, or has none or several.
    """
    if pipeline.container:
        return pipeline.container
    path = pipeline.taskdef_path(variant)
    try:
        raw = parse(path)
        containers = raw.get("taskDefinition", raw)["containerDefinitions"]
        names = [each["name"] for each in containers if each.get("essential", True) is not False]
    except ConfigurationError as error:
        raise ConfigurationError(f"task_definition: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"container: none is given, and {path.name} does not say which it is ({error!r:.80}); give its name."
        ) from error
    if len(names) != 1:
        raise ConfigurationError(
            f"container: none is given, and {path.name} has {len(names)} essential ones"
            f"{', ' + ', '.join(map(str, names)) if names else ''}; give the one that does the shard's work."
        )
    return str(names[0])
