"""Which container instance a task of EC2 capacity runs on, and who waits for one."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence

from fargate_local import limits
from fargate_local.instances import ContainerInstance, InstanceSpec, Need
from fargate_local.managed import type_for
from fargate_local.resources import Cluster, State, Task
from fargate_local.settings import Settings
from fargate_local.shapes import JsonObject, Tags

DEREGISTERED = "Container instance deregistration forced by user"
"""AmazonECS/latest/developerguide/stopped-task-errors (2023). It names no stop code, so the task has none."""


def needs(document: JsonObject, overrides: JsonObject) -> Need:
    """What a task takes of an instance: of the task's own size what there is, else of its containers'.

    Of a container, memoryReservation counts before memory (AmazonECS/latest/APIReference/API_ContainerDefinition).
    """
    containers = [merged(container, overrides) for container in document["containerDefinitions"]]
    cpu, memory = (overrides.get(name, document.get(name)) for name in ("cpu", "memory"))
    own_cpu = sum(int(each.get("cpu") or 0) for each in containers)
    own_memory = sum(int(each.get("memoryReservation") or each.get("memory") or 0) for each in containers)
    return Need(
        own_cpu if cpu is None else limits.cpu_units(cpu),
        own_memory if memory is None else limits.memory_mib(memory),
        frozenset(_host_ports(document)),
        any(each.get("resourceRequirements") for each in containers),
    )


def merged(container: JsonObject, overrides: JsonObject) -> JsonObject:
    """A container's definition with the overrides of it."""
    own = (each for each in overrides.get("containerOverrides", []) if each.get("name") == container["name"])
    changed: JsonObject = next(own, {})
    return container | changed


def _host_ports(document: JsonObject) -> list[int]:
    """The ports of the host itself that the task asks for; 0 is a free one, and awsvpc has its own interface."""
    mode = document.get("networkMode", "bridge")
    if mode not in ("bridge", "host"):
        return []
    ports = [port for each in document["containerDefinitions"] for port in each.get("portMappings", [])]
    name = "hostPort" if mode == "bridge" else "containerPort"
    return [port[name] for port in ports if port.get(name)]


class Placement:
    """The container instances of one server."""

    def __init__(self, settings: Settings, state: State, now: Callable[[], float]) -> None:
        self._settings = settings
        self._state = state
        self._now = now
        self._waiting: dict[str, tuple[Task, Need]] = {}

    def register(
        self,
        cluster: Cluster,
        spec: InstanceSpec,
        attributes: Sequence[JsonObject] = (),
        tags: Tags | None = None,
    ) -> ContainerInstance:
        """A new instance of the cluster; tasks that waited for it are placed."""
        instance_id = secrets.token_hex(16)
        account = f"arn:aws:ecs:{self._settings.region}:{self._settings.account_id}"
        own = {
            "ecs.availability-zone": f"{self._settings.region}a",
            "ecs.cpu-architecture": "x86_64",
            "ecs.os-type": "linux",
        }
        own |= {each["name"]: each.get("value", "") for each in attributes if each["name"] in own}
        attributes = [each for each in attributes if each["name"] not in own]
        instance = ContainerInstance(
            id=instance_id,
            arn=f"{account}:container-instance/{cluster.name}/{instance_id}",
            ec2_id=f"i-{secrets.token_hex(8)}{uuid.uuid4().hex[:1]}",
            cpu=round(spec.vcpus * 1024),
            memory_mib=spec.memory_mib,
            registered_at=self._now(),
            capacity_provider=spec.capacity_provider,
            attributes=[*({"name": name, "value": value} for name, value in own.items()), *attributes],
            tags=tags or {},
        )
        cluster.instances[instance_id] = instance
        self._place_waiting()
        return instance

    def candidates(self, cluster: Cluster, provider: str | None) -> list[ContainerInstance]:
        """The active instances of a capacity provider, or of the cluster; those with most memory left first."""
        found = [
            each
            for each in cluster.instances.values()
            if each.status == "ACTIVE" and provider in (None, each.capacity_provider)
        ]
        return sorted(found, key=lambda each: (-each.memory_left, -each.cpu_left, each.registered_at))

    def waits(self, provider: str | None) -> bool:
        """Whether a task that finds no room stays in PROVISIONING until there is some: with managed scaling.

        Source: AmazonECS/latest/developerguide/cluster-auto-scaling.
        """
        found = self._state.capacity_providers.get(provider or "")
        return found is not None and found.scales

    def is_managed(self, provider: str | None) -> bool:
        """Whether ECS starts the provider's instances itself: Managed Instances."""
        found = self._state.capacity_providers.get(provider or "")
        return found is not None and found.managed is not None

    def choose_managed(
        self, cluster: Cluster, provider: str, need: Need, architecture: str
    ) -> tuple[ContainerInstance | None, list[JsonObject]]:
        """The instance of Managed Instances for a task, a new one where none has room; or why there is none.

        A new one stays when its tasks have ended; AWS ends it after a while.
        """
        shown = {"name": "ecs.cpu-architecture", "value": architecture}
        for instance in self.candidates(cluster, provider):
            if shown in instance.attributes and instance.lacks(need) is None:
                return instance, []
        managed = self._state.capacity_providers[provider].managed or {}
        of = type_for(need, architecture, managed)
        if of is None:
            return None, [{"arn": cluster.arn, "reason": "RESOURCE:MEMORY"}]
        values = {"ecs.instance-type": of.name, "ecs.cpu-architecture": of.architecture}
        attributes = [{"name": name, "value": value} for name, value in values.items()]
        return self.register(cluster, InstanceSpec(of.cpu / 1024, of.memory_mib, provider), attributes), []

    def choose(
        self, cluster: Cluster, provider: str | None, need: Need
    ) -> tuple[ContainerInstance | None, list[JsonObject]]:
        """The instance for a task; or None, and one failure for each instance, as RunTask tells them."""
        failures = []
        for instance in self.candidates(cluster, provider):
            lacking = instance.lacks(need)
            if lacking is None:
                return instance, []
            failures.append({"arn": instance.arn, "reason": lacking})
        return None, failures

    def put(self, task: Task, instance: ContainerInstance, need: Need) -> None:
        """Place a task on an instance that has room for it."""
        instance.hold(task.id, need)
        task.place(instance.arn)

    def wait(self, task: Task, need: Need) -> None:
        """Place the task as soon as there is room."""
        self._waiting[task.id] = (task, need)

    def task_stopped(self, task: Task) -> None:
        """What the task held is free again."""
        self._waiting.pop(task.id, None)
        for instance in task.cluster.instances.values():
            if instance.arn == task.instance_arn:
                instance.give_back(task.id)
        self._place_waiting()

    def _place_waiting(self) -> None:
        for task, need in list(self._waiting.values()):
            if task.desired_status == "STOPPED":
                continue
            instance, _ = self.choose(task.cluster, task.capacity_provider, need)
            if instance is not None:
                del self._waiting[task.id]
                self.put(task, instance, need)


def tasks_on(cluster: Cluster, instance: ContainerInstance) -> list[Task]:
    """The instance's tasks that have not stopped."""
    return [cluster.tasks[task_id] for task_id in instance.held if task_id in cluster.tasks]
