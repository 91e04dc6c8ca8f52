"""Our own HTTP paths: health, recorded calls, faults, load balancers, and the tasks' metadata."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fargate_local.balancer.groups import LoadBalancers
from fargate_local.containers import Container
from fargate_local.endpoint.calls import CallLog
from fargate_local.engine.specs import container_environment, main_definition
from fargate_local.faults import FaultEngine
from fargate_local.resources import State, Task

PATHS = ("calls", "counts", "faults", "health", "load_balancers", "metadata", "tasks")


class Control:
    """Answers under /_fargate_local/."""

    def __init__(self, state: State, faults: FaultEngine, calls: CallLog, balancers: LoadBalancers) -> None:
        self._state = state
        self._faults = faults
        self._calls = calls
        self._balancers = balancers

    async def answer(self, request: Request, path: str) -> Response:
        """The answer to a request for `path`, without the prefix."""
        if path == "health":
            return JSONResponse({"status": "ok"})
        if path == "calls":
            operation = request.query_params.get("operation")
            return JSONResponse({"calls": [call.to_json() for call in self._calls.of(operation)]})
        if path == "load_balancers":
            return JSONResponse(self._balancers.urls)
        if path == "counts":
            return JSONResponse(self._calls.counts)
        if path == "tasks":
            return JSONResponse({"tasks": [_record(task) for task in self._state.made]})
        if path == "faults":
            return await self._answer_faults(request)
        if path.startswith("faults/"):
            return self._answer_fault(request, path.removeprefix("faults/"))
        if path.startswith("metadata/v4/"):
            return self._answer_metadata(path.removeprefix("metadata/v4/"))
        return _refusal(404, f"/_fargate_local/ has {', '.join(PATHS)}, not {path!r}")

    async def _answer_faults(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                rule = await request.json()
                if not isinstance(rule, dict):
                    raise ValueError("the body must be a JSON object")
                return JSONResponse(self._faults.add(rule).to_json(), 201)
            except ValueError as error:
                return _refusal(400, str(error))
        if request.method == "DELETE":
            self._faults.clear()
            return Response(status_code=204)
        return JSONResponse({"faults": [rule.to_json() for rule in self._faults.rules]})

    def _answer_fault(self, request: Request, rule_id: str) -> Response:
        if request.method == "DELETE" and self._faults.remove(rule_id):
            return Response(status_code=204)
        rule = next((rule for rule in self._faults.rules if rule.id == rule_id), None)
        return _refusal(404, f"there is no fault {rule_id!r}") if rule is None else JSONResponse(rule.to_json())

    def _answer_metadata(self, path: str) -> Response:
        """The task metadata endpoint, version 4 (AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate)."""
        task_id, _, rest = path.partition("/")
        container_name, _, what = rest.partition("/")
        task = next((c.tasks[task_id] for c in self._state.clusters.values() if task_id in c.tasks), None)
        container = next((c for c in task.containers if c.name == container_name), None) if task else None
        if task is None or container is None:
            return _refusal(404, "no such task or container")
        if what == "task":
            return JSONResponse(_task_metadata(task))
        return JSONResponse(_container_metadata(task, container)) if not what else _refusal(404, f"no {what!r} here")


def _record(task: Task) -> dict[str, Any]:
    """A task as tests want to see it; times are seconds since the epoch."""
    main = task.main
    return {
        "arn": task.arn,
        "cluster": task.cluster.name,
        "family": task.definition.family,
        "service": task.service,
        "started_by": task.started_by,
        "tags": task.tags,
        "environment": container_environment(task, main_definition(task)),
        "capacity": task.capacity,
        "cpu": int(task.cpu),
        "memory_mib": int(task.memory),
        "created_at": task.created_at,
        "started_at": task.started_at,
        "stopping_at": task.stopping_at,
        "stopped_at": task.stopped_at,
        "last_status": task.last_status,
        "desired_status": task.desired_status,
        "stop_code": task.stop_code,
        "stopped_reason": task.stopped_reason,
        "exit_code": main.exit_code,
        "exit_codes": {container.name: container.exit_code for container in task.containers},
    }


def _task_metadata(task: Task) -> dict[str, Any]:
    return {
        "Cluster": task.cluster.arn,
        "TaskARN": task.arn,
        "Family": task.definition.family,
        "Revision": str(task.definition.revision),
        "DesiredStatus": task.desired_status,
        "KnownStatus": task.last_status,
        "LaunchType": "EC2" if task.on_ec2 else "FARGATE",
        "Limits": {"CPU": int(task.cpu) / 1024, "Memory": int(task.memory)},
        "Containers": [_container_metadata(task, container) for container in task.containers],
    }


def _container_metadata(task: Task, container: Container) -> dict[str, Any]:
    return {
        "DockerId": container.runtime_id,
        "Name": container.name,
        "DockerName": container.name,
        "Image": container.image,
        "DesiredStatus": task.desired_status,
        "KnownStatus": container.last_status,
        "Limits": {"CPU": container.cpu},
        "Type": "NORMAL",
        "ContainerARN": container.arn,
        "Networks": [{"NetworkMode": task.network_mode, "IPv4Addresses": [task.private_ip]}],
    }


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)
