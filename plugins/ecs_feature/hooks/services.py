"""ECS services through a boto3 client: describe, lease, give back, and see whether they are steady."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ecs_feature import limits
from ecs_feature.aws_errors import translated
from ecs_feature.exceptions import ClusterNotFoundError, LeaseError, ServiceNotFoundError
from ecs_feature.leases import Lease, SharingPolicy, lease_key, leases_of, reconcile
from ecs_feature.resources import EcsService, EcsTask

SETTLE_ROUNDS = 20


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class EcsServices:
    """The services of one cluster.

    :param ecs: a boto3 ``ecs`` client.
    :param elbv2: a boto3 ``elbv2`` client; None: load balancers are not asked about health.
    """

    ecs: Any
    cluster: str
    elbv2: Any = None
    now: Callable[[], datetime] = field(default=_now)

    def check_cluster(self) -> None:
        """:raises ClusterNotFoundError: when the cluster does not exist or is not active."""
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

    def describe(self, names: Sequence[str]) -> list[EcsService]:
        """The services, with their tags, in the order of ``names``.

        :raises ServiceNotFoundError: when one does not exist or is not active.
        """
        found: dict[str, EcsService] = {}
        for start in range(0, len(names), limits.DESCRIBE_SERVICES):
            some = list(names[start : start + limits.DESCRIBE_SERVICES])
            with translated(f"Cluster {self.cluster!r}"):
                answer = self.ecs.describe_services(cluster=self.cluster, services=some, include=["TAGS"])
            found |= {service["serviceName"]: EcsService.from_aws(service) for service in answer["services"]}
        for name in names:
            if name not in found or not found[name].active:
                raise ServiceNotFoundError(
                    f"Service {name!r} does not exist in cluster {self.cluster!r} or is not active; create it or "
                    "correct the variant's services.",
                    "ServiceNotFoundException",
                    "DescribeServices",
                )
        return [found[name] for name in names]

    def acquire(
        self, name: str, *, holder: str, count: int, until: datetime, policy: SharingPolicy
    ) -> tuple[EcsService, EcsService]:
        """Write the holder's lease and bring the service to what its leases want.

        Acquiring again renews the lease and keeps its beginning, so a run that is cleared in part, and a try
        that is repeated, hold one lease.

        :returns: the service before and after.
        :raises LeaseError: when the service has no room for another tag.
        """
        before = self.describe([name])[0]
        held = leases_of(before.tags).get(lease_key(holder))
        now = self.now()
        since = held.since if held is not None and held.live(now) else now
        lease = Lease(holder, count, since, until)
        self._check_room(before, lease)
        with translated(f"Service {name!r}"):
            self.ecs.tag_resource(resourceArn=before.arn, tags=[policy.to_tag(), lease.to_tag()])
        return before, self.settle(name)

    def release(self, name: str, *, holder: str) -> tuple[Lease | None, EcsService]:
        """Remove the holder's lease and bring the service to what the others want.

        :returns: the lease that was held (None: there was none) and the service after.
        """
        service = self.describe([name])[0]
        key = lease_key(holder)
        held = leases_of(service.tags).get(key)
        if key in dict(service.tags):
            with translated(f"Service {name!r}"):
                self.ecs.untag_resource(resourceArn=service.arn, tagKeys=[key])
        return held, self.settle(name)

    def settle(self, name: str) -> EcsService:
        """Apply :func:`ecs_feature.leases.reconcile` until a reading shows nothing to do.

        Whatever is written is read again: a lease that another run wrote in between is seen then.

        :raises LeaseError: when it never comes to rest.
        """
        for _ in range(SETTLE_ROUNDS):
            service = self.describe([name])[0]
            decision = reconcile(service, self.now())
            if not decision.change and not decision.expired:
                return service
            with translated(f"Service {name!r}"):
                if decision.expired:
                    self.ecs.untag_resource(resourceArn=service.arn, tagKeys=list(decision.expired))
                if decision.change:
                    self.ecs.update_service(cluster=self.cluster, service=name, desiredCount=decision.desired)
        raise LeaseError(
            f"Service {name!r} did not come to rest after {SETTLE_ROUNDS} readings; is something else changing its "
            "desired count or its tags?"
        )

    def tasks(self, service: EcsService) -> list[EcsTask]:
        """The service's running tasks."""
        with translated(f"Service {service.name!r}"):
            pages = self.ecs.get_paginator("list_tasks").paginate(cluster=self.cluster, serviceName=service.name)
            arns = [arn for page in pages for arn in page["taskArns"]]
            described = []
            for start in range(0, len(arns), limits.DESCRIBE_TASKS):
                some = arns[start : start + limits.DESCRIBE_TASKS]
                described += self.ecs.describe_tasks(cluster=self.cluster, tasks=some)["tasks"]
        return [EcsTask.from_aws(task) for task in described]

    def task_definition(self, service: EcsService) -> dict[str, Any]:
        with translated(f"Service {service.name!r}"):
            answer = self.ecs.describe_task_definition(taskDefinition=service.task_definition_arn)
        definition: dict[str, Any] = answer["taskDefinition"]
        return definition

    def healthy(self, service: EcsService) -> int:
        """How many of the service's tasks are healthy, by their containers' checks and by the load balancer's.

        A task without a health check is healthy when it runs; so is one without a load balancer.
        """
        checked = any("healthCheck" in container for container in self.task_definition(service)["containerDefinitions"])
        tasks = [task for task in self.tasks(service) if task.last_status == "RUNNING"]
        counts = [sum(task.health == "HEALTHY" for task in tasks) if checked else len(tasks)]
        if self.elbv2 is not None:
            counts += [self._healthy_targets(arn) for arn in service.target_groups]
        return min(counts)

    def _healthy_targets(self, target_group: str) -> int:
        with translated(f"Target group {target_group!r}"):
            answer = self.elbv2.describe_target_health(TargetGroupArn=target_group)
        return sum(target["TargetHealth"]["State"] == "healthy" for target in answer["TargetHealthDescriptions"])

    def _check_room(self, service: EcsService, lease: Lease) -> None:
        mine = {lease.key, "ecs-feature:policy"}
        others = [key for key, _ in service.tags if key not in mine]
        if len(others) + len(mine) > limits.TAGS_PER_RESOURCE:
            raise LeaseError(
                f"Service {service.name!r} has {len(service.tags)} tags and ECS allows {limits.TAGS_PER_RESOURCE} "
                "(AmazonECS/latest/APIReference/API_Tag.html), so no further run can lease it; lower the number of "
                "runs at once (max_active_runs) or remove tags."
            )
