"""When is a service steady? Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from ecs_feature.aws.resources import EcsService, EcsTask


@dataclass(frozen=True)
class Steadiness:
    """Whether a service is steady; if not, ``missing`` says what it waits for."""

    steady: bool
    missing: str = ""


def of_service(service: EcsService, healthy: int) -> Steadiness:
    """Steady means running = desired, nothing pending, one deployment, and all of them healthy."""
    if service.desired < service.minimum:
        return Steadiness(
            False,
            f"Application Auto Scaling has not yet raised its desired count of {service.desired} "
            f"to its MinCapacity of {service.minimum}",
        )
    if service.deployments != 1:
        return Steadiness(False, f"{service.deployments} deployments are going on")
    if service.running != service.desired or service.pending:
        return Steadiness(
            False, f"{service.running} of {service.desired} tasks are running, {service.pending} are pending"
        )
    if healthy < service.desired:
        return Steadiness(False, f"{healthy} of {service.desired} tasks are healthy")
    return Steadiness(True)


def of_descent(service: EcsService) -> Steadiness:
    """After a release: steady when no more tasks run than the remaining leases want."""
    if service.running + service.pending > service.desired:
        return Steadiness(
            False, f"{service.running + service.pending} tasks are still there, {service.desired} are wanted"
        )
    return Steadiness(True)


def with_death(state: Steadiness, dead: EcsTask | None, *, last_checked: datetime) -> Steadiness:
    """``state``, corrected by the service's last task that died during the wait.

    A service whose tasks crash and restart has all of them running at times. So it is not steady when a task has died
    since the last check.

    :param last_checked: the time of the check before this one.
    """
    if dead is None:
        return state
    said = f"its last one stopped, {dead.stop_summary()}"
    if not state.steady:
        return replace(state, missing=f"{state.missing}; {said}")
    recent = dead.stopped_at is not None and dead.stopped_at > last_checked
    return Steadiness(False, f"its tasks do not stay up; {said}") if recent else state
