"""What a user reads of an ending: what happened, to which shard, and what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from stopped import ESSENTIAL, ran, task

from ecs_feature.aws.resources import EcsTask
from ecs_feature.tasks import outcomes
from ecs_feature.tasks.outcomes import Kind


def test_the_sentence_names_the_shard_the_cause_and_what_to_do() -> None:
    ended = task(
        "EssentialContainerExited", ESSENTIAL, ran(137, "OutOfMemoryError: Container killed due to memory usage")
    )
    assert outcomes.of_task(ended).sentence("UA") == (
        "Shard UA: container features ran out of memory (OutOfMemoryError: Container killed due to memory usage); "
        "give it more than 1024 MiB of memory in the task definition, or raise max_memory_mib."
    )


EXIT_HINTS = {
    126: "its command cannot be executed: check the file's mode and the image's platform",
    127: "its command was not found in the image",
    134: "it aborted (SIGABRT)",
    137: "it was killed (SIGKILL), often by a memory limit inside the container",
    139: "it crashed (SIGSEGV)",
    143: "it was ended (SIGTERM)",
}


@pytest.mark.parametrize(("exit_code", "hint"), EXIT_HINTS.items())
def test_an_exit_code_of_the_shell_or_a_signal_is_explained(exit_code: int, hint: str) -> None:
    outcome = outcomes.of_task(task("EssentialContainerExited", ESSENTIAL, ran(exit_code)))
    sentence = f"Shard UA: container features exited with code {exit_code}; {hint}."
    assert outcome.sentence("UA") == outcome.with_log("it left no log lines").sentence("UA") == sentence


def test_a_failure_that_its_exit_code_does_not_explain_says_where_the_lines_are() -> None:
    outcome = outcomes.of_task(task("EssentialContainerExited", ESSENTIAL, ran(255)))
    assert outcome.sentence("UA") == "Shard UA: container features exited with code 255."
    assert outcome.with_log("the task log has its last lines").sentence("UA") == (
        "Shard UA: container features exited with code 255; the task log has its last lines."
    )


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.APPLICATION_FAILURE])
def test_other_endings_say_nothing_of_the_log(kind: Kind) -> None:
    assert outcomes.Outcome(kind).with_log("the task log has its last lines") == outcomes.Outcome(kind)


# An ending, the name of its kind in records and receipts, and what is said about it.
SENTENCES = [
    (task("EssentialContainerExited", ESSENTIAL, ran(0)), "succeeded", "succeeded."),
    (
        task("SpotInterruption", "Your Spot Task was interrupted."),
        "spot_interruption",
        "its Spot capacity was taken back (Your Spot Task was interrupted).",
    ),
    (
        task("TaskFailedToStart", "TaskFailedToStart: RESOURCE:GPU"),
        "capacity_unavailable",
        "there was no capacity for it (TaskFailedToStart: RESOURCE:GPU).",
    ),
    (
        task("", "Container instance deregistration forced by user", ran(None)),
        "stopped_by_ecs",
        "ECS stopped its task (Container instance deregistration forced by user); its containers may run on there: end "
        "the instance.",
    ),
    (
        task("TerminationNotice", "Host EC2 (instance i-1) terminated.", ran(143)),
        "stopped_by_ecs",
        "ECS stopped its task (Host EC2 (instance i-1) terminated).",
    ),
    (
        replace(task("UserInitiated", outcomes.STOP_REASON_STUCK, started=False), capacity_provider="batch"),
        "capacity_unavailable",
        "there was no capacity for it (ecs_feature: did not start in time); if this stays, add container instances, "
        "or make the task smaller.",
    ),
    (
        task("TaskFailedToStart", "TaskFailedToStart: AGENT"),
        "capacity_unavailable",
        "there was no capacity for it (TaskFailedToStart: AGENT).",
    ),
    (
        task("TaskFailedToStart", "InternalError: unexpected"),
        "start_failed_transient",
        "its task could not start (InternalError: unexpected).",
    ),
    (
        task("TaskFailedToStart", "TaskFailedToStart: ATTRIBUTE"),
        "start_failed_permanent",
        "its task can not start (TaskFailedToStart: ATTRIBUTE); correct the image, secret, role or volume "
        "that the reason names.",
    ),
    (
        task("UserInitiated", outcomes.STOP_REASON_STUCK),
        "stuck",
        "its task did not start in time (ecs_feature: did not start in time); if it stays, look at the "
        "subnets' free addresses and the image's size.",
    ),
    (
        task("UserInitiated", outcomes.STOP_REASON_TIMEOUT),
        "timed_out",
        "it ran longer than shard_timeout (ecs_feature: shard timeout); raise shard_timeout or make the shard smaller.",
    ),
    (
        task("UserInitiated", outcomes.STOP_REASON_JANITOR),
        "timed_out",
        "it ran longer than shard_timeout (ecs-feature: the janitor stopped it, past its deadline); raise "
        "shard_timeout, and see why no triggerer watched it.",
    ),
    (
        task("UserInitiated", outcomes.STOP_REASON_KILLED),
        "lost",
        "its task vanished without an exit code (ecs_feature: killed from Airflow); a triggerer stopped it that had "
        "stood still, and no longer had it.",
    ),
    (
        task("ServiceSchedulerInitiated", "Scaling activity"),
        "stopped_by_ecs",
        "ECS stopped its task (Scaling activity).",
    ),
]


@pytest.mark.parametrize(("ended", "kind", "sentence"), SENTENCES, ids=[sentence for _, _, sentence in SENTENCES])
def test_every_ending_of_a_task_is_said_in_one_sentence(ended: EcsTask, kind: str, sentence: str) -> None:
    outcome = outcomes.of_task(ended)
    assert (outcome.kind.value, outcome.sentence("UA")) == (kind, f"Shard UA: {sentence}")


@pytest.mark.parametrize(
    ("outcome", "kind", "payer", "sentence"),
    [
        (
            outcomes.of_launch_failure("RESOURCE:ENI"),
            "capacity_unavailable",
            "infrastructure",
            "there was no capacity for it (RESOURCE:ENI); the launch is repeated; if this stays, add container "
            "instances, or make the task smaller.",
        ),
        (
            outcomes.of_refusal("No Container Instances were found in your capacity provider."),
            "capacity_unavailable",
            "infrastructure",
            "there was no capacity for it (No Container Instances were found in your capacity provider); the launch is "
            "repeated; if this stays, add container instances, or make the task smaller.",
        ),
        (
            outcomes.of_launch_failure("You've reached the limit on the number of vCPUs you can run concurrently"),
            "capacity_unavailable",
            "infrastructure",
            "there was no capacity for it (You've reached the limit on the number of vCPUs you can run concurrently); "
            "the launch is repeated; if this stays, ask AWS for a higher Fargate vCPU quota.",
        ),
        (
            outcomes.of_launch_failure("RESOURCE:FARGATE"),
            "capacity_unavailable",
            "infrastructure",
            "there was no capacity for it (RESOURCE:FARGATE); the launch is repeated; if this stays, ask AWS for a "
            "higher Fargate vCPU quota.",
        ),
        (
            outcomes.of_launch_failure("Internal error."),
            "start_failed_transient",
            "infrastructure",
            "its task could not start (Internal error).",
        ),
        (
            outcomes.of_launch_failure("ATTRIBUTE"),
            "start_failed_permanent",
            "permanent",
            "its task can not start (ATTRIBUTE); correct the task definition or the pipeline's settings.",
        ),
        (
            outcomes.of_refusal("RunTask was denied; allow it."),
            "refused",
            "permanent",
            "AWS refused to run it (RunTask was denied; allow it).",
        ),
        (
            outcomes.of_refusal("RunTask failed: Full (LimitExceededException).", no_room=True),
            "capacity_unavailable",
            "infrastructure",
            "there was no capacity for it (RunTask failed: Full (LimitExceededException)); the launch is repeated.",
        ),
        (
            outcomes.of_task(task("TaskFailedToStart", "OutOfMemoryError: container init", started=False)),
            "out_of_memory",
            "permanent",
            "a container ran out of memory (OutOfMemoryError: container init); give it more than 1024 MiB of memory in "
            "the task definition, or raise max_memory_mib.",
        ),
        (
            outcomes.Outcome(Kind.NOT_RETRYABLE, exit_code=4, container="features"),
            "not_retryable",
            "permanent",
            "container features exited with code 4, which no retry can help.",
        ),
        (
            outcomes.Outcome(Kind.SKIPPED, exit_code=3, container="features"),
            "skipped",
            "nobody",
            "container features exited with code 3, which skips it.",
        ),
        (outcomes.Outcome(Kind.TIMED_OUT), "timed_out", "application", "it ran longer than shard_timeout."),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)
def test_an_ending_has_the_names_that_are_recorded_and_a_sentence(
    outcome: outcomes.Outcome, kind: str, payer: str, sentence: str
) -> None:
    assert (outcome.kind.value, outcome.payer.value) == (kind, payer)
    assert outcome.sentence("UA") == f"Shard UA: {sentence}"


@pytest.mark.parametrize("kind", Kind)
def test_every_sentence_names_the_shard_and_ends_once(kind: Kind) -> None:
    said = outcomes.Outcome(kind, "A reason.", 3, "features", (), "do this").sentence("UA")
    assert said.startswith("Shard UA: ")
    assert said.endswith(" (A reason); do this.")
    assert outcomes.Outcome(kind).sentence("UA").removeprefix("Shard UA: ").count(".") == 1


def test_a_task_that_is_gone_is_lost_unless_its_result_is_there() -> None:
    assert outcomes.of_missing(300).sentence("UA") == (
        "Shard UA: its task vanished without an exit code (ECS has not shown the task for 300 s)."
    )
    assert outcomes.of_result().succeeded
