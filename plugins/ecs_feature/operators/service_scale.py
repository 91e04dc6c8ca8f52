"""Raises services for a run, and gives them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from ecs_feature.aws.operator import AwsOperator
from ecs_feature.aws.resources import EcsService
from ecs_feature.exceptions import ConfigurationError, EcsFeatureError
from ecs_feature.services.client import EcsServices
from ecs_feature.services.lease_holders import active_run_checker
from ecs_feature.services.leases import Lease, SharingPolicy, check_count
from ecs_feature.tasks import cost
from ecs_feature.triggers.service import EcsServiceSteadyTrigger


class EcsServiceScaleOperator(AwsOperator):
    """Takes (``up``, a setup) or gives back (``down``, a teardown) a run's lease on services.

    It never sets a desired count by itself: the count is what all live leases want, see
    :mod:`ecs_feature.services.leases`. Where Application Auto Scaling keeps the count, it moves the MinCapacity
    instead.
    Both directions may be repeated. Going down waits in the triggerer until the tasks are gone, and ends there:
    a task that comes back to a worker at once may be failed by the scheduler, which takes the end of its first part
    for its own (apache/airflow#72716)::

        up = EcsServiceScaleOperator(task_id="up", cluster="features", services={"encoder": 2})
        down = EcsServiceScaleOperator(task_id="down", direction="down", cluster="features", services={"encoder": 2})
        up >> work >> down.as_teardown(setups=up, on_failure_fail_dagrun=True)

    XCom of ``up``: ``{"services": [{"name", "before", "desired"}]}``; of ``down``: ``{"services": [{"name",
    "running", "peak", "others"}], "held": [{"name", "seconds", "vcpu_seconds", "gb_seconds"}]}``.

    :param services: name -> how many of its tasks this run needs.
    :param holder: template of the lease's holder; both directions must agree.
    :param lease: how long the lease lives if nobody gives it back; after that, for as long as the run goes on.
    :param policies: name -> how the service's leases add up; default: sum, from a baseline of 0.
    :param timeout_seconds: how long ``down`` waits for the tasks to be gone.
    :raises ConfigurationError: for a count that no service can have.
    """

    template_fields: Sequence[str] = ("cluster", "holder")
    ui_color = "#fbd9a5"

    def __init__(
        self,
        *,
        cluster: str,
        services: dict[str, int],
        direction: Literal["up", "down"] = "up",
        holder: str = "{{ dag.dag_id }}/{{ run_id }}",
        lease: timedelta = timedelta(hours=6),
        policies: dict[str, SharingPolicy] | None = None,
        timeout_seconds: float = 900,
        poll_seconds: float = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, count in services.items():
            check_count(count, f"services[{name!r}]")
        if direction not in ("up", "down"):
            raise ConfigurationError(f"direction: {direction!r} is not known; give 'up' or 'down'.")
        self.cluster = cluster
        self.services = dict(services)
        self.direction = direction
        self.holder = holder
        self.lease = lease
        self.policies = dict(policies or {})
        self.timeout_seconds = timeout_seconds
        self.poll_seconds = poll_seconds

    def execute(self, context: Any) -> dict[str, Any] | None:
        ecs, scaling = (self.aws.client(name) for name in ("ecs", "application-autoscaling"))
        services = EcsServices(ecs, self.cluster, autoscaling=scaling, run_is_active=active_run_checker(context["ti"]))
        try:
            if self.direction == "up":
                return self._up(services)
            held = self._down(services)
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from error
        except EcsFeatureError as error:
            raise AirflowException(str(error)) from error
        self.defer(
            trigger=EcsServiceSteadyTrigger(
                cluster=self.cluster,
                services=list(self.services),
                aws=asdict(self.aws),
                timeout_seconds=self.timeout_seconds,
                poll_seconds=self.poll_seconds,
                descending=True,
                result={"held": held},
            ),
            method_name="execute_complete",
        )
        return None

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Return what the trigger could not store, as in ``dag.test()``, or raise when the tasks are still there."""
        if event["state"] != "success":
            raise AirflowException(event["message"])
        result: dict[str, Any] = event["result"]
        return result

    def _up(self, services: EcsServices) -> dict[str, Any]:
        until = datetime.now(UTC) + self.lease
        rows = []
        for name, count in self.services.items():
            policy = self.policies.get(name, SharingPolicy())
            before, after = services.acquire(name, holder=self.holder, count=count, until=until, policy=policy)
            self.log.info(
                "Service %s: leased %d until %s; desired count %d -> %d.%s",
                name,
                count,
                until.strftime("%Y-%m-%d %H:%M:%SZ"),
                before.desired,
                after.desired,
                f" Application Auto Scaling keeps at least {after.minimum}." if after.minimum else "",
            )
            rows.append({"name": name, "before": before.running, "desired": after.desired})
        return {"services": rows}

    def _down(self, services: EcsServices) -> list[dict[str, Any]]:
        held, errors = [], []
        for name in self.services:
            try:
                lease, after = services.release(name, holder=self.holder)
                self.log.info("Service %s: lease given back; desired count is %d.", name, after.desired)
                held.append(self._held(services, after, lease))
            except EcsFeatureError as error:
                # The other services must still be given back; the first error is raised after that.
                errors.append(error)
                self.log.error("%s", error)
        if errors:
            raise errors[0]
        return held

    def _held(self, services: EcsServices, service: EcsService, lease: Lease | None) -> dict[str, Any]:
        """What the lease is charged with: its own count for as long as it was held, at the task's size."""
        seconds = (datetime.now(UTC) - lease.since).total_seconds() if lease else 0.0
        definition = services.task_definition(service)
        size = int(definition.get("cpu") or 0), int(definition.get("memory") or 0)
        used = cost.usage(*size, seconds * (lease.count if lease else 0))
        return {
            "name": service.name,
            "seconds": round(seconds, 1),
            "vcpu_seconds": round(used.vcpu_seconds, 3),
            "gb_seconds": round(used.gb_seconds, 3),
        }
