"""The failure taxonomy, row by row, each with the wording that ECS uses."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from stopped import ESSENTIAL, ran, task

from ecs_feature.aws.resources import EcsTask
from ecs_feature.tasks import outcomes
from ecs_feature.tasks.containers import ContainerRoles
from ecs_feature.tasks.outcomes import PAYERS, Kind, Payer

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
    "a sidecar out of memory and a main container without a code": (
        task("EssentialContainerExited", ESSENTIAL, ran(None), ran(137, "OutOfMemoryError: killed", "logger")),
        Kind.OUT_OF_MEMORY,
    ),
    "a stop code that is not known leaves it to the exit code": (task("ZoneEvacuated", "", ran(0)), Kind.SUCCEEDED),
    "an exit code below 0, as Windows has them": (
        task("EssentialContainerExited", ESSENTIAL, ran(-1073741510)),
        Kind.APPLICATION_FAILURE,
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
    "an image that is named like what ECS says of itself": (
        task("TaskFailedToStart", "CannotPullContainerError: acme/infrastructure:1: not found", ran(None)),
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
    "stopped by the janitor": (task("UserInitiated", outcomes.STOP_REASON_JANITOR, ran(143)), Kind.TIMED_OUT),
    "did not start in time": (task("UserInitiated", outcomes.STOP_REASON_STUCK, started=False), Kind.STUCK),
    "stopped by ECS": (
        task("ServiceSchedulerInitiated", "Scaling activity initiated by x", ran(143)),
        Kind.STOPPED_BY_ECS,
    ),
}


@pytest.mark.parametrize(("stopped", "kind"), ROWS.values(), ids=ROWS.keys())
def test_every_ending_has_its_name(stopped: EcsTask, kind: Kind) -> None:
    assert outcomes.of_task(stopped).kind is kind


RECORDED = {
    example["id"]: example for example in json.loads((Path(__file__).parent / "stopped_tasks.json").read_text())
}
"""Endings of the real world: ``source``, the ``task`` or the ``launch_failure`` in AWS's words, ``expected``; what the
source does not show and the documented meaning gives is named in ``completed``."""


def recorded_task(example: dict[str, Any]) -> EcsTask:
    raw = {
        name: datetime.fromisoformat(value) if name.endswith("At") else value for name, value in example["task"].items()
    }
    return EcsTask.from_aws(raw)


@pytest.mark.parametrize("example", RECORDED.values(), ids=RECORDED.keys())
def test_every_recorded_ending_of_the_real_world_has_its_name(example: dict[str, Any]) -> None:
    if example["launch_failure"] is not None:
        outcome = outcomes.of_launch_failure(example["launch_failure"])
    elif example["expected"] == Kind.STUCK:
        assert recorded_task(example).starting
        return
    else:
        outcome = outcomes.of_task(recorded_task(example), main_container=example.get("main_container", ""))
    assert outcome.kind == example["expected"], outcome


def test_every_kind_that_aws_words_has_a_recorded_example() -> None:
    ours = {Kind.SKIPPED, Kind.NOT_RETRYABLE, Kind.NO_ACCESS, Kind.REFUSED, Kind.TIMED_OUT}
    assert {example["expected"] for example in RECORDED.values()} >= set(Kind) - ours


def test_every_kind_has_a_payer_and_words() -> None:
    assert set(PAYERS) == set(Kind)
    assert set(outcomes.WORDS) == set(Kind)


def test_only_exit_0_is_success_and_only_a_skip_is_nobodys_beside_it() -> None:
    assert [kind for kind in Kind if outcomes.Outcome(kind).succeeded] == [Kind.SUCCEEDED]
    assert [kind for kind, payer in PAYERS.items() if payer is Payer.NOBODY] == [Kind.SUCCEEDED, Kind.SKIPPED]


@pytest.mark.parametrize(
    ("main", "other", "kind", "container", "exit_code"),
    [
        (0, 1, Kind.SUCCEEDED, "features", 0),
        (0, None, Kind.SUCCEEDED, "features", 0),
        (1, 2, Kind.APPLICATION_FAILURE, "features", 1),
        (143, 2, Kind.APPLICATION_FAILURE, "logger", 2),
        (137, 2, Kind.APPLICATION_FAILURE, "logger", 2),
        (None, 2, Kind.APPLICATION_FAILURE, "logger", 2),
        (143, 0, Kind.APPLICATION_FAILURE, "logger", 0),
        (143, 143, Kind.APPLICATION_FAILURE, "features", 143),
        (137, None, Kind.APPLICATION_FAILURE, "features", 137),
        (None, 0, Kind.LOST, "features", None),
        (None, 137, Kind.LOST, "features", None),
    ],
)
def test_the_container_that_ended_the_task_decides(
    main: int | None, other: int | None, kind: Kind, container: str, exit_code: int | None
) -> None:
    ended = task("EssentialContainerExited", ESSENTIAL, ran(other, name="logger"), ran(main))
    outcome = outcomes.of_task(ended, main_container="features")
    assert (outcome.kind, outcome.container, outcome.exit_code) == (kind, container, exit_code)
    assert outcome.exit_codes == (("logger", other), ("features", main))


def test_a_sidecar_that_took_the_main_container_along_is_named() -> None:
    ended = task("EssentialContainerExited", ESSENTIAL, ran(143), ran(2, name="logger"))
    assert outcomes.of_task(ended).sentence("UA") == (
        "Shard UA: container logger exited with code 2; it is essential and took features along: mend it, or its "
        "essential flag."
    )


def test_without_a_name_the_first_container_is_the_main_one_and_an_unknown_name_means_the_first_too() -> None:
    ended = task("EssentialContainerExited", ESSENTIAL, ran(3, name="a"), ran(0, name="b"))
    assert outcomes.of_task(ended).exit_code == outcomes.of_task(ended, main_container="c").exit_code == 3
    assert outcomes.of_task(ended, main_container="b").exit_code == 0


def test_the_reason_is_the_tasks_and_then_the_containers() -> None:
    ended = task("TaskFailedToStart", "Task failed to start", ran(None, "CannotStartContainerError: no"), started=False)
    assert outcomes.of_task(ended).reason == "Task failed to start; CannotStartContainerError: no"


@pytest.mark.parametrize("code", [0, 2])
def test_of_several_that_may_have_taken_the_main_container_along_the_first_decides(code: int) -> None:
    others = [ran(code, name=name) for name in ("logger", "proxy")]
    ended = task("EssentialContainerExited", ESSENTIAL, ran(143), *others)
    assert outcomes.of_task(ended).container == "logger"


def test_without_containers_none_is_named() -> None:
    outcome = outcomes.of_task(task("EssentialContainerExited", ESSENTIAL))
    assert (outcome.container, outcome.exit_code, outcome.exit_codes) == ("", None, ())


@pytest.mark.parametrize("value", [outcomes.Outcome(Kind.LOST), outcomes.NO_CODES], ids=["outcome", "exit codes"])
def test_what_has_ended_does_not_change(value: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        value.kind = Kind.SUCCEEDED


def test_a_container_that_is_not_essential_took_nobody_along() -> None:
    ended = task("EssentialContainerExited", ESSENTIAL, ran(137), ran(0, name="migrate"), ran(1, name="probe"))
    codes = outcomes.ExitCodes(frozenset({137}))
    alone = outcomes.of_task(ended, codes=codes, roles=ContainerRoles(frozenset({"features"})))
    assert (alone.kind, alone.container) == (Kind.NOT_RETRYABLE, "features")
    assert alone.exit_codes == (("features", 137), ("migrate", 0), ("probe", 1))
    assert (
        outcomes.of_task(ended, codes=codes, roles=ContainerRoles(frozenset({"features", "probe"}))).container
        == "probe"
    )


def test_a_sidecar_out_of_memory_does_not_spoil_a_success() -> None:
    ended = task("EssentialContainerExited", ESSENTIAL, ran(0), ran(137, "OutOfMemoryError: killed", "logger"))
    assert outcomes.of_task(ended).succeeded


@pytest.mark.parametrize(
    ("exit_code", "kind", "sentence"),
    [
        (
            3,
            Kind.SKIPPED,
            "Shard UA: container features exited with code 3, which skips it.",
        ),
        (
            4,
            Kind.NOT_RETRYABLE,
            "Shard UA: container features exited with code 4, which no retry can help; correct what its log says, "
            "then clear it.",
        ),
        (
            5,
            Kind.APPLICATION_FAILURE,
            "Shard UA: container features exited with code 5.",
        ),
        (
            139,
            Kind.APPLICATION_FAILURE,
            "Shard UA: container features exited with code 139; it crashed (SIGSEGV).",
        ),
    ],
)
def test_exit_codes_mean_what_the_pipeline_says(exit_code: int, kind: Kind, sentence: str) -> None:
    codes = outcomes.ExitCodes(non_retryable=frozenset({4}), skip=frozenset({3}))
    outcome = outcomes.of_task(task("EssentialContainerExited", ESSENTIAL, ran(exit_code)), codes=codes)
    assert outcome.kind is kind
    assert outcome.sentence("UA") == sentence


@pytest.mark.parametrize("code", [0, 137, 143])
def test_a_code_of_the_list_counts_only_for_the_main_container(code: int) -> None:
    codes = outcomes.ExitCodes(skip=frozenset({2}), non_retryable=frozenset({2}))
    ended = task("EssentialContainerExited", ESSENTIAL, ran(code), ran(2, name="logger"))
    kind = Kind.SUCCEEDED if code == 0 else Kind.APPLICATION_FAILURE
    assert outcomes.of_task(ended, codes=codes).kind is kind


def test_reasons_of_several_lines_are_one_line_without_repetition() -> None:
    ended = task("TaskFailedToStart", "CannotPullContainerError:\n  try again", started=False)
    again = replace(ended, containers=(ran(None, "CannotPullContainerError:\n  try again"),))
    assert outcomes.of_task(ended).reason == outcomes.of_task(again).reason == "CannotPullContainerError: try again"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("RunTask failed: You have exceeded the limit of concurrent tasks (X).", Kind.CAPACITY_UNAVAILABLE),
        ("RunTask was denied (AccessDenied: no); allow it in Airflow's role.", Kind.REFUSED),
    ],
)
def test_a_refusal_keeps_its_sentence_and_capacity_is_told_apart(message: str, kind: Kind) -> None:
    outcome = outcomes.of_refusal(message)
    assert (outcome.kind, outcome.reason) == (kind, message)


def test_a_task_without_an_instance_that_is_past_its_deadline_has_timed_out() -> None:
    late = replace(task("UserInitiated", outcomes.STOP_REASON_TIMEOUT, started=False), capacity_provider="batch")
    assert outcomes.of_task(late).kind is Kind.TIMED_OUT


@pytest.mark.parametrize(
    "changed",
    [
        {"capacity_provider": "FARGATE_SPOT"},
        {"launch_type": "FARGATE"},
        {},
        {"capacity_provider": "batch", "container_instance": "arn"},
        {"launch_type": "EC2", "started_at": datetime(2026, 11, 21)},
    ],
    ids=["Spot", "Fargate", "not told", "has an instance", "has started"],
)
def test_a_task_that_is_stuck_for_another_cause_than_a_missing_instance_is_stuck(changed: dict[str, Any]) -> None:
    stuck = task("UserInitiated", outcomes.STOP_REASON_STUCK, started=False)
    assert outcomes.of_task(replace(stuck, **changed)).kind is Kind.STUCK


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (
            "Capacity is unavailable at this time. Please try again later or in a different availability zone",
            "capacity",
        ),
        ("You've reached the limit on the number of vCPUs you can run concurrently", "capacity"),
        ("RESOURCE:ENI", "capacity"),
        ("RESOURCE:CPU; RESOURCE:MEMORY", "capacity"),
        ("AGENT; RESOURCE:MEMORY", "capacity"),
        ("ATTRIBUTE; RESOURCE:CPU", "capacity"),
        ("ATTRIBUTE; AGENT", "capacity"),
        ("AGENT; ATTRIBUTE", "capacity"),
        ("ATTRIBUTE", "start_failed_permanent"),
        ("MISSING", "start_failed_permanent"),
    ],
)
def test_a_run_task_that_started_nothing_is_told_apart(reason: str, kind: str) -> None:
    assert outcomes.of_launch_failure(reason).kind.value.startswith(kind)
