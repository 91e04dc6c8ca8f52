"""Waits until services have as many tasks as their leases want."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.errors import may_pass, translate
from ecs_feature.aws.outages import Outage, bug
from ecs_feature.aws.resources import EcsService
from ecs_feature.exceptions import ConfigurationError, EcsFeatureError, ServiceNotSteadyError
from ecs_feature.fleet.sight import patience_seconds
from ecs_feature.services.client import EcsServices
from ecs_feature.services.leases import leased
from ecs_feature.services.readiness import check_from_dict
from ecs_feature.services.run_lease import RunLease
from ecs_feature.services.snapshot import seen
from ecs_feature.services.steadiness import Steadiness, failure_of, of_descent, of_service, with_death
from ecs_feature.triggerer.xcoms import push

WAITED_SHARE: Final = 0.1
"""A service's tasks take a minute to start on Fargate, and are seen to run within this share of the wait."""
MAX_PAUSE_SECONDS: Final = 5.0


def pause_seconds(least: float, waited: float) -> float:
    """Until the next look, of some five calls a service that share ECS's buckets with the shards.

    :param least: ``poll_seconds``.
    :param waited: seconds so far.
    """
    return max(least, min(WAITED_SHARE * waited, MAX_PAUSE_SECONDS))


def _may_be_active(holder: str) -> bool:
    """Whether another run goes on is not asked for at every poll: workers and the janitor drop what has ended."""
    return True


