"""EBS volumes that are configured at launch: their checks, and what RunTask is asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ecs_feature.exceptions import ConfigurationError, TaskDefinitionError
from ecs_feature.tasks.launch import Launch
from ecs_feature.tasks.volumes import TYPES, EbsVolume, check_configured, check_volumes

ROLE = "arn:aws:iam::123456789012:role/ecsInfrastructureRole"
PLAIN = EbsVolume("scratch", ROLE, 10)
FULL = EbsVolume(
    "scratch", ROLE, 200, "gp3", 4000, 250, "snap-0a1b", 100, True, "arn:aws:kms:us-east-1:1:key/k", "ext4", False,
    {"team": "features"},
)  # fmt: skip


def test_only_what_is_given_is_asked_for() -> None:
    assert PLAIN.to_aws() == {
        "name": "scratch",
        "managedEBSVolume": {
            "roleArn": ROLE,
            "volumeType": "gp3",
            "sizeInGiB": 10,
            "terminationPolicy": {"deleteOnTermination": True},
        },
    }
    assert FULL.to_aws()["managedEBSVolume"] == {
        "roleArn": ROLE,
        "volumeType": "gp3",
        "sizeInGiB": 200,
        "iops": 4000,
        "throughput": 250,
        "snapshotId": "snap-0a1b",
        "volumeInitializationRate": 100,
        "encrypted": True,
        "kmsKeyId": "arn:aws:kms:us-east-1:1:key/k",
        "filesystemType": "ext4",
        "terminationPolicy": {"deleteOnTermination": False},
        "tagSpecifications": [{"resourceType": "volume", "tags": [{"key": "team", "value": "features"}]}],
    }


def test_the_request_fits_botocores_model() -> None:
    from botocore.session import Session
    from botocore.validate import ParamValidator

    request = Launch("c", "d", "job", volumes=(FULL,), ephemeral_gib=30, execute_command=True).to_aws()
    shape = Session().get_service_model("ecs").operation_model("RunTask").input_shape
    assert not ParamValidator().validate(request, shape).has_errors()
    assert request["overrides"]["ephemeralStorage"] == {"sizeInGiB": 30}
    assert request["enableExecuteCommand"] is True
    assert len(FULL.to_aws()["managedEBSVolume"]) == len(
        shape.members["volumeConfigurations"].member.members["managedEBSVolume"].members
    )


@pytest.mark.parametrize("volume", [PLAIN, FULL])
def test_it_survives_a_triggers_arguments(volume: EbsVolume) -> None:
    launch = Launch("c", "d", "job", volumes=(volume,), ephemeral_gib=30, execute_command=True)
    assert Launch.from_dict(json.loads(json.dumps(launch.to_dict()))) == launch


def test_a_launch_without_any_of_it_has_the_arguments_that_older_triggerers_know() -> None:
    assert set(Launch("c", "d", "job").to_dict()) == {
        "cluster", "task_definition", "container", "network", "environment", "command", "capacity", "started_by",
        "tags",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"name": ""}, "name", "is empty"),
        ({"name": 5}, "name", "is no text"),
        ({"role_arn": "ecsInfrastructureRole"}, "role_arn", "is no ARN of a role"),
        ({"volume_type": "gp9"}, "volume_type", "is not known; give one of gp3, gp2, io1"),
        ({"size_gib": None}, "size_gib", "and no snapshot_id"),
        ({"size_gib": 0}, "size_gib", "is no whole number above 0"),
        ({"size_gib": True}, "size_gib", "is no whole number above 0"),
        ({"size_gib": 1.5}, "size_gib", "is no whole number above 0"),
        ({"size_gib": 16_385}, "size_gib", "give 1 to 16384"),
        ({"volume_type": "st1"}, "size_gib", "give 125 to 16384"),
        ({"volume_type": "standard", "size_gib": 1025}, "size_gib", "give 1 to 1024"),
        ({"volume_type": "io2"}, "iops", "is needed for io2"),
        ({"volume_type": "io1", "iops": 64_001}, "iops", "give 100 to 64000"),
        ({"volume_type": "gp2", "iops": 3000}, "iops", "cannot be set for gp2"),
        ({"iops": 2999}, "iops", "give 3000 to 16000"),
        ({"throughput_mib": 1001}, "throughput_mib", "give 125 to 1000"),
        ({"volume_type": "io2", "iops": 100, "throughput_mib": 125}, "throughput_mib", "cannot be set for io2"),
        ({"snapshot_id": "vol-1"}, "snapshot_id", "is no snapshot"),
        ({"initialization_mib": 100}, "initialization_mib", "is only for a volume from a snapshot"),
        ({"filesystem": "btrfs"}, "filesystem", "is not known; give one of ext3, ext4, xfs, ntfs"),
    ],
)
def test_a_wrong_volume_is_one_sentence_with_the_field_and_the_limit(
    wrong: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        replace(PLAIN, **wrong)
    assert f"].{field}: " in str(caught.value)
    assert said in str(caught.value)
    assert "API_TaskManagedEBSVolumeConfiguration.html" in str(caught.value)


@pytest.mark.parametrize("kind", TYPES)
def test_the_least_and_the_most_of_every_type_are_taken(kind: str) -> None:
    of = TYPES[kind]
    for end in (0, 1):
        iops = of.iops[end] if of.iops else None
        assert EbsVolume("v", ROLE, of.gib[end], kind, iops, of.mib[end] if of.mib else None).to_aws()


def test_placeholders_are_replaced_and_checked() -> None:
    volume = EbsVolume("scratch", "${ROLE}", snapshot_id="${SNAPSHOT}", tags={"team": "${TEAM}"})
    found = volume.resolved({"ROLE": ROLE, "SNAPSHOT": "snap-0a", "TEAM": "x"})
    assert (found.role_arn, found.snapshot_id, found.tags) == (ROLE, "snap-0a", {"team": "x"})
    with pytest.raises(ConfigurationError, match="is no ARN of a role"):
        volume.resolved({"ROLE": "x", "SNAPSHOT": "snap-0a", "TEAM": "x"})
    with pytest.raises(ConfigurationError, match=r"the placeholder \$\{ROLE\} has no value"):
        volume.resolved({})


def test_a_task_has_one_volume_at_most() -> None:
    check_volumes([PLAIN])
    with pytest.raises(ConfigurationError, match="2 are given, but ECS attaches 1 to a task"):
        check_volumes([PLAIN, PLAIN])
    with pytest.raises(ConfigurationError, match="is of type dict; give an EbsVolume"):
        check_volumes([{"name": "scratch"}])


def definition(*volumes: dict[str, Any]) -> dict[str, Any]:
    return {"containerDefinitions": [{"name": "job"}], "volumes": list(volumes)}


def test_the_definition_and_the_pipeline_must_name_the_same_volume() -> None:
    at_launch = {"name": "scratch", "configuredAtLaunch": True}
    check_configured(definition({"name": "models", "efsVolumeConfiguration": {}}), [])
    check_configured(definition(at_launch), [PLAIN])
    check_configured({"containerDefinitions": [], "volumes": None}, [])
    with pytest.raises(
        TaskDefinitionError, match=r"^job.json: volume scratch is configured at launch, but the pipeline"
    ):
        check_configured(definition(at_launch), [], where="job.json")
    with pytest.raises(TaskDefinitionError, match=r"^volumes: job.json has no volume scratch with configuredAtLaunch"):
        check_configured(definition({"name": "scratch", "configuredAtLaunch": False}), [PLAIN], where="job.json")
