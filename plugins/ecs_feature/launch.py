"""One launch: what RunTask is asked for, and the token that makes asking twice harmless."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ecs_feature import limits
from ecs_feature.exceptions import ConfigurationError

TAG_PREFIX = "ecs-feature:"
TIMEOUT_TAG = TAG_PREFIX + "timeout-seconds"
"""How long a shard's task may live, from its createdAt. A duration, and not a moment, because a repeated RunTask
must have the same parameters, or ECS answers ConflictException."""


@dataclass(frozen=True)
class Network:
    """awsvpc configuration of a task: where it runs and what may reach it.

    :param subnets: 1 to 16 subnet ids.
    :param security_groups: 0 to 5 security group ids; none means the VPC's default group.
    :param assign_public_ip: needed in a public subnet without NAT to pull images.
    """

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...] = ()
    assign_public_ip: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.subnets) <= limits.SUBNETS:
            raise ConfigurationError(
                f"subnets: {len(self.subnets)} given, but awsvpc takes 1 to {limits.SUBNETS} ({limits.QUOTAS_PAGE})."
            )
        if len(self.security_groups) > limits.SECURITY_GROUPS:
            raise ConfigurationError(
                f"security_groups: {len(self.security_groups)} given, but awsvpc takes at most "
                f"{limits.SECURITY_GROUPS} ({limits.QUOTAS_PAGE})."
            )

    def to_aws(self) -> dict[str, Any]:
        return {
            "awsvpcConfiguration": {
                "subnets": list(self.subnets),
                "securityGroups": list(self.security_groups),
                "assignPublicIp": "ENABLED" if self.assign_public_ip else "DISABLED",
            }
        }


@dataclass(frozen=True)
class Launch:
    """What one RunTask call asks for.

    :param started_by: the DAG that asks (a template, too); becomes RunTask's ``startedBy``.
    :param capacity_provider: ``FARGATE`` or ``FARGATE_SPOT``; empty asks by launch type instead.
    :param cpu: CPU units to ask for instead of the task definition's; 0 keeps it. Likewise ``memory_mib``.
    """

    cluster: str
    task_definition: str
    container: str
    network: Network
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    launch_type: str = "FARGATE"
    capacity_provider: str = ""
    cpu: int = 0
    memory_mib: int = 0
    started_by: str = "{{ dag.dag_id }}"
    tags: Mapping[str, str] = field(default_factory=dict)
    client_token: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Launch:
        """The opposite of :meth:`to_dict`; lists become tuples."""
        network = values["network"]
        return cls(
            **{
                **values,
                "network": Network(
                    tuple(network["subnets"]), tuple(network["security_groups"]), network["assign_public_ip"]
                ),
                "command": tuple(values.get("command", ())),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe, for a trigger's arguments; every string in it may be a template until it is rendered."""
        network = self.network
        return {
            "cluster": self.cluster,
            "task_definition": self.task_definition,
            "container": self.container,
            "network": {
                "subnets": list(network.subnets),
                "security_groups": list(network.security_groups),
                "assign_public_ip": network.assign_public_ip,
            },
            "environment": dict(self.environment),
            "command": list(self.command),
            "launch_type": self.launch_type,
            "capacity_provider": self.capacity_provider,
            "started_by": self.started_by,
            "tags": dict(self.tags),
        }

    def overrides(self) -> dict[str, Any]:
        """The ``overrides`` of RunTask.

        :raises ConfigurationError: when they are longer than RunTask takes.
        """
        container: dict[str, Any] = {"name": self.container}
        if self.environment:
            container["environment"] = [{"name": k, "value": v} for k, v in sorted(self.environment.items())]
        if self.command:
            container["command"] = list(self.command)
        overrides: dict[str, Any] = {"containerOverrides": [container]}
        if self.cpu:
            overrides["cpu"] = str(self.cpu)
        if self.memory_mib:
            overrides["memory"] = str(self.memory_mib)
        check_overrides(overrides)
        return overrides

    def to_aws(self) -> dict[str, Any]:
        """The parameters of RunTask for one task."""
        request: dict[str, Any] = {
            "cluster": self.cluster,
            "taskDefinition": self.task_definition,
            "count": 1,
            "networkConfiguration": self.network.to_aws(),
            "overrides": self.overrides(),
            "enableECSManagedTags": True,
            "propagateTags": "TASK_DEFINITION",
        }
        if self.capacity_provider:
            request["capacityProviderStrategy"] = [{"capacityProvider": self.capacity_provider, "weight": 1}]
        else:
            request["launchType"] = self.launch_type
        if self.started_by:
            request["startedBy"] = started_by(self.started_by)
        if self.tags:
            request["tags"] = [
                {"key": limits.tag_text(key, limits.TAG_KEY_CHARACTERS), "value": limits.tag_text(value)}
                for key, value in sorted(self.tags.items())
            ]
        if self.client_token:
            request["clientToken"] = self.client_token
        return request


def check_overrides(overrides: Mapping[str, Any]) -> None:
    """:raises ConfigurationError: when the overrides are longer than RunTask takes."""
    size = len(json.dumps(overrides))
    if size > limits.OVERRIDES_CHARACTERS:
        raise ConfigurationError(
            f"environment/command: the overrides are {size} characters, but RunTask takes "
            f"{limits.OVERRIDES_CHARACTERS}, JSON included (AmazonECS/latest/APIReference/API_RunTask.html); "
            "pass long values through S3."
        )


def client_token(task_instance_id: str, relaunch: int) -> str:
    """RunTask's client token: the same for the same try and relaunch, wherever and however often it is asked.

    Airflow gives a task instance a new UUID for every try, and for a run that was deleted and made again, so
    the UUID says more than (dag, run, task, map index, try), see docs/decisions/0002-client-token.md.

    :returns: 64 ASCII characters, what ECS takes at most (AmazonECS/latest/APIReference/ECS_Idempotency.html).
    """
    return hashlib.sha256(f"{task_instance_id}/{relaunch}".encode()).hexdigest()


def started_by(dag_id: str) -> str:
    """RunTask's ``startedBy`` for a DAG: what ListTasks can filter on."""
    return ("ecs-feature/" + re.sub(r"[^A-Za-z0-9_/-]", "-", dag_id))[:128]


def fill_shard(value: Any, shard: str) -> Any:
    """``value`` with ``{shard}`` in its strings replaced, through lists and dicts."""
    if isinstance(value, str):
        return value.replace("{shard}", shard)
    if isinstance(value, Mapping):
        return {key: fill_shard(item, shard) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill_shard(item, shard) for item in value]
    return value
