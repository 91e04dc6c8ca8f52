"""Clusters, task definitions, tasks and services: only state, and how AWS shows it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TypeVar

from fargate_local.containers import Container
from fargate_local.instances import CapacityProvider, ContainerInstance
from fargate_local.shapes import JsonObject, Shown, Tags, tags_to_aws, without_none
from fargate_local.volumes import LaunchVolume

Starter = TypeVar("Starter", bound=str | None)

BEFORE_RUNNING = frozenset({"PROVISIONING", "PENDING", "ACTIVATING"})
AFTER_RUNNING = frozenset({"DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"})


@dataclass
class TaskDefinition:
    """One revision. `document` is what was registered, with AWS's additions, in the API's own shape."""

    arn: str
    family: str
    revision: int
    document: JsonObject
    tags: Tags = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return bool(self.document["status"] == "ACTIVE")

    @property
    def containers(self) -> list[JsonObject]:
        definitions: list[JsonObject] = self.document["containerDefinitions"]
        return definitions


@dataclass
class Task:
    """One task, from RunTask or from a service. Times are seconds since the epoch.

    :param cpu: of the whole task: its own, else the sum of its containers'; `memory` likewise.
    :param on_ec2: whether it needs a container instance; `instance_arn` is the one that it has.
    :param orphaned: whether its containers run on, but ECS no longer watches them.
    :param protected_until: when its scale-in protection ends; None where it has none.
    """

    id: str
    arn: str
    cluster: Cluster
    definition: TaskDefinition
    containers: list[Container]
    group: str
    cpu: str
    memory: str
    created_at: float
    subnet: str
    attachment_id: str
    overrides: JsonObject = field(default_factory=dict)
    started_by: str | None = None
    launch_type: str | None = "FARGATE"
    capacity_provider: str | None = None
    platform_version: str | None = "1.4.0"
    execute_command: bool = False
    ephemeral_storage_gib: int | None = 20
    network_mode: str = "awsvpc"
    on_ec2: bool = False
    instance_arn: str | None = None
    orphaned: bool = False
    tags: Tags = field(default_factory=dict)
    visible_at: float = 0.0
    private_ip: str = ""
    architecture: str = "x86_64"
    operating_system: str = "LINUX"
    volumes: tuple[LaunchVolume, ...] = ()
    last_status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    version: int = 1
    connectivity_at: float | None = None
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    forgotten_at: float | None = None
    protected_until: float | None = None
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    placed: asyncio.Event = field(default_factory=asyncio.Event)
    _shown: dict[bool, tuple[object, Shown]] = field(default_factory=dict, repr=False)

    @property
    def main(self) -> Container:
        """The first essential container."""
        return next((container for container in self.containers if container.essential), self.containers[0])

    def is_visible(self, now: float) -> bool:
        """Whether DescribeTasks and ListTasks show the task at that time."""
        return self.visible_at <= now and (self.forgotten_at is None or now < self.forgotten_at)

    def is_protected(self, now: float) -> bool:
        """Whether scale-in and deployments have to leave the task alone at that time."""
        return self.protected_until is not None and now < self.protected_until

    @property
    def capacity(self) -> str:
        """FARGATE, FARGATE_SPOT, EC2 or the capacity provider of an Auto Scaling group."""
        return self.capacity_provider or self.launch_type or "EC2"

    @property
    def has_interface(self) -> bool:
        """Whether it has a network interface of its own; without one its containers share the instance's."""
        return self.network_mode == "awsvpc" and bool(self.private_ip)

    @property
    def memory_limit_mib(self) -> int | None:
        """What all its containers may use together; None where only they have limits."""
        given = self.overrides.get("memory", self.definition.document.get("memory"))
        return None if given is None else int(self.memory)

    def place(self, instance_arn: str) -> None:
        """It runs on that container instance."""
        self.instance_arn = instance_arn
        self.version += 1
        self.placed.set()

    @property
    def service(self) -> str | None:
        """Name of the service that started the task, if one did."""
        return self.group.removeprefix("service:") if self.group.startswith("service:") else None

    @property
    def health_status(self) -> str:
        """UNHEALTHY when one essential container with a health check is, HEALTHY when all are, else UNKNOWN.

        Source: AmazonECS/latest/developerguide/healthcheck.
        """
        checked = [c.health_status for c in self.containers if c.essential and c.has_health_check]
        if "UNHEALTHY" in checked:
            return "UNHEALTHY"
        return "HEALTHY" if checked and set(checked) == {"HEALTHY"} else "UNKNOWN"

    def request_stop(self, code: str | None, reason: str, now: float) -> bool:
        """Ask for the task's end; False when it was already asked for. The first reason stays.

        :param code: None: the task has none, as AWS documents none.
        """
        if self.desired_status == "STOPPED":
            return False
        self.desired_status = "STOPPED"
        self.stop_code, self.stopped_reason = code, reason
        self.stopping_at = now
        self.version += 1
        self.stop_requested.set()
        return True

    def to_aws(self, *, with_tags: bool = False) -> Shown:
        """The task as DescribeTasks shows it; to be read only, as it is kept until the task changes."""
        # Whatever changes in a task or its containers also changes its version; tags do not.
        key = (self.version, tuple(self.tags.items()) if with_tags else None)
        kept = self._shown.get(with_tags)
        if kept is None or kept[0] != key:
            kept = self._shown[with_tags] = (key, Shown(self._as_aws(with_tags)))
        return kept[1]

    def _as_aws(self, with_tags: bool) -> JsonObject:
        return without_none(
            {
                "taskArn": self.arn,
                "clusterArn": self.cluster.arn,
                "taskDefinitionArn": self.definition.arn,
                "attachments": [
                    *([self._attachment()] if self.network_mode == "awsvpc" else []),
                    *(volume.attachment(self.last_status) for volume in self.volumes),
                ],
                "attributes": [{"name": "ecs.cpu-architecture", "value": self.architecture}],
                "availabilityZone": f"{self.arn.split(':')[3]}a",
                "capacityProviderName": self.capacity_provider,
                "containerInstanceArn": self.instance_arn,
                "launchType": self.launch_type,
                "connectivity": None if self.connectivity_at is None else "CONNECTED",
                "connectivityAt": self.connectivity_at,
                "containers": [container.to_aws(self) for container in self.containers],
                "cpu": self.cpu,
                "memory": self.memory,
                "createdAt": self.created_at,
                "desiredStatus": self.desired_status,
                "lastStatus": self.last_status,
                "enableExecuteCommand": self.execute_command,
                "group": self.group,
                "healthStatus": self.health_status,
                "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": []} | self.overrides,
                "platformVersion": self.platform_version,
                "platformFamily": None if self.on_ec2 else _family(self.operating_system),
                "pullStartedAt": self.pull_started_at,
                "pullStoppedAt": self.pull_stopped_at,
                "startedAt": self.started_at,
                "startedBy": self.started_by,
                "stopCode": self.stop_code,
                "stoppedAt": self.stopped_at,
                "stoppedReason": self.stopped_reason,
                "stoppingAt": self.stopping_at,
                "executionStoppedAt": self.execution_stopped_at,
                "tags": tags_to_aws(self.tags) if with_tags else [],
                "version": self.version,
                "ephemeralStorage": self._storage(),
                "fargateEphemeralStorage": self._storage(),
            }
        )

    def _storage(self) -> JsonObject | None:
        return None if self.ephemeral_storage_gib is None else {"sizeInGiB": self.ephemeral_storage_gib}

    def _attachment(self) -> JsonObject:
        statuses = {"PROVISIONING": "PRECREATED", "STOPPED": "DELETED", "DEPROVISIONING": "DETACHING"}
        details = [{"name": "subnetId", "value": self.subnet}]
        if self.last_status != "PROVISIONING":
            # As from EC2: eni- and 17 hexadecimal digits, a locally administered address.
            mac = ":".join(["0a", *(self.id[at : at + 2] for at in range(0, 10, 2))])
            interface = {"networkInterfaceId": f"eni-0{self.id[:16]}", "macAddress": mac}
            details += [{"name": name, "value": value} for name, value in interface.items()]
        if self.private_ip:
            details.append({"name": "privateIPv4Address", "value": self.private_ip})
        return {
            "id": self.attachment_id,
            "type": "ElasticNetworkInterface",
            "status": statuses.get(self.last_status, "ATTACHED"),
            "details": details,
        }


