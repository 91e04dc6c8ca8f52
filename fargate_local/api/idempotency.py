"""Client tokens of RunTask: the same call twice launches once (AmazonECS/latest/APIReference/ECS_Idempotency)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from fargate_local import limits
from fargate_local.errors import ApiError, invalid
from fargate_local.resources import Cluster, Task
from fargate_local.shapes import JsonObject


@dataclass(frozen=True)
class _Used:
    fingerprint: bytes
    tasks: list[Task]
    at: float

    def expired(self, now: float) -> bool:
        """Whether the token is past min(24 h, lifetime of its tasks + 1 h), or a fault made ECS forget its tasks."""
        if now >= self.at + limits.CLIENT_TOKEN_SECONDS:
            return True
        forgotten = [task.forgotten_at for task in self.tasks]
        if all(at is not None and now >= at for at in forgotten):
            return True
        stopped = [task.stopped_at for task in self.tasks]
        ended = [at for at in stopped if at is not None]
        return len(ended) == len(stopped) and now >= max(ended) + limits.CLIENT_TOKEN_AFTER_STOP_SECONDS


class ClientTokens:
    """The tokens in use, per cluster."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._used: dict[tuple[str, str], _Used] = {}

    def tasks_of(self, cluster: Cluster, request: JsonObject) -> list[Task] | None:
        """The tasks that an earlier, equal call with this token launched; None when there was none.

        :raises ApiError: ConflictException with the ARNs of the existing tasks, as the parameters differ;
            InvalidParameterException, as the token is malformed.
        """
        token = request.get("clientToken")
        if token is None:
            return None
        if not limits.CLIENT_TOKEN.fullmatch(token):
            raise invalid(
                f"clientToken must be 1 to {limits.MAX_CLIENT_TOKEN_CHARACTERS} ASCII characters in the range 33-126."
            )
        used = self._used.get((cluster.name, token))
        if used is None:
            return None
        if used.expired(self._now()):
            del self._used[(cluster.name, token)]
            return None
        if used.fingerprint != fingerprint(request):
            raise ApiError(
                "ConflictException",
                "The RunTask request could not be processed due to conflicts. The provided clientToken is already in "
                "use by tasks that were launched with other parameters.",
                extra={"resourceIds": [task.arn for task in used.tasks]},
            )
        return used.tasks

    def remember(self, cluster: Cluster, request: JsonObject, tasks: list[Task]) -> None:
        """Bind the request's token, if it has one, to the tasks that it launched."""
        token = request.get("clientToken")
        if token is not None:
            self._used[(cluster.name, token)] = _Used(fingerprint(request), tasks, self._now())


def fingerprint(request: JsonObject) -> bytes:
    """The same for requests that differ in nothing but their client token."""
    text = json.dumps({k: v for k, v in request.items() if k != "clientToken"}, sort_keys=True)
    return hashlib.sha256(text.encode()).digest()
