"""What the scenarios need in the local Fargate: clusters, services, and the task definitions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from devstack.chaos.plans import sides_of
from devstack.chaos.scenarios import SERVICE_FAMILY, SHARD_FAMILY, Scenario, Side
from devstack.stack import Stack
from ecs_feature.services.leases import leases_of
from ecs_feature.tasks import definitions

HERE: Final = Path(__file__).parent
TASKDEFS: Final = HERE / "taskdefs"
IMAGES: Final = HERE / "images"
DAGS: Final = HERE / "dags"
CAPACITY_PROVIDERS: Final = ["FARGATE", "FARGATE_SPOT"]


def build(stack: Stack, scenarios: Iterable[Scenario], sides: Iterable[Side]) -> None:
    """Make the clusters, the task definitions, and one service at its baseline for each scenario of ours.

    :raises botocore.exceptions.ClientError: as AWS answers.
    """
    ecs = stack.client("ecs")
    values = json.loads(stack.environment_file.read_text())
    register(ecs, SHARD_FAMILY, values)
    service_arn = register(ecs, SERVICE_FAMILY, values)
    for scenario in scenarios:
        for side in sides_of(scenario, tuple(sides)):
            ecs.create_cluster(clusterName=scenario.cluster(side), capacityProviders=CAPACITY_PROVIDERS)
        if "ours" in sides:
            cluster, name = scenario.cluster("ours"), scenario.service()
            make_service(ecs, cluster, name, service_arn, values, baseline=scenario.baseline)


def register(ecs: Any, family: str, values: Mapping[str, str]) -> str:
    """Register one of the task definitions; returns its ARN.

    :param values: of the environment file.
    """
    return definitions.register(ecs, definitions.load(TASKDEFS / f"{family}.json", values)).arn


def make_service(
    ecs: Any, cluster: str, name: str, definition_arn: str, values: Mapping[str, str], *, baseline: int = 0
) -> None:
    """Make a service at its baseline whose tasks do nothing but run."""
    ecs.create_service(
        cluster=cluster,
        serviceName=name,
        taskDefinition=definition_arn,
        desiredCount=baseline,
        launchType="FARGATE",
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": values["SUBNETS"].split(","),
                "securityGroups": values["SECURITY_GROUPS"].split(","),
                "assignPublicIp": "DISABLED",
            }
        },
    )


def services_up(stack: Stack, scenario: Scenario) -> tuple[str, ...]:
    """What is wrong with the scenario's service after its runs; empty: it is at its baseline and nobody holds it."""
    answer = stack.client("ecs").describe_services(
        cluster=scenario.cluster("ours"), services=[scenario.service()], include=["TAGS"]
    )
    found = []
    for service in answer["services"]:
        leases = leases_of([(tag["key"], tag["value"]) for tag in service.get("tags", ())])
        if {service["desiredCount"], service["runningCount"]} != {scenario.baseline} or leases:
            state = f"{service['desiredCount']} desired, {service['runningCount']} running, {len(leases)} leases"
            found.append(f"{service['serviceName']} ({state})")
    return tuple(found)


def sweep(stack: Stack, cluster: str) -> None:
    """Stop every shard that is still there, so that the next scenario has the machine for itself."""
    ecs = stack.client("ecs")
    for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster, family=SHARD_FAMILY):
        for arn in page["taskArns"]:
            ecs.stop_task(cluster=cluster, task=arn, reason="the chaos scenario is over")