def _family(operating_system: str) -> str:
    """`LINUX` as DescribeTasks shows it: `Linux`; `WINDOWS_SERVER_2022_CORE`: `Windows-Server-2022-Core`."""
    return "-".join(word.capitalize() for word in operating_system.split("_"))


@dataclass
class Deployment:
    """One rollout of a service: a task definition and how far it has come."""

    id: str
    definition: TaskDefinition
    created_at: float
    updated_at: float
    status: str = "PRIMARY"
    rollout_state: str = "IN_PROGRESS"
    rollout_reason: str = ""
    failed_tasks: int = 0
    failures_in_a_row: int = 0
    next_launch_at: float = 0.0


@dataclass
class Service:
    """One service. `spec` keeps the parts that the server only hands back, in the API's own shape.

    :param completed: what its last completed deployment runs.
    """

    name: str
    arn: str
    cluster: Cluster
    desired_count: int
    created_at: float
    spec: JsonObject
    deployments: list[Deployment]
    status: str = "ACTIVE"
    tags: Tags = field(default_factory=dict)
    events: deque[JsonObject] = field(default_factory=lambda: deque(maxlen=100))
    announced_steady: bool = False
    completed: TaskDefinition | None = None

    @property
    def primary(self) -> Deployment:
        return self.deployments[0]

    @property
    def load_balancers(self) -> list[JsonObject]:
        balancers: list[JsonObject] = self.spec.get("loadBalancers", [])
        return balancers

    @property
    def group(self) -> str:
        return f"service:{self.name}"


