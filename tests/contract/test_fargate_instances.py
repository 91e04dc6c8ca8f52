"""EC2 capacity: container instances, placement, capacity providers of Auto Scaling groups."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fargate_local import InstanceSpec
from fargate_local.__main__ import parse
from fargate_local.engine.placement import needs
from fargate_local.instances import Need

from .conftest import CLUSTER, NETWORK, Stack, task_definition, until

SLEEP = ["sleep", "60"]
GROUP = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/batch"


@pytest.fixture
def ec2(own_stack) -> Stack:
    """A cluster with one instance of 2 vCPUs and 2048 MiB."""
    return own_stack(quotas=False, instances={CLUSTER: [InstanceSpec(2, 2048)]})


def register(stack: Stack, family: str = "host", *, container: dict[str, Any] | None = None, **changed: Any) -> str:
    """A task definition in bridge mode whose container takes 512 CPU units and 1024 MiB."""
    document = task_definition(family, container={"cpu": 512, "memory": 1024, "command": SLEEP, **(container or {})})
    for name in ("requiresCompatibilities", "networkMode", "cpu", "memory", "executionRoleArn"):
        del document[name]
    answer = stack.ecs.register_task_definition(**document | changed)
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def run(stack: Stack, definition: str, **changed: Any) -> dict[str, Any]:
    """RunTask on EC2."""
    request = {"cluster": CLUSTER, "taskDefinition": definition, "launchType": "EC2"} | changed
    answer: dict[str, Any] = stack.ecs.run_task(**{k: v for k, v in request.items() if v is not None})
    return answer


def refused(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def instance_arns(stack: Stack) -> list[str]:
    arns: list[str] = stack.ecs.list_container_instances(cluster=CLUSTER)["containerInstanceArns"]
    return arns


def instance(stack: Stack, arn: str | None = None) -> dict[str, Any]:
    """One container instance, as described; its resources by name."""
    asked = arn or instance_arns(stack)[0]
    answer = stack.ecs.describe_container_instances(cluster=CLUSTER, containerInstances=[asked])
    (described,) = answer["containerInstances"]
    return described | {
        name: {each["name"]: each["integerValue"] or each.get("stringSetValue", 0) for each in described[name]}
        for name in ("registeredResources", "remainingResources")
    }


def add_instance(stack: Stack, cpu: int, memory_mib: int, provider: str = "") -> str:
    resources = [
        {"name": name, "type": "INTEGER", "integerValue": value}
        for name, value in (("CPU", cpu), ("MEMORY", memory_mib))
    ]
    attributes = [{"name": "fargate_local.capacity-provider", "value": provider}] if provider else []
    answer = stack.ecs.register_container_instance(cluster=CLUSTER, totalResources=resources, attributes=attributes)
    return str(answer["containerInstance"]["containerInstanceArn"])


def provider(stack: Stack, name: str = "batch", *, scales: bool = False, default: bool = False) -> None:
    """A capacity provider of an Auto Scaling group, in the cluster beside Fargate's."""
    status = "ENABLED" if scales else "DISABLED"
    group = {"autoScalingGroupArn": GROUP, "managedScaling": {"status": status}}
    stack.ecs.create_capacity_provider(name=name, autoScalingGroupProvider=group)
    strategy = [{"capacityProvider": name, "weight": 1}] if default else []
    stack.ecs.put_cluster_capacity_providers(
        cluster=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT", name], defaultCapacityProviderStrategy=strategy
    )


