"""Which function answers which operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fargate_local.api import capacity_providers, clusters, definitions, instances, protection, services, tags, tasks
from fargate_local.api.context import Context
from fargate_local.errors import ApiError
from fargate_local.shapes import JsonObject

Handler = Callable[[Context, JsonObject], JsonObject | Awaitable[JsonObject]]

OPERATIONS: dict[str, Handler] = {
    **capacity_providers.OPERATIONS,
    **clusters.OPERATIONS,
    **definitions.OPERATIONS,
    **instances.OPERATIONS,
    **protection.OPERATIONS,
    **services.OPERATIONS,
    **tags.OPERATIONS,
    **tasks.OPERATIONS,
}


def handler_of(operation: str) -> Handler:
    """The function that answers an operation.

    :raises ApiError: UnsupportedFeatureException that names it and what there is.
    """
    handler = OPERATIONS.get(operation)
    if handler is None:
        raise ApiError(
            "UnsupportedFeatureException",
            f"fargate_local has no {operation}; it has {', '.join(sorted(OPERATIONS))}.",
        )
    return handler
