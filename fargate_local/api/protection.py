"""Scale-in protection of a service's tasks: UpdateTaskProtection, GetTaskProtection.

Sources: AmazonECS/latest/developerguide/task-scale-in-protection, api_failures_messages (the reasons of failures).
"""

from __future__ import annotations

from typing import Any

from fargate_local import limits
from fargate_local.api.context import Context
from fargate_local.errors import invalid
from fargate_local.resources import Cluster, Service, Task
from fargate_local.shapes import JsonObject, without_none

DETAILS = {
    "MISSING": "The specified task wasn't found.",
    "TASK_NOT_VALID": "The specified task isn't part of an Amazon ECS service.",
    "DEPLOYMENT_BLOCKED": (
        "Cannot set task protection because one or more previously protected tasks are preventing the service from "
        "reaching steady state."
    ),
}


def update_task_protection(ecs: Context, request: JsonObject) -> JsonObject:
    cluster, enabled = ecs.cluster(request["cluster"]), request["protectionEnabled"]
    references = request["tasks"]
    if not 1 <= len(references) <= limits.MAX_PROTECTED_PER_CALL:
        raise invalid(f"tasks has {len(references)} elements; there must be 1 to {limits.MAX_PROTECTED_PER_CALL}.")
    minutes = request.get("expiresInMinutes", limits.DEFAULT_PROTECTION_MINUTES)
    least, most = limits.PROTECTION_MINUTES
    if not least <= minutes <= most:
        raise invalid(f"expiresInMinutes is {minutes}: it must be between {least} and {most}.")
    tasks, failures = _found(ecs, cluster, references)
    now, shown = ecs.now(), []
    for task, service in tasks:
        if enabled and _is_blocked(service, now):
            failures.append(_failure(task.arn, "DEPLOYMENT_BLOCKED"))
            continue
        task.protected_until = now + minutes * 60.0 if enabled else None
        shown.append(_to_aws(task, now))
        ecs.scheduler.kick(service)
    return {"protectedTasks": shown, "failures": failures}


def get_task_protection(ecs: Context, request: JsonObject) -> JsonObject:
    cluster, references = ecs.cluster(request["cluster"]), request.get("tasks", [])
    if not 1 <= len(references) <= limits.MAX_PROTECTIONS_READ:
        raise invalid(f"tasks has {len(references)} elements; there must be 1 to {limits.MAX_PROTECTIONS_READ}.")
    tasks, failures = _found(ecs, cluster, references)
    return {"protectedTasks": [_to_aws(task, ecs.now()) for task, _ in tasks], "failures": failures}


def _is_blocked(service: Service, now: float) -> bool:
    """Whether the service has more protected tasks than it wants tasks; then none can be protected or prolonged.

    The guide says so of setting protection; whether it also means tasks that are protected already is not said there.
    The harder reading is simulated, so that workers which cope with it cope with AWS.
    """
    tasks = service.cluster.tasks_of(service)
    protected = sum(1 for task in tasks if task.desired_status == "RUNNING" and task.is_protected(now))
    return protected > service.desired_count


def _found(
    ecs: Context, cluster: Cluster, references: list[str]
) -> tuple[list[tuple[Task, Service]], list[JsonObject]]:
    """The tasks that can be protected, each with its service, and why the others cannot."""
    found, failures = [], []
    for reference in references:
        task = ecs.task(cluster, reference)
        service = cluster.services.get(task.service) if task is not None and task.service else None
        if task is None:
            arn = reference if reference.startswith("arn:") else ecs.arn(f"task/{cluster.name}/{reference}")
            failures.append(_failure(arn, "MISSING"))
        elif service is None or task.desired_status == "STOPPED":
            failures.append(_failure(task.arn, "TASK_NOT_VALID"))
        else:
            found.append((task, service))
    return found, failures


def _failure(arn: str, reason: str) -> JsonObject:
    return {"arn": arn, "reason": reason, "detail": DETAILS[reason]}


def _to_aws(task: Task, now: float) -> JsonObject:
    protected = task.is_protected(now)
    expires = task.protected_until if protected else None
    return without_none({"taskArn": task.arn, "protectionEnabled": protected, "expirationDate": expires})


OPERATIONS: dict[str, Any] = {
    "UpdateTaskProtection": update_task_protection,
    "GetTaskProtection": get_task_protection,
}
