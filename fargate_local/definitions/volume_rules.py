"""Rules for volumes and where containers mount them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fargate_local import limits
from fargate_local.definitions.rule import EXTERNAL, FARGATE, Definition, Rules, Sentences
from fargate_local.definitions.rule import given as values

RULES = Rules()

KINDS: Final = (
    "host", "configuredAtLaunch", "dockerVolumeConfiguration", "efsVolumeConfiguration", "s3filesVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
)  # fmt: skip
PORTS: Final = range(1, 65536)
# The members of an EFS and of an S3 Files volume that rules of both read: where the access point is.
ACCESS_POINTS: Final = {
    "efsVolumeConfiguration": "authorizationConfig.accessPointId",
    "s3filesVolumeConfiguration": "accessPointArn",
}


def _of(task: Definition, path: str) -> Iterator[Any]:
    """The volumes' values at a path."""
    for volume in task.volumes:
        yield from values(volume, path)


@RULES.check("Volume.name", says="required")
def volume_has_name(task: Definition) -> Sentences:
    if not all(volume.get("name") for volume in task.volumes):
        yield "Volume name should not be null or empty."


@RULES.check("Volume.name", says="up to 255 letters, numbers, hyphens and underscores")
def volume_name(task: Definition) -> Sentences:
    for name in _of(task, "name"):
        if not limits.NAME.fullmatch(name):
            yield f"Invalid volume name {name!r}: letters, numbers, hyphens, and underscores are allowed."


@RULES.check("Volume.name", says="unique in the task definition", guide="using_data_volumes")
def volume_names_differ(task: Definition) -> Sentences:
    names = [volume.get("name") for volume in task.volumes]
    if len(names) != len(set(names)):
        yield "Volume names must be unique within a task definition."


@RULES.check("Volume.host", "Volume.efsVolumeConfiguration", "Volume.s3filesVolumeConfiguration",
             "Volume.dockerVolumeConfiguration", "Volume.fsxWindowsFileServerVolumeConfiguration",
             says="a volume is of one kind")  # fmt: skip
def volume_is_of_one_kind(task: Definition) -> Sentences:
    for volume in task.volumes:
        kinds = [kind for kind in KINDS if any(values(volume, kind))]
        if len(kinds) > 1:
            yield f"Volume '{volume.get('name')}' can only have one of {', '.join(kinds)}."


@RULES.check("Volume.configuredAtLaunch", says="at most one such volume")
def launch_volume_count(task: Definition) -> Sentences:
    if sum(1 for _ in _of(task, "configuredAtLaunch")) > 1:
        yield "A task definition can only have one volume that is configured at launch."


@RULES.check("Volume.configuredAtLaunch", says="a container mounts it", guide="specify-ebs-config")
def launch_volume_is_mounted(task: Definition) -> Sentences:
    mounted = {name for _, name in task.each("mountPoints[].sourceVolume")}
    missing = [v.get("name") for v in task.volumes if v.get("configuredAtLaunch") and v.get("name") not in mounted]
    if missing:
        yield f"Volumes [{', '.join(str(name) for name in missing)}] are not referenced by any of the containers"


@RULES.check("HostVolumeProperties.sourcePath", says="not on Fargate", launch_type=FARGATE)
def fargate_source_path(task: Definition) -> Sentences:
    if any(_of(task, "host.sourcePath")):
        yield "Fargate compatible task definitions do not support sourcePath"


@RULES.check("DockerVolumeConfiguration.driver", "DockerVolumeConfiguration.scope", says="no Docker volumes on Fargate",
             launch_type=FARGATE)  # fmt: skip
def fargate_docker_volume(task: Definition) -> Sentences:
    if any("dockerVolumeConfiguration" in volume for volume in task.volumes):
        yield "Fargate compatible task definitions do not support dockerVolumeConfiguration"


@RULES.check("FSxWindowsFileServerVolumeConfiguration.fileSystemId", says="not on Fargate", launch_type=FARGATE,
             guide="wfsx-volumes")  # fmt: skip
def fargate_fsx_volume(task: Definition) -> Sentences:
    if any(_of(task, "fsxWindowsFileServerVolumeConfiguration")):
        yield "Fargate compatible task definitions do not support fsxWindowsFileServerVolumeConfiguration"


@RULES.check("FSxWindowsFileServerVolumeConfiguration.rootDirectory",
             "FSxWindowsFileServerAuthorizationConfig.credentialsParameter",
             "FSxWindowsFileServerAuthorizationConfig.domain", says="not empty")  # fmt: skip
def fsx_is_whole(task: Definition) -> Sentences:
    for each in _of(task, "fsxWindowsFileServerVolumeConfiguration"):
        authorization = each["authorizationConfig"]
        if not all((each["fileSystemId"], each["rootDirectory"], *authorization.values())):
            yield "An FSx volume needs fileSystemId, rootDirectory, credentialsParameter and domain."


@RULES.check("EFSVolumeConfiguration.fileSystemId", says="not empty")
def efs_file_system(task: Definition) -> Sentences:
    if not all(each["fileSystemId"] for each in _of(task, "efsVolumeConfiguration")):
        yield "The fileSystemId of an EFS volume should not be null or empty."


