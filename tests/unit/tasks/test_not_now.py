"""Every sentence with which RunTask says "not now", where it is from, and what is done: the launch is repeated within
``capacity_timeout``, and the task log says what it waits for.

Each comes as the reason of one of RunTask's ``failures`` and as the message of an error, whatever the error's code is.
"""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from ecs_feature.aws.errors import translate
from ecs_feature.tasks import outcomes
from ecs_feature.tasks.outcomes import Kind, Payer
from ecs_feature.tasks.start_failures import Cause, capacity_advice, cause_of

FAILURES = "AmazonECS/latest/developerguide/api_failures_messages.html"
EVENTS = "AmazonECS/latest/developerguide/service-event-messages-list.html"
EC2 = "AWSEC2/latest/APIReference/errors-overview.html"
INSTANCES = "add container instances, or make the task smaller"
FARGATE_QUOTA = "ask AWS for a higher Fargate vCPU quota"
QUOTA = "ask AWS for a higher quota"
INTERFACES = "ask AWS for a higher quota of network interfaces"
ZONES = "give it subnets in more availability zones, or another size"
SUBNETS = "give it larger subnets"
AGENTS = "see why the agents of the container instances are disconnected"
PROVISIONING = "see why the capacity provider adds no instances for the tasks in PROVISIONING, or lower parallelism"

NOT_NOW = [
    ("Tasks provisioning capacity limit exceeded.", "aws/aws-sdk-ruby#3047", PROVISIONING),
    ("You've reached the limit on the number of tasks you can run concurrently", EVENTS, FARGATE_QUOTA),
    ("You’ve reached the limit on the number of vCPUs you can run concurrently", EVENTS, FARGATE_QUOTA),
    ("You have exceeded the limit of concurrent tasks", EVENTS, FARGATE_QUOTA),
    ("RESOURCE:FARGATE", "AmazonECS/latest/developerguide/ecs_cwe_events.html", FARGATE_QUOTA),
    ("RESOURCE:CPU", FAILURES, INSTANCES),
    ("RESOURCE:MEMORY", FAILURES, INSTANCES),
    ("RESOURCE:PORTS", FAILURES, INSTANCES),
    ("RESOURCE:ENI", FAILURES, INSTANCES),
    ("RESOURCE:GPU", FAILURES, INSTANCES),
    ("RESOURCE:CPU; RESOURCE:MEMORY", FAILURES, INSTANCES),
    ("ATTRIBUTE; RESOURCE:CPU", FAILURES, INSTANCES),
    ("TaskFailedToStart: RESOURCE:MEMORY", FAILURES, INSTANCES),
    ("TaskFailedToStart: EMPTY CAPACITY PROVIDER", FAILURES, INSTANCES),
    ("TaskFailedToStart: NO ACTIVE INSTANCES", FAILURES, INSTANCES),
    ("AGENT", FAILURES, AGENTS),
    ("ATTRIBUTE; AGENT", FAILURES, AGENTS),
    ("AGENT; ATTRIBUTE", FAILURES, AGENTS),
    ("TaskFailedToStart: AGENT", FAILURES, AGENTS),
    ("No Container Instances were found in your cluster.", EVENTS, INSTANCES),
    ("No Container Instances were found in your capacity provider.", EVENTS, INSTANCES),
    ("The closest matching container-instance 0a has insufficient CPU units available.", EVENTS, INSTANCES),
    ("The closest matching container-instance 0a has insufficient memory available.", EVENTS, INSTANCES),
    ("The closest matching container-instance 0a is already using a port required by your task.", EVENTS, INSTANCES),
    ("The capacity provider batch is unavailable", EVENTS, INSTANCES),
    (
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        "repost.aws/knowledge-center/ecs-fargate-runtask-capacity",
        ZONES,
    ),
    ("InsufficientInstanceCapacity", EC2, ZONES),
    ("We currently do not have sufficient m5.large capacity in the Availability Zone you requested", EC2, ZONES),
    ("UnfulfillableCapacity", EC2, ZONES),
    ("insufficient capacity", EC2, ZONES),
    (
        "Unexpected EC2 error while attempting to Create Network Interface: InsufficientFreeAddressesInSubnet",
        "AmazonECS/latest/developerguide/failed-to-start-error.html",
        SUBNETS,
    ),
    ("The specified subnet does not have enough free addresses to satisfy the request.", EC2, SUBNETS),
    ("There are not enough free IP addresses in the subnet", EC2, SUBNETS),
    ("NetworkInterfaceLimitExceeded", EC2, INTERFACES),
    ("You have reached the limit on the network interfaces that you can create", EC2, INTERFACES),
    ("The maximum number of network interfaces has been reached", EC2, INTERFACES),
    ("The network interface limit has been reached", EC2, INTERFACES),
    ("AttachmentLimitExceeded: Interface count 3 exceeds the limit for m1.small", EC2, INTERFACES),
    ("VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU limit of 32 allows", EC2, QUOTA),
    ("More vCPUs were requested than your current vCPU limit of 32 allows", EC2, QUOTA),
    ("InstanceLimitExceeded", EC2, QUOTA),
    ("MaxSpotInstanceCountExceeded", EC2, QUOTA),
    ("PrivateIpAddressLimitExceeded", EC2, QUOTA),
    ("LimitExceededException: The limit for the resource was exceeded.", "API_CreateCluster.html (Errors)", QUOTA),
    ("The quota was reached", "any quota", QUOTA),
    ("The maximum has been exceeded", "any quota", QUOTA),
    ("You have hit your account's quota of tasks", "any quota", QUOTA),
]


