"""ECS services through a boto3 client: describe, lease, release, and check whether they are steady."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from ecs_feature.aws import limits
from ecs_feature.aws.errors import translated
from ecs_feature.aws.resources import MANAGED_INSTANCES, EcsService, EcsTask
from ecs_feature.exceptions import (
    AccessDeniedError,
    AwsError,
    ClusterNotFoundError,
    ConfigurationError,
    EcsFeatureError,
    ServiceNotFoundError,
)
from ecs_feature.services.lease_steps import Call, Pause, Reading, ServiceSteps, Steps, active_service
from ecs_feature.services.leases import Lease, RunIsActive, SharingPolicy, never_active, policy_of
from ecs_feature.tasks.capacity import kind_of

log = logging.getLogger(__name__)

T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class EcsServices:
    """The services of one cluster.

    :param ecs: a boto3 ``ecs`` client.
    :param elbv2: a boto3 ``elbv2`` client; None: target health is not checked.
    :param autoscaling: a boto3 ``application-autoscaling`` client; None: scalable targets are ignored.
    :param run_is_active: asked about leases that are past their end time; see :mod:`ecs_feature.services.leases`.
    """

    ecs: Any
    cluster: str
    elbv2: Any = None
    autoscaling: Any = None
    run_is_active: RunIsActive = never_active
    now: Callable[[], datetime] = field(default=_now)
    sleep: Callable[[float], None] = field(default=time.sleep)

    def check_cluster(self, capacity_providers: Sequence[str] = ()) -> None:
        """Check that the cluster exists.

        :param capacity_providers: those that the cluster must be associated with.
        :raises ClusterNotFoundError: when the cluster does not exist or is not active.
        :raises ConfigurationError: when it lacks a capacity provider.
        """
        subject = f"Cluster {self.cluster!r}"
        with translated(subject):
            answer = self.ecs.describe_clusters(clusters=[self.cluster])
        if not any(cluster["status"] == "ACTIVE" for cluster in answer["clusters"]):
            raise ClusterNotFoundError(
                f"{subject} does not exist in this account and region, or is not active; create it or correct the "
                "pipeline's cluster.",
                "ClusterNotFoundException",
                "DescribeClusters",
            )
        known = [name for cluster in answer["clusters"] for name in cluster.get("capacityProviders", ())]
        missing = [name for name in capacity_providers if name.rpartition("/")[2] not in known]
        if missing and (missing := self._not_of_the_cluster(missing)):
            raise ConfigurationError(
                f"capacity: cluster {self.cluster!r} is not associated with {', '.join(missing)}, only with "
                f"{', '.join(known) or 'none'}; associate it (PutClusterCapacityProviders) or choose another capacity."
            )

    def _not_of_the_cluster(self, providers: Sequence[str]) -> list[str]:
        """Those that the cluster does not have; one of Managed Instances may be its own without an association.

        AmazonECS/latest/APIReference/API_DescribeCapacityProviders.html: ``cluster``.
        """
        try:
            with translated("The capacity providers"):
                answer = self.ecs.describe_capacity_providers(cluster=self.cluster, capacityProviders=list(providers))
        except AccessDeniedError:
            return list(providers)
        own = {
            one["name"]
            for one in answer["capacityProviders"]
            if kind_of(one).startswith(MANAGED_INSTANCES) and one.get("status", "ACTIVE") == "ACTIVE"
        }
        return [name for name in providers if name.rpartition("/")[2] not in own]

    def describe(self, names: Sequence[str]) -> list[EcsService]:
        """The services, with their tags, in the order of ``names``.

        :raises ServiceNotFoundError: when one does not exist or is not active.
        """
        found: list[dict[str, Any]] = []
        for start in range(0, len(names), limits.DESCRIBE_SERVICES):
            some = list(names[start : start + limits.DESCRIBE_SERVICES])
            with translated(f"Cluster {self.cluster!r}"):
                answer = self.ecs.describe_services(cluster=self.cluster, services=some, include=["TAGS"])
            found += answer["services"]
        return [active_service(found, name, self.cluster) for name in names]

    def acquire(
        self, name: str, *, holder: str, count: int, until: datetime, policy: SharingPolicy
    ) -> tuple[EcsService, EcsService]:
        """Write the holder's lease and set the count that all leases want.

        Acquiring again renews the lease and keeps its start: a run holds one lease, however often its tasks are
        cleared or retried.

        :returns: the service before and after.
        :raises LeaseError: when the service has no room for another tag.
        """
        steps = self._steps(name).acquire(holder=holder, count=count, until=until, policy=policy)
        before, after = self.drive(steps)
        decision, shared = after.decision, policy_of(after.service.tags)
        if shared is not None and not shared.autoscaled and shared != policy:
            log.warning(
                "Service %s: other runs hold it with another policy, so until they end it has %s.",
                name,
                shared.to_tag()["value"],
            )
        if decision.withheld:
            lever = "the MaxCapacity of its scalable target" if decision.autoscaled else "its cap"
            wanted = decision.count + decision.withheld
            log.warning("Service %s: its leases want %d tasks, but %s allows %d.", name, wanted, lever, decision.count)
        return before, after.service

    def release(self, name: str, *, holder: str, known: SharingPolicy | None = None) -> tuple[Lease | None, EcsService]:
        """Remove the holder's lease and set the count that the others want.

        :param known: the service's policy by the caller's own knowledge, should its tag be gone.
        :returns: the lease that was held (None: there was none) and the service after.
        :raises LeaseError: when the original MinCapacity of its scalable target was in a tag that is gone.
        """
        held, after = self.drive(self._steps(name, known).release(holder=holder))
        if known is not None and policy_of(after.service.tags) is None:
            log.warning(
                "Service %s: something else has removed its tags and the leases in them; by what the run itself "
                "knows its count is %d now. Let your Terraform or CDK ignore tags and desired count, see docs/aws.md.",
                name,
                after.decision.count,
            )
        return held, after.service

    def hold(
        self, name: str, *, holder: str, count: int, until: datetime, policy: SharingPolicy
    ) -> tuple[str, EcsService]:
        """Put right what something else has changed of the holder's lease, and settle.

        :returns: what had been changed, empty when nothing, and the service after.
        :raises LeaseError: when something else keeps changing the service, or it has no room for another tag.
        """
        steps = self._steps(name).hold(holder=holder, count=count, until=until, policy=policy)
        changed, after = self.drive(steps)
        return changed, after.service

    def settle(self, name: str, known: SharingPolicy | None = None) -> EcsService:
        """Apply the leases until a reading shows nothing to do, see :mod:`ecs_feature.services.lease_steps`.

        :param known: as for :meth:`release`.
        :raises LeaseError: when something else keeps changing the service.
        """
        return self.drive(self._steps(name, known).settle()).service

    def inspect(self, name: str) -> Reading:
        """A service and what its leases want; writes nothing."""
        return self.drive(self._steps(name).inspect())

    def drive(self, steps: Steps[T]) -> T:
        """Make the calls that the steps yield, and return the steps' result."""
        answer: Any = None
        failed: EcsFeatureError | None = None
        while True:
            try:
                step = steps.send(answer) if failed is None else steps.throw(failed)
            except StopIteration as done:
                result: T = done.value
                return result
            answer, failed = None, None
            if isinstance(step, Pause):
                self.sleep(step.seconds if step.whole else step.seconds * random.random())
                continue
            try:
                answer = self._call(step)
            except EcsFeatureError as error:
                failed = error

    def _steps(self, name: str, known: SharingPolicy | None = None) -> ServiceSteps:
        return ServiceSteps(self.cluster, name, self.now, self.autoscaling is not None, self.run_is_active, known)

    def _call(self, call: Call) -> Any:
        client = self.ecs if call.client == "ecs" else self.autoscaling
        try:
            with translated(call.subject):
                return getattr(client, call.method)(**call.arguments)
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            # TagResource answers this when the service was deleted after it was read.
            raise ServiceNotFoundError(
                f"{call.subject} was deleted in the meantime; create it again ({error}).", error.code, error.operation
            ) from error

    def tasks(self, service: EcsService, status: str = "RUNNING") -> list[EcsTask]:
        """The service's tasks with that desired status, ``RUNNING`` or ``STOPPED``."""
        with translated(f"Service {service.name!r}"):
            pages = self.ecs.get_paginator("list_tasks").paginate(
                cluster=self.cluster, serviceName=service.name, desiredStatus=status
            )
            arns = [arn for page in pages for arn in page["taskArns"]]
            described = []
            for start in range(0, len(arns), limits.DESCRIBE_TASKS):
                some = arns[start : start + limits.DESCRIBE_TASKS]
                described += self.ecs.describe_tasks(cluster=self.cluster, tasks=some)["tasks"]
        return [EcsTask.from_aws(task) for task in described]

    def deaths(self, service: EcsService, since: datetime) -> list[EcsTask]:
        """The service's tasks that exited or failed a health check after ``since``, which ECS shows for an hour."""
        dead = [
            task
            for task in self.tasks(service, "STOPPED")
            if task.stopped_at is not None and task.stopped_at > since and not task.scaled_in
        ]
        return sorted(dead, key=lambda task: task.stopped_at or since)

    def last_death(self, service: EcsService, since: datetime) -> EcsTask | None:
        """The last of :meth:`deaths`; None: none did."""
        return next(reversed(self.deaths(service, since)), None)

    def at_work(self, service: EcsService) -> int:
        """How many of the service's tasks are protected from scale-in; 0 where that cannot be asked.

        A worker protects its task while it has a shard (AmazonECS/latest/developerguide/task-scale-in-protection.html).
        """
        arns, protected = [task.arn for task in self.tasks(service)], 0
        try:
            with translated(f"Service {service.name!r}"):
                for start in range(0, len(arns), limits.DESCRIBE_TASKS):
                    some = arns[start : start + limits.DESCRIBE_TASKS]
                    answer = self.ecs.get_task_protection(cluster=self.cluster, tasks=some)
                    protected += sum(bool(each.get("protectionEnabled")) for each in answer["protectedTasks"])
        except AwsError:  # then they are waited for, and asked for again
            return 0
        return protected

    def task_definition(self, service: EcsService) -> dict[str, Any]:
        with translated(f"Service {service.name!r}"):
            answer = self.ecs.describe_task_definition(taskDefinition=service.task_definition_arn)
        definition: dict[str, Any] = answer["taskDefinition"]
        return definition

    def healthy(self, service: EcsService) -> int:
        """How many of the service's tasks pass their container health checks and the load balancer's.

        A task without a health check or load balancer is healthy when it is RUNNING.
        """
        checked = any("healthCheck" in container for container in self.task_definition(service)["containerDefinitions"])
        tasks = [task for task in self.tasks(service) if task.last_status == "RUNNING"]
        counts = [sum(task.health == "HEALTHY" for task in tasks) if checked else len(tasks)]
        if self.elbv2 is not None:
            counts += [sum(self._healthy_targets(arn) for arn in arns) for arns in service.target_groups]
        return min(counts)

    def _healthy_targets(self, target_group: str) -> int:
        with translated(f"Target group {target_group!r}"):
            answer = self.elbv2.describe_target_health(TargetGroupArn=target_group)
        return sum(target["TargetHealth"]["State"] == "healthy" for target in answer["TargetHealthDescriptions"])
