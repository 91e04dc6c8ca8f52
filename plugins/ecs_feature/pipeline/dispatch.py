"""Where a pipeline's shards run: each in a Fargate task of its own, or on the Celery workers of a service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.pipeline.variants import Variant, WorkerService

FARGATE: Final = "fargate"
WORKERS: Final = "workers"


def check_dispatch(dispatch: str, work: Callable[..., Any] | None) -> None:
    """:raises ConfigurationError: for a wrong word, and for work that cannot be called."""
    if dispatch not in (FARGATE, WORKERS):
        raise ConfigurationError(f"dispatch: {dispatch!r} is not known; give {FARGATE} or {WORKERS}.")
    if work is not None and not callable(work):
        raise ConfigurationError(
            f"work: {work!r:.80} cannot be called; give a function that does a shard's work or returns an operator."
        )


def dispatched(variants: Sequence[Variant], dispatch: str) -> tuple[Variant, ...]:
    """The variants, with the service of their workers among their services where these run the shards.

    :raises ConfigurationError: a variant has no workers, or the same as another one.
    """
    for variant in variants:
        if variant.workers is not None and not isinstance(variant.workers, WorkerService):
            raise ConfigurationError(
                f"workers: {variant.workers!r:.80} is of type {type(variant.workers).__name__}; give a WorkerService."
            )
    if dispatch != WORKERS:
        return tuple(variants)
    taken: dict[str, str] = {}
    for variant in variants:
        who = f"variant {variant.name}" if variant.name else "the pipeline"
        if variant.workers is None:
            raise ConfigurationError(
                f'workers: {who} has none, and dispatch is "workers"; give WorkerService("my-workers", count=5).'
            )
        for what, name in (("service", variant.workers.name), ("queue", variant.workers.queue)):
            if (other := taken.setdefault(f"{what} {name}", who)) != who:
                raise ConfigurationError(
                    f"workers: {what} {name!r} is that of {other} and of {who}, whose compute must not be shared; give "
                    "each its own."
                )
    return tuple(
        replace(variant, services=(*variant.services, variant.workers)) for variant in variants if variant.workers
    )
