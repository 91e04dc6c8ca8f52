"""Which shards must have succeeded before a run is published. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from ecs_feature.exceptions import PublishError

ResultKind = Literal["file", "exit_code"]
"""What says that a shard is done: its result file, or its exit code alone."""
_SHOWN = 10


@dataclass(frozen=True)
class Completeness:
    """What must be there.

    :param partial: whether a run is published although shards of it have failed.
    :param share: of the run's shards that must be there then, 0 to 1.
    :param required: shards that must be there when the run computes them.
    """

    partial: bool = False
    share: float = 0.0
    required: Sequence[str] = ()

    def check(self, done: Collection[str], lost: Collection[str]) -> None:
        """:raises PublishError: when too much is missing.

        :param done: the run's shards that are done, with those that had nothing to do.
        :param lost: the others of the run.
        """
        if not lost:
            return
        if not self.partial:
            raise PublishError(
                f"{len(lost)} shards of this run have failed: {some(lost)}; clear them to run them again "
                "(docs/rerun.md)."
            )
        if needed := [name for name in self.required if name in lost]:
            raise PublishError(
                f"publish: {some(needed)} must be there and failed; clear them to run them again (docs/rerun.md)."
            )
        total = len(done) + len(lost)
        if len(done) < self.share * total:
            raise PublishError(
                f"publish: {len(done)} of {total} shards are there, less than the share of {self.share:g}; missing are "
                f"{some(lost)} (docs/own-dag.md)."
            )


def some(names: Collection[str]) -> str:
    """The first names of a list, and how many more there are."""
    shown = sorted(names)
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")