def test_a_task_runs_on_the_instance_and_gives_its_room_back(ec2: Stack):
    cluster = ec2.ecs.describe_clusters(clusters=[CLUSTER])["clusters"][0]
    assert cluster["registeredContainerInstancesCount"] == 1
    (task,) = run(ec2, register(ec2))["tasks"]
    running = ec2.until_status(task["taskArn"], "RUNNING")
    assert (running["launchType"], running["containerInstanceArn"]) == ("EC2", instance_arns(ec2)[0])
    assert (running["cpu"], running["memory"], running["attachments"]) == ("512", "1024", [])
    assert running["containers"][0]["networkInterfaces"] == []
    assert not {"platformVersion", "ephemeralStorage", "capacityProviderName"} & set(running)
    held = instance(ec2)
    assert (held["runningTasksCount"], held["status"], held["agentConnected"]) == (1, "ACTIVE", True)
    assert (held["registeredResources"]["CPU"], held["registeredResources"]["MEMORY"]) == (2048, 2048)
    assert (held["remainingResources"]["CPU"], held["remainingResources"]["MEMORY"]) == (1536, 1024)
    assert ec2.ecs.list_tasks(cluster=CLUSTER, containerInstance=held["containerInstanceArn"])["taskArns"] == [
        task["taskArn"]
    ]
    ec2.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
    ec2.until_status(task["taskArn"], "STOPPED")
    free = instance(ec2)
    assert (free["runningTasksCount"], free["remainingResources"]["MEMORY"]) == (0, 2048)


def test_a_container_on_an_instance_is_a_process_with_its_own_memory_limit(ec2: Stack):
    line = (
        "import os, time; print(os.environ['AWS_EXECUTION_ENV'], flush=True); held = b'x' * (300 << 20); time.sleep(30)"
    )
    definition = register(ec2, container={"memory": 128, "command": ["python", "-c", line]})
    ended = ec2.until_status(run(ec2, definition)["tasks"][0]["taskArn"], "STOPPED")
    (container,) = ended["containers"]
    assert (container["exitCode"], container["reason"].partition(":")[0]) == (137, "OutOfMemoryError")
    assert ec2.lines(ended) == ["AWS_ECS_EC2"]


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"cpu": 2049}, "RESOURCE:CPU"),
        ({"memory": 2049}, "RESOURCE:MEMORY"),
        ({"portMappings": [{"containerPort": 80, "hostPort": 22}]}, "RESOURCE:PORTS"),
    ],
)
def test_a_task_without_room_is_a_failure_with_the_instance_that_lacks_it(ec2: Stack, container, reason):
    answer = run(ec2, register(ec2, container=container))
    assert answer["tasks"] == []
    assert answer["failures"] == [{"arn": instance_arns(ec2)[0], "reason": reason}]


def test_of_several_tasks_those_that_fit_are_launched(ec2: Stack):
    add_instance(ec2, 1024, 1024)
    answer = run(ec2, register(ec2), count=4)
    assert sorted(task["containerInstanceArn"] for task in answer["tasks"]).count(instance_arns(ec2)[0]) == 2
    assert len(answer["tasks"]) == 3
    assert [each["reason"] for each in answer["failures"]] == ["RESOURCE:MEMORY", "RESOURCE:MEMORY"]
    assert {each["arn"] for each in answer["failures"]} == set(instance_arns(ec2))


def test_two_tasks_cannot_have_the_same_port_of_a_host_and_free_ones_are_no_matter(ec2: Stack):
    fixed = register(ec2, container={"memory": 64, "portMappings": [{"containerPort": 8080, "hostPort": 8080}]})
    assert run(ec2, fixed)["failures"] == []
    assert instance(ec2)["remainingResources"]["PORTS"] == ["22", "2375", "2376", "8080", "51678", "51679"]
    assert run(ec2, fixed)["failures"][0]["reason"] == "RESOURCE:PORTS"
    free = register(ec2, container={"memory": 64, "portMappings": [{"containerPort": 8080}]})
    assert run(ec2, free, count=3)["failures"] == []


@pytest.mark.parametrize(
    ("document", "overrides", "need"),
    [
        ({}, {}, Need(20, 200)),
        ({"cpu": "1 vCPU", "memory": "2GB"}, {}, Need(1024, 2048)),
        ({"memory": "512"}, {"cpu": "64", "memory": "256"}, Need(64, 256)),
        ({}, {"containerOverrides": [{"name": "a", "cpu": 100, "memoryReservation": 300}]}, Need(110, 400)),
    ],
    ids=["the sum of the containers", "the task's own size", "the overrides'", "those of a container"],
)
def test_what_a_task_takes_of_an_instance(document, overrides, need):
    containers = [
        {"name": "a", "cpu": 10, "memory": 500, "memoryReservation": 100},
        {"name": "b", "cpu": 10, "memory": 100},
    ]
    assert needs({"containerDefinitions": containers, **document}, overrides) == need


