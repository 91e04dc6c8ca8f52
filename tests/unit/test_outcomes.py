"""The failure taxonomy, row by row, each with the wording that ECS uses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ecs_feature import outcomes
from ecs_feature.outcomes import PAYERS, Kind, Payer
from ecs_feature.resources import EcsContainer, EcsTask

STARTED = datetime(2026, 11, 21, tzinfo=UTC)


def task(stop_code: str, stopped_reason: str = "", *containers: EcsContainer, started: bool = True) -> EcsTask:
    return EcsTask(
        arn="arn:aws:ecs:us-east-1:123456789012:task/features/abc",
        cluster_arn="",
        task_definition_arn="",
        last_status="STOPPED",
        desired_status="STOPPED",
        stop_code=stop_code,
        stopped_reason=stopped_reason,
        containers=containers,
        memory_mib=1024,
        started_at=STARTED if started else None,
    )


def ran(exit_code: int | None, reason: str = "", name: str = "features") -> EcsContainer:
    return EcsContainer(name, "STOPPED", exit_code, reason)


ESSENTIAL = "Essential container in task exited"
# AmazonECS/latest/developerguide/stopped-task-error-codes.html and the issues named beside a row.
ROWS = {
    "exit 0": (task("EssentialContainerExited", ESSENTIAL, ran(0)), Kind.SUCCEEDED),
    "exit 1": (task("EssentialContainerExited", ESSENTIAL, ran(1)), Kind.APPLICATION_FAILURE),
    "exit 137 without a reason is the application's": (
        task("EssentialContainerExited", ESSENTIAL, ran(137)),
        Kind.APPLICATION_FAILURE,
    ),
    "out of memory": (
        task(
            "EssentialContainerExited",
            ESSENTIAL,
            ran(137, "OutOfMemoryError: Container killed due to memory usage"),
        ),
        Kind.OUT_OF_MEMORY,
    ),
    "a sidecar out of memory": (
        task("EssentialContainerExited", ESSENTIAL, ran(143), ran(137, "OutOfMemoryError: Container killed", "logger")),
        Kind.OUT_OF_MEMORY,
    ),
    "a missing exit code is never success": (task("EssentialContainerExited", ESSENTIAL, ran(None)), Kind.LOST),
    "no containers at all": (task("EssentialContainerExited", ESSENTIAL), Kind.LOST),
    "spot": (
        task("SpotInterruption", "Your Spot Task was interrupted.", ran(143)),
        Kind.SPOT_INTERRUPTION,
    ),
    "spot that had ended with 0": (task("TerminationNotice", "", ran(0)), Kind.SPOT_INTERRUPTION),
    "image not found": (
        task(
            "TaskFailedToStart",
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
            "docker.io/library/nope:1: docker.io/library/nope:1: not found",
            ran(None),
            started=False,
        ),
        Kind.START_FAILED_PERMANENT,
    ),
    "image pull throttled": (
        task(
            "TaskFailedToStart",
            "CannotPullContainerError: inspect image has been retried 5 time(s): httpReadSeeker: failed open: "
            "unexpected status code 429 Too Many Requests - Server message: toomanyrequests",
            ran(None),
            started=False,
        ),
        Kind.START_FAILED_TRANSIENT,
    ),
    "no route to the registry": (
        task(
            "TaskFailedToStart",
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
            "failed: unable to retrieve ecr registry auth: RequestError: send request failed caused by: dial tcp: "
            "i/o timeout",
            started=False,
        ),
        Kind.START_FAILED_TRANSIENT,
    ),
    "secret missing": (
        task(
            "TaskFailedToStart",
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
            "failed: unable to retrieve secret from asm: ResourceNotFoundException: Secrets Manager can't find the "
            "specified secret.",
            started=False,
        ),
        Kind.START_FAILED_PERMANENT,
    ),
    "secret denied": (
        task(
            "TaskFailedToStart",
            "ResourceInitializationError: unable to pull secrets or registry auth: AccessDeniedException: User is not "
            "authorized to perform: secretsmanager:GetSecretValue",
            started=False,
        ),
        Kind.START_FAILED_PERMANENT,
    ),
    "no capacity while starting": (
        task("TaskFailedToStart", "Capacity is unavailable at this time. Please try again later", started=False),
        Kind.CAPACITY_UNAVAILABLE,
    ),
    "failed to start with empty containers (prefect#22410)": (
        task("TaskFailedToStart", "Timeout waiting for network interface provisioning to complete.", started=False),
        Kind.START_FAILED_TRANSIENT,
    ),
    "stopped in the console": (task("UserInitiated", "Task stopped by user", ran(143)), Kind.STOPPED_BY_USER),
    "stopped by shard_timeout": (task("UserInitiated", outcomes.STOP_REASON_TIMEOUT, ran(143)), Kind.TIMED_OUT),
}


@pytest.mark.parametrize(("stopped", "kind"), ROWS.values(), ids=ROWS.keys())
def test_every_ending_has_its_name(stopped: EcsTask, kind: Kind) -> None:
    assert outcomes.of_task(stopped).kind is kind


def test_every_kind_has_a_payer_and_words() -> None:
    assert set(PAYERS) == set(Kind)
    assert set(outcomes._WHAT) == set(Kind)


def test_only_exit_0_is_success() -> None:
    assert [kind for kind, payer in PAYERS.items() if payer is Payer.NOBODY] == [Kind.SUCCEEDED]


def test_the_named_container_decides_and_all_exit_codes_are_kept() -> None:
    ended = task("EssentialContainerExited", ESSENTIAL, ran(1, name="sidecar"), ran(0, name="features"))
    outcome = outcomes.of_task(ended, main_container="features")
    assert outcome.succeeded
    assert outcome.exit_codes == (("sidecar", 1), ("features", 0))


def test_the_sentence_names_the_shard_the_cause_and_what_to_do() -> None:
    ended = task(
        "EssentialContainerExited", ESSENTIAL, ran(137, "OutOfMemoryError: Container killed due to memory usage")
    )
    assert outcomes.of_task(ended).sentence("UA") == (
        "Shard UA: container features ran out of memory (OutOfMemoryError: Container killed due to memory usage); "
        "give it more than 1024 MiB of memory in the task definition."
    )


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (
            "Capacity is unavailable at this time. Please try again later or in a different availability zone",
            "capacity",
        ),
        ("You've reached the limit on the number of vCPUs you can run concurrently", "capacity"),
        ("RESOURCE:ENI", "capacity"),
        ("MISSING", "start_failed_permanent"),
    ],
)
def test_a_run_task_that_started_nothing_is_told_apart(reason: str, kind: str) -> None:
    assert outcomes.of_launch_failure(reason).kind.value.startswith(kind)