class EcsServiceSteadyTrigger(BaseTrigger):  # type: ignore[misc]
    """Waits until every service is steady, or (``descending``) down to what its remaining leases want.

    Every poll applies the leases first, so a desired count that a slower run has overwritten is corrected; going up, a
    lease that something else has removed is written again. One steady reading is not enough going up, so a write that
    was under way when the lease was taken is seen. A failed deployment ends the wait with ECS's reason.
    While AWS cannot be asked, it asks again with clients renewed from the connection: what passes by itself is waited
    for until the timeout, credentials and access for ``[ecs_feature] credentials_timeout_seconds``.
    Yields exactly one of

    * ``TaskSuccessEvent`` (``end_in_triggerer``, the result is pushed) or
      ``TriggerEvent({"state": "success", "result": {...}})``;
      the result is ``{"services": [{"name", "running", "peak"}], **result}``, with what
      :func:`ecs_feature.services.snapshot.seen` says of each; ``descending``, a service has ``others``, too: how many
      of its tasks the leases of other runs want,
    * ``TriggerEvent({"state": "failed", "message": str})``.

    :param services: names.
    :param timeout_seconds: how long to wait before giving up.
    :param poll_seconds: between two looks at first, see :func:`pause_seconds`.
    :param result: goes into the result beside the services; its own ``services`` are what is known of each already.
    :param run_lease: :meth:`ecs_feature.services.run_lease.RunLease.to_dict`: what the run holds; ``descending``, its
        policies say what a service goes down to when its policy tag is gone.
    :param ready: service -> :meth:`ecs_feature.services.readiness.ReadyCheck.to_dict` of what it is asked for, too,
        when ECS calls it steady; not ``descending``.
    """

    def __init__(
        self,
        *,
        cluster: str,
        services: list[str],
        aws: dict[str, Any],
        timeout_seconds: float,
        poll_seconds: float = 5.0,
        descending: bool = False,
        result: dict[str, Any] | None = None,
        end_in_triggerer: bool = True,
        run_lease: dict[str, Any] | None = None,
        ready: dict[str, list[dict[str, Any]]] | None = None,
    ) -> None:
        super().__init__()
        self.cluster = cluster
        self.services = services
        self.aws = aws
        self.timeout_seconds = timeout_seconds
        self.poll_seconds = poll_seconds
        self.descending = descending
        self.result = result or {}
        self.end_in_triggerer = end_in_triggerer
        self.run_lease = run_lease or {}
        self.ready = ready or {}
        self._began = self._last_checked = datetime.now(UTC)
        self._open: EcsServices | None = None
        self._outage: Outage | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("cluster", "services", "aws", "timeout_seconds", "poll_seconds", "descending", "result")
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            **{name: getattr(self, name) for name in names},
            "end_in_triggerer": self.end_in_triggerer,
            **({"run_lease": self.run_lease} if self.run_lease else {}),
            **({"ready": self.ready} if self.ready else {}),
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            result = await self._wait()
        except EcsFeatureError as error:
            yield TriggerEvent({"state": "failed", "message": str(error)})
            return
        if self.end_in_triggerer and await push(self.task_instance, "return_value", result, self.log):
            yield TaskSuccessEvent()
        else:
            yield TriggerEvent({"state": "success", "result": result})

    async def _wait(self) -> dict[str, Any]:
        begun = time.monotonic()
        deadline = begun + self.timeout_seconds
        self._began = self._last_checked = datetime.now(UTC)
        peaks = dict.fromkeys(self.services, 0)
        reported = ""
        polled = self.descending
        while True:
            readings = [(service, await self._asked(service, state)) for service, state in await self._look()]
            for service, _ in readings:
                peaks[service.name] = max(peaks[service.name], service.running)
            missing = [f"service {service.name}: {state.missing}" for service, state in readings if not state.steady]
            if readings and not missing and (polled or time.monotonic() >= deadline):
                rows = [self._row(service, peaks[service.name], datetime.now(UTC)) for service, _ in readings]
                self.log.info("Steady: %s.", ", ".join(f"{row['name']} runs {row['running']}" for row in rows))
                return {**self.result, "services": rows}
            if missing and (now := "; ".join(missing)) != reported:
                self.log.info("Waiting: %s.", reported := now)
            if time.monotonic() >= deadline:
                raise ServiceNotSteadyError(self._timed_out(readings, reported))
            polled = polled or bool(readings)
            await asyncio.sleep(pause_seconds(self.poll_seconds, time.monotonic() - begun))

    async def _look(self) -> list[tuple[EcsService, Steadiness]]:
        """The services and their steadiness; nothing when AWS could not be asked this time.

        :raises EcsFeatureError: AWS refused it, or could not be asked for too long.
        """
        try:
            self._open = self._open or await sync_to_async(self._open_services)()
            readings = await asyncio.to_thread(self._read, self._open)
        except Exception as error:
            if not may_pass(error):
                raise
            self._cannot_ask(error)
            return []
        self._outage = None
        return readings

    async def _asked(self, service: EcsService, state: Steadiness) -> Steadiness:
        """``state``, or what the service's own checks miss.

        :raises ConfigurationError: a check cannot be made here.
        """
        if not state.steady or self.descending:
            return state
        for raw in self.ready.get(service.name, ()):
            try:
                missing = await check_from_dict(raw).missing(service)
            except ConfigurationError:
                raise
            except Exception as error:  # the user's code, or the way to what it asks
                missing = f"its check {raw['check']} failed: {error!r}"
            if missing:
                return Steadiness(False, missing)
        return state

    def _cannot_ask(self, error: Exception) -> None:
        """Note that AWS could not be asked, tell it, and drop the clients where new ones may help.

        :raises EcsFeatureError: that has been so for too long.
        """
        now, failed = time.monotonic(), translate(error)
        cause = (error.__cause__ or error) if failed is error else error
        self._outage = self._outage or Outage(now)
        told, most = self._outage.note(cause, now), patience_seconds()
        if self._outage.blocked_seconds(now) >= most:
            raise failed from (None if cause is failed else cause)
        if told or self._outage.failures == 1:
            self.log.warning("%s Asking again.", failed, exc_info=bug(error))
        if self._outage.wants_renewal(cause, now):
            self._open = None

    def _row(self, service: EcsService, peak: int, now: datetime) -> dict[str, Any]:
        # A deployment of a service that other runs hold keeps tasks above the desired count, which are nobody's.
        running = max(service.running - service.surplus, min(service.running, service.desired))
        known = {each["name"]: each for each in self.result.get("services", ())}
        row = {**known.get(service.name, {}), **seen(service, now), "running": running, "peak": peak}
        return {**row, "others": leased(service.tags, now, _may_be_active)} if self.descending else row

    def _open_services(self) -> EcsServices:
        names = ("ecs", "elbv2", "application-autoscaling")
        ecs, elbv2, autoscaling = (AwsConnection(**self.aws).client(name) for name in names)
        return EcsServices(ecs, self.cluster, elbv2, autoscaling, run_is_active=_may_be_active)

    def _read(self, services: EcsServices) -> list[tuple[EcsService, Steadiness]]:
        readings = []
        for name in self.services:
            service = self._settled(services, name)
            readings.append((service, (self._descent if self.descending else self._ascent)(services, service)))
        self._last_checked = services.now()
        return readings

    def _settled(self, services: EcsServices, name: str) -> EcsService:
        """The service, after what something else has changed was put right."""
        if not self.run_lease:
            return services.settle(name)
        held = RunLease.from_dict(self.run_lease)
        if self.descending:
            return services.settle(name, held.policies.get(name))
        changed, service = held.hold(services, name)
        if changed:
            self.log.warning("Service %s: something else has changed it: %s.", name, changed)
        return service

    def _descent(self, services: EcsServices, service: EcsService) -> Steadiness:
        state = of_descent(service)
        if state.steady or not leased(service.tags, services.now(), _may_be_active):
            return state
        # The run does not wait for what others compute on tasks that are too many now.
        return of_descent(service, services.at_work(service))

    def _ascent(self, services: EcsServices, service: EcsService) -> Steadiness:
        counted = service.controller == "ECS" and service.running == service.desired
        state = of_service(service, services.healthy(service) if counted else 0)
        if not state.steady and (failure := failure_of(service)):
            raise ServiceNotSteadyError(
                f"Service {service.name}: its deployment has failed, so it will not become steady: {failure} "
                "Deploy a version that starts, then clear this task."
            )
        return with_death(state, services.last_death(service, self._began), last_checked=self._last_checked)

    def _timed_out(self, readings: list[tuple[EcsService, Steadiness]], missing: str) -> str:
        said = [event for service, state in readings if not state.steady for event in service.events[:1]]
        last = f" The service's last event: {said[0]}" if said else ""
        return (
            f"Not steady after {self.timeout_seconds:.0f} s: {missing or 'AWS gave no answer'}; look at the service's "
            f"events and stopped tasks, or raise the timeout.{last}"
        )
