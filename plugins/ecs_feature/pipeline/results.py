"""What a pipeline's shards leave, and how many of them must be there before a day is published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.results.completeness import Completeness, ResultKind

if TYPE_CHECKING:
    from ecs_feature.pipeline.spec import PipelineSpec

PUBLISH: Final = ("all", "partial")


@dataclass(frozen=True)
class Partial:
    """Publish without the shards that failed, when enough are there.

    :param share: of the run's shards that must have succeeded, above 0 and at most 1.
    :param required: shards that must have succeeded when the run computes them.
    """

    share: float = 0.0
    required: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.share, bool) or not isinstance(self.share, int | float) or not 0 <= self.share <= 1:
            raise ConfigurationError(f"publish: a share of {self.share!r} is no part; give 0 to 1, e.g. 0.9.")
        if isinstance(self.required, str):
            raise ConfigurationError(f"publish: required is one text; give a list, [{self.required!r}].")


def check_result(pipeline: PipelineSpec) -> None:
    """:raises ConfigurationError: for a wrong ``result`` or ``publish``."""
    if pipeline.result not in get_args(ResultKind):
        raise ConfigurationError(f"result: {pipeline.result!r} is not known; give {' or '.join(get_args(ResultKind))}.")
    if not isinstance(pipeline.publish, Partial) and pipeline.publish not in PUBLISH:
        raise ConfigurationError(
            f"publish: {pipeline.publish!r} is not known; give {' or '.join(PUBLISH)}, or Partial(share=0.9)."
        )
    named = pipeline.named_shards()
    if isinstance(pipeline.publish, Partial) and named:
        if unknown := [name for name in pipeline.publish.required if name not in named]:
            raise ConfigurationError(f"publish: {', '.join(unknown)} is required, but no shard of the pipeline.")


def completeness(pipeline: PipelineSpec) -> Completeness:
    """What must be there before a run is published."""
    if pipeline.publish == "all":
        return Completeness()
    partial = pipeline.publish if isinstance(pipeline.publish, Partial) else Partial()
    return Completeness(partial=True, share=partial.share, required=tuple(partial.required))
