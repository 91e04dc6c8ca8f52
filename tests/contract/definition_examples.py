"""For each rule of fargate_local/definitions: a definition that it lets through, and one that it refuses first."""

from __future__ import annotations

from typing import Any

from .conftest import EXECUTION_ROLE, LOG_GROUP

Document = dict[str, Any]
Container = dict[str, Any]

AWSLOGS = {"awslogs-group": LOG_GROUP, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "job"}
SIDE = {"name": "side", "image": "side:1", "memory": 64, "essential": False}
CHECKED_SIDE = SIDE | {"healthCheck": {"command": ["CMD", "true"]}}
ENV_FILE = "arn:aws:s3:::bucket/folder/job.env"
MIXED_CASE = "A-z_09"
PROXY = {"ProxyIngressPort": "1", "ProxyEgressPort": "2", "AppPorts": "80", "EgressIgnoredIPs": "", "IgnoredUID": "7"}
FSX = {
    "fileSystemId": "fs-1",
    "rootDirectory": "share",
    "authorizationConfig": {"credentialsParameter": "arn:aws:ssm:us-east-1:123456789012:parameter/a", "domain": "a.b"},
}


def fargate(
    container: Container | None = None, *more: Container, without: tuple[str, ...] = (), **changed: Any
) -> Document:
    """A task definition for Fargate whose first container is changed, with more containers."""
    document = {
        "family": "job",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": EXECUTION_ROLE,
        "containerDefinitions": [{"name": "main", "image": "job:1", "memory": 128} | (container or {}), *more],
    } | changed
    return {name: value for name, value in document.items() if name not in without}


def ec2(container: Container | None = None, *more: Container, **changed: Any) -> Document:
    """A task definition in the network mode bridge."""
    containers = [{"name": "main", "image": "job:1", "memory": 128} | (container or {}), *more]
    return {"family": "job", "containerDefinitions": containers} | changed


def logged(driver: str, **options: str) -> Container:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return {"logConfiguration": {"logDriver": driver, "options": named}}


def awslogs(**options: str) -> Container:
    return {"logConfiguration": {"logDriver": "awslogs", "options": AWSLOGS | options}}


def without_option(name: str) -> Container:
    options = {key: value for key, value in AWSLOGS.items() if key != name}
    return {"logConfiguration": {"logDriver": "awslogs", "options": options}}


def linux(**parameters: Any) -> Container:
    return {"linuxParameters": parameters}


def tmpfs(**changed: Any) -> Container:
    return linux(tmpfs=[{"containerPath": "/tmp", "size": 64} | changed])


def ports(*mappings: dict[str, Any]) -> Container:
    return {"portMappings": list(mappings)}


def needs(name: str, condition: str) -> Container:
    return {"dependsOn": [{"containerName": name, "condition": condition}]}


