"""What every ECS operation works with, and how names and ARNs find their resources."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fargate_local import limits
from fargate_local.errors import ApiError, client, invalid
from fargate_local.instances import ContainerInstance
from fargate_local.quotas import Quotas
from fargate_local.resources import Cluster, Service, State, Task, TaskDefinition
from fargate_local.settings import Settings
from fargate_local.shapes import JsonObject

if TYPE_CHECKING:
    from fargate_local.api.idempotency import ClientTokens
    from fargate_local.engine.launch import Launcher
    from fargate_local.engine.scheduler import Scheduler


@dataclass(frozen=True)
class Context:
    """The parts of the server that the operations use."""

    settings: Settings
    state: State
    quotas: Quotas
    tokens: ClientTokens
    launcher: Launcher
    scheduler: Scheduler
    now: Callable[[], float]

    def arn(self, resource: str) -> str:
        """An ARN of this account and region, such as for `cluster/features`."""
        return f"arn:aws:ecs:{self.settings.region}:{self.settings.account_id}:{resource}"

    def cluster(self, reference: str | None) -> Cluster:
        """The active cluster of that name or ARN; None is the cluster `default`.

        :raises ApiError: ClusterNotFoundException.
        """
        cluster = self.state.clusters.get(_last(reference or "default"))
        if cluster is None or cluster.status != "ACTIVE" or _foreign(reference, cluster.arn):
            raise ApiError("ClusterNotFoundException", "Cluster not found.")
        return cluster

    def service(self, cluster: Cluster, reference: str) -> Service:
        """The service of that name or ARN, active or not.

        :raises ApiError: ServiceNotFoundException.
        """
        service = cluster.services.get(_last(reference))
        if service is None or _foreign(reference, service.arn):
            raise ApiError("ServiceNotFoundException", "Service not found.")
        return service

    def task(self, cluster: Cluster, reference: str) -> Task | None:
        """The task of that id or ARN, or None when it is not (or not yet) visible in the cluster."""
        task = cluster.tasks.get(_last(reference))
        if task is None or _foreign(reference, task.arn) or not task.is_visible(self.now()):
            return None
        return task

    def instance(self, cluster: Cluster, reference: str) -> ContainerInstance | None:
        """The container instance of that id or ARN, or None."""
        instance = cluster.instances.get(_last(reference))
        return None if instance is None or _foreign(reference, instance.arn) else instance

    def definition(self, reference: str) -> TaskDefinition:
        """The revision that `family`, `family:revision` or an ARN names; a family is its latest active one.

        :raises ApiError: ClientException, as there is none.
        """
        family, _, revision = _last(reference).partition(":")
        revisions = self.state.definitions.get(family, [])
        if not revision:
            found = next((d for d in reversed(revisions) if d.active), None)
        else:
            found = next((d for d in revisions if str(d.revision) == revision), None)
        if found is None or _foreign(reference, found.arn):
            raise client("Unable to describe task definition.")
        return found

    def runnable_definition(self, reference: str) -> TaskDefinition:
        """Like `definition`, for RunTask and services.

        :raises ApiError: ClientException when it does not exist or is inactive.
        """
        try:
            definition = self.definition(reference)
        except ApiError:
            raise client("TaskDefinition not found.") from None
        if not definition.active:
            raise client("TaskDefinition is inactive")
        return definition


def page(
    items: list[str], request: JsonObject, default_size: int = limits.MAX_LIST_RESULTS
) -> tuple[list[str], str | None]:
    """One page of a list, by a request's `nextToken` and `maxResults`, and the token of the next.

    :raises ApiError: InvalidParameterException, as the token is not one of ours, or maxResults is out of range.
    """
    size = request.get("maxResults", default_size)
    if not 1 <= size <= limits.MAX_LIST_RESULTS:
        raise invalid(f"maxResults must be between 1 and {limits.MAX_LIST_RESULTS}: {size}")
    token = request.get("nextToken")
    start = 0 if token is None else _start_of(token)
    rest = items[start:]
    return rest[:size], _token_of(start + size) if len(rest) > size else None


def _token_of(start: int) -> str:
    return f"{start}-{hashlib.sha256(f'fargate_local page {start}'.encode()).hexdigest()[:16]}"


def _start_of(token: str) -> int:
    digits = token.partition("-")[0]
    if not re.fullmatch("[0-9]{1,9}", digits) or token != _token_of(int(digits)):
        raise invalid("Invalid token.")
    return int(digits)


def _last(reference: str) -> str:
    """The name in a name or ARN."""
    return reference.rpartition("/")[2]


def _foreign(reference: str | None, arn: str) -> bool:
    """Whether a reference is an ARN, but another one (other region, account or cluster, or the old short form)."""
    if reference is None or not reference.startswith("arn:"):
        return False
    prefix = arn.rpartition(":")[0] if "task-definition/" in arn else arn
    return reference not in (arn, prefix)
