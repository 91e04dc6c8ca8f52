"""Task definitions."""

from __future__ import annotations

import json
from typing import Any

from fargate_local import limits
from fargate_local.api.context import Context, page
from fargate_local.api.tags import checked_tags
from fargate_local.definitions.table import check_definition, compatibilities
from fargate_local.errors import client
from fargate_local.resources import TaskDefinition
from fargate_local.shapes import JsonObject, tags_to_aws, without_none


def register_task_definition(ecs: Context, request: JsonObject) -> JsonObject:
    document = {name: value for name, value in request.items() if name != "tags"}
    if len(json.dumps(document, separators=(",", ":")).encode()) > limits.MAX_TASK_DEFINITION_BYTES:
        raise client("Actual length of the task definition is greater than the maximum of 64 KiB.")
    check_definition(document)
    tags = checked_tags(request.get("tags"))
    family = request["family"]
    revisions = ecs.state.definitions.setdefault(family, [])
    revision = len(revisions) + 1
    document |= {
        "taskDefinitionArn": ecs.arn(f"task-definition/{family}:{revision}"),
        "revision": revision,
        "status": "ACTIVE",
        "compatibilities": compatibilities(document),
        "registeredAt": ecs.now(),
        "registeredBy": f"arn:aws:iam::{ecs.settings.account_id}:root",
        "volumes": request.get("volumes", []),
        "placementConstraints": request.get("placementConstraints", []),
        "requiresAttributes": [],
        "containerDefinitions": [
            _with_defaults(container, request.get("networkMode", "bridge"))
            for container in request["containerDefinitions"]
        ],
    }
    if "cpu" in document:
        document["cpu"] = str(limits.cpu_units(document["cpu"]))
    if "memory" in document:
        document["memory"] = str(limits.memory_mib(document["memory"]))
    definition = TaskDefinition(document["taskDefinitionArn"], family, revision, document, tags)
    revisions.append(definition)
    return {"taskDefinition": document, "tags": tags_to_aws(tags)}


def _with_defaults(container: JsonObject, network_mode: str) -> JsonObject:
    """A container as it is described; without a hostPort, bridge mode takes a free one (0)."""
    defaults: JsonObject = {
        "cpu": 0, "portMappings": [], "essential": True, "environment": [], "mountPoints": [], "volumesFrom": [],
        "systemControls": [],
    }  # fmt: skip
    ports = [_port_with_defaults(port, network_mode) for port in container.get("portMappings", [])]
    filled = defaults | container | {"portMappings": ports}
    if "healthCheck" in container:
        health = {
            "interval": limits.HEALTH_INTERVAL_SECONDS,
            "timeout": limits.HEALTH_TIMEOUT_SECONDS,
            "retries": limits.HEALTH_RETRIES,
        }
        filled["healthCheck"] = health | container["healthCheck"]
    return filled


def _port_with_defaults(port: JsonObject, network_mode: str) -> JsonObject:
    """A port mapping as it is described: of a range, the host's ports are chosen when the task starts."""
    if "containerPortRange" in port:
        return {"protocol": "tcp"} | port
    return {"protocol": "tcp", "hostPort": 0 if network_mode == "bridge" else port["containerPort"]} | port


def describe_task_definition(ecs: Context, request: JsonObject) -> JsonObject:
    definition = ecs.definition(request["taskDefinition"])
    answer: JsonObject = {"taskDefinition": definition.document}
    if "TAGS" in request.get("include", []):
        answer["tags"] = tags_to_aws(definition.tags)
    return answer


def list_task_definitions(ecs: Context, request: JsonObject) -> JsonObject:
    status = request.get("status", "ACTIVE")
    family = request.get("familyPrefix")
    arns = [
        definition.arn
        for name in sorted(ecs.state.definitions)
        if family in (None, name)
        for definition in ecs.state.definitions[name]
        if definition.document["status"] == status
    ]
    if request.get("sort") == "DESC":
        arns.reverse()
    listed, token = page(arns, request)
    return without_none({"taskDefinitionArns": listed, "nextToken": token})


def list_task_definition_families(ecs: Context, request: JsonObject) -> JsonObject:
    # "By default, both ACTIVE and INACTIVE task definition families are listed."
    status = request.get("status", "ALL")
    prefix = request.get("familyPrefix", "")
    families = [
        name
        for name, revisions in sorted(ecs.state.definitions.items())
        if name.startswith(prefix) and (status == "ALL" or (status == "ACTIVE") == any(d.active for d in revisions))
    ]
    listed, token = page(families, request)
    return without_none({"families": listed, "nextToken": token})


def deregister_task_definition(ecs: Context, request: JsonObject) -> JsonObject:
    reference = request["taskDefinition"]
    if ":" not in reference.rpartition("/")[2]:
        raise client("Invalid revision number. Number: null")
    definition = ecs.definition(reference)
    definition.document["status"] = "INACTIVE"
    definition.document.setdefault("deregisteredAt", ecs.now())
    return {"taskDefinition": definition.document}


OPERATIONS: dict[str, Any] = {
    "RegisterTaskDefinition": register_task_definition,
    "DescribeTaskDefinition": describe_task_definition,
    "ListTaskDefinitions": list_task_definitions,
    "ListTaskDefinitionFamilies": list_task_definition_families,
    "DeregisterTaskDefinition": deregister_task_definition,
}