@dataclass
class Cluster:
    """One cluster, with its tasks and services by id and name, and its container instances by id.

    :param managed_providers: its capacity providers of Managed Instances.
    :param started_by: its tasks by `startedBy`, which is a service's deployment for a service's tasks.
    :param in_group: its tasks by group.
    :param service_tokens: CreateService's client tokens, each with the request's fingerprint and the service.
    """

    name: str
    arn: str
    status: str = "ACTIVE"
    capacity_providers: list[str] = field(default_factory=list)
    default_strategy: list[JsonObject] = field(default_factory=list)
    settings: list[JsonObject] = field(default_factory=list)
    configuration: JsonObject | None = None
    tags: Tags = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    started_by: dict[str | None, dict[str, Task]] = field(default_factory=dict)
    in_group: dict[str, dict[str, Task]] = field(default_factory=dict)
    instances: dict[str, ContainerInstance] = field(default_factory=dict)
    service_tokens: dict[str, tuple[bytes, Service]] = field(default_factory=dict)
    managed_providers: set[str] = field(default_factory=set)

    def add(self, task: Task) -> None:
        """Take in a new task."""
        self.tasks[task.id] = task
        self.started_by.setdefault(task.started_by, {})[task.id] = task
        self.in_group.setdefault(task.group, {})[task.id] = task

    def remove(self, task: Task) -> None:
        """Forget a task."""
        del self.tasks[task.id]
        _take_out(self.started_by, task.started_by, task.id)
        _take_out(self.in_group, task.group, task.id)

    def tasks_of(self, service: Service) -> list[Task]:
        """The service's tasks that have not stopped, oldest first."""
        return [t for t in self.in_group.get(service.group, {}).values() if t.last_status != "STOPPED"]


def _take_out(index: dict[Starter, dict[str, Task]], key: Starter, task_id: str) -> None:
    del index[key][task_id]
    if not index[key]:
        del index[key]


@dataclass
class State:
    """Everything that one server knows; only its event loop touches it.

    :param made: every task ever launched, oldest first; also those that ECS has forgotten.
    """

    clusters: dict[str, Cluster] = field(default_factory=dict)
    definitions: dict[str, list[TaskDefinition]] = field(default_factory=dict)
    made: list[Task] = field(default_factory=list)
    capacity_providers: dict[str, CapacityProvider] = field(default_factory=dict)

    def forget_stopped_tasks(self, before: float) -> None:
        """Drop the tasks that stopped before that time."""
        for cluster in self.clusters.values():
            for task in [t for t in cluster.tasks.values() if t.stopped_at is not None and t.stopped_at < before]:
                cluster.remove(task)
