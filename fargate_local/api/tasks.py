"""RunTask, DescribeTasks, ListTasks, StopTask."""

from __future__ import annotations

from typing import Any

from fargate_local import limits
from fargate_local.api.capacity_providers import capacity_of, check_room, is_fargate
from fargate_local.api.context import Context, page
from fargate_local.api.fargate_rules import check_network, check_overrides
from fargate_local.api.launch_options import check_ephemeral_storage, check_execute_command, launch_volumes
from fargate_local.api.tags import checked_tags
from fargate_local.engine.launch import Refused
from fargate_local.errors import ApiError, client, invalid
from fargate_local.resources import Cluster, Task, TaskDefinition
from fargate_local.shapes import JsonObject, Tags, without_none

NOT_WITH_STARTED_BY = ("family", "serviceName", "launchType", "containerInstance")
"""AmazonECS/latest/APIReference/API_ListTasks (startedBy). ECS takes desiredStatus beside it."""


def run_task(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request.get("cluster"))
    _check_run(request)
    earlier = ecs.tokens.tasks_of(cluster, request)
    if earlier is not None:
        return {"tasks": [task.to_aws(with_tags=True) for task in earlier], "failures": []}
    definition = ecs.runnable_definition(request["taskDefinition"])
    launch_type, strategy = capacity_of(cluster, definition, request)
    overrides = request.get("overrides", {})
    on_fargate = is_fargate(launch_type, strategy)
    network = check_network(definition.document, request.get("networkConfiguration"), fargate=on_fargate)
    check_overrides(overrides, definition.document, fargate=on_fargate)
    check_ephemeral_storage(overrides, fargate=on_fargate)
    check_execute_command(definition.document, request)
    launch_volumes(definition.document, request, fargate=on_fargate)
    if not on_fargate:
        check_room(ecs, cluster, strategy)
    count = request.get("count", 1)
    providers = ecs.launcher.providers_for(strategy, count)
    ecs.quotas.take_run_task(providers[0] or launch_type or "", count)
    tags = task_tags(cluster, definition, request)
    group = request.get("group", f"family:{definition.family}")
    tasks, failures = [], []
    for provider in providers:
        task = ecs.launcher.launch(
            cluster,
            definition,
            group=group,
            network=network,
            overrides=overrides,
            started_by=request.get("startedBy"),
            launch_type=launch_type,
            capacity_provider=provider,
            platform_version=request.get("platformVersion"),
            execute_command=request.get("enableExecuteCommand", False),
            tags=dict(tags),
            volumes=launch_volumes(definition.document, request, fargate=on_fargate),
        )
        if isinstance(task, Refused):
            failures += task.failures
        else:
            tasks.append(task)
    if tasks:
        ecs.tokens.remember(cluster, request, tasks)
    return {"tasks": [task.to_aws(with_tags=True) for task in tasks], "failures": failures}


def _check_run(request: JsonObject) -> None:
    count = request.get("count", 1)
    if not 1 <= count <= limits.MAX_TASKS_PER_RUN:
        raise invalid(f"Task count must be between 1 and {limits.MAX_TASKS_PER_RUN}: {count}")
    if request.get("group", "").startswith("service:"):
        raise invalid("Invalid namespace for group: service: is for the tasks of services.")
    started_by = request.get("startedBy")
    if started_by is not None and not limits.STARTED_BY.fullmatch(started_by):
        raise invalid(
            "startedBy must be 1 to 128 characters: up to 128 letters (uppercase and lowercase), numbers, hyphens, "
            f"forward slash, and underscores are allowed; it is {started_by!r}"
        )


def asked_capacity(ecs: Context, request: JsonObject) -> str | None:
    """The capacity that the first task of a RunTask or CreateService call will get; None where it does not say.

    The request may be malformed.
    """
    try:
        strategy = request.get("capacityProviderStrategy") or []
        if not strategy and request.get("launchType"):
            return str(request["launchType"])
        strategy = strategy or ecs.cluster(request.get("cluster")).default_strategy
        return ecs.launcher.providers_for(strategy, 1)[0] or "EC2"
    except (ApiError, AttributeError, TypeError, KeyError, ValueError):
        return None


