"""From a task definition and overrides to a new task."""

from __future__ import annotations

import itertools
import random
import secrets
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fargate_local import limits
from fargate_local.containers import Container
from fargate_local.engine.lifecycle import Lifecycle
from fargate_local.engine.placement import Placement, merged, needs
from fargate_local.instances import ContainerInstance
from fargate_local.quotas import Quotas
from fargate_local.resources import Cluster, State, Task, TaskDefinition
from fargate_local.settings import Settings
from fargate_local.shapes import JsonObject, Tags
from fargate_local.volumes import LaunchVolume


@dataclass(frozen=True)
class Refused:
    """No task was launched.

    :param failures: as RunTask tells them.
    :param of_service: what the event of a service says.
    """

    failures: list[JsonObject]
    of_service: str


def spread(strategy: list[JsonObject], count: int) -> list[str]:
    """The capacity provider of each of `count` tasks: first every `base`, then by weight.

    Source: AmazonECS/latest/APIReference/API_CapacityProviderStrategyItem.
    """
    chosen: list[str] = []
    for item in strategy:
        chosen += [item["capacityProvider"]] * item.get("base", 0)
    chosen = chosen[:count]
    by_weight = dict.fromkeys((item["capacityProvider"] for item in strategy), 0)
    weights = {item["capacityProvider"]: item.get("weight", 0) for item in strategy}
    if not any(weights.values()):
        weights[strategy[0]["capacityProvider"]] = 1
    while len(chosen) < count:
        provider = min((p for p in by_weight if weights[p] > 0), key=lambda p: (by_weight[p] + 1) / weights[p])
        by_weight[provider] += 1
        chosen.append(provider)
    return chosen


def loopback_addresses() -> Iterator[str]:
    """Addresses 127.x.y.z, from a random start, so that servers on one machine hardly ever share one."""
    start = random.SystemRandom().randrange(1 << 22)
    for number in itertools.count(start):
        host = number % (250 * 256 * 254)
        block, last = divmod(host, 254)
        yield f"127.{1 + block // 256}.{block % 256}.{1 + last}"


# AmazonECS/latest/developerguide/service-event-messages-list
NO_INSTANCE = "was unable to place a task because no container instance met all of its requirements."


class Launcher:
    """Makes tasks and hands them to the lifecycle."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        quotas: Quotas,
        now: Callable[[], float],
        lifecycle: Lifecycle,
        placement: Placement,
    ) -> None:
        self._settings = settings
        self._state = state
        self._quotas = quotas
        self._now = now
        self._addresses = loopback_addresses()
        self.lifecycle = lifecycle
        self.placement = placement

    @staticmethod
    def providers_for(strategy: list[JsonObject], count: int) -> list[str | None]:
        """The capacity provider of each of `count` tasks; None where a launch type is used instead."""
        return [*spread(strategy, count)] if strategy else [None] * count

    def launch(
        self,
        cluster: Cluster,
        definition: TaskDefinition,
        *,
        group: str,
        network: JsonObject,
        overrides: JsonObject | None = None,
        started_by: str | None = None,
        launch_type: str | None = None,
        capacity_provider: str | None = None,
        platform_version: str | None = None,
        execute_command: bool = False,
        tags: Tags | None = None,
        volumes: Sequence[LaunchVolume] = (),
    ) -> Task | Refused:
        """A new task in PROVISIONING, with its lifecycle begun; or why there is none."""
        task_id = secrets.token_hex(16)
        overrides = overrides or {}
        on_ec2 = (capacity_provider or launch_type) not in limits.VCPU_QUOTAS
        prefix = f"arn:aws:ecs:{self._settings.region}:{self._settings.account_id}"
        document = definition.document
        now, need = self._now(), needs(document, overrides)
        platform = document.get("runtimePlatform", {})
        architecture = platform.get("cpuArchitecture", "X86_64").lower()
        managed = on_ec2 and self.placement.is_managed(capacity_provider)
        instance: ContainerInstance | None = None
        failures: list[JsonObject] = []
        if managed:
            instance, failures = self.placement.choose_managed(cluster, capacity_provider or "", need, architecture)
        elif on_ec2:
            instance, failures = self.placement.choose(cluster, capacity_provider, need)
        if on_ec2 and instance is None and not self.placement.waits(capacity_provider):
            return Refused(failures, NO_INSTANCE)
        if not self._quotas.take_vcpus(capacity_provider or launch_type or "", task_id, need.cpu / 1024):
            reason = limits.VCPU_LIMIT_REASON
            return Refused([{"reason": reason}], f"was unable to place a task. Reason: {reason}.")
        storage = (document.get("ephemeralStorage", {}) | overrides.get("ephemeralStorage", {})).get("sizeInGiB", 20)
        task = Task(
            id=task_id,
            arn=f"{prefix}:task/{cluster.name}/{task_id}",
            cluster=cluster,
            definition=definition,
            containers=[
                _container(prefix, cluster, task_id, container, overrides) for container in definition.containers
            ],
            group=group,
            cpu=str(need.cpu),
            memory=str(need.memory_mib),
            created_at=now,
            subnet=network["subnets"][0] if network.get("subnets") else "",
            attachment_id=str(uuid.uuid4()),
            overrides=overrides,
            started_by=started_by,
            launch_type="MANAGED_INSTANCES" if managed else "EC2" if on_ec2 else launch_type,
            capacity_provider=capacity_provider,
            platform_version=None
            if on_ec2
            else platform_version
            if platform_version not in (None, "LATEST")
            else "1.4.0",
            execute_command=execute_command,
            ephemeral_storage_gib=None if on_ec2 else storage,
            network_mode=document.get("networkMode", "bridge"),
            on_ec2=on_ec2,
            tags=tags or {},
            visible_at=now + self._settings.visible_after_seconds,
            private_ip="" if self.lifecycle.runtime.gives_addresses else next(self._addresses),
            architecture=architecture,
            operating_system=platform.get("operatingSystemFamily", "LINUX"),
            volumes=tuple(volumes),
        )
        cluster.add(task)
        self._state.made.append(task)
        if instance is not None:
            self.placement.put(task, instance, need)
        elif on_ec2:
            self.placement.wait(task, need)
        self.lifecycle.begin(task)
        return task


def _container(prefix: str, cluster: Cluster, task_id: str, definition: JsonObject, overrides: JsonObject) -> Container:
    own, mappings = merged(definition, overrides), definition.get("portMappings", [])
    return Container(
        arn=f"{prefix}:container/{cluster.name}/{task_id}/{uuid.uuid4()}",
        name=definition["name"],
        image=definition["image"],
        essential=definition.get("essential", True),
        cpu=own.get("cpu", 0),
        memory_mib=own.get("memory"),
        has_health_check="healthCheck" in definition,
        memory_reservation_mib=own.get("memoryReservation"),
        ports=tuple(port["containerPort"] for port in mappings if "containerPort" in port),
        port_ranges=tuple(port["containerPortRange"] for port in mappings if "containerPortRange" in port),
    )
