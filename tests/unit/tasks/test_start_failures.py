"""Every stem that tells why a task did not start, by itself: AWS cuts long messages, so a second one may be missing.

Whole messages of the real world are in stopped_tasks.json, which test_outcomes.py reads.
"""

from __future__ import annotations

import pytest

from ecs_feature.tasks.start_failures import Cause, cause_of, dependency_in


@pytest.mark.parametrize(
    "reason",
    [
        "failed to resolve ref: not found",
        "ResourceNotFoundException",
        "The specified log group does not exist",
        "The specified log group doesn't exist",
        "No such file or directory",
        "Error response from daemon: No such image",
        "no such secret",
        "no such key",
        "no such volume",
        "manifest unknown: the requested tag is not there",
        "unknown manifest class",
        "pull access denied",
        "AccessDeniedException",
        "denied: requested access to the resource is denied",
        "User is not authorized to perform: ecr:GetAuthorizationToken",
        "unexpected status code 401 Unauthorized",
        "unexpected status code 403 Forbidden",
        "mkdir: permission denied",
        "Secrets Manager can't find the specified secret",
        "Secrets Manager can’t find the specified secret",
        "The task can't pull the image",
        "ECS was unable to assume the role that was provided for this task",
        "no basic auth credentials",
        "because no identity-based policy allows it",
        "exec format error",
        'exec: "run.sh": stat',
        "executable file n...",
        "failed to find a descriptor for platform",
        "image Manifest does not contain descriptor matching platform",
        "no matching manifest for this platform in the manifest list entries",
        "no processor for media-type",
        "the secret did not contain json key",
        "check that your file system ID is correct",
        "ATTRIBUTE",
        "TaskFailedToStart: ATTRIBUTE",
        "MemberOf placement constraint unsatisfied",
        "TagPolicyViolation",
        "the image is not compatible with the platform",
        "the volume type is not supported",
        "invalid ssm parameters",
        "TaskDefinition is inactive",
        "malformed request",
        "the name must be unique",
        "a value is missing",
        "Read-only file system",
        "the mount's source is not a directory",
    ],
)
def test_one_stem_of_permanence_is_enough(reason: str) -> None:
    assert cause_of(reason) is Cause.PERMANENT


@pytest.mark.parametrize(
    "reason",
    [
        "dial tcp: i/o timeout",
        "the request has run into a time out",
        "awaiting its answer timed out",
        "context deadline exceeded",
        "context deadli...",
        "read: connection reset by peer",
        "connect: connection refused",
        "There is a connection issue between the task and Amazon ECR",
        "use of a connection closed by the peer",
        "Please try again later",
        "ServiceUnavailable",
        "503 Service Unavailable",
        "Internal error",
        "500 Internal Server Error",
        "InternalError",
        "lookup of the registry: no such host",
        "temporary failure in name resolution",
        "unexpected EOF",
        "502 Bad Gateway",
        "write: broken pipe",
        "Rate exceeded",
        "Request limit exceeded",
        "RequestLimitExceeded",
        "ThrottlingException",
        "429 Too Many Requests",
        "toomanyrequests",
        "the registry's rate limit",
        "the registry's pull limit",
    ],
)
def test_one_stem_of_what_passes_is_enough_even_for_a_refusal(reason: str) -> None:
    assert cause_of(reason, unknown=Cause.PERMANENT) is Cause.TRANSIENT


@pytest.mark.parametrize(
    "reason",
    [
        "Capacity is unavailable at this time",
        "InsufficientCapacity",
        "insufficient capacity",
        "The capacity provider batch is unavailable",
        "The capacity provider batch has insufficient instances",
        "EMPTY CAPACITY PROVIDER",
        "NO ACTIVE INSTANCES",
        "You've reached the limit on the number of vCPUs",
        "You have exceeded the limit of concurrent tasks",
        "InsufficientFreeAddressesInSubnet",
        "RESOURCE:ENI",
        "TaskFailedToStart: RESOURCE:GPU",
    ],
)
def test_one_stem_of_missing_capacity_is_enough(reason: str) -> None:
    assert cause_of(reason) is cause_of(reason, unknown=Cause.PERMANENT) is Cause.CAPACITY


@pytest.mark.parametrize("reason", ["container init was OOM-killed", "OutOfMemoryError: Container killed"])
def test_one_stem_of_memory_is_enough(reason: str) -> None:
    assert cause_of(reason) is Cause.MEMORY


@pytest.mark.parametrize(
    "name",
    [
        "'not found'",
        "’not found’",
        '"not found"',
        "“not found”",
        "https://registry.example/forbidden",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:missing",
        "acme/permission:1",
    ],
)
def test_a_name_that_a_user_gave_says_nothing_about_the_cause(name: str) -> None:
    assert cause_of(f"reading {name} has failed") is Cause.TRANSIENT
    passing = name.replace("not found", "timed out").replace("forbidden", "timeout").replace("missing", "timeout")
    assert cause_of(f"reading {passing} is wrong", unknown=Cause.PERMANENT) is Cause.PERMANENT


def test_an_apostrophe_does_not_open_a_name() -> None:
    assert cause_of("The task can't start, access denied, and it won't") is Cause.PERMANENT


@pytest.mark.parametrize("reason", ["", "ACCESS DENIED", "nothing that was seen before"])
def test_what_is_not_known_passes_for_a_task_and_stays_for_a_refusal(reason: str) -> None:
    assert cause_of(reason, unknown=Cause.PERMANENT) is Cause.PERMANENT
    assert cause_of(reason) is (Cause.PERMANENT if reason == "ACCESS DENIED" else Cause.TRANSIENT)


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("AccessDenied: Rate exceeded", Cause.TRANSIENT),
        ("RESOURCE:ENI: Rate exceeded", Cause.TRANSIENT),
        ("Capacity is unavailable at this time. Please try again later", Cause.CAPACITY),
        ("OOM-killed: no such file", Cause.MEMORY),
        ("not found: i/o timeout", Cause.TRANSIENT),
        ("invalid argument", Cause.TRANSIENT),
    ],
)
def test_of_two_stems_the_one_that_decides_more_surely_is_read_first(reason: str, cause: Cause) -> None:
    assert cause_of(reason) is cause


WAITED = (
    "dependency graph: failed to resolve container ordering dependency [{init}] for target [app(image:1) "
    "(NONE->RUNNING)] as dependency did not exit successfully."
)


@pytest.mark.parametrize(
    ("reason", "container"),
    [
        (WAITED.format(init="init(image:1) (STOPPED->RUNNING) - Exit: 1"), "init"),
        ("CannotStartContainerError: " + WAITED.format(init="load-models_2 (STOPPED->"), "load-models_2"),
        ("CannotStartContainerError: dependency [init] is not there", ""),
        ("", ""),
    ],
)
def test_the_agents_words_name_the_container_that_another_waited_for(reason: str, container: str) -> None:
    assert dependency_in(reason) == container


@pytest.mark.parametrize(
    "reason",
    [
        "no space left on device",
        "There is not enough space on the disk",
        "CannotPullContainerError: write /a/b: no space left on device: connection reset",
        "Disk quota exceeded",
    ],
)
def test_storage_that_is_full_is_told_apart(reason: str) -> None:
    assert cause_of(reason) is Cause.DISK
