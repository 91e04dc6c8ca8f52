"""What RunTask carries beside overrides of containers: EBS volumes, ephemeral storage, ECS Exec, Managed Instances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import CLUSTER, NETWORK, Stack

ROLE = "arn:aws:iam::123456789012:role/ecsInfrastructureRole"
SCRATCH: dict[str, Any] = {
    "volumes": [{"name": "scratch", "configuredAtLaunch": True}],
    "container": {"mountPoints": [{"sourceVolume": "scratch", "containerPath": "/scratch"}]},
}
EBS = {"roleArn": ROLE, "sizeInGiB": 10}


def volume(**ebs: Any) -> list[dict[str, Any]]:
    return [{"name": "scratch", "managedEBSVolume": {**EBS, **ebs}}]


def refusal(stack: Stack, definition: str, **request: Any) -> str:
    """What RunTask says of a request that it refuses as invalid."""
    with pytest.raises(ClientError) as caught:
        stack.run(definition, **request)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"
    return str(caught.value.response["Error"]["Message"])


@pytest.fixture
def own(own_stack: Any, tmp_path: Path) -> tuple[Stack, Path]:
    """A server with a state folder of the test's own."""
    return own_stack(quotas=False, state_dir=tmp_path), tmp_path


def attached(task: dict[str, Any]) -> dict[str, Any]:
    (found,) = [each for each in task["attachments"] if each["type"] == "AmazonElasticBlockStorage"]
    return {**{each["name"]: each["value"] for each in found["details"]}, "status": found["status"]}


@pytest.mark.parametrize("stays", [False, True])
def test_a_volume_is_a_folder_of_its_own_that_goes_with_the_task(own: tuple[Stack, Path], stays: bool) -> None:
    stack, state = own
    (state / "snapshots" / "snap-0a").mkdir(parents=True)
    (state / "snapshots" / "snap-0a" / "old").write_text("from the snapshot")
    line = "import sys; at = sys.argv[1]; print(open(at + '/old').read()); open(at + '/new', 'w').write('x')"
    command = ["python", "-c", line, "/scratch"]
    arn = stack.register(volumes=SCRATCH["volumes"], container={**SCRATCH["container"], "command": command})
    asked = volume(snapshotId="snap-0a", terminationPolicy={"deleteOnTermination": not stays})
    first = attached(stack.run(arn, volumeConfigurations=asked))
    ended = stack.until_status(stack.run(arn, volumeConfigurations=asked)["taskArn"], "STOPPED")
    assert ended["containers"][0]["exitCode"] == 0
    assert stack.lines(ended) == ["from the snapshot"]
    second = attached(ended)
    assert second["volumeId"] != first["volumeId"], "each task has its own"
    assert (second["volumeName"], second["roleArn"]) == ("scratch", ROLE)
    assert (second["deleteOnTermination"], second["status"]) == (
        ("false", "DETACHED") if stays else ("true", "DELETED")
    )
    folder = state / "ebs" / second["volumeId"]
    assert folder.exists() is stays
    assert not stays or (folder / "new").read_text() == "x"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "Volume scratch is configuredAtLaunch"),
        ({"volumeConfigurations": volume() * 2}, "at most 1 item"),
        ({"volumeConfigurations": [{"name": "scratch"}]}, "managedEBSVolume must be specified"),
        ({"volumeConfigurations": [{"name": "scratch", "managedEBSVolume": {"roleArn": ROLE}}]}, "size or a snapshot"),
        ({"volumeConfigurations": volume(volumeType="gp9")}, "'gp9' is not supported"),
        ({"volumeConfigurations": volume(volumeType="standard")}, "'standard' is not supported"),
        ({"volumeConfigurations": volume(sizeInGiB=16385)}, "must be between 1 and 16384"),
        ({"volumeConfigurations": volume(volumeType="st1")}, "must be between 125 and 16384"),
        ({"volumeConfigurations": volume(volumeType="io1")}, "iops is required"),
        ({"volumeConfigurations": volume(iops=2999)}, "must be between 3000 and 16000"),
        ({"volumeConfigurations": volume(volumeType="gp2", iops=3000)}, "iops is not supported"),
        ({"volumeConfigurations": volume(throughput=1001)}, "must be between 125 and 1000"),
        ({"volumeConfigurations": volume(volumeInitializationRate=100)}, "only with a snapshotId"),
    ],
)
def test_a_volume_that_ecs_would_not_make_is_refused(stack: Stack, request_: dict[str, Any], said: str) -> None:
    arn = stack.register("scratch", **SCRATCH)
    assert said in refusal(stack, arn, **request_)


