"""The container agent's own endpoint, `$ECS_AGENT_URI/task-protection/v1/state`, as a container of a task sees it.

The agent asks ECS in the task's name, with the task's role, and answers in a form of its own.
Source: AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fargate_local.endpoint.calls import json_object
from fargate_local.endpoint.wrong_answers import BrokenOff
from fargate_local.resources import State, Task
from fargate_local.shapes import JsonObject, without_none

PREFIX = "api/"
PATH = "task-protection/v1/state"
FIELDS = frozenset({"ProtectionEnabled", "ExpiresInMinutes"})

Call = Callable[[Request, str, bytes], Awaitable[Response]]
"""A call of ECS in an agent's name: the container's request, the operation, its body."""


class Agent:
    """Answers under /_fargate_local/api/.

    :param call: answers as ECS does, with faults and quotas.
    """

    def __init__(self, state: State, call: Call) -> None:
        self._state = state
        self._call = call

    async def answer(self, request: Request, path: str) -> Response:
        """The answer to a request for `path`: a container's id, then what it wants."""
        container_id, _, what = path.partition("/")
        if what != PATH or request.method not in ("GET", "PUT"):
            return Response("404 page not found\n", 404, media_type="text/plain")
        operation = "UpdateTaskProtection" if request.method == "PUT" else "GetTaskProtection"
        given = json_object(await request.body()) if request.method == "PUT" else {}
        if given is None or not _is_decoded(given):
            return _error(400, "InvalidParameterException", f"{operation}: failed to decode request")
        task = self._task(container_id)
        if task is None:
            return _error(404, "ResourceNotFoundException", "Failed to find a task for the request")
        if request.method == "PUT" and given.get("ProtectionEnabled") is None:
            message = "Invalid request: does not contain 'ProtectionEnabled' field"
            return _error(400, "InvalidParameterException", message, task.arn)
        if not (task.overrides.get("taskRoleArn") or task.definition.document.get("taskRoleArn")):
            message = "Invalid Request: no task IAM role credentials available for task"
            return _error(403, "AccessDeniedException", message, task.arn)
        asked = {"cluster": task.cluster.arn, "tasks": [task.arn]} | _as_asked(given)
        response = await self._call(request, operation, json.dumps(asked).encode())
        if isinstance(response, BrokenOff):
            return _error(504, "RequestCanceled", "Timed out calling ECS Task Protection API", task.arn)
        return _of_ecs(task, response)

    def _task(self, container_id: str) -> Task | None:
        task_id = container_id.partition("-")[0]
        return next((c.tasks[task_id] for c in self._state.clusters.values() if task_id in c.tasks), None)


def _is_decoded(given: JsonObject) -> bool:
    """Whether the agent can read a PUT's body: no field is unknown, each of its own type."""
    enabled, minutes = given.get("ProtectionEnabled"), given.get("ExpiresInMinutes")
    whole = minutes is None or (isinstance(minutes, int) and not isinstance(minutes, bool))
    return set(given) <= FIELDS and whole and isinstance(enabled, bool | None)


def _as_asked(given: JsonObject) -> JsonObject:
    return without_none(
        {"protectionEnabled": given.get("ProtectionEnabled"), "expiresInMinutes": given.get("ExpiresInMinutes")}
    )


def _of_ecs(task: Task, response: Response) -> Response:
    """ECS's answer in the agent's form."""
    answer = json_object(bytes(response.body)) or {}
    if response.status_code != 200:
        return _error(
            response.status_code,
            str(answer.get("__type", "ServerException")),
            str(answer.get("message", "")),
            task.arn,
            response.headers.get("x-amzn-requestid"),
        )
    if answer["failures"]:
        (failure,) = answer["failures"]
        return JSONResponse({"failure": {name.capitalize(): value for name, value in failure.items()}})
    (protected,) = answer["protectedTasks"]
    expires = protected.get("expirationDate")
    return JSONResponse(
        {
            "protection": {
                "ExpirationDate": None if expires is None else _date(expires),
                "ProtectionEnabled": protected["protectionEnabled"],
                "TaskArn": protected["taskArn"],
            }
        }
    )


def _date(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def _error(status: int, code: str, message: str, arn: str | None = None, request_id: str | None = None) -> Response:
    error: dict[str, Any] = without_none({"Arn": arn, "Code": code, "Message": message})
    return JSONResponse(without_none({"requestID": request_id, "error": error}), status)
