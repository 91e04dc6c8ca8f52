"""The service scheduler: brings every service's tasks to what is wanted, and tells how far it is."""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from collections.abc import Callable

from fargate_local.balancer.groups import LoadBalancers
from fargate_local.engine.launch import Launcher, Refused
from fargate_local.engine.plan import TaskView, plan
from fargate_local.quotas import Quotas
from fargate_local.resources import AFTER_RUNNING, Deployment, Service, State, Task, TaskDefinition
from fargate_local.shapes import Tags

log = logging.getLogger("fargate_local")

RETRY_SECONDS = 1.0
HELD_SECONDS = 0.5
"""How often a service with protected surplus tasks is looked at, so that a protection's end is noticed."""
MAX_BACKOFF_SECONDS = 60.0
MAX_DOUBLINGS = 10
"""Enough to get there; after a thousand failures in a row the power is too large for a float."""


class Scheduler:
    """One loop for all services; it runs when something changed."""

    def __init__(
        self, state: State, launcher: Launcher, balancers: LoadBalancers, quotas: Quotas, now: Callable[[], float]
    ) -> None:
        self._state = state
        self._launcher = launcher
        self.balancers = balancers
        self._quotas = quotas
        self._now = now
        self._dirty: dict[str, Service] = {}
        self._held: dict[str, tuple[str, ...]] = {}
        self._looks: dict[str, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="service-scheduler")

    async def close(self) -> None:
        for look in self._looks.values():
            look.cancel()
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    def kick(self, service: Service) -> None:
        """The service, or one of its tasks, has changed."""
        self._dirty[service.arn] = service
        self._wake.set()

    def task_changed(self, task: Task) -> None:
        """A task of any kind has changed."""
        service = task.cluster.services.get(task.service) if task.service else None
        if service is None:
            return
        if task.last_status in AFTER_RUNNING or task.desired_status == "STOPPED":
            self.balancers.remove(task)
        elif task.last_status == "RUNNING":
            self.balancers.add(service, task)
        if task.last_status == "STOPPED":
            self._count_failure(service, task)
        self.kick(service)

    def new_deployment(self, service: Service, definition: TaskDefinition) -> None:
        """Make a new deployment the service's PRIMARY one."""
        for deployment in service.deployments:
            deployment.status = "ACTIVE"
        service.deployments.insert(0, make_deployment(definition, self._now()))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            services, self._dirty = list(self._dirty.values()), {}
            for service in services:
                try:
                    self._reconcile(service)
                except Exception:
                    log.exception("service %s", service.name)

    def _reconcile(self, service: Service) -> None:
        if service.status == "INACTIVE":
            return
        tasks = [task for task in service.cluster.tasks_of(service) if task.desired_status == "RUNNING"]
        configuration = service.spec["deploymentConfiguration"]
        wanted = plan(
            [self._view(service, task) for task in tasks],
            service.desired_count,
            configuration["minimumHealthyPercent"],
            configuration["maximumPercent"],
        )
        self._stop(service, [t for t in tasks if t.id in wanted.replace], unhealthy=True)
        self._stop(service, [t for t in tasks if t.id in wanted.scale_in], unhealthy=False)
        self._launch(service, wanted.launch)
        self._hold(service, () if service.status == "DRAINING" else wanted.held)
        self._report(service)

    def _view(self, service: Service, task: Task) -> TaskView:
        running = task.last_status == "RUNNING"
        checked = any(container.has_health_check for container in task.containers)
        balanced = self.balancers.health(service, task, self._now())
        container = task.health_status if checked else "HEALTHY"
        return TaskView(
            id=task.id,
            primary=task.started_by == service.primary.id,
            running=running,
            healthy=running and container == "HEALTHY" and balanced == "healthy",
            unhealthy=running and (container == "UNHEALTHY" or balanced == "unhealthy"),
            created_at=task.created_at,
            # A deleted service's tasks stop: protection is against scale-in and deployments only.
            protected=task.is_protected(self._now()) and service.status != "DRAINING",
        )

    def _hold(self, service: Service, held: tuple[str, ...]) -> None:
        """Say once that protected tasks stay, and look again until they may go."""
        if (look := self._looks.pop(service.arn, None)) is not None:
            look.cancel()
        if held and set(held) != set(self._held.get(service.arn, ())):
            ids = " ".join(f"(task {task_id})" for task_id in sorted(held))
            event(service, self._now(), f"is unable to stop {len(held)} tasks because they are protected: {ids}.")
        self._held[service.arn] = held
        if held:
            self._looks[service.arn] = asyncio.get_running_loop().call_later(HELD_SECONDS, self.kick, service)

    def _stop(self, service: Service, tasks: list[Task], *, unhealthy: bool) -> None:
        for task in tasks:
            if not unhealthy:
                reason = f"Scaling activity initiated by (deployment {service.primary.id})"
            elif task.health_status == "UNHEALTHY":
                reason = "Task failed container health checks"
            else:
                reason = (
                    f"Task failed ELB health checks in (target-group {service.load_balancers[0]['targetGroupArn']})"
                )
            if unhealthy:
                event(service, self._now(), f"(task {task.id}) is unhealthy: {reason}")
            self._launcher.lifecycle.stop(task, "ServiceSchedulerInitiated", reason)
        if tasks:
            ids = " ".join(f"(task {task.id})" for task in tasks)
            event(service, self._now(), f"has stopped {len(tasks)} running tasks: {ids}.")

    def _launch(self, service: Service, count: int) -> None:
        if count <= 0 or service.status != "ACTIVE":
            return
        deployment, now = service.primary, self._now()
        if deployment.rollout_state == "FAILED":
            return
        if deployment.next_launch_at > now:
            self._later(service, deployment.next_launch_at - now)
            return
        spec = service.spec
        started = []
        providers = self._launcher.providers_for(spec.get("capacityProviderStrategy", []), count)
        for provider in providers:
            if not self._quotas.take_service_launch(provider or spec.get("launchType") or ""):
                self._later(service, RETRY_SECONDS / 4)
                break
            task = self._launcher.launch(
                service.cluster,
                deployment.definition,
                group=service.group,
                network=spec.get("networkConfiguration", {}).get("awsvpcConfiguration", {}),
                started_by=deployment.id,
                launch_type=None if provider else spec.get("launchType"),
                capacity_provider=provider,
                platform_version=spec.get("platformVersion"),
                execute_command=spec.get("enableExecuteCommand", False),
                tags=_task_tags(service, deployment.definition),
            )
            if isinstance(task, Refused):
                event(service, now, task.of_service)
                self._later(service, RETRY_SECONDS)
                break
            started.append(task)
        if started:
            ids = " ".join(f"(task {task.id})" for task in started)
            event(service, now, f"has started {len(started)} tasks: {ids}.")

    def _later(self, service: Service, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.kick, service)

    def _count_failure(self, service: Service, task: Task) -> None:
        """Note a task that ended by itself; the next launches wait longer and longer."""
        deployment = next((d for d in service.deployments if d.id == task.started_by), None)
        if deployment is None or task.stop_code not in {"TaskFailedToStart", "EssentialContainerExited"}:
            return
        if task.started_at is None or task.health_status != "HEALTHY":
            deployment.failed_tasks += 1
        lived = (task.stopped_at or 0) - (task.started_at or task.created_at)
        deployment.failures_in_a_row = deployment.failures_in_a_row + 1 if lived < MAX_BACKOFF_SECONDS else 1
        if deployment.failures_in_a_row > 2:
            seconds = min(MAX_BACKOFF_SECONDS, 0.25 * 2.0 ** min(deployment.failures_in_a_row - 2, MAX_DOUBLINGS))
            deployment.next_launch_at = self._now() + seconds
            event(service, self._now(), "is unable to consistently start tasks successfully.")
        self._break_circuit(service, deployment)

    def _break_circuit(self, service: Service, deployment: Deployment) -> None:
        """Source: AmazonECS/latest/developerguide/deployment-circuit-breaker (3 <= half the desired count <= 200)."""
        breaker = service.spec["deploymentConfiguration"].get("deploymentCircuitBreaker", {})
        threshold = max(3, min(200, -(-service.desired_count // 2)))
        if breaker.get("enable") and deployment.rollout_state == "IN_PROGRESS" and deployment.failed_tasks >= threshold:
            deployment.rollout_state = "FAILED"
            deployment.rollout_reason = "ECS deployment circuit breaker: tasks failed to start."
            event(service, self._now(), f"(deployment {deployment.id}) deployment failed: tasks failed to start.")
            if breaker.get("rollback") and service.completed not in (None, deployment.definition):
                self._roll_back(service)

    def _roll_back(self, service: Service) -> None:
        """Run again what the last completed deployment ran."""
        assert service.completed is not None
        self.new_deployment(service, service.completed)
        back = service.primary
        back.rollout_reason = f"ECS deployment circuit breaker: rolling back to deploymentId {back.id}."
        event(service, self._now(), f"rolling back to deployment {back.id}.")

    def _report(self, service: Service) -> None:
        """Drop finished deployments, and tell when the service has reached a steady state."""
        tasks = service.cluster.tasks_of(service)
        live = {task.started_by for task in tasks}
        service.deployments = [d for d in service.deployments if d.status == "PRIMARY" or d.id in live]
        if service.status == "DRAINING" and not tasks:
            service.status = "INACTIVE"
            service.deployments[0].status = "INACTIVE"
            return
        views = [self._view(service, task) for task in tasks if task.desired_status == "RUNNING"]
        steady = (
            len(service.deployments) == 1
            and len(tasks) == service.desired_count
            and sum(1 for view in views if view.primary and view.healthy) == service.desired_count
        )
        if steady and not service.announced_steady:
            deployment = service.primary
            deployment.failures_in_a_row = 0
            if deployment.rollout_state != "COMPLETED":
                deployment.rollout_state = "COMPLETED"
                service.completed = deployment.definition
                deployment.rollout_reason = f"ECS deployment {deployment.id} completed."
                deployment.updated_at = self._now()
                event(service, self._now(), f"(deployment {deployment.id}) deployment completed.")
            event(service, self._now(), "has reached a steady state.")
        service.announced_steady = steady


def make_deployment(definition: TaskDefinition, now: float) -> Deployment:
    """A new deployment of that task definition, in progress."""
    deployment_id = f"ecs-svc/{secrets.randbelow(9 * 10**18) + 10**18}"
    reason = f"ECS deployment {deployment_id} in progress."
    return Deployment(deployment_id, definition, now, now, rollout_reason=reason)


def event(service: Service, now: float, message: str) -> None:
    """Add an event of a service, newest first, as DescribeServices shows them."""
    text = f"(service {service.name}) {message}"
    log.info("%s", text)
    service.events.appendleft({"id": str(uuid.uuid4()), "createdAt": now, "message": text})


def _task_tags(service: Service, definition: TaskDefinition) -> Tags:
    source = service.spec.get("propagateTags")
    propagated = definition.tags if source == "TASK_DEFINITION" else service.tags if source == "SERVICE" else {}
    managed = {"aws:ecs:clusterName": service.cluster.name, "aws:ecs:serviceName": service.name}
    return {**propagated, **(managed if service.spec.get("enableECSManagedTags") else {})}
