"""What a pipeline's shards leave, and how many of them must be there before a day is published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.results.completeness import Completeness, ResultKind

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


Publish = Literal["all", "partial"] | Partial


def check_result(result: str, publish: Publish, named: Sequence[str]) -> None:
    """:raises ConfigurationError: for a wrong ``result`` or ``publish``.

    :param named: the shards that the file names; none when they are found at run time.
    """
    if result not in get_args(ResultKind):
        raise ConfigurationError(f"result: {result!r} is not known; give {' or '.join(get_args(ResultKind))}.")
    if not isinstance(publish, Partial) and publish not in PUBLISH:
        raise ConfigurationError(
            f"publish: {publish!r} is not known; give {' or '.join(PUBLISH)}, or Partial(share=0.9)."
        )
    required = publish.required if isinstance(publish, Partial) else ()
    if named and (unknown := [name for name in required if name not in named]):
        raise ConfigurationError(f"publish: {', '.join(unknown)} is required, but no shard of the pipeline.")


def check_output(result: str, output_uri: str, input_uri: str, asset_partitions: str) -> None:
    """:raises ConfigurationError: when what is computed cannot lie or be told of there."""
    if asset_partitions not in ("partition", "shard"):
        raise ConfigurationError(f"asset_partitions: {asset_partitions!r} is not known; give partition or shard.")
    if not output_uri and result == "file":
        raise ConfigurationError(
            'output_uri: none is given; give an S3 prefix, or result="exit_code" for a job that publishes nothing '
            "(docs/own-dag.md)."
        )
    for name, uri in (("input_uri", input_uri), ("output_uri", output_uri)):
        if uri and not uri.startswith("s3://"):
            raise ConfigurationError(f"{name}: {uri!r} is not an S3 URI; write s3://bucket/prefix.")


def completeness(publish: Publish) -> Completeness:
    """What must be there before a run is published."""
    if publish == "all":
        return Completeness()
    partial = publish if isinstance(publish, Partial) else Partial()
    return Completeness(partial=True, share=partial.share, required=tuple(partial.required))