@pytest.mark.parametrize(("sentence", "source", "advice"), NOT_NOW, ids=[sentence for sentence, _, _ in NOT_NOW])
def test_not_now_is_waited_for_as_a_failure_and_as_any_error(sentence: str, source: str, advice: str) -> None:
    outcome = outcomes.of_launch_failure(sentence)
    assert (outcome.kind, outcome.payer) == (Kind.CAPACITY_UNAVAILABLE, Payer.INFRASTRUCTURE)
    assert outcome.hint == f"the launch is repeated; if this stays, {advice}"
    assert source
    if ";" in sentence or sentence.endswith("AGENT"):
        return  # RunTask lists these as failures only
    for code in ("ClientException", "InvalidParameterException", "LimitExceededException"):
        error = translate(ClientError({"Error": {"Code": code, "Message": sentence}}, "RunTask"), subject="cluster 'f'")
        assert outcomes.of_refusal(str(error)).kind is Kind.CAPACITY_UNAVAILABLE


NEVER = [
    ("ATTRIBUTE", FAILURES),
    ("LOCATION", FAILURES),
    ("TaskFailedToStart: LOCATION", FAILURES),
    ("MISSING", FAILURES),
    ("INACTIVE", FAILURES),
    ("The requested CPU configuration is above your limit", EVENTS),
    ("Unable to assume the service linked role. Please verify that the ECS service linked role exists.", EVENTS),
    ("ECS was unable to assume the role that was provided for this task.", EVENTS),
    ("No Fargate configuration exists for given values.", "developerguide/task-cpu-memory-error.html"),
    ("subnets can not be empty.", "awslabs/fargatecli#73"),
    ("Container.image should not be null or cannot be empty", "the words of RegisterTaskDefinition"),
    ("The strategy cannot contain a capacity provider that is not associated with the cluster", "API_RunTask.html"),
]


@pytest.mark.parametrize(("sentence", "source"), NEVER, ids=[sentence for sentence, _ in NEVER])
def test_never_is_not_waited_for(sentence: str, source: str) -> None:
    assert outcomes.of_launch_failure(sentence).kind is Kind.START_FAILED_PERMANENT
    assert outcomes.of_refusal(sentence).kind is Kind.REFUSED
    assert source


@pytest.mark.parametrize(
    "sentence",
    [
        "RunTask was denied (AccessDeniedException: no); allow it in Airflow's role.",
        "AWS rejected the credentials (ExpiredTokenException: no); check the aws connection's key, token and role.",
        "https://ecs.test cannot be reached (ConnectTimeoutError); check AWS_ENDPOINT_URL and the network.",
        "Container Overrides length must be at most 8192",
        "The number of tags exceeds the limit of 50",
        "mkdir: disk quota exceeded",
        "timed out; the memory limit is 512",
        "the current state has no limit",
    ],
)
def test_other_refusals_are_not_taken_for_capacity(sentence: str) -> None:
    assert capacity_advice(sentence) == ""


def test_a_users_names_are_not_taken_for_awss_words() -> None:
    assert capacity_advice("cluster 'RESOURCE:CPU' is wrong: insufficient/capacity:1") == ""


def test_a_failure_in_unknown_words_is_repeated_a_few_times_and_then_airflow_retries() -> None:
    outcome = outcomes.of_launch_failure("words that nobody has seen")
    assert (outcome.kind, outcome.payer) == (Kind.START_FAILED_TRANSIENT, Payer.INFRASTRUCTURE)
    assert outcomes.of_refusal("words that nobody has seen").kind is Kind.REFUSED


def test_throttling_is_read_before_a_limit() -> None:
    assert cause_of("Request limit exceeded.") is Cause.TRANSIENT
