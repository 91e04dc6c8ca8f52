"""Waits until services are steady."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from airflow.providers.common.compat.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowException
from airflow.triggers.base import StartTriggerArgs

from ecs_feature.aws.operator import AwsOperator
from ecs_feature.environment import filled
from ecs_feature.services.readiness import ready_of
from ecs_feature.triggers.service import EcsServiceSteadyTrigger

TRIGGER = "ecs_feature.triggers.service.EcsServiceSteadyTrigger"


class EcsServiceSteadySensor(AwsOperator, BaseSensorOperator):  # type: ignore[misc]
    """Waits until every service is steady: running = desired, one deployment, and all tasks healthy.

    Healthy means by the containers' health checks and, behind a load balancer, by its target groups. It
    waits in the triggerer and starts and ends there, so no worker is used::

        from airflow.sdk import DAG
        from ecs_feature.sensors.service_steady import EcsServiceSteadySensor

        with DAG("steady"):
            EcsServiceSteadySensor(task_id="steady", cluster="${CLUSTER}", services=["encoder"])

    XCom: ``{"services": [{"name", "running", "peak"}]}``, with what :func:`ecs_feature.services.snapshot.seen` says.

    :param services: names of services of ``cluster``.
    :param timeout_seconds: how long to wait before the task fails.
    :param run_lease: :meth:`ecs_feature.services.run_lease.RunLease.to_dict`: what the run holds, to be written again
        should something else remove it; its strings are templates.
    :param ready: service -> what it is asked for, too, when ECS calls it steady: ``CeleryWorkers``, ``HttpHealth``, a
        function that the triggerer can import, or a list of them, see :mod:`ecs_feature.services.readiness`.
    :raises ConfigurationError: ``ready`` is of a service that is not in ``services``, or is no check.
    """

    template_fields: Sequence[str] = ("cluster", "run_lease")
    ui_color = "#fbd9a5"
    start_from_trigger = True

    def __init__(
        self,
        *,
        cluster: str,
        services: Sequence[str],
        timeout_seconds: float = 900,
        poll_seconds: float = 5,
        start_from_trigger: bool = True,
        run_lease: dict[str, Any] | None = None,
        ready: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout_seconds, poke_interval=poll_seconds, **kwargs)
        self.cluster = filled(cluster, where="cluster")
        self.services = list(filled(services, where="services"))
        self.timeout_seconds = timeout_seconds
        self.poll_seconds = poll_seconds
        self.run_lease = filled(run_lease or {}, where="run_lease")
        self.ready = ready_of(ready or {}, self.services)
        self.start_from_trigger = start_from_trigger
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=TRIGGER, next_method="execute_complete", trigger_kwargs=self._trigger_kwargs()
        )

    def _trigger_kwargs(self) -> dict[str, Any]:
        names = ("cluster", "services", "timeout_seconds", "poll_seconds", "run_lease")
        ready = {"ready": self.ready} if self.ready else {}
        return {**{name: getattr(self, name) for name in names}, "aws": asdict(self.aws), **ready}

    def execute(self, context: Any) -> None:
        """Defer; only where Airflow does not start from the trigger."""
        self.defer(
            trigger=EcsServiceSteadyTrigger(**self._trigger_kwargs(), end_in_triggerer=False),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        if event["state"] != "success":
            raise AirflowException(event["message"])
        result: dict[str, Any] = event["result"]
        return result