def test_a_volume_that_the_definition_does_not_have_is_refused(stack: Stack) -> None:
    said = refusal(stack, stack.register("plain"), volumeConfigurations=volume())
    assert said == "Volume scratch is not configuredAtLaunch in the task definition."


@pytest.mark.parametrize(("gib", "is_taken"), [(20, False), (21, True), (200, True), (201, False)])
def test_ephemeral_storage_is_overridden_within_fargates_bounds(stack: Stack, gib: int, is_taken: bool) -> None:
    arn = stack.register("storage", ephemeralStorage={"sizeInGiB": 30})
    overrides = {"ephemeralStorage": {"sizeInGiB": gib}}
    if not is_taken:
        assert refusal(stack, arn, overrides=overrides) == "Ephemeral storage must be between 21 and 200 GiB."
        return
    task = stack.run(arn, overrides=overrides)
    assert task["ephemeralStorage"] == task["overrides"]["ephemeralStorage"] == {"sizeInGiB": gib}
    assert stack.run(arn)["ephemeralStorage"] == {"sizeInGiB": 30}


def test_a_disk_that_is_full_fails_the_container_until_there_is_more(stack: Stack) -> None:
    stack.aws.add_fault({"match": {"family": "full"}, "disk_full_below_gib": 40})
    arn = stack.register("full")
    ended = stack.until_status(stack.run(arn)["taskArn"], "STOPPED")
    assert ended["containers"][0]["exitCode"] == 1
    (line,) = stack.lines(ended)
    assert line.endswith("No space left on device"), "the system's own answer"
    more = stack.run(arn, overrides={"ephemeralStorage": {"sizeInGiB": 40}})
    assert stack.lines(stack.until_status(more["taskArn"], "STOPPED")) == ["hello"]


def test_ecs_exec_has_an_agent_in_each_container_and_needs_a_task_role(stack: Stack) -> None:
    said = refusal(stack, stack.register("no-role"), enableExecuteCommand=True)
    assert said.startswith("A valid taskRoleArn must be specified")
    arn = stack.register("role", taskRoleArn=ROLE, container={"command": ["sleep", "30"]})
    task = stack.run(arn, enableExecuteCommand=True)
    running = stack.until_status(task["taskArn"], "RUNNING")
    (agent,) = running["containers"][0]["managedAgents"]
    assert (running["enableExecuteCommand"], agent["name"], agent["lastStatus"]) == (
        True, "ExecuteCommandAgent", "RUNNING",
    )  # fmt: skip
    stack.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
    assert "managedAgents" not in stack.task(stack.run(stack.register("plain"))["taskArn"])["containers"][0]


@pytest.mark.parametrize(
    ("platform", "shown"),
    [
        ({}, ("x86_64", "Linux")),
        ({"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}, ("arm64", "Linux")),
        ({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}, ("x86_64", "Windows-Server-2022-Core")),
    ],
)
def test_a_task_shows_its_platform(stack: Stack, platform: dict[str, str], shown: tuple[str, str]) -> None:
    size = {"cpu": "1024", "memory": "2048"}  # the least that Windows has on Fargate
    task = stack.run(stack.register("platform", **size, **({"runtimePlatform": platform} if platform else {})))
    assert (task["attributes"], task["platformFamily"]) == (
        [{"name": "ecs.cpu-architecture", "value": shown[0]}], shown[1],
    )  # fmt: skip


def managed(stack: Stack, name: str = "managed", **template: Any) -> None:
    """A capacity provider of Managed Instances, in the cluster."""
    network = {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}
    profile = "arn:aws:iam::123456789012:instance-profile/ecsInstanceRole"
    stack.ecs.create_capacity_provider(
        name=name,
        cluster=CLUSTER,
        managedInstancesProvider={
            "infrastructureRoleArn": ROLE,
            "instanceLaunchTemplate": {
                "ec2InstanceProfileArn": profile, "networkConfiguration": network, **template,
            },
        },
    )  # fmt: skip


def on_managed(stack: Stack, definition: str, name: str = "managed") -> dict[str, Any]:
    request = {
        "cluster": CLUSTER,
        "taskDefinition": definition,
        "capacityProviderStrategy": [{"capacityProvider": name, "weight": 1}],
        "networkConfiguration": NETWORK,
    }
    answer: dict[str, Any] = stack.ecs.run_task(**request)
    return answer


def of_managed(stack: Stack, family: str = "managed", **changed: Any) -> str:
    return stack.register(
        family, requiresCompatibilities=["MANAGED_INSTANCES"], **{"cpu": "1024", "memory": "2048", **changed}
    )


def test_managed_instances_are_started_by_ecs_for_tasks_that_find_no_room(own_stack: Any) -> None:
    stack = own_stack(quotas=False)
    managed(stack)
    (shown,) = stack.ecs.describe_capacity_providers(cluster=CLUSTER, capacityProviders=["managed"])[
        "capacityProviders"
    ]
    assert (shown["type"], shown["cluster"]) == ("MANAGED_INSTANCES", CLUSTER)
    definition = of_managed(stack, container={"command": ["sleep", "30"]})
    tasks = [on_managed(stack, definition)["tasks"][0] for _ in range(3)]
    first = stack.until_status(tasks[0]["taskArn"], "RUNNING")
    assert (first["launchType"], first["capacityProviderName"]) == ("MANAGED_INSTANCES", "managed")
    assert not {"platformVersion", "ephemeralStorage"} & set(first)
    arns = [stack.task(task["taskArn"])["containerInstanceArn"] for task in tasks]
    assert arns[0] == arns[1] != arns[2], "an m5.large has room for two"
    (instance,) = stack.ecs.describe_container_instances(cluster=CLUSTER, containerInstances=arns[:1])[
        "containerInstances"
    ]
    attributes = {each["name"]: each.get("value") for each in instance["attributes"]}
    assert (attributes["ecs.instance-type"], instance["capacityProviderName"]) == ("m5.large", "managed")
    for task in tasks:
        stack.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])


