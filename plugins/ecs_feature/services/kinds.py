"""Which services can be leased: ECS has kinds whose desired count or tags nobody may write. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ecs_feature.aws.resources import EcsService
from ecs_feature.exceptions import ConfigurationError

_SHORT_ARN: Final = re.compile(r"arn:[^:]+:ecs:[^:]*:[^:]*:service/[^/]+")


def refusal(service: EcsService) -> str:
    """Why the service cannot be leased, as one sentence; empty when it can."""
    subject = f"services: {service.name!r}"
    if service.scheduling == "DAEMON":
        return (
            f"{subject} has the scheduling strategy DAEMON, one task on each container instance and no desired count "
            "to raise; make it a REPLICA service, or leave it out of the variant's services "
            "(AmazonECS/latest/APIReference/API_Service.html)."
        )
    if _SHORT_ARN.fullmatch(service.arn):
        return (
            f"{subject} has the ARN {service.arn} of the format without the cluster's name, and ECS does not tag such "
            "services, so it cannot carry leases; opt in to serviceLongArnFormat and create the service again "
            "(AmazonECS/latest/developerguide/ecs-account-settings.html)."
        )
    if service.managed_by == "ECS":
        return (
            f"{subject} is an Express service (resourceManagementType ECS), whose tasks ECS scales by itself; give the "
            "variant a service of your own, or leave it out of the variant's services "
            "(AmazonECS/latest/APIReference/API_Service.html)."
        )
    if service.controller != "ECS" and service.serving is None:
        return (
            f"{subject} has the deployment controller {service.controller} and no PRIMARY task set, so it would start "
            "no task; deploy it first (AmazonECS/latest/APIReference/API_TaskSet.html)."
        )
    return ""


def check(services: Iterable[EcsService]) -> None:
    """:raises ConfigurationError: when one of the services cannot be leased; one sentence for each."""
    if refusals := [said for service in services if (said := refusal(service))]:
        raise ConfigurationError(" ".join(refusals))


def warnings(service: EcsService) -> list[str]:
    """What a run should know of a service that can be leased."""
    said = []
    if service.rebalances_zones:
        said.append(
            f"Service {service.name} has availabilityZoneRebalancing ENABLED: ECS may replace its tasks while shards "
            "call them; set it to DISABLED if the shards cannot repeat a call."
        )
    if service.controller == "ECS" and service.failed_deployment:
        said.append(
            f"Service {service.name}: its deployment has failed, so ECS starts no further task of it: "
            f"{service.failed_deployment}"
        )
    return said