@pytest.mark.parametrize(
    ("definition", "changed", "part"),
    [
        ({}, {"networkConfiguration": NETWORK}, "not valid for the given networkMode"),
        ({"networkMode": "awsvpc"}, {}, "Network Configuration must be provided"),
        ({}, {"launchType": "FARGATE"}, "Task definition does not support launch_type FARGATE."),
        ({}, {"platformVersion": "1.4.0"}, "The platform version must be null"),
        ({}, {"launchType": "EXTERNAL"}, "fargate_local has no launch type EXTERNAL"),
        ({}, {"overrides": {"memory": "512", "containerOverrides": [{"name": "main", "memory": 513}]}}, "greater than"),
    ],
    ids=["network without an interface", "interface without network", "Fargate", "platform", "external", "override"],
)
def test_a_run_that_ec2_would_refuse_is_refused(ec2: Stack, definition, changed, part):
    arn = register(ec2, **definition)
    request = {"cluster": CLUSTER, "taskDefinition": arn, "launchType": "EC2"} | changed
    code, message = refused(ec2.ecs.run_task, **request)
    assert (code, part in message) == ("InvalidParameterException", True), message


@pytest.mark.parametrize("mode", ["bridge", "host", "none", "awsvpc"])
def test_every_network_mode_runs_and_only_awsvpc_has_an_interface(ec2: Stack, mode):
    network = {"networkConfiguration": NETWORK} if mode == "awsvpc" else {}
    (task,) = run(ec2, register(ec2, container={"memory": 64}, networkMode=mode), **network)["tasks"]
    running = ec2.until_status(task["taskArn"], "RUNNING")
    interfaces = running["containers"][0]["networkInterfaces"]
    assert (len(running["attachments"]), len(interfaces)) == ((1, 1) if mode == "awsvpc" else (0, 0))
    ec2.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])


def test_a_fargate_task_definition_runs_on_ec2_in_any_size(ec2: Stack):
    overrides = {"cpu": "100", "memory": "1300"}
    (task,) = run(ec2, ec2.register(), networkConfiguration=NETWORK, overrides=overrides)["tasks"]
    assert (task["cpu"], task["memory"], task["launchType"]) == ("100", "1300", "EC2")


def test_a_cluster_without_instances_has_no_ec2_capacity(own_stack):
    stack = own_stack(quotas=False)
    request = {"cluster": CLUSTER, "taskDefinition": register(stack)}
    assert refused(stack.ecs.run_task, **request, launchType="EC2") == (
        "InvalidParameterException", "No Container Instances were found in your cluster.",
    )  # fmt: skip
    provider(stack)
    assert refused(stack.ecs.run_task, **request, capacityProviderStrategy=strategy("batch")) == (
        "InvalidParameterException", "No Container Instances were found in your capacity provider.",
    )  # fmt: skip


