"""When is a service steady? Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

from ecs_feature.aws.resources import EcsService, EcsTask


@dataclass(frozen=True)
class Steadiness:
    """Whether a service is steady; if not, ``missing`` says what it waits for."""

    steady: bool
    missing: str = ""


def of_service(service: EcsService, healthy: int) -> Steadiness:
    """Steady means running = desired, nothing pending, one deployment, and all of them healthy.

    Where CodeDeploy or another program makes the deployments, the service has task sets instead. Then ECS's own word on
    the PRIMARY one counts, which includes health; the others serve no production traffic.

    :param healthy: how many of its tasks are healthy; not used where there are task sets.
    """
    if service.desired < service.minimum:
        return Steadiness(
            False,
            f"Application Auto Scaling has not yet raised its desired count of {service.desired} "
            f"to its MinCapacity of {service.minimum}",
        )
    if service.controller != "ECS":
        return _of_task_sets(service)
    if service.deployments != 1 or (service.strategy != "ROLLING" and service.rollout == "IN_PROGRESS"):
        return Steadiness(False, _deploying(service))
    if service.running != service.desired or service.pending:
        return Steadiness(
            False, f"{service.running} of {service.desired} tasks are running, {service.pending} are pending"
        )
    if healthy < service.desired:
        return Steadiness(False, f"{healthy} of {service.desired} tasks are healthy")
    return Steadiness(True)


def _of_task_sets(service: EcsService) -> Steadiness:
    serving = service.serving
    if serving is None:
        return Steadiness(False, "it has no PRIMARY task set")
    wanted = math.ceil(service.desired * serving.scale_percent / 100)
    if serving.desired != wanted:
        return Steadiness(False, f"its PRIMARY task set wants {serving.desired} tasks, and not yet {wanted}")
    if serving.stability != "STEADY_STATE" or serving.running != wanted or serving.pending:
        return Steadiness(
            False,
            f"{serving.running} of {wanted} tasks of its PRIMARY task set are running, {serving.pending} are pending; "
            f"it is {serving.stability or 'of no known stability'}",
        )
    return Steadiness(True)


def _deploying(service: EcsService) -> str:
    """What a deployment waits for, as far as the service shows it."""
    if service.strategy == "ROLLING":
        return f"{service.deployments} deployments are going on"
    waits = [f"it bakes for {service.bake_minutes} min"] if service.bake_minutes else []
    waits += ["a PAUSE hook holds it until ContinueServiceDeployment"] if service.may_pause else []
    return "; ".join([f"a {service.strategy} deployment is going on", *waits])


def of_descent(service: EcsService, at_work: int = 0) -> Steadiness:
    """After a release: steady when no more tasks run than the remaining leases, and a deployment, want.

    :param at_work: how many of the tasks work for other runs and are protected from scale-in until they have finished;
        ECS stops as many as are too many then, without anybody's help.
    """
    there, wanted = service.running + service.pending, service.desired + service.surplus
    if there - at_work > wanted or (there > wanted and not at_work):
        return Steadiness(False, f"{there} tasks are still there, {wanted} are wanted")
    return Steadiness(True)


def failure_of(service: EcsService) -> str:
    """Why the service will not become steady without a new deployment, in ECS's words; empty when it may.

    A failed deployment starts no further task (AmazonECS/latest/APIReference/API_Deployment.html).
    """
    return service.failed_deployment if service.controller == "ECS" else ""


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
