"""ECS tasks, containers and services as frozen dataclasses.

The rest of the package reads these instead of AWS's dicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

DEFAULT_REGION: Final = "us-east-1"
"""Of what has no ARN."""
LINUX_X86: Final = "LINUX/X86_64"
"""The platform of a task of which AWS does not say another one."""
MANAGED_INSTANCES: Final = "MANAGED_INSTANCES"
"""The launch type of tasks on instances that ECS manages (AmazonECS/latest/developerguide/ManagedInstances.html)."""


@dataclass(frozen=True)
class EcsContainer:
    """A container of a task. ``exit_code`` is None when it never ran or ECS does not know it.

    ``memory_mib`` is its own hard limit, ``reserved_mib`` its soft one; 0 without one. ``image_digest`` is empty until
    the image has been pulled.
    """

    name: str
    last_status: str
    exit_code: int | None = None
    reason: str = ""
    health: str = "UNKNOWN"
    memory_mib: int = 0
    reserved_mib: int = 0
    image_digest: str = ""

    @classmethod
    def from_aws(cls, raw: Mapping[str, Any]) -> EcsContainer:
        return cls(
            name=raw.get("name", ""),
            last_status=raw.get("lastStatus", ""),
            exit_code=raw.get("exitCode"),
            reason=raw.get("reason", ""),
            health=raw.get("healthStatus", "UNKNOWN"),
            memory_mib=int(raw.get("memory") or 0),
            reserved_mib=int(raw.get("memoryReservation") or 0),
            image_digest=raw.get("imageDigest", ""),
        )


@dataclass(frozen=True)
class EcsTask:
    """A task as DescribeTasks shows it (AmazonECS/latest/APIReference/API_Task.html); tags only if asked for.

    ``cpu`` is in CPU units (1024 to a vCPU), ``memory_mib`` in MiB, ``ephemeral_gib`` its ephemeral storage in GiB; 0
    when AWS does not say. ``container_instance`` is the ARN of the EC2 instance that it is on, empty on Fargate, and
    until it is placed. ``platform`` is its operating system and architecture, e.g. ``LINUX/ARM64``.
    """

    arn: str
    cluster_arn: str
    task_definition_arn: str
    last_status: str
    desired_status: str
    stop_code: str = ""
    stopped_reason: str = ""
    containers: tuple[EcsContainer, ...] = ()
    cpu: int = 0
    memory_mib: int = 0
    launch_type: str = ""
    capacity_provider: str = ""
    container_instance: str = ""
    health: str = "UNKNOWN"
    created_at: datetime | None = None
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    tags: tuple[tuple[str, str], ...] = ()
    started_by: str = ""
    ephemeral_gib: int = 0
    platform: str = LINUX_X86

    @classmethod
    def from_aws(cls, raw: Mapping[str, Any]) -> EcsTask:
        return cls(
            arn=raw["taskArn"],
            cluster_arn=raw.get("clusterArn", ""),
            task_definition_arn=raw.get("taskDefinitionArn", ""),
            last_status=raw.get("lastStatus", ""),
            desired_status=raw.get("desiredStatus", ""),
            stop_code=raw.get("stopCode", ""),
            stopped_reason=raw.get("stoppedReason", ""),
            containers=tuple(EcsContainer.from_aws(container) for container in raw.get("containers", ())),
            cpu=int(raw.get("cpu") or 0),
            memory_mib=int(raw.get("memory") or 0),
            launch_type=raw.get("launchType", ""),
            capacity_provider=raw.get("capacityProviderName", ""),
            container_instance=raw.get("containerInstanceArn", ""),
            health=raw.get("healthStatus", "UNKNOWN"),
            created_at=_moment(raw.get("createdAt")),
            pull_started_at=_moment(raw.get("pullStartedAt")),
            pull_stopped_at=_moment(raw.get("pullStoppedAt")),
            started_at=_moment(raw.get("startedAt")),
            stopped_at=_moment(raw.get("stoppedAt")),
            tags=_tags(raw),
            started_by=raw.get("startedBy", ""),
            ephemeral_gib=int((raw.get("ephemeralStorage") or {}).get("sizeInGiB") or 0),
            platform=_platform_of_task(raw),
        )

    @property
    def stopped(self) -> bool:
        return self.last_status == "STOPPED"

    @property
    def starting(self) -> bool:
        """Whether it has not run yet, and still may; AmazonECS developerguide/task-lifecycle-explanation."""
        early = self.last_status in ("PROVISIONING", "PENDING", "ACTIVATING")
        return early and self.started_at is None and self.desired_status != "STOPPED"

    @property
    def capacity(self) -> str:
        """``FARGATE``, ``FARGATE_SPOT``, ``EC2`` or the name of a capacity provider."""
        return self.capacity_provider or self.launch_type

    @property
    def on_instances(self) -> bool:
        """Whether it runs, or will run, on instances of the account instead of Fargate."""
        return bool(self.container_instance) or is_of_instances(self.capacity)

    @property
    def managed(self) -> bool:
        """Whether ECS manages the instance that it is on."""
        return self.launch_type == MANAGED_INSTANCES

    @property
    def unplaced(self) -> bool:
        """Whether it was never placed: no container instance had room for it."""
        return self.on_instances and not self.container_instance and self.started_at is None

    @property
    def whole_memory_mib(self) -> int:
        """The task's memory, else the sum of its containers' hard limits; 0 when AWS does not say."""
        return self.memory_mib or sum(container.memory_mib for container in self.containers)

    @property
    def scaled_in(self) -> bool:
        """Whether the service stopped it to scale in or to deploy."""
        return self.stop_code == "ServiceSchedulerInitiated" and self.stopped_reason.startswith("Scaling activity")

    def stop_summary(self) -> str:
        """Why it stopped, in AWS's words, with its containers' exit codes."""
        codes = [f"{c.name} exited with code {c.exit_code}" for c in self.containers if c.exit_code is not None]
        parts = [self.stopped_reason or self.stop_code, *(c.reason for c in self.containers), *codes]
        return f"task {self.task_id}: " + ", ".join(dict.fromkeys(part for part in parts if part))

    @property
    def task_id(self) -> str:
        """The last part of the ARN, as in the console and in log stream names."""
        return self.arn.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class EcsTaskSet:
    """A task set of a service whose deployments CodeDeploy or another program makes.

    ``desired`` is ECS's ``computedDesiredCount``: ``scale_percent`` of the service's desired count.
    """

    status: str
    stability: str = ""
    desired: int = 0
    running: int = 0
    pending: int = 0
    scale_percent: float = 100.0
    task_definition_arn: str = ""

    @classmethod
    def from_aws(cls, raw: Mapping[str, Any]) -> EcsTaskSet:
        return cls(
            status=raw.get("status", ""),
            stability=raw.get("stabilityStatus", ""),
            desired=raw.get("computedDesiredCount", 0),
            running=raw.get("runningCount", 0),
            pending=raw.get("pendingCount", 0),
            scale_percent=float(raw.get("scale", {}).get("value", 100.0)),
            task_definition_arn=raw.get("taskDefinition", ""),
        )


@dataclass(frozen=True)
class EcsService:
    """A service as DescribeServices shows it (AmazonECS/latest/APIReference/API_Service.html).

    ``events`` are messages, newest first; ``target_groups`` the ARNs that its tasks are registered with, one tuple a
    load balancer: with ECS's own blue/green, linear and canary deployments the tasks are in one of two.
    ``failed_deployment`` is ECS's reason why the PRIMARY deployment has failed, which starts no further task.
    ``surplus`` is how many tasks above the desired count a deployment keeps; ``rollout`` the state of the PRIMARY
    deployment, ``deployment_id`` its id. ``bake_minutes`` and ``may_pause`` say what a deployment may wait for.
    ``minimum`` is the MinCapacity that its leases want, 0 when they set the desired count directly.
    """

    name: str
    arn: str
    status: str
    desired: int
    running: int
    pending: int
    deployments: int
    task_definition_arn: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    events: tuple[str, ...] = ()
    target_groups: tuple[tuple[str, ...], ...] = ()
    failed_deployment: str = ""
    minimum: int = 0
    controller: str = "ECS"
    strategy: str = "ROLLING"
    scheduling: str = "REPLICA"
    managed_by: str = "CUSTOMER"
    rebalances_zones: bool = False
    task_sets: tuple[EcsTaskSet, ...] = ()
    rollout: str = ""
    deployment_id: str = ""
    surplus: int = 0
    bake_minutes: int = 0
    may_pause: bool = False

    @classmethod
    def from_aws(cls, raw: Mapping[str, Any]) -> EcsService:
        deployments = raw.get("deployments", ())
        newest: Mapping[str, Any] = next(
            (each for each in deployments if each.get("status", "PRIMARY") == "PRIMARY"), {}
        )
        sets = tuple(EcsTaskSet.from_aws(each) for each in raw.get("taskSets", ()))
        serving: Mapping[str, Any] = next(
            (each for each in raw.get("taskSets", ()) if each.get("status") == "PRIMARY"), {}
        )
        failed = newest.get("rolloutState") == "FAILED"
        configuration = raw.get("deploymentConfiguration", {})
        return cls(
            name=raw["serviceName"],
            arn=raw["serviceArn"],
            status=raw["status"],
            desired=raw["desiredCount"],
            running=raw["runningCount"],
            pending=raw["pendingCount"],
            deployments=len(deployments),
            task_definition_arn=serving.get("taskDefinition") or raw.get("taskDefinition", ""),
            tags=_tags(raw),
            events=tuple(event.get("message", "") for event in raw.get("events", ())[:5]),
            target_groups=_target_groups(serving.get("loadBalancers") or raw.get("loadBalancers", ())),
            failed_deployment=(newest.get("rolloutStateReason") or "ECS gives no reason.") if failed else "",
            controller=raw.get("deploymentController", {}).get("type", "ECS"),
            strategy=configuration.get("strategy", "ROLLING"),
            scheduling=raw.get("schedulingStrategy", "REPLICA"),
            managed_by=raw.get("resourceManagementType", "CUSTOMER"),
            rebalances_zones=raw.get("availabilityZoneRebalancing") == "ENABLED",
            task_sets=sets,
            rollout=newest.get("rolloutState", ""),
            deployment_id=newest.get("id", ""),
            surplus=_surplus(raw["desiredCount"], deployments, sets),
            bake_minutes=configuration.get("bakeTimeInMinutes", 0),
            may_pause=any(hook.get("targetType") == "PAUSE" for hook in configuration.get("lifecycleHooks", ())),
        )

    @property
    def active(self) -> bool:
        return self.status == "ACTIVE"

    @property
    def serving(self) -> EcsTaskSet | None:
        """The task set that serves production traffic; None: there is none, or ECS makes the deployments."""
        return next((each for each in self.task_sets if each.status == "PRIMARY"), None)


def region_of(arn: str) -> str:
    """The region in an ARN; :data:`DEFAULT_REGION` where it has none."""
    parts = arn.split(":")
    return (parts[3] if len(parts) > 4 and parts[0] == "arn" else "") or DEFAULT_REGION


def is_of_instances(capacity: str) -> bool:
    """Whether a task's :attr:`EcsTask.capacity` is the user's instances; Fargate when AWS does not say."""
    return capacity not in ("", "FARGATE", "FARGATE_SPOT")


def _target_groups(balancers: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, ...], ...]:
    pairs = (
        (each.get("targetGroupArn"), each.get("advancedConfiguration", {}).get("alternateTargetGroupArn"))
        for each in balancers
    )
    return tuple(arns for pair in pairs if (arns := tuple(arn for arn in pair if arn)))


def _surplus(desired: int, deployments: Sequence[Mapping[str, Any]], task_sets: Sequence[EcsTaskSet]) -> int:
    """How many tasks above a desired count over 0 the deployments or task sets want while one replaces another."""
    wanted = [each.get("desiredCount", 0) for each in deployments] + [each.desired for each in task_sets]
    return max(0, sum(wanted) - desired) if desired and len(wanted) > 1 else 0


def platform_of(definition: Mapping[str, Any]) -> str:
    """The platform of a task definition's tasks, as :attr:`EcsTask.platform`, from its ``runtimePlatform``."""
    asked = definition.get("runtimePlatform") or {}
    return _platform(asked.get("operatingSystemFamily"), asked.get("cpuArchitecture"))


def _platform_of_task(raw: Mapping[str, Any]) -> str:
    """From ``platformFamily`` ("Linux", "Windows-Server-2022-Core") and the attribute ``ecs.cpu-architecture``."""
    named = (one for one in raw.get("attributes") or () if one.get("name") == "ecs.cpu-architecture")
    return _platform(raw.get("platformFamily"), next((one.get("value") for one in named), ""))


def _platform(family: object, architecture: object) -> str:
    system = "WINDOWS" if str(family or "").lower().startswith("windows") else "LINUX"
    return f"{system}/ARM64" if str(architecture).lower() in ("arm64", "aarch64") else f"{system}/X86_64"


def _tags(raw: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((tag["key"], tag.get("value", "")) for tag in raw.get("tags", ()))


def _moment(value: datetime | float | None) -> datetime | None:
    """A timestamp from botocore, or from plain JSON as seconds since 1970."""
    return datetime.fromtimestamp(value, UTC) if isinstance(value, (int, float)) else value
