"""EC2 container instances and the capacity providers of Auto Scaling groups: state, and how AWS shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from fargate_local.shapes import JsonObject, Tags, tags_to_aws, without_none

# AmazonECS/latest/APIReference/API_ContainerInstance (registeredResources): SSH, Docker and the agent have these.
RESERVED_PORTS: Final = frozenset({22, 2375, 2376, 51678, 51679})


@dataclass(frozen=True)
class InstanceSpec:
    """A container instance that a server is started with.

    :param vcpus: more than 0.
    :param memory_mib: what the agent offers to tasks, so less than the machine has.
    :param capacity_provider: the Auto Scaling group's capacity provider; empty: it belongs to none.
    """

    vcpus: float
    memory_mib: int
    capacity_provider: str = ""

    def __post_init__(self) -> None:
        if self.vcpus <= 0 or self.memory_mib <= 0:
            raise ValueError(
                f"instance has {self.vcpus:g} vCPUs and {self.memory_mib} MiB: both must be more than 0, like 4:8192"
            )

    @classmethod
    def parse(cls, text: str) -> InstanceSpec:
        """From `vCPUs:MiB` or `vCPUs:MiB:PROVIDER`.

        :raises ValueError: one sentence.
        """
        vcpus, _, rest = text.partition(":")
        memory, _, provider = rest.partition(":")
        try:
            size = float(vcpus), int(memory)
        except ValueError:
            raise ValueError(
                f"instance is {text!r}: it must be vCPUs:MiB or vCPUs:MiB:PROVIDER, like 4:8192 or 4:8192:batch"
            ) from None
        return cls(*size, provider)


@dataclass(frozen=True)
class Need:
    """What a task takes of a container instance: CPU units, MiB and host ports; and GPUs, which none has."""

    cpu: int
    memory_mib: int
    ports: frozenset[int] = frozenset()
    gpu: bool = False


@dataclass
class ContainerInstance:
    """One EC2 instance of a cluster.

    :param cpu: CPU units that it has, 1024 to a vCPU; `memory_mib` likewise.
    :param held: what its tasks take, by task id.
    """

    id: str
    arn: str
    ec2_id: str
    cpu: int
    memory_mib: int
    registered_at: float
    capacity_provider: str = ""
    status: str = "ACTIVE"
    attributes: list[JsonObject] = field(default_factory=list)
    tags: Tags = field(default_factory=dict)
    held: dict[str, Need] = field(default_factory=dict)
    version: int = 1

    @property
    def cpu_left(self) -> int:
        return self.cpu - sum(need.cpu for need in self.held.values())

    @property
    def memory_left(self) -> int:
        return self.memory_mib - sum(need.memory_mib for need in self.held.values())

    @property
    def ports(self) -> frozenset[int]:
        """The host ports that are taken."""
        return RESERVED_PORTS.union(*(need.ports for need in self.held.values()))

    def lacks(self, need: Need) -> str | None:
        """Why a task does not fit, in RunTask's words (AmazonECS/latest/developerguide/api_failures_messages)."""
        if need.cpu > self.cpu_left:
            return "RESOURCE:CPU"
        if need.memory_mib > self.memory_left:
            return "RESOURCE:MEMORY"
        if need.gpu:
            return "RESOURCE:GPU"
        return "RESOURCE:PORTS" if need.ports & self.ports else None

    def hold(self, task_id: str, need: Need) -> None:
        self.held[task_id] = need
        self.version += 1

    def give_back(self, task_id: str) -> None:
        if self.held.pop(task_id, None) is not None:
            self.version += 1

    def to_aws(self, running: int, pending: int, *, with_tags: bool = False) -> JsonObject:
        """As DescribeContainerInstances shows it.

        :param running: how many of its tasks run; `pending`: have not started yet.
        """
        return without_none(
            {
                "containerInstanceArn": self.arn,
                "ec2InstanceId": self.ec2_id,
                "capacityProviderName": self.capacity_provider or None,
                "version": self.version,
                "versionInfo": {"agentVersion": "1.0.0", "agentHash": "fargate", "dockerVersion": "local"},
                "registeredResources": _resources(self.cpu, self.memory_mib, RESERVED_PORTS),
                "remainingResources": _resources(self.cpu_left, self.memory_left, self.ports),
                "status": self.status,
                "agentConnected": self.status == "ACTIVE",
                "runningTasksCount": running,
                "pendingTasksCount": pending,
                "attributes": self.attributes,
                "registeredAt": self.registered_at,
                "attachments": [],
                "tags": tags_to_aws(self.tags) if with_tags else [],
            }
        )


def _resources(cpu: int, memory_mib: int, ports: frozenset[int]) -> list[dict[str, Any]]:
    empty = {"doubleValue": 0.0, "longValue": 0, "integerValue": 0}
    taken = [str(port) for port in sorted(ports)]
    return [
        {**empty, "name": "CPU", "type": "INTEGER", "integerValue": cpu},
        {**empty, "name": "MEMORY", "type": "INTEGER", "integerValue": memory_mib},
        {**empty, "name": "PORTS", "type": "STRINGSET", "stringSetValue": taken},
        {**empty, "name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
    ]


@dataclass
class CapacityProvider:
    """A capacity provider of an Auto Scaling group, or of Managed Instances.

    :param group: its `autoScalingGroupProvider`, in the API's shape; empty for Managed Instances.
    :param managed: its `managedInstancesProvider`; None for an Auto Scaling group. `cluster` has it then.
    """

    name: str
    arn: str
    group: JsonObject
    tags: Tags = field(default_factory=dict)
    managed: JsonObject | None = None
    cluster: str = ""

    @property
    def scales(self) -> bool:
        """Whether ECS starts instances for tasks that find no room: such tasks wait in PROVISIONING."""
        return bool(self.group) and bool(self.group["managedScaling"]["status"] == "ENABLED")

    def to_aws(self, *, with_tags: bool = False) -> JsonObject:
        of_kind: JsonObject = (
            {"autoScalingGroupProvider": self.group, "type": "EC2_AUTOSCALING"}
            if self.managed is None
            else {"managedInstancesProvider": self.managed, "type": "MANAGED_INSTANCES", "cluster": self.cluster}
        )
        return {
            "capacityProviderArn": self.arn,
            "name": self.name,
            "status": "ACTIVE",
            "tags": tags_to_aws(self.tags) if with_tags else [],
            **of_kind,
        }
