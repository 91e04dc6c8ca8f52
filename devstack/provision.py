"""What Terraform would make in an AWS account, made in the local Fargate through the same API calls.

Every step looks first and creates only what is missing, so the stack may be started again on kept state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from devstack.own import Own
from ecs_feature.tasks import definitions

ACCOUNT_ID: Final = "123456789012"
CLUSTER: Final = "features"
BUCKET: Final = "ecs-feature-local"
LOG_GROUP: Final = "/ecs/features"
TOKEN_SECRET: Final = "features/encoder-token"
EFS_FILE_SYSTEM_ID: Final = "fs-0f1e2d3c4b5a69788"
EFS_ACCESS_POINT_ID: Final = "fsap-0f1e2d3c4b5a69788"
WORKERS_ENDING: Final = "-workers"
"""What the name of a task definition ends in that is a service of Celery workers."""
HEALTH_PATH: Final = "/health"
SUBNETS: Final = 2
NOTHING: Final = Own()

Client = Callable[[str], Any]
"""Makes the boto3 client of a service by its name."""


def clients(aws: Mapping[str, str]) -> Client:
    """A maker of boto3 clients for the local Fargate, whatever the user's own AWS settings are.

    :param aws: the exports of the local Fargate.
    """
    session = boto3.Session(
        aws_access_key_id=aws["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
        region_name=aws["AWS_DEFAULT_REGION"],
    )
    config = Config(proxies={}, retries={"mode": "standard", "total_max_attempts": 5})
    return lambda service: session.client(service, endpoint_url=aws["AWS_ENDPOINT_URL"], config=config)


def provision(
    client: Client,
    *,
    region: str,
    taskdefs: Path,
    token: str,
    urls: Callable[[], Mapping[str, str]],
    own: Own = NOTHING,
) -> dict[str, str]:
    """Make everything that the pipelines need; return the values of the environment file.

    Each task definition with a port is a service, at 0 and behind a load balancer of its own, whose address is the
    value ``NAME_URL``: of ``encoder-control``, ``ENCODER_CONTROL_URL``. One whose name ends in ``-workers`` is a
    service of Celery workers, at 0.

    :param taskdefs: the folder with the task definitions.
    :param token: the shared secret of encoder and job.
    :param urls: where the load balancers are reached from this machine, by target group ARN; asked when the
        services are there. (In AWS it would be ``http://`` and the balancer's DNS name.)
    :param own: what the user adds; its values win.
    :raises botocore.exceptions.ClientError: as AWS answers.
    :raises ConfigurationError: a service's task definition is wrong.
    """
    ecs = client("ecs")
    ecs.create_cluster(clusterName=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT"])
    _bucket(client("s3"))
    _log_group(client("logs"))
    network = _network(client("ec2"))
    servers = servers_in(taskdefs)
    groups = {server.name: _balancer(client("elbv2"), server, network) for server in servers}
    values = {
        "ACCOUNT_ID": ACCOUNT_ID,
        "REGION": region,
        "CLUSTER": CLUSTER,
        "SUBNETS": ",".join(network["subnets"]),
        "SECURITY_GROUPS": ",".join(network["security_groups"]),
        "BUCKET": BUCKET,
        "EXECUTION_ROLE_ARN": f"arn:aws:iam::{ACCOUNT_ID}:role/features-execution",
        "FEATURES_TASK_ROLE_ARN": f"arn:aws:iam::{ACCOUNT_ID}:role/features-task",
        "ENCODER_TASK_ROLE_ARN": f"arn:aws:iam::{ACCOUNT_ID}:role/encoder-task",
        "IMAGE_REGISTRY": f"{ACCOUNT_ID}.dkr.ecr.{region}.amazonaws.com",
        "IMAGE_TAG": "local",
        "LOG_GROUP": LOG_GROUP,
        "EFS_FILE_SYSTEM_ID": EFS_FILE_SYSTEM_ID,
        "EFS_ACCESS_POINT_ID": EFS_ACCESS_POINT_ID,
        "ENCODER_TOKEN_SECRET_ARN": _secret(client("secretsmanager"), TOKEN_SECRET, token),
        **{name: _secret(client("secretsmanager"), f"own/{name}", text) for name, text in own.secrets.items()},
        **own.file_system_ids(),
        **own.placeholders,
    }
    for server in servers:
        definition = definitions.load(taskdefs / f"{server.name}.json", values)
        arn = definitions.register(ecs, definition).arn
        listening = {
            "targetGroupArn": groups[server.name],
            "containerName": server.container,
            "containerPort": server.port,
        }
        service(ecs, server.name, arn, network, [listening])
    for path in sorted(taskdefs.glob(f"*{WORKERS_ENDING}.json")):
        service(ecs, path.stem, definitions.register(ecs, definitions.load(path, values)).arn, network)
    reached = urls()
    found = {f"{name.upper().replace('-', '_')}_URL": reached[group] for name, group in groups.items()}
    return {**values, **found, **own.placeholders}


@dataclass(frozen=True)
class Server:
    """A task definition that is a service's: the file's name without ``.json``, and which container has which port."""

    name: str
    container: str
    port: int


def servers_in(taskdefs: Path) -> list[Server]:
    """The task definitions in a folder that have a container with a port."""
    found = []
    for path in sorted(taskdefs.glob("*.json")):
        containers = json.loads(path.read_text()).get("containerDefinitions", ())
        listening = [one for one in containers if one.get("portMappings")]
        if listening:
            found.append(Server(path.stem, listening[0]["name"], listening[0]["portMappings"][0]["containerPort"]))
    return found


def write_values(path: Path, values: Mapping[str, str]) -> None:
    """Write the environment file in one step."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(dict(values), indent=2) + "\n")
    draft.replace(path)


def _bucket(s3: Any) -> None:
    if BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=BUCKET)


