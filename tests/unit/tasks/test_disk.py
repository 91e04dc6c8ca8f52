"""Whether the last lines of a container blame its task's ephemeral storage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ecs_feature.aws.resources import EcsTask
from ecs_feature.tasks.disk import LAST_LINES, blamed, elsewhere, telling_line
from ecs_feature.tasks.outcomes import Kind, Outcome

TASK = EcsTask("arn", "", "", "STOPPED", "STOPPED", launch_type="FARGATE", ephemeral_gib=20)
FAILED = Outcome(Kind.APPLICATION_FAILURE, exit_code=1, container="job")
PYTHON = "OSError: [Errno 28] No space left on device: '/tmp/part-0'"


@pytest.mark.parametrize(
    "line",
    [
        PYTHON,
        "tar: out.tar: Wrote only 4096 of 10240 bytes: No space left on device",
        "java.io.IOException: No space left on device",
        "Error: ENOSPC: no space left on device, write",
        "dd: error writing 'x': Disk quota exceeded",
        "There is not enough space on the disk. : 'C:\\data\\x'",
        "ERROR:  could not extend file: No space left on device",
        "panic: write /tmp/x: no space left on device",
        '{"level": "error", "msg": "write failed: No space left on device"}',
    ],
)
def test_every_wording_of_a_full_disk_is_read(line: str) -> None:
    found = blamed(FAILED, TASK, ["working", line], {})
    assert (found.kind, found.container, found.exit_code) == (Kind.DISK_FULL, "job", 1)
    assert found.reason == " ".join(line.split())
    assert found.sentence("UA").startswith("Shard UA: the disk of container job was full (")
    assert "give it more than 20 GiB" in found.hint


@pytest.mark.parametrize(
    ("outcome", "task"),
    [
        (replace(FAILED, kind=Kind.SUCCEEDED, exit_code=0), TASK),
        (replace(FAILED, kind=Kind.SKIPPED, exit_code=3), TASK),
        (replace(FAILED, kind=Kind.NOT_RETRYABLE, exit_code=4), TASK),
        (replace(FAILED, kind=Kind.OUT_OF_MEMORY, exit_code=137), TASK),
        (replace(FAILED, kind=Kind.STOPPED_BY_USER), TASK),
        (replace(FAILED, exit_code=137), TASK),
        (replace(FAILED, exit_code=143), TASK),
        (replace(FAILED, exit_code=None), TASK),
        (FAILED, replace(TASK, launch_type="EC2")),
        (FAILED, replace(TASK, launch_type="MANAGED_INSTANCES", capacity_provider="managed")),
    ],
)
def test_nothing_but_a_failing_exit_on_fargate_is_blamed_on_the_disk(outcome: Outcome, task: EcsTask) -> None:
    assert blamed(outcome, task, [PYTHON], {}) is outcome


def test_a_program_that_went_on_ended_for_another_reason() -> None:
    goes_on = [f"step {number}" for number in range(LAST_LINES)]
    assert telling_line([PYTHON, *goes_on]) == ""
    assert telling_line([PYTHON, *goes_on[1:]]) == PYTHON


@pytest.mark.parametrize(
    ("lines", "is_blamed"),
    [
        (["WARN: spill failed: No space left on device", "Traceback", "ValueError: bad column"], False),
        ([PYTHON, "pandas.errors.ParserError: bad line"], False),
        ([PYTHON, "During handling of the above exception, another exception occurred:", "RuntimeError: no"], True),
        ([PYTHON, "The above exception was the direct cause of the following exception:", "my.Error: no"], True),
        (["RuntimeError: cannot write", "Caused by: java.io.IOException: No space left on device"], True),
        ([PYTHON, "\tat org.apache.spark.Spill.write(Spill.java:10)", ""], True),
        ([PYTHON, "exiting with 1"], True),
        (["an error", "another"], False),
        ([], False),
    ],
)
def test_another_error_after_it_is_the_cause_unless_it_was_caused_by_it(lines: list[str], is_blamed: bool) -> None:
    assert bool(telling_line(lines)) is is_blamed


def definition(*volumes: dict[str, Any]) -> dict[str, Any]:
    points = [{"sourceVolume": volume["name"], "containerPath": f"/{volume['name']}"} for volume in volumes]
    return {
        "volumes": list(volumes),
        "containerDefinitions": [{"name": "job", "mountPoints": points}, {"name": "other"}],
    }


@pytest.mark.parametrize(
    "kind", ["efsVolumeConfiguration", "configuredAtLaunch", "dockerVolumeConfiguration", "s3filesVolumeConfiguration"]
)
def test_a_full_volume_is_not_blamed_on_the_ephemeral_storage(kind: str) -> None:
    paths = elsewhere(definition({"name": "models", kind: {"x": 1}}, {"name": "scratch", "host": {}}), "job")
    assert paths == ("/models", "/dev/shm")
    assert telling_line(["cp: /models/a: No space left on device"], paths) == ""
    assert telling_line(["cp: '/models': No space left on device"], paths) == ""
    assert telling_line(["cp: /scratch/a: No space left on device"], paths) != "", "a bind mount is on it"
    assert telling_line(["cp: /models-old/a: No space left on device"], paths) != ""
    assert telling_line(["torch: /dev/shm/x: No space left on device"], paths) == ""


def test_without_a_definition_only_shared_memory_is_known_to_be_elsewhere() -> None:
    assert elsewhere({}, "job") == ("/dev/shm",)
    assert elsewhere(definition({"name": "models", "configuredAtLaunch": True}), "other") == ("/dev/shm",)