def volume(make: Any = fargate, **of: Any) -> Document:
    """A definition with a volume that its container mounts."""
    mounted = {"mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}
    return make(mounted, volumes=[{"name": "data"} | of])


def efs(make: Any = fargate, **changed: Any) -> Document:
    return volume(make, efsVolumeConfiguration={"fileSystemId": "fs-1"} | changed)


def proxied(make: Any = fargate, *missing: str, container: str = "main") -> Document:
    properties = [{"name": name, "value": value} for name, value in PROXY.items() if name not in missing]
    return make(proxyConfiguration={"containerName": container, "properties": properties})


def on_windows(make: Any = fargate, container: Container | None = None, **changed: Any) -> Document:
    platform = {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}
    return make(container, **({"cpu": "1024", "memory": "2048", "runtimePlatform": platform} | changed))


def requires(launch_type: str, make: Any = ec2, container: Container | None = None, **changed: Any) -> Document:
    return make(container, **changed, requiresCompatibilities=[launch_type])


def secret(name: str = "TOKEN", source: str = "token") -> Container:
    return {"secrets": [{"name": name, "valueFrom": source}]}


def routed(**options: str) -> Document:
    """A definition whose lines go through a log router with these options."""
    named = {name.replace("_", "-"): value for name, value in options.items()}
    router = SIDE | {"firelensConfiguration": {"type": "fluentbit", "options": named}}
    return fargate(logged("awsfirelens"), router)


def gpu(**requirement: str) -> Container:
    return {"resourceRequirements": [{"type": "GPU", "value": "1"} | requirement]}


def soft_and_hard(soft: int, hard: int) -> Container:
    return {"ulimits": [{"name": "nofile", "softLimit": soft, "hardLimit": hard}]}


def control(namespace: str, value: str = "1") -> Container:
    return {"systemControls": [{"namespace": namespace, "value": value}]}


def checked(**changed: Any) -> Container:
    return {"healthCheck": {"command": ["CMD", "true"]} | changed}


NEURON = gpu(type="NeuronDevice", value="ALL")

TASK: dict[str, tuple[Document, Document]] = {
    "family": (fargate(family=MIXED_CASE), fargate(family="a b")),
    "some_container": (fargate(), fargate(containerDefinitions=[])),
    "container_count": (
        ec2(None, *(SIDE | {"name": f"c{i}"} for i in range(9))),
        ec2(None, *(SIDE | {"name": f"c{i}"} for i in range(10))),
    ),
    "task_cpu": (ec2(cpu=".125 vCPU"), ec2(cpu="")),
    "task_memory": (ec2(memory="1 GB"), ec2(memory="1 pound")),
    "cpu_sum": (fargate({"cpu": 156}, SIDE | {"cpu": 100}), fargate({"cpu": 157}, SIDE | {"cpu": 100})),
    "memory_sum": (
        fargate({"memory": 512, "memoryReservation": 448}, SIDE),
        fargate({"memory": 512, "memoryReservation": 449}, SIDE),
    ),
    "fargate_network_mode": (fargate(), fargate(without=("networkMode",))),
    "external_network_mode": (requires("EXTERNAL"), requires("EXTERNAL", networkMode="awsvpc")),
    "managed_network_mode": (requires("MANAGED_INSTANCES"), requires("MANAGED_INSTANCES", networkMode="bridge")),
    "fargate_cpu": (fargate(cpu="1 vCPU", memory="2 GB"), fargate(without=("cpu",))),
    "fargate_memory": (fargate(cpu="32 vCPU", memory="244GB"), fargate(without=("memory",))),
    "fargate_size": (fargate(cpu="32768", memory="61440"), fargate(cpu="32768", memory="65536")),
    "fargate_ipc_mode": (requires("EC2", ipcMode="task"), fargate(ipcMode="task")),
    "fargate_pid_mode": (fargate(pidMode="task"), fargate(pidMode="host")),
    "fargate_placement_constraints": (
        fargate(placementConstraints=[]), fargate(placementConstraints=[{"type": "memberOf", "expression": "a == b"}]),
    ),
    "placement_constraint_count": (
        ec2(placementConstraints=[{"type": "memberOf", "expression": "a == b"}] * 10),
        ec2(placementConstraints=[{"type": "memberOf", "expression": "a == b"}] * 11),
    ),
    "placement_expression": (
        ec2(placementConstraints=[{"type": "memberOf", "expression": "a == b"}]),
        ec2(placementConstraints=[{"type": "memberOf"}]),
    ),
    "inference_accelerators": (
        ec2(inferenceAccelerators=[]), ec2(inferenceAccelerators=[{"deviceName": "a", "deviceType": "eia1.medium"}]),
    ),
    "ephemeral_storage": (fargate(ephemeralStorage={"sizeInGiB": 21}), fargate(ephemeralStorage={"sizeInGiB": 20})),
    "ec2_ephemeral_storage": (
        fargate(ephemeralStorage={"sizeInGiB": 200}), requires("EC2", ephemeralStorage={"sizeInGiB": 30}),
    ),
    "fargate_windows_families": (
        on_windows(), on_windows(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2016_FULL"}),
    ),
    "managed_linux": (
        requires("MANAGED_INSTANCES", networkMode="host"),
        requires("MANAGED_INSTANCES", networkMode="host",
                 runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
    ),
    "arm_is_linux": (
        fargate(runtimePlatform={"cpuArchitecture": "ARM64"}),
        on_windows(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE", "cpuArchitecture": "ARM64"}),
    ),
    "proxy_network_mode": (proxied(), proxied(ec2)),
    "proxy_container": (proxied(), proxied(container="envoy")),
    "proxy_properties": (proxied(), proxied(fargate, "AppPorts")),
    "proxy_ignored_user": (proxied(), proxied(fargate, "IgnoredUID")),
}  # fmt: skip

CONTAINER: dict[str, tuple[Document, Document]] = {
    "container_has_name": (fargate(), fargate({"name": ""})),
    "container_name": (fargate({"name": MIXED_CASE}), fargate({"name": "a.b"})),
    "container_names_differ": (fargate(None, SIDE), fargate(None, SIDE | {"name": "main"})),
    "container_has_image": (fargate(), fargate({"image": ""})),
    "container_image": (
        fargate({"image": f"public.ecr.aws/a_b/c-d:1.0@sha256:{'0' * 64}"}), fargate({"image": "<IMAGE1_NAME>"}),
    ),
    "some_essential": (fargate(None, SIDE), fargate({"essential": False}, SIDE)),
    "container_cpu": (fargate({"cpu": 0}), fargate({"cpu": -1})),
    "container_has_memory": (
        ec2(None, {"name": "side", "image": "side:1", "memoryReservation": 64}),
        ec2(None, {"name": "side", "image": "side:1"}),
    ),
    "container_memory": (ec2({"memory": 4}), ec2({"memory": 3})),
    "memory_above_reservation": (ec2({"memoryReservation": 128}), ec2({"memoryReservation": 129})),
    "container_memory_in_task": (
        fargate({"memory": 512}), fargate({"memory": 513, "memoryReservation": 10}),
    ),
    "variable_has_name": (
        fargate({"environment": [{"name": "A"}, {"name": "B", "value": ""}]}),
        fargate({"environment": [{"value": "a"}]}),
    ),
    "secret_has_name": (fargate(secret()), fargate(secret(name=""))),
    "secret_name_is_unique": (
        fargate(secret() | {"environment": [{"name": "USER", "value": "a"}]}),
        fargate(secret() | {"environment": [{"name": "TOKEN", "value": "a"}]}),
    ),
    "secret_value_from": (
        fargate(secret(source="arn:aws:secretsmanager:us-east-1:123456789012:secret:a-b:key::")),
        fargate(secret(source="arn:aws:s3:::bucket/key")),
    ),
    "secrets_need_role": (ec2(secret(), executionRoleArn=EXECUTION_ROLE), ec2(secret())),
    "environment_file_count": (
        fargate({"environmentFiles": [{"type": "s3", "value": ENV_FILE}] * 10}),
        fargate({"environmentFiles": [{"type": "s3", "value": ENV_FILE}] * 11}),
    ),
    "environment_file_arn": (
        fargate({"environmentFiles": [{"type": "s3", "value": ENV_FILE}]}),
        fargate({"environmentFiles": [{"type": "s3", "value": "s3://bucket/job.env"}]}),
    ),
    "environment_file_extension": (
        fargate({"environmentFiles": [{"type": "s3", "value": ENV_FILE}]}),
        fargate({"environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::bucket/job.txt"}]}),
    ),
    "repository_credentials": (
        fargate({"repositoryCredentials": {"credentialsParameter": "dockerhub"}}),
        fargate({"repositoryCredentials": {"credentialsParameter": ""}}),
    ),
    "fargate_private_registry_role": (
        fargate({"repositoryCredentials": {"credentialsParameter": "dockerhub"}}),
        fargate({"repositoryCredentials": {"credentialsParameter": "dockerhub"}}, without=("executionRoleArn",)),
    ),
    "fargate_ecr_role": (
        fargate(without=("executionRoleArn",)),
        fargate({"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/job:1"}, without=("executionRoleArn",)),
    ),
    "credential_spec_count": (
        fargate({"credentialSpecs": ["credentialspecdomainless:arn:aws:s3:::bucket/spec"]}),
        fargate({"credentialSpecs": ["credentialspec:arn:aws:s3:::bucket/spec"] * 2}),
    ),
    "credential_spec_form": (
        fargate({"credentialSpecs": ["credentialspec:arn:aws:s3:::bucket/spec"]}),
        fargate({"credentialSpecs": ["arn:aws:s3:::bucket/spec"]}),
    ),
    "fargate_privileged": (fargate({"privileged": False}), fargate({"privileged": True})),
    "fargate_security_options": (
        fargate({"dockerSecurityOptions": []}), fargate({"dockerSecurityOptions": ["no-new-privileges"]}),
    ),
}  # fmt: skip

NETWORK: dict[str, tuple[Document, Document]] = {
    "awsvpc_hostname": (ec2({"hostname": "a"}), fargate({"hostname": "a"})),
    "awsvpc_dnsServers": (ec2({"dnsServers": ["1.1.1.1"]}), fargate({"dnsServers": ["1.1.1.1"]})),
    "awsvpc_dnsSearchDomains": (ec2({"dnsSearchDomains": ["a"]}), fargate({"dnsSearchDomains": ["a"]})),
    "awsvpc_extraHosts": (
        ec2({"extraHosts": [{"hostname": "a", "ipAddress": "1.1.1.1"}]}),
        fargate({"extraHosts": [{"hostname": "a", "ipAddress": "1.1.1.1"}]}),
    ),
    "awsvpc_disableNetworking": (fargate({"disableNetworking": False}), fargate({"disableNetworking": True})),
    "extra_hosts": (
        ec2({"extraHosts": [{"hostname": "a", "ipAddress": "1.1.1.1"}]}),
        ec2({"extraHosts": [{"hostname": "a", "ipAddress": ""}]}),
    ),
    "links_network_mode": (ec2({"links": ["side:db"]}, SIDE), fargate({"links": ["side:db"]}, SIDE)),
    "links_container": (ec2({"links": ["side"]}, SIDE), ec2({"links": ["other:db"]}, SIDE)),
    "links_circle": (ec2({"links": ["side"]}, SIDE), ec2({"links": ["side"]}, SIDE | {"links": ["main:a"]})),
    "ports_without_network": (
        ec2(ports({"containerPort": 80}), networkMode="host"), ec2(ports({"containerPort": 80}), networkMode="none"),
    ),
    "port_or_range": (
        fargate(ports({"containerPort": 80}, {"containerPortRange": "90-99"})),
        fargate(ports({"containerPort": 80, "containerPortRange": "90-99"})),
    ),
    "port_is_given": (fargate(ports({"containerPort": 80})), fargate(ports({"protocol": "tcp"}))),
    "container_port": (fargate(ports({"containerPort": 65535})), fargate(ports({"containerPort": 65536}))),
    "host_port": (
        ec2(ports({"containerPort": 80, "hostPort": 0})), ec2(ports({"containerPort": 80, "hostPort": 65536})),
    ),
    "host_port_is_container_port": (
        fargate(ports({"containerPort": 80, "hostPort": 80})), fargate(ports({"containerPort": 80, "hostPort": 8080})),
    ),
    "port_is_used_once": (
        fargate(ports({"containerPort": 53}, {"containerPort": 53, "protocol": "udp"})),
        fargate(ports({"containerPort": 53}), SIDE | ports({"containerPort": 53})),
    ),
    "bridge_host_port_is_used_once": (
        ec2(ports({"containerPort": 80, "hostPort": 80}), SIDE | ports({"containerPort": 80})),
        ec2(ports({"containerPort": 80, "hostPort": 80}), SIDE | ports({"containerPort": 81, "hostPort": 80})),
    ),
    "port_range": (
        fargate(ports({"containerPortRange": "1-65535"})), fargate(ports({"containerPortRange": "90-80"})),
    ),
    "port_range_network_mode": (
        ec2(ports({"containerPortRange": "80-90"})), ec2(ports({"containerPortRange": "80-90"}), networkMode="host"),
    ),
    "port_range_count": (
        ec2(ports(*({"containerPortRange": f"{n}-{n + 1}"} for n in range(1000, 1200, 2)))),
        ec2(ports(*({"containerPortRange": f"{n}-{n + 1}"} for n in range(1000, 1202, 2)))),
    ),
    "port_ranges_differ": (
        ec2(ports({"containerPortRange": "80-85"}, {"containerPortRange": "86-90"})),
        ec2(ports({"containerPortRange": "80-85"}, {"containerPortRange": "85-90"})),
    ),
    "port_name": (
        fargate(ports({"containerPort": 80, "name": "http_1-a"})), fargate(ports({"containerPort": 80, "name": "-a"})),
    ),
    "port_names_differ": (
        fargate(ports({"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "b"})),
        fargate(ports({"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"})),
    ),
}  # fmt: skip

VOLUMES: dict[str, tuple[Document, Document]] = {
    "volume_has_name": (volume(), fargate(volumes=[{"host": {}}])),
    "volume_name": (fargate(volumes=[{"name": MIXED_CASE}]), fargate(volumes=[{"name": "a/b"}])),
    "volume_names_differ": (
        fargate(volumes=[{"name": "a"}, {"name": "b"}]), fargate(volumes=[{"name": "a"}, {"name": "a"}]),
    ),
    "volume_is_of_one_kind": (
        volume(ec2, host={"sourcePath": "/data"}),
        volume(ec2, host={"sourcePath": "/data"}, efsVolumeConfiguration={"fileSystemId": "fs-1"}),
    ),
    "launch_volume_count": (
        volume(configuredAtLaunch=True),
        fargate(
            {"mountPoints": [{"sourceVolume": name, "containerPath": f"/{name}"} for name in "ab"]},
            volumes=[{"name": "a", "configuredAtLaunch": True}, {"name": "b", "configuredAtLaunch": True}],
        ),
    ),
    "launch_volume_is_mounted": (
        volume(configuredAtLaunch=True), fargate(volumes=[{"name": "data", "configuredAtLaunch": True}]),
    ),
    "fargate_source_path": (volume(host={}), volume(host={"sourcePath": "/data"})),
    "fargate_docker_volume": (
        volume(ec2, dockerVolumeConfiguration={"scope": "task"}), volume(dockerVolumeConfiguration={"scope": "task"}),
    ),
    "fargate_fsx_volume": (
        volume(ec2, fsxWindowsFileServerVolumeConfiguration=FSX), volume(fsxWindowsFileServerVolumeConfiguration=FSX),
    ),
    "fsx_is_whole": (
        volume(ec2, fsxWindowsFileServerVolumeConfiguration=FSX),
        volume(ec2, fsxWindowsFileServerVolumeConfiguration=FSX | {"rootDirectory": ""}),
    ),
    "efs_file_system": (efs(), efs(fileSystemId="")),
    "s3_files_arns": (
        volume(s3filesVolumeConfiguration={"fileSystemArn": "arn:aws:s3files:us-east-1:123456789012:file-system/fs-1"}),
        volume(s3filesVolumeConfiguration={"fileSystemArn": "fs-1"}),
    ),
    "access_point_root": (
        efs(rootDirectory="/", transitEncryption="ENABLED", authorizationConfig={"accessPointId": "fsap-1"}),
        efs(rootDirectory="/a", transitEncryption="ENABLED", authorizationConfig={"accessPointId": "fsap-1"}),
    ),
    "efs_iam_encryption": (
        efs(transitEncryption="ENABLED", authorizationConfig={"iam": "ENABLED"}),
        efs(transitEncryption="DISABLED", authorizationConfig={"iam": "ENABLED"}),
    ),
    "efs_access_point_encryption": (
        efs(transitEncryption="ENABLED", authorizationConfig={"accessPointId": "fsap-1"}),
        efs(authorizationConfig={"accessPointId": "fsap-1"}),
    ),
    "efs_port_encryption": (
        efs(transitEncryption="ENABLED", transitEncryptionPort=2999), efs(transitEncryptionPort=2999),
    ),
    "transit_port": (
        efs(transitEncryption="ENABLED", transitEncryptionPort=65535),
        efs(transitEncryption="ENABLED", transitEncryptionPort=65536),
    ),
    "external_efs": (
        requires("EXTERNAL"),
        requires("EXTERNAL", volumes=[{"name": "a", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]),
    ),
    "fargate_windows_efs": (
        efs(), on_windows(volumes=[{"name": "a", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]),
    ),
    "mounted_volume": (volume(), fargate({"mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]})),
    "mount_path": (volume(), fargate({"mountPoints": [{"sourceVolume": "data"}]}, volumes=[{"name": "data"}])),
    "volumes_from": (
        fargate({"volumesFrom": [{"sourceContainer": "side"}]}, SIDE),
        fargate({"volumesFrom": [{"sourceContainer": "main"}]}, SIDE),
    ),
}  # fmt: skip

STARTUP: dict[str, tuple[Document, Document]] = {
    "dependency_exists": (fargate(needs("side", "START"), SIDE), fargate(needs("other", "START"), SIDE)),
    "dependency_may_end": (
        fargate(needs("side", "SUCCESS"), SIDE), fargate(needs("side", "SUCCESS"), SIDE | {"essential": True}),
    ),
    "dependency_has_health_check": (
        fargate(needs("side", "HEALTHY"), CHECKED_SIDE), fargate(needs("side", "HEALTHY"), SIDE),
    ),
    "dependency_circle": (
        fargate(needs("side", "START"), SIDE), fargate(needs("side", "START"), SIDE | needs("main", "START")),
    ),
    "min_startTimeout": (fargate({"startTimeout": 2}), fargate({"startTimeout": 1})),
    "fargate_max_startTimeout": (fargate({"startTimeout": 120}), fargate({"startTimeout": 121})),
    "min_stopTimeout": (fargate({"stopTimeout": 2}), fargate({"stopTimeout": 1})),
    "fargate_max_stopTimeout": (fargate({"stopTimeout": 120}), fargate({"stopTimeout": 121})),
    "health_check_command": (
        fargate(checked(command=["/healthcheck"])), fargate(checked(command=["CMD-SHELL"])),
    ),
    "health_check_interval": (fargate(checked(interval=5)), fargate(checked(interval=4))),
    "health_check_timeout": (fargate(checked(timeout=60)), fargate(checked(timeout=61))),
    "health_check_retries": (fargate(checked(retries=1)), fargate(checked(retries=0))),
    "health_check_startPeriod": (fargate(checked(startPeriod=300)), fargate(checked(startPeriod=301))),
    "restart_period": (
        fargate({"restartPolicy": {"enabled": True, "restartAttemptPeriod": 60}}),
        fargate({"restartPolicy": {"enabled": True, "restartAttemptPeriod": 59}}),
    ),
    "ignored_exit_codes": (
        fargate({"restartPolicy": {"enabled": True, "ignoredExitCodes": [*range(50)]}}),
        fargate({"restartPolicy": {"enabled": True, "ignoredExitCodes": [*range(51)]}}),
    ),
}  # fmt: skip

LOGGING: dict[str, tuple[Document, Document]] = {
    "fargate_log_driver": (ec2(logged("json-file")), fargate(logged("json-file"))),
    "log_driver_options": (
        fargate(logged("splunk", splunk_token="a", splunk_url="b")), fargate(without_option("awslogs-group")),
    ),
    "awslogs_options": (fargate(awslogs(mode="blocking")), fargate(awslogs(tag="a"))),
    "awslogs_create_group": (
        fargate(awslogs(**{"awslogs-create-group": "True"})), fargate(awslogs(**{"awslogs-create-group": "yes"})),
    ),
    "log_mode": (fargate(awslogs(mode="non-blocking")), fargate(awslogs(mode="lazy"))),
    "fargate_stream_prefix": (
        ec2(without_option("awslogs-stream-prefix")), fargate(without_option("awslogs-stream-prefix")),
    ),
    "fargate_awslogs_role": (fargate(awslogs()), fargate(awslogs(), without=("executionRoleArn",))),
    "secret_options_need_role": (
        fargate({"logConfiguration": {"logDriver": "splunk", "options": {"splunk-url": "a"},
                                      "secretOptions": [{"name": "splunk-token", "valueFrom": "token"}]}}),
        ec2({"logConfiguration": {"logDriver": "splunk", "options": {"splunk-url": "a"},
                                  "secretOptions": [{"name": "splunk-token", "valueFrom": "token"}]}}),
    ),
    "firelens_router": (routed(), fargate(logged("awsfirelens"))),
    "firelens_options": (routed(enable_ecs_log_metadata="true"), routed(config="a")),
    "firelens_metadata": (routed(enable_ecs_log_metadata="false"), routed(enable_ecs_log_metadata="yes")),
    "firelens_config_file": (
        routed(config_file_type="file", config_file_value="/a.conf"), routed(config_file_type="file"),
    ),
    "fargate_firelens_file": (
        routed(config_file_type="file", config_file_value="/a.conf"),
        routed(config_file_type="s3", config_file_value="arn:aws:s3:::bucket/a.conf"),
    ),
}  # fmt: skip

LINUX: dict[str, tuple[Document, Document]] = {
    "fargate_devices": (ec2(linux(devices=[{"hostPath": "/dev/a"}])), fargate(linux(devices=[{"hostPath": "/dev/a"}]))),
    "fargate_sharedMemorySize": (ec2(linux(sharedMemorySize=64)), fargate(linux(sharedMemorySize=64))),
    "fargate_maxSwap": (ec2(linux(maxSwap=0)), fargate(linux(maxSwap=0))),
    "fargate_swappiness": (ec2(linux(swappiness=60)), fargate(linux(swappiness=60))),
    "fargate_windows_linux_parameters": (
        fargate(linux(initProcessEnabled=True)), on_windows(container=linux(initProcessEnabled=True)),
    ),
    "fargate_capabilities": (
        fargate(linux(capabilities={"add": ["SYS_PTRACE"], "drop": ["ALL"]})),
        fargate(linux(capabilities={"add": ["NET_ADMIN"]})),
    ),
    "capability_names": (
        ec2(linux(capabilities={"add": ["NET_ADMIN"]})), ec2(linux(capabilities={"drop": ["CAP_NET_ADMIN"]})),
    ),
    "device_path": (ec2(linux(devices=[{"hostPath": "/dev/a"}])), ec2(linux(devices=[{"hostPath": ""}]))),
    "shared_memory": (ec2(linux(sharedMemorySize=1)), ec2(linux(sharedMemorySize=0))),
    "max_swap": (ec2(linux(maxSwap=1)), ec2(linux(maxSwap=-1))),
    "swappiness": (ec2(linux(swappiness=100)), ec2(linux(swappiness=101))),
    "tmpfs_size": (fargate(tmpfs()), ec2(tmpfs(size=0))),
    "tmpfs_path": (ec2(tmpfs()), ec2(tmpfs(containerPath="tmp"))),
    "tmpfs_options": (ec2(tmpfs(mountOptions=["rw", "mode=1777"])), ec2(tmpfs(mountOptions=["readonly"]))),
    "ulimit_order": (fargate(soft_and_hard(1024, -1)), fargate(soft_and_hard(1025, 1024))),
    "fargate_windows_ulimits": (on_windows(), on_windows(container=soft_and_hard(1, 2))),
    "system_control_is_whole": (fargate(control("net.core.somaxconn")), fargate(control("net.core.somaxconn", ""))),
    "system_control_namespace": (ec2(control("kernel.shmmax")), ec2(control("vm.swappiness"))),
    "system_control_mode": (
        ec2(control("fs.mqueue.msg_max"), ipcMode="task"), ec2(control("fs.mqueue.msg_max"), ipcMode="host"),
    ),
    "fargate_windows_system_controls": (on_windows(), on_windows(container=control("net.core.somaxconn"))),
    "fargate_gpu": (ec2(gpu()), fargate(gpu())),
    "neuron_FARGATE": (requires("MANAGED_INSTANCES", container=NEURON), fargate(NEURON)),
    "neuron_EC2": (requires("MANAGED_INSTANCES", container=NEURON), requires("EC2", container=NEURON)),
    "neuron_EXTERNAL": (requires("MANAGED_INSTANCES", container=NEURON), requires("EXTERNAL", container=NEURON)),
    "accelerator_requirement": (ec2(gpu()), ec2(gpu(type="InferenceAccelerator", value="a"))),
    "gpu_value": (ec2(gpu(value="ALL")), ec2(gpu(value="0"))),
    "neuron_value": (
        requires("MANAGED_INSTANCES", container=NEURON),
        requires("MANAGED_INSTANCES", container=gpu(type="NeuronDevice", value="1")),
    ),
}  # fmt: skip

EXAMPLES = TASK | CONTAINER | NETWORK | VOLUMES | STARTUP | LOGGING | LINUX
