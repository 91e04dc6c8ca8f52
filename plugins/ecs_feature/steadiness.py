"""When is a service steady? Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ecs_feature.resources import EcsService


@dataclass(frozen=True)
class Steadiness:
    """Whether a service is where it should be, and if not, what is missing in words."""

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
    """A service that was given back is down when no more tasks run than its remaining leases want."""
    if service.running + service.pending > service.desired:
        return Steadiness(
            False, f"{service.running + service.pending} tasks are still there, {service.desired} are wanted"
        )
    return Steadiness(True)
