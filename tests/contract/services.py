"""Short ways to make services, and to see their tasks."""

from __future__ import annotations

from typing import Any

import httpx

from .conftest import CLUSTER, NETWORK, Stack

WEB = {
    "image": "registry.example/web-server:1",
    "command": ["python", "web.py"],
    "portMappings": [{"containerPort": 8080}],
    "healthCheck": {"command": ["CMD-SHELL", "exit 0"], "interval": 5},
}


def create(stack: Stack, name: str, desired: int = 0, *, container: dict[str, Any] | None = None, **changed: Any):
    definition = stack.register(name, container=WEB | (container or {}))
    request = {"cluster": CLUSTER, "serviceName": name, "taskDefinition": definition, "desiredCount": desired}
    given = {"launchType": "FARGATE", "networkConfiguration": NETWORK}
    return stack.ecs.create_service(**(request | given | changed))["service"]


def target_group(stack: Stack, name: str, path: str = "/health") -> str:
    vpc = stack.aws.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    elbv2 = stack.aws.client("elbv2")
    made = elbv2.create_target_group(
        Name=name, Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip", HealthCheckPath=path
    )
    return str(made["TargetGroups"][0]["TargetGroupArn"])


def balanced(stack: Stack, name: str, desired: int = 0, **changed: Any) -> tuple[str, str]:
    """A service behind a load balancer; its target group's ARN and local address."""
    arn = target_group(stack, name)
    balancer = {"targetGroupArn": arn, "containerName": "main", "containerPort": 8080}
    create(stack, name, desired, loadBalancers=[balancer], **changed)
    return arn, httpx.get(f"{stack.aws.endpoint_url}/_fargate_local/load_balancers", verify=False).json()[arn]


def tasks_of(stack: Stack, name: str, status: str = "RUNNING") -> list[dict[str, Any]]:
    arns = stack.ecs.list_tasks(cluster=CLUSTER, serviceName=name, desiredStatus=status)["taskArns"]
    if not arns:
        return []
    found: list[dict[str, Any]] = stack.ecs.describe_tasks(cluster=CLUSTER, tasks=arns, include=["TAGS"])["tasks"]
    return found