def strategy(*names: str, **first: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = [{"capacityProvider": name, "weight": 1} for name in names]
    return [items[0] | first, *items[1:]]


def test_ec2_takes_nothing_of_fargates_quotas(own_stack):
    now = [0.0]
    stack = own_stack(
        monotonic=lambda: now[0],
        fargate_vcpus=0.25,
        instances={CLUSTER: [InstanceSpec(64, 65536)]},
        runtime="simulated",
    )
    definition, fargate = register(stack, container={"cpu": 512, "memory": 64}), stack.register()
    for _ in range(30):
        assert run(stack, definition)["failures"] == []
    stack.run(fargate)


def test_the_default_strategy_of_a_cluster_can_be_instances(own_stack):
    stack = own_stack(quotas=False, instances={CLUSTER: [InstanceSpec(2, 2048), InstanceSpec(2, 2048, "batch")]})
    provider(stack, default=True)
    (task,) = run(stack, register(stack), launchType=None)["tasks"]
    assert (task["capacityProviderName"], task["launchType"]) == ("batch", "EC2")
    assert instance(stack, task["containerInstanceArn"])["capacityProviderName"] == "batch"


def test_a_strategy_of_several_groups_is_spread_by_base_and_weight(own_stack):
    specs = [InstanceSpec(8, 8192, "batch"), InstanceSpec(8, 8192, "spare")]
    stack = own_stack(quotas=False, instances={CLUSTER: specs})
    group = {"autoScalingGroupArn": GROUP}
    for name in ("batch", "spare"):
        stack.ecs.create_capacity_provider(name=name, autoScalingGroupProvider=group)
    stack.ecs.put_cluster_capacity_providers(
        cluster=CLUSTER, capacityProviders=["FARGATE", "batch", "spare"], defaultCapacityProviderStrategy=[]
    )
    items = [
        {"capacityProvider": "batch", "base": 2, "weight": 1},
        {"capacityProvider": "spare", "weight": 3},
    ]
    arn = register(stack, container={"memory": 64})
    answer = run(stack, arn, launchType=None, count=10, capacityProviderStrategy=items)
    names = [task["capacityProviderName"] for task in answer["tasks"]]
    assert (names.count("batch"), names.count("spare")) == (4, 6)
    mixed = strategy("FARGATE", "batch")
    code, message = refused(stack.ecs.run_task, cluster=CLUSTER, taskDefinition=arn, capacityProviderStrategy=mixed)
    assert (code, "cannot contain a mix" in message) == ("InvalidParameterException", True)


def test_with_managed_scaling_a_task_waits_in_provisioning_for_its_instance(own_stack):
    stack = own_stack(quotas=False)
    provider(stack, scales=True)
    arn = register(stack, container={"command": ["true"]})
    (task,) = run(stack, arn, launchType=None, capacityProviderStrategy=strategy("batch"))["tasks"]
    (abandoned,) = run(stack, arn, launchType=None, capacityProviderStrategy=strategy("batch"))["tasks"]
    waiting = stack.task(task["taskArn"])
    assert (waiting["lastStatus"], waiting["capacityProviderName"]) == ("PROVISIONING", "batch")
    assert "containerInstanceArn" not in waiting
    stack.ecs.stop_task(cluster=CLUSTER, task=abandoned["taskArn"])
    assert stack.until_status(abandoned["taskArn"], "STOPPED")["containers"][0].get("exitCode") is None
    add_instance(stack, 1024, 1024)
    assert stack.task(task["taskArn"])["lastStatus"] == "PROVISIONING", "that one is of no group"
    made = add_instance(stack, 1024, 1024, "batch")
    ended = stack.until_status(task["taskArn"], "STOPPED")
    assert (ended["containerInstanceArn"], ended["containers"][0]["exitCode"]) == (made, 0)


def test_the_room_of_a_stopped_task_goes_to_one_that_waits(own_stack):
    stack = own_stack(quotas=False, instances={CLUSTER: [InstanceSpec(1, 1024, "batch")]})
    provider(stack, scales=True)
    arn = register(stack)
    request = {"launchType": None, "capacityProviderStrategy": strategy("batch")}
    (first,) = run(stack, arn, **request)["tasks"]
    (second,) = run(stack, arn, **request)["tasks"]
    stack.until_status(first["taskArn"], "RUNNING")
    assert stack.task(second["taskArn"])["lastStatus"] == "PROVISIONING"
    stack.ecs.stop_task(cluster=CLUSTER, task=first["taskArn"])
    stack.until_status(second["taskArn"], "RUNNING")


def test_an_instance_that_is_deregistered_by_force_takes_its_tasks_along_but_not_their_containers(ec2: Stack):
    line = "import time; time.sleep(1); print('went on')"
    (task,) = run(ec2, register(ec2, container={"command": ["python", "-c", line]}))["tasks"]
    ec2.until_status(task["taskArn"], "RUNNING")
    request = {"cluster": CLUSTER, "containerInstance": instance_arns(ec2)[0]}
    assert refused(ec2.ecs.deregister_container_instance, **request) == (
        "InvalidParameterException", "Found running tasks on the instance.",
    )  # fmt: skip
    gone = ec2.ecs.deregister_container_instance(**request, force=True)["containerInstance"]
    assert (gone["status"], gone["agentConnected"], instance_arns(ec2)) == ("INACTIVE", False, [])
    ended = ec2.until_status(task["taskArn"], "STOPPED")
    assert ended["stoppedReason"] == "Container instance deregistration forced by user"
    assert "stopCode" not in ended
    assert (ended["containers"][0]["lastStatus"], "exitCode" in ended["containers"][0]) == ("RUNNING", False)
    until(lambda: ec2.lines(task), lambda lines: lines == ["went on"])
    answer = ec2.ecs.describe_container_instances(cluster=CLUSTER, containerInstances=[request["containerInstance"]])
    assert answer["failures"] == [{"arn": request["containerInstance"], "reason": "MISSING"}]
    ec2.ecs.delete_cluster(cluster=CLUSTER)


def test_a_cluster_with_instances_is_not_deleted(ec2: Stack):
    code, _ = refused(ec2.ecs.delete_cluster, cluster=CLUSTER)
    assert code == "ClusterContainsContainerInstancesException"


def test_a_service_runs_on_instances_and_waits_for_room(ec2: Stack):
    arn = register(ec2)
    ec2.ecs.create_service(cluster=CLUSTER, serviceName="s", taskDefinition=arn, desiredCount=3, launchType="EC2")
    service = until(lambda: ec2.service("s"), lambda s: s["runningCount"] == 2)
    messages = until(lambda: [event["message"] for event in ec2.service("s")["events"]], lambda found: len(found) > 1)
    assert any("no container instance met all of its requirements" in message for message in messages), messages
    assert service["launchType"] == "EC2"
    add_instance(ec2, 1024, 1024)
    ec2.until_steady("s", 3)


def test_capacity_providers_are_described_with_what_was_filled_in(own_stack):
    stack = own_stack(quotas=False)
    provider(stack, scales=True)
    answer = stack.ecs.describe_capacity_providers()
    assert [each["name"] for each in answer["capacityProviders"]] == ["FARGATE", "FARGATE_SPOT", "batch"]
    group = answer["capacityProviders"][-1]["autoScalingGroupProvider"]
    assert group["managedScaling"] == {
        "status": "ENABLED", "targetCapacity": 100, "minimumScalingStepSize": 1, "maximumScalingStepSize": 10000,
        "instanceWarmupPeriod": 300,
    }  # fmt: skip
    request: dict[str, Any] = {"name": "batch", "autoScalingGroupProvider": {"autoScalingGroupArn": GROUP}}
    assert "already exists" in refused(stack.ecs.create_capacity_provider, **request)[1]
    assert "can not begin with" in refused(stack.ecs.create_capacity_provider, **request | {"name": "aws-b"})[1]
    assert "in use" in refused(stack.ecs.delete_capacity_provider, capacityProvider="batch")[1]


def test_the_command_line_takes_instances():
    settings = parse(
        ["--instance", "features=4:8192", "--instance", "features=0.5:1024:batch", "--instance", "b=1:512"]
    )
    assert settings.instances == {
        "features": [InstanceSpec(4, 8192), InstanceSpec(0.5, 1024, "batch")],
        "b": [InstanceSpec(1, 512)],
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("features", "--instance is 'features': it must be like NAME=VALUE"),
        ("features=4", "instance is '4': it must be vCPUs:MiB or vCPUs:MiB:PROVIDER, like 4:8192 or 4:8192:batch"),
        ("features=0:512", "instance has 0 vCPUs and 512 MiB: both must be more than 0, like 4:8192"),
    ],
)
def test_an_instance_that_cannot_be_is_refused_in_one_sentence(text, sentence, capsys):
    with pytest.raises(SystemExit):
        parse(["--instance", text])
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert sentence in said