@RULES.check("S3FilesVolumeConfiguration.fileSystemArn", "S3FilesVolumeConfiguration.accessPointArn", says="full ARNs")
def s3_files_arns(task: Definition) -> Sentences:
    for each in _of(task, "s3filesVolumeConfiguration"):
        for name in ("fileSystemArn", "accessPointArn"):
            if not each.get(name, "arn:").startswith("arn:"):
                yield f"Invalid arn syntax: {name} is {each[name]!r}"


@RULES.check("EFSVolumeConfiguration.rootDirectory", "S3FilesVolumeConfiguration.rootDirectory",
             says="with an access point / or nothing")  # fmt: skip
def access_point_root(task: Definition) -> Sentences:
    for kind, path in ACCESS_POINTS.items():
        for each in _of(task, kind):
            if any(values(each, path)) and each.get("rootDirectory", "/") not in ("/", ""):
                word = "an EFS" if kind.startswith("efs") else "an S3 Files"
                yield f'When using {word} access point, the root directory must either be set to "/" or be omitted.'


@RULES.check("EFSAuthorizationConfig.iam", "EFSVolumeConfiguration.transitEncryption", says="needs transit encryption")
def efs_iam_encryption(task: Definition) -> Sentences:
    for each in _of(task, "efsVolumeConfiguration"):
        if "ENABLED" in values(each, "authorizationConfig.iam") and each.get("transitEncryption") != "ENABLED":
            yield "EFS IAM authorization requires TransitEncryption to be enabled."


@RULES.check("EFSAuthorizationConfig.accessPointId", "EFSVolumeConfiguration.authorizationConfig",
             says="needs transit encryption")  # fmt: skip
def efs_access_point_encryption(task: Definition) -> Sentences:
    for each in _of(task, "efsVolumeConfiguration"):
        if any(values(each, "authorizationConfig.accessPointId")) and each.get("transitEncryption") != "ENABLED":
            yield "An EFS access point requires TransitEncryption to be enabled."


@RULES.check("EFSVolumeConfiguration.transitEncryptionPort", says="needs transit encryption",
             guide="specify-efs-config")  # fmt: skip
def efs_port_encryption(task: Definition) -> Sentences:
    for each in _of(task, "efsVolumeConfiguration"):
        if "transitEncryptionPort" in each and each.get("transitEncryption") != "ENABLED":
            yield "TransitEncryptionPort requires that TransitEncryption is enabled."


@RULES.check("EFSVolumeConfiguration.transitEncryptionPort", "S3FilesVolumeConfiguration.transitEncryptionPort",
             says="from 1 to 65535", guide="specify-efs-config")  # fmt: skip
def transit_port(task: Definition) -> Sentences:
    for kind in ACCESS_POINTS:
        for port in _of(task, f"{kind}.transitEncryptionPort"):
            if port not in PORTS:
                yield f"Invalid transitEncryptionPort {port}: it must be between 1 and 65535."


@RULES.check("EFSVolumeConfiguration.fileSystemId", says="not on external instances", launch_type=EXTERNAL,
             guide="ecs-anywhere")  # fmt: skip
def external_efs(task: Definition) -> Sentences:
    if any(_of(task, "efsVolumeConfiguration")):
        yield "The EXTERNAL launch type does not support EFS volumes."


@RULES.check("EFSVolumeConfiguration.fileSystemId", says="not for Windows on Fargate", launch_type=FARGATE,
             guide="efs-volumes")  # fmt: skip
def fargate_windows_efs(task: Definition) -> Sentences:
    if task.windows and any(_of(task, "efsVolumeConfiguration")):
        yield "Windows containers on Fargate do not support EFS volumes."


@RULES.check("MountPoint.sourceVolume", "ContainerDefinition.mountPoints", says="a volume of the task")
def mounted_volume(task: Definition) -> Sentences:
    names = {volume.get("name") for volume in task.volumes}
    for _, point in task.each("mountPoints[]"):
        if point.get("sourceVolume") not in names:
            yield f"Unknown volume '{point.get('sourceVolume')}'."


@RULES.check("MountPoint.containerPath", says="required", guide="task_definition_parameters")
def mount_path(task: Definition) -> Sentences:
    for name, point in task.each("mountPoints[]"):
        if not point.get("containerPath"):
            yield f"Container path of a mount point should not be null or empty for container '{name}'."


@RULES.check("VolumeFrom.sourceContainer", "ContainerDefinition.volumesFrom", says="another container of the task")
def volumes_from(task: Definition) -> Sentences:
    for name, source in task.each("volumesFrom[]"):
        if source.get("sourceContainer") not in set(task.names) - {name}:
            yield f"Invalid 'volumesFrom' setting. Unknown container: '{source.get('sourceContainer')}'"


RULES.not_checked(
    "MountPoint.readOnly", "VolumeFrom.readOnly", says="true or false", why="botocore's model checks the type"
)
RULES.not_checked(
    "DockerVolumeConfiguration.autoprovision", "DockerVolumeConfiguration.driverOpts",
    "DockerVolumeConfiguration.labels", says="autoprovision counts when the scope is shared",
    why="AWS documents that it is not used otherwise, not that it is refused; the others go on to Docker",
)  # fmt: skip
RULES.not_checked(
    "FSxWindowsFileServerVolumeConfiguration.authorizationConfig", says="required", why="botocore's model requires it"
)