def _log_group(logs: Any) -> None:
    try:
        logs.create_log_group(logGroupName=LOG_GROUP)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise


def _secret(secretsmanager: Any, name: str, text: str) -> str:
    """Make a secret, or change it; returns its ARN."""
    try:
        return str(secretsmanager.create_secret(Name=name, SecretString=text)["ARN"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceExistsException":
            raise
    return str(secretsmanager.put_secret_value(SecretId=name, SecretString=text)["ARN"])


def _network(ec2: Any) -> dict[str, list[str]]:
    """The default VPC with the first of its subnets and its default security group."""
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    in_vpc = {"Name": "vpc-id", "Values": [vpc]}
    subnets = sorted(ec2.describe_subnets(Filters=[in_vpc])["Subnets"], key=lambda each: each["AvailabilityZone"])
    groups = ec2.describe_security_groups(Filters=[in_vpc, {"Name": "group-name", "Values": ["default"]}])
    return {
        "vpc": [vpc],
        "subnets": [subnet["SubnetId"] for subnet in subnets[:SUBNETS]],
        "security_groups": [group["GroupId"] for group in groups["SecurityGroups"]],
    }


def _balancer(elbv2: Any, server: Server, network: Mapping[str, list[str]]) -> str:
    """An internal load balancer with one target group; returns that group's ARN."""
    # In AWS these calls return what is there, asked for again with the same settings; moto refuses the target group.
    balancer = elbv2.create_load_balancer(
        Name=server.name,
        Type="application",
        Scheme="internal",
        Subnets=network["subnets"],
        SecurityGroups=network["security_groups"],
    )["LoadBalancers"][0]
    every = elbv2.describe_target_groups()["TargetGroups"]
    if groups := [one for one in every if one["TargetGroupName"] == server.name]:
        return str(groups[0]["TargetGroupArn"])
    group = elbv2.create_target_group(
        Name=server.name,
        Protocol="HTTP",
        Port=server.port,
        TargetType="ip",
        VpcId=network["vpc"][0],
        HealthCheckPath=HEALTH_PATH,
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    forward = {"Type": "forward", "TargetGroupArn": group}
    elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[forward]
    )
    return str(group)


def service(
    ecs: Any,
    name: str,
    definition_arn: str,
    network: Mapping[str, Sequence[str]],
    balancers: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Make a service at 0, or give it the task definition.

    :param network: its ``subnets`` and ``security_groups``.
    :param balancers: where the load balancers find its tasks.
    """
    found = ecs.describe_services(cluster=CLUSTER, services=[name])["services"]
    if any(service["status"] == "ACTIVE" for service in found):
        if found[0]["taskDefinition"] != definition_arn:
            ecs.update_service(cluster=CLUSTER, service=name, taskDefinition=definition_arn)
        return
    ecs.create_service(
        cluster=CLUSTER,
        serviceName=name,
        taskDefinition=definition_arn,
        desiredCount=0,
        launchType="FARGATE",
        **({"loadBalancers": list(balancers)} if balancers else {}),
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": network["subnets"],
                "securityGroups": network["security_groups"],
                "assignPublicIp": "DISABLED",
            }
        },
        propagateTags="SERVICE",
    )
