"""The groups of a pipeline's settings: each checks itself, with one sentence."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.pipeline import FeaturePipeline, Variant
from ecs_feature.pipeline.settings import RULES, Capacity, Logs, Retries, Settings, Storage, Timeouts
from ecs_feature.tasks.volumes import EbsVolume

DEFAULTS = FeaturePipeline(
    dag_id="d",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    cluster="features",
    shards=("AA",),
    variants=[Variant("control", "features")],
    container="features",
    input_uri="s3://bucket/raw",
    output_uri="s3://bucket/features",
    subnets="subnet-0a",
    security_groups="",
    placeholders={},
)
VOLUME = EbsVolume("scratch", "arn:aws:iam::123456789012:role/infrastructure", 10)
STORAGE_PAGE = "(AmazonECS/latest/APIReference/API_EphemeralStorage.html)."
A_TIMEDELTA = "give a timedelta, e.g. timedelta(minutes=5)."


def refusal(group: type[Settings], **changes: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        dataclasses.replace(group.of(DEFAULTS), **changes)
    return str(refused.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"retries": -1}, "retries: -1 is too small; give 0 or more."),
        ({"retries": "2"}, "retries: '2' is of type str; give a whole number."),
        ({"retries": True}, "retries: True is of type bool; give a whole number."),
        ({"retries": None}, "retries: None is of type NoneType; give a whole number."),
        ({"max_relaunches": -1}, "max_relaunches: -1 is too small; give 0 or more."),
        ({"retry_delay": timedelta(seconds=-1)}, "retry_delay: -1 day, 23:59:59 is not a pause; give 0 or more."),
        ({"retry_delay": 30}, f"retry_delay: 30 is of type int; {A_TIMEDELTA}"),
        ({"non_retryable_exit_codes": (2, 0)}, "non_retryable_exit_codes: 0 is no failing exit code; give 1 to 255."),
        ({"skip_exit_codes": [256]}, "skip_exit_codes: 256 is no failing exit code; give 1 to 255."),
        (
            {"non_retryable_exit_codes": [2, 3], "skip_exit_codes": [3]},
            "skip_exit_codes: 3 stands in non_retryable_exit_codes, too; leave it in one of them.",
        ),
    ],
)
def test_retries(changes: dict[str, Any], sentence: str) -> None:
    assert refusal(Retries, **changes) == sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ephemeral_storage_gib": 20}, "ephemeral_storage_gib: 20 is too small; give 21 to 200, or None."),
        ({"ephemeral_storage_gib": 201}, f"ephemeral_storage_gib: 201 is too much; give at most 200 {STORAGE_PAGE}"),
        ({"ephemeral_storage_gib": "50"}, "ephemeral_storage_gib: '50' is of type str; give a whole number or None."),
        ({"max_ephemeral_storage_gib": -1}, "max_ephemeral_storage_gib: -1 is too small; give 0 to 200, or None."),
        (
            {"max_ephemeral_storage_gib": 201},
            f"max_ephemeral_storage_gib: 201 is too much; give at most 200 {STORAGE_PAGE}",
        ),
        (
            {"ephemeral_storage_gib": 50, "max_ephemeral_storage_gib": 40},
            "max_ephemeral_storage_gib: 40 is less than ephemeral_storage_gib, 50; give more, 0 or None.",
        ),
        (
            {"ephemeral_storage_gib": 50, "capacity": "ec2"},
            "ephemeral_storage_gib: 50 is for Fargate, and tasks on instances have the instance's disk; leave it out, "
            f"or give volumes {STORAGE_PAGE}",
        ),
        (
            {"volumes": [dataclasses.replace(VOLUME, volume_type="standard")]},
            "volumes: volume_type 'standard' is not for tasks on Fargate; give gp3 "
            "(AmazonECS/latest/APIReference/API_TaskManagedEBSVolumeConfiguration.html).",
        ),
        ({"volumes": VOLUME}, f"volumes: {VOLUME!r:.80} is of type EbsVolume; give a list of EbsVolume."),
        ({"volumes": ["scratch"]}, "volumes: 'scratch' is of type str; give an EbsVolume."),
        (
            {"volumes": [VOLUME, VOLUME]},
            "volumes: 2 are given, but ECS attaches 1 to a task; leave out the others "
            "(AmazonECS/latest/developerguide/ebs-volumes.html).",
        ),
    ],
)
def test_storage(changes: dict[str, Any], sentence: str) -> None:
    assert refusal(Storage, **changes) == sentence


@pytest.mark.parametrize("field", [item.name for item in dataclasses.fields(Timeouts)])
def test_timeouts(field: str) -> None:
    assert refusal(Timeouts, **{field: timedelta(0)}) == f"{field}: 0:00:00 is not a time to wait; give more than 0."
    assert refusal(Timeouts, **{field: 60}) == f"{field}: 60 is of type int; {A_TIMEDELTA}"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"capacity": "cheap"},
            "capacity: 'cheap' is not known; give one of on_demand, spot, ec2, cluster_default, spot_with_fallback, "
            "or a capacity provider strategy.",
        ),
        ({"max_memory_mib": -1}, "max_memory_mib: -1 is too small; give 0 or more, or None."),
        (
            {"max_memory_mib": 249857},
            "max_memory_mib: 249857 is no size of a Fargate task; give 0 to 249856, or None "
            "(AmazonECS/latest/developerguide/task-cpu-memory-error.html).",
        ),
        ({"max_memory_mib": 0.5}, "max_memory_mib: 0.5 is of type float; give a whole number or None."),
        ({"parallelism": 0}, "parallelism: 0 is too small; give 1 or more, or None."),
        ({"parallelism": True}, "parallelism: True is of type bool; give a whole number or None."),
        ({"max_vcpus": 0}, "max_vcpus: 0 is too small; give more than 0, or None."),
        ({"max_vcpus": "4"}, "max_vcpus: '4' is of type str; give a number or None."),
    ],
)
def test_capacity(changes: dict[str, Any], sentence: str) -> None:
    assert refusal(Capacity, **changes) == sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"log_lines": -1}, "log_lines: -1 is too small; give 0 or more."),
        ({"log_lines": 1.5}, "log_lines: 1.5 is of type float; give a whole number."),
        ({"live_lines": "no"}, "live_lines: 'no' is not known; choose one of never, retries, always."),
    ],
)
def test_logs(changes: dict[str, Any], sentence: str) -> None:
    assert refusal(Logs, **changes) == sentence


@pytest.mark.parametrize(
    ("group", "limits"),
    [
        (Retries, {"retries": 0, "max_relaunches": 0, "retry_delay": timedelta(0), "skip_exit_codes": (1, 255)}),
        (Timeouts, {"shard_timeout": timedelta.resolution}),
        (Capacity, {"max_memory_mib": 122880, "parallelism": 1, "max_vcpus": 0.25}),
        (Capacity, {"max_memory_mib": 249857, "capacity": "ec2"}),
        (Logs, {"log_lines": 0, "live_lines": "never"}),
        (Storage, {"ephemeral_storage_gib": 21, "max_ephemeral_storage_gib": 0}),
        (Storage, {"ephemeral_storage_gib": 200, "max_ephemeral_storage_gib": 200, "capacity": "cluster_default"}),
        (Storage, {"volumes": [dataclasses.replace(VOLUME, volume_type="standard")], "capacity": "ec2"}),
    ],
)
def test_the_limits_themselves_are_allowed(group: type[Settings], limits: dict[str, Any]) -> None:
    assert dataclasses.replace(group.of(DEFAULTS), **limits) != group.of(DEFAULTS)


@pytest.mark.parametrize("field", RULES)
def test_a_pipeline_checks_every_field_that_has_a_rule(field: str) -> None:
    wrong = dataclasses.replace(DEFAULTS, **{field: object()})
    with pytest.raises(ConfigurationError, match=rf"^{field}: <object object at \w+> is of type object; give "):
        wrong.dag()


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("max_active_runs", 0, "max_active_runs: 0 is too small; give 1 or more."),
        ("poll_seconds", 0, "poll_seconds: 0 is not a pause; give more than 0."),
        ("poll_seconds", "1", "poll_seconds: '1' is of type str; give a number of seconds."),
    ],
)
def test_a_field_of_no_group(field: str, value: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        dataclasses.replace(DEFAULTS, **{field: value}).dag()
    assert str(refused.value) == sentence


@pytest.mark.parametrize(("parallelism", "waves"), [(None, 1), (100, 1), (7, 2), (1, 10)])
def test_parallelism_makes_shards_wait_in_rounds(parallelism: int | None, waves: int) -> None:
    assert dataclasses.replace(Capacity.of(DEFAULTS), parallelism=parallelism).waves(10) == waves