def task_tags(
    cluster: Cluster, definition: TaskDefinition, request: JsonObject, service_tags: Tags | None = None
) -> Tags:
    """The tags of a new task: propagated ones, the request's own, and AWS's when they are enabled."""
    source = request.get("propagateTags")
    if source == "SERVICE" and service_tags is None:
        raise invalid("Invalid value for propagateTags: SERVICE is for services only.")
    propagated = definition.tags if source == "TASK_DEFINITION" else service_tags if source == "SERVICE" else {}
    managed = {"aws:ecs:clusterName": cluster.name} if request.get("enableECSManagedTags") else {}
    own = checked_tags(request.get("tags")) if service_tags is None else {}
    return {**(propagated or {}), **own, **managed}


def describe_tasks(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request.get("cluster"))
    references = request["tasks"]
    if not references:
        raise invalid("Tasks can not be empty.")
    if len(references) > limits.MAX_DESCRIBED_TASKS:
        raise invalid(f"Tasks can not have more than {limits.MAX_DESCRIBED_TASKS} elements.")
    with_tags = "TAGS" in request.get("include", [])
    tasks, failures = [], []
    for reference in references:
        task = ecs.task(cluster, reference)
        if task is None:
            arn = reference if reference.startswith("arn:") else ecs.arn(f"task/{cluster.name}/{reference}")
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            tasks.append(task.to_aws(with_tags=with_tags))
    return {"tasks": tasks, "failures": failures}


def list_tasks(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request.get("cluster"))
    others = [name for name in NOT_WITH_STARTED_BY if name in request]
    if "startedBy" in request and others:
        raise invalid(f"startedBy must be the only filter that you use: leave {', '.join(others)} out.")
    if "serviceName" in request:
        ecs.service(cluster, request["serviceName"])
    now = ecs.now()
    started = request.get("startedBy")
    tasks = cluster.tasks if started is None else cluster.started_by.get(started, {})
    arns = [task.arn for task in tasks.values() if _is_listed(task, request) and task.is_visible(now)]
    listed, token = page(arns, request)
    return without_none({"taskArns": listed, "nextToken": token})


def _is_listed(task: Task, request: JsonObject) -> bool:
    """ListTasks filters by desired status: a task that was asked to stop is listed with STOPPED."""
    return (
        task.desired_status == request.get("desiredStatus", "RUNNING")
        and ("startedBy" not in request or task.started_by == request["startedBy"])
        and ("family" not in request or task.definition.family == request["family"])
        and ("launchType" not in request or (task.launch_type or "FARGATE") == request["launchType"])
        and ("serviceName" not in request or task.service == request["serviceName"].rpartition("/")[2])
        and ("containerInstance" not in request or _is_on(task, request["containerInstance"]))
    )


def _is_on(task: Task, instance: str) -> bool:
    return task.instance_arn is not None and instance in (task.instance_arn, task.instance_arn.rpartition("/")[2])


def stop_task(ecs: Context, request: JsonObject) -> JsonObject:
    cluster = ecs.cluster(request.get("cluster"))
    task = ecs.task(cluster, request["task"])
    if task is None:
        raise invalid("The referenced task was not found.")
    reason = request.get("reason") or "Task stopped by user"
    if len(reason) > 1024:
        raise client(f"reason has {len(reason)} characters; the maximum is 1024.")
    ecs.launcher.lifecycle.stop(task, "UserInitiated", reason)
    return {"task": task.to_aws(with_tags=True)}


OPERATIONS: dict[str, Any] = {
    "RunTask": run_task,
    "DescribeTasks": describe_tasks,
    "ListTasks": list_tasks,
    "StopTask": stop_task,
}