def test_an_instance_fits_the_tasks_size_architecture_and_the_providers_requirements(own_stack: Any) -> None:
    stack = own_stack(quotas=False)
    requirements = {"vCpuCount": {"min": 1}, "memoryMiB": {"min": 1}, "allowedInstanceTypes": ["r7g.xlarge"]}
    managed(stack)
    managed(stack, "chosen", instanceRequirements=requirements)
    arm = {"runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}}

    def instance_type(task: dict[str, Any]) -> str:
        answer = stack.ecs.describe_container_instances(
            cluster=CLUSTER, containerInstances=[stack.task(task["taskArn"])["containerInstanceArn"]]
        )
        attributes = answer["containerInstances"][0]["attributes"]
        return next(each["value"] for each in attributes if each["name"] == "ecs.instance-type")

    big = of_managed(stack, "big", memory="20480")
    assert instance_type(on_managed(stack, big)["tasks"][0]) == "r5.xlarge"
    assert instance_type(on_managed(stack, of_managed(stack, "arm", **arm))["tasks"][0]) == "m7g.large"
    assert instance_type(on_managed(stack, of_managed(stack, "arm", **arm), "chosen")["tasks"][0]) == "r7g.xlarge"
    refused = on_managed(stack, of_managed(stack, "x86"), "chosen")
    assert (refused["tasks"], refused["failures"][0]["reason"]) == ([], "RESOURCE:MEMORY")


def test_managed_instances_take_their_own_task_definitions_and_clusters_only(own_stack: Any) -> None:
    stack = own_stack(quotas=False)
    managed(stack)
    bridged = stack.register("bridged", networkMode="bridge", requiresCompatibilities=[], container={"memory": 64})
    with pytest.raises(ClientError, match="does not support launch_type MANAGED_INSTANCES"):
        on_managed(stack, bridged)
    template = {"ec2InstanceProfileArn": ROLE, "networkConfiguration": {"subnets": ["subnet-1"]}}
    provider = {"infrastructureRoleArn": ROLE, "instanceLaunchTemplate": template}
    with pytest.raises(ClientError, match="A cluster must be specified"):
        stack.ecs.create_capacity_provider(name="other", managedInstancesProvider=provider)
    with pytest.raises(ClientError, match="Specify either an autoScalingGroupProvider or a managedInstancesProvider"):
        stack.ecs.create_capacity_provider(name="other")
    with pytest.raises(ClientError, match="ephemeralStorage is supported for tasks on Fargate only"):
        stack.ecs.run_task(
            cluster=CLUSTER, taskDefinition=of_managed(stack), networkConfiguration=NETWORK,
            capacityProviderStrategy=[{"capacityProvider": "managed", "weight": 1}],
            overrides={"ephemeralStorage": {"sizeInGiB": 30}},
        )  # fmt: skip
