"""One launch: the parameters of RunTask, and the client token that makes repeating it harmless."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ecs_feature.aws import limits
from ecs_feature.aws.resources import region_of
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.tasks.capacity import ON_DEMAND, Strategy, bucket_of, request_of
from ecs_feature.tasks.sizes import Size
from ecs_feature.tasks.volumes import EbsVolume, check_configured

TAG_PREFIX = "ecs-feature:"
TIMEOUT_TAG = TAG_PREFIX + "timeout-seconds"
"""Seconds that a shard's task may live, from its createdAt. Not a point in time: a repeated RunTask must have the same
parameters, or ECS answers ConflictException."""


TASK_DEFINITION_SIZE = Size()
_SHARD = re.compile(r"\{shard(_id)?\}")
_STARTED_BY_CHARACTERS = 128  # AmazonECS/latest/APIReference/API_RunTask.html


@dataclass(frozen=True)
class Network:
    """The awsvpc configuration of a task.

    :param subnets: 1 to 16 subnet ids.
    :param security_groups: 0 to 5 security group ids; none means the VPC's default group.
    :param assign_public_ip: needed to pull images in a public subnet without NAT.
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
    """The parameters of one RunTask call.

    :param capacity: ``on_demand``, ``spot``, ``ec2``, ``cluster_default``, or a capacity provider strategy, see
        :mod:`ecs_feature.tasks.capacity`.
    :param network: None when the task definition's network mode is not awsvpc; such tasks have no network interface of
        their own and run only on EC2.
    :param default_strategy: the cluster's, with capacity ``cluster_default``; None: not known. Not part of the request.
    :param size: overrides the task definition's CPU, memory and ephemeral storage.
    :param ephemeral_gib: ephemeral storage on Fargate where ``size`` has none, 21 to 200; 0: the task definition's.
    :param volumes: the volumes that the task definition leaves to be configured at launch.
    :param execute_command: whether ECS Exec is enabled.
    :param started_by: becomes RunTask's ``startedBy``: a template of the DAG's id and the task instance's UUID; by it
        a try's tasks can be listed.
    """

    cluster: str
    task_definition: str
    container: str
    network: Network | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    capacity: str | Strategy = ON_DEMAND
    size: Size = TASK_DEFINITION_SIZE
    started_by: str = "{{ dag.dag_id }}/{{ ti.id }}"
    tags: Mapping[str, str] = field(default_factory=dict)
    client_token: str = ""
    default_strategy: Strategy | None = None
    ephemeral_gib: int = 0
    volumes: tuple[EbsVolume, ...] = ()
    execute_command: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Launch:
        """The opposite of :meth:`to_dict`; lists become tuples."""
        network, capacity = values["network"], values.get("capacity", ON_DEMAND)
        return cls(
            **{
                **values,
                "network": network
                and Network(tuple(network["subnets"]), tuple(network["security_groups"]), network["assign_public_ip"]),
                "command": tuple(values.get("command", ())),
                "capacity": capacity if isinstance(capacity, str) else tuple(capacity),
                "volumes": tuple(EbsVolume.from_dict(volume) for volume in values.get("volumes", ())),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe, for a trigger's arguments; any string in it may be a template.

        What older versions do not know is there only where it is used, so that their triggerers can run the rest.
        """
        network = self.network
        newer = {
            "ephemeral_gib": self.ephemeral_gib,
            "volumes": [volume.to_dict() for volume in self.volumes],
            "execute_command": self.execute_command,
        }
        return {
            "cluster": self.cluster,
            "task_definition": self.task_definition,
            "container": self.container,
            "network": network
            and {
                "subnets": list(network.subnets),
                "security_groups": list(network.security_groups),
                "assign_public_ip": network.assign_public_ip,
            },
            "environment": dict(self.environment),
            "command": list(self.command),
            "capacity": self.capacity if isinstance(self.capacity, str) else [dict(item) for item in self.capacity],
            "started_by": self.started_by,
            "tags": dict(self.tags),
            **{name: value for name, value in newer.items() if value},
        }

    @property
    def bucket(self) -> str:
        """The launch quota that it uses: ``FARGATE``, ``FARGATE_SPOT``, or neither (empty)."""
        return bucket_of(self.capacity, self.default_strategy)

    def vcpus(self, definition: Mapping[str, Any]) -> float:
        """The vCPUs that count against the quota or ``max_vcpus``; 0 when not known."""
        own = self.size.cpu or int(definition.get("cpu") or 0)
        return (own or sum(each.get("cpu", 0) for each in definition.get("containerDefinitions", ()))) / 1024

    def fitted(self, definition: Mapping[str, Any]) -> Launch:
        """The launch, without ``network`` when the task definition's network mode does not allow it.

        ECS Exec is left out where the task definition has no task role, which it needs
        (AmazonECS/latest/APIReference/API_RunTask.html, enableExecuteCommand).

        :param definition: as DescribeTaskDefinition shows it; empty when it is not known.
        :raises TaskDefinitionError: its volumes are not those of the launch.
        """
        if definition:
            check_configured(definition, self.volumes)
        shares_the_host = bool(definition) and definition.get("networkMode", "bridge") != "awsvpc"
        return replace(
            self,
            network=None if shares_the_host and not self.bucket else self.network,
            execute_command=self.execute_command and (not definition or bool(definition.get("taskRoleArn"))),
        )

    def overrides(self) -> dict[str, Any]:
        """The ``overrides`` of RunTask.

        :raises ConfigurationError: when they are longer than RunTask allows.
        """
        container: dict[str, Any] = {"name": self.container}
        if self.environment:
            container["environment"] = [{"name": k, "value": v} for k, v in sorted(self.environment.items())]
        if self.command:
            container["command"] = list(self.command)
        containers = {self.container: container}
        for name, mib in self.size.container_mib.items():
            containers.setdefault(name, {"name": name})["memory"] = mib
        overrides: dict[str, Any] = {"containerOverrides": list(containers.values())}
        if self.size.cpu:
            overrides["cpu"] = str(self.size.cpu)
        if self.size.memory_mib:
            overrides["memory"] = str(self.size.memory_mib)
        if storage := self.size.ephemeral_gib or self.ephemeral_gib:
            overrides["ephemeralStorage"] = {"sizeInGiB": storage}
        check_overrides(overrides)
        return overrides

    def to_aws(self) -> dict[str, Any]:
        """The parameters of RunTask for one task."""
        request: dict[str, Any] = {
            "cluster": self.cluster,
            "taskDefinition": self.task_definition,
            "count": 1,
            "overrides": self.overrides(),
            "enableECSManagedTags": True,
            "propagateTags": "TASK_DEFINITION",
        }
        if self.network is not None:
            request["networkConfiguration"] = self.network.to_aws()
        request.update(request_of(self.capacity))
        if self.volumes:
            request["volumeConfigurations"] = [volume.to_aws() for volume in self.volumes]
        if self.execute_command:
            request["enableExecuteCommand"] = True
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
    """:raises ConfigurationError: when the overrides are longer than RunTask allows."""
    size = len(json.dumps(overrides))
    if size > limits.OVERRIDES_CHARACTERS:
        raise ConfigurationError(
            f"environment/command: the overrides are {size} characters, but RunTask takes "
            f"{limits.OVERRIDES_CHARACTERS}, JSON included (AmazonECS/latest/APIReference/API_RunTask.html); "
            "pass long values through S3."
        )


def client_token(task_instance_id: str, relaunch: int) -> str:
    """RunTask's client token: always the same for the same try and relaunch.

    Airflow gives a task instance a new UUID for every try, also in a run that was deleted and created again, so the
    UUID identifies a try better than (dag, run, task, map index, try), see docs/decisions/0002-client-token.md.

    :returns: 64 ASCII characters, the longest that ECS allows (AmazonECS/latest/APIReference/ECS_Idempotency.html).
    """
    return hashlib.sha256(f"{task_instance_id}/{relaunch}".encode()).hexdigest()


def started_by(who: str) -> str:
    """RunTask's ``startedBy``, by which ListTasks can filter.

    :param who: ``DAG id/task instance UUID``; a long DAG id is cut so that the UUID stays whole.
    """
    dag_id, slash, try_id = who.rpartition("/")
    ending = re.sub(r"[^A-Za-z0-9_/-]", "-", slash + try_id)[-64:]
    start = "ecs-feature/" + re.sub(r"[^A-Za-z0-9_/-]", "-", dag_id)
    return start[: _STARTED_BY_CHARACTERS - len(ending)] + ending


def shell_command(task_arn: str, cluster: str, container: str) -> str:
    """The AWS CLI's command that opens a shell in a container through ECS Exec."""
    words = {
        "--region": region_of(task_arn),
        "--cluster": cluster,
        "--task": task_arn.rsplit("/", 1)[-1],
        "--container": container,
    }
    said = " ".join(f"{name} {shlex.quote(value)}" for name, value in words.items())
    return f"aws ecs execute-command {said} --interactive --command /bin/sh"


def fill_shard(value: Any, shard: str, shard_id: str) -> Any:
    """``value`` with ``{shard}`` and ``{shard_id}`` in its strings replaced, through lists and dicts."""
    if isinstance(value, str):
        return _SHARD.sub(lambda match: shard if match[0] == "{shard}" else shard_id, value)
    if isinstance(value, Mapping):
        return {key: fill_shard(item, shard, shard_id) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill_shard(item, shard, shard_id) for item in value]
    return value
