"""EBS volumes that a task gets at its launch: one item of RunTask's ``volumeConfigurations``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, NamedTuple

from ecs_feature.aws import limits
from ecs_feature.environment import substitute
from ecs_feature.exceptions import ConfigurationError, TaskDefinitionError

VOLUMES_PER_TASK: Final = 1
"""AmazonECS/latest/developerguide/ebs-volumes.html: "you can attach one EBS volume to the task"."""
PAGE: Final = "AmazonECS/latest/APIReference/API_TaskManagedEBSVolumeConfiguration.html"
FILE_SYSTEMS: Final = ("ext3", "ext4", "xfs", "ntfs")


class VolumeType(NamedTuple):
    """What a type of EBS volume allows, from :data:`PAGE`: ranges of GiB and IOPS (None: not settable).

    :param needs_iops: whether the IOPS must be given.
    :param free_iops: the IOPS that it has at no cost; ``free_mib`` likewise the MiB/s
        (https://aws.amazon.com/ebs/pricing/).
    """

    gib: tuple[int, int]
    iops: tuple[int, int] | None = None
    mib: tuple[int, int] | None = None
    needs_iops: bool = False
    free_iops: int = 0
    free_mib: int = 0


TYPES: Final[Mapping[str, VolumeType]] = {
    "gp3": VolumeType((1, 16_384), (3_000, 16_000), (125, 1_000), free_iops=3_000, free_mib=125),
    "gp2": VolumeType((1, 16_384)),
    "io1": VolumeType((4, 16_384), (100, 64_000), needs_iops=True),
    "io2": VolumeType((4, 16_384), (100, 256_000), needs_iops=True),
    "st1": VolumeType((125, 16_384)),
    "sc1": VolumeType((125, 16_384)),
    "standard": VolumeType((1, 1_024)),
}
_ROLE: Final = re.compile(r"arn:[^:]+:iam::\d*:role/\S+")
_SNAPSHOT: Final = re.compile(r"snap-[0-9a-f]+")


@dataclass(frozen=True)
class EbsVolume:
    """An EBS volume that ECS makes for each launch of a shard and attaches to its task.

    :param name: of a volume of the task definition with ``"configuredAtLaunch": true``.
    :param role_arn: the infrastructure role with which ECS makes and attaches it.
    :param size_gib: needed without ``snapshot_id``; with it, at least the snapshot's size.
    :param volume_type: ``gp3``, ``gp2``, ``io1``, ``io2``, ``st1``, ``sc1``, or, not on Fargate, ``standard``.
    :param iops: needed for ``io1`` and ``io2``; ``gp3`` has 3,000 without it.
    :param throughput_mib: MiB/s, of ``gp3`` only, which has 125 without it.
    :param snapshot_id: the snapshot that it is made from.
    :param initialization_mib: MiB/s at which the snapshot's data is fetched.
    :param encrypted: None: as the account has it by default.
    :param kms_key_id: the key's ARN.
    :param filesystem: ``xfs`` without it; of a snapshot, the one that it has.
    :param delete_on_termination: False: it stays when the task has stopped, and so does its price.
    :param tags: of the volume.
    :raises ConfigurationError: for the first value that RunTask would refuse, with the limit.
    """

    name: str
    role_arn: str
    size_gib: int | None = None
    volume_type: str = "gp3"
    iops: int | None = None
    throughput_mib: int | None = None
    snapshot_id: str = ""
    initialization_mib: int | None = None
    encrypted: bool | None = None
    kms_key_id: str = ""
    filesystem: str = ""
    delete_on_termination: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("name", "role_arn", "volume_type", "snapshot_id", "kms_key_id", "filesystem"):
            self._must(name, isinstance(getattr(self, name), str), "is no text; give text")
        for name in ("size_gib", "iops", "throughput_mib", "initialization_mib"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            self._must(name, value is None or (whole and value > 0), "is no whole number above 0")
        self._must("name", bool(self.name), "is empty; name the task definition's volume")
        role = _ROLE.fullmatch(self.role_arn) or "${" in self.role_arn
        self._must("role_arn", bool(role), "is no ARN of a role; give that of ECS's infrastructure role")
        self._must("volume_type", self.volume_type in TYPES, f"is not known; give one of {', '.join(TYPES)}")
        self._must("size_gib", bool(self.size_gib or self.snapshot_id), "and no snapshot_id; give one of the two")
        self._check_sizes(TYPES[self.volume_type])
        snapshot = not self.snapshot_id or _SNAPSHOT.fullmatch(self.snapshot_id) or "${" in self.snapshot_id
        self._must("snapshot_id", bool(snapshot), "is no snapshot; give its id, snap-...")
        bare = self.initialization_mib is None or bool(self.snapshot_id)
        self._must("initialization_mib", bare, "is only for a volume from a snapshot; give snapshot_id, too")
        known = self.filesystem in ("", *FILE_SYSTEMS)
        self._must("filesystem", known, f"is not known; give one of {', '.join(FILE_SYSTEMS)}")

    def _check_sizes(self, kind: VolumeType) -> None:
        self._within("size_gib", kind.gib)
        self._must("iops", self.iops is not None or not kind.needs_iops, f"is needed for {self.volume_type}")
        self._within("iops", kind.iops)
        self._within("throughput_mib", kind.mib)

    def _within(self, name: str, span: tuple[int, int] | None) -> None:
        value = getattr(self, name)
        if value is None:
            return
        self._must(name, span is not None, f"cannot be set for {self.volume_type}; leave it out")
        assert span is not None
        self._must(
            name, span[0] <= value <= span[1], f"is out of range for {self.volume_type}; give {span[0]} to {span[1]}"
        )

    def _must(self, name: str, right: bool, fault: str) -> None:
        if not right:
            raise ConfigurationError(f"volumes[{self.name!r}].{name}: {getattr(self, name)!r:.80} {fault} ({PAGE}).")

    def resolved(self, values: Mapping[str, str]) -> EbsVolume:
        """The volume with its placeholders replaced.

        :raises ConfigurationError: when one has no value, or the value is wrong.
        """
        texts = {
            each.name: substitute(value, values, where=f"volumes[{self.name!r}].{each.name}")
            for each in fields(self)
            if isinstance(value := getattr(self, each.name), str | Mapping)
        }
        return replace(self, **texts)

    def billed(self) -> dict[str, float]:
        """What it is billed for, in GB, IOPS and MiB/s: ``{"gp3.gb": 200, "gp3.mib": 125}``."""
        kind, of = TYPES[self.volume_type], self.volume_type
        amounts = {
            f"{of}.gb" if self.size_gib else f"{of}.gb of {self.snapshot_id}": float(self.size_gib or 1),
            f"{of}.iops": float(max(0, (self.iops or 0) - kind.free_iops)),
            f"{of}.mib": float(max(0, (self.throughput_mib or 0) - kind.free_mib)),
        }
        return {meter: amount for meter, amount in amounts.items() if amount}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EbsVolume:
        """The opposite of :meth:`to_dict`."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe; only what differs from the default."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) != _default(each)}

    def to_aws(self) -> dict[str, Any]:
        """The item of ``volumeConfigurations``."""
        made: dict[str, Any] = {
            "roleArn": self.role_arn,
            "volumeType": self.volume_type,
            "terminationPolicy": {"deleteOnTermination": self.delete_on_termination},
            "sizeInGiB": self.size_gib,
            "iops": self.iops,
            "throughput": self.throughput_mib,
            "snapshotId": self.snapshot_id or None,
            "volumeInitializationRate": self.initialization_mib,
            "encrypted": self.encrypted,
            "kmsKeyId": self.kms_key_id or None,
            "filesystemType": self.filesystem or None,
        }
        if self.tags:
            tags = [
                {"key": limits.tag_text(key, limits.TAG_KEY_CHARACTERS), "value": limits.tag_text(value)}
                for key, value in sorted(self.tags.items())
            ]
            made["tagSpecifications"] = [{"resourceType": "volume", "tags": tags}]
        return {"name": self.name, "managedEBSVolume": {key: value for key, value in made.items() if value is not None}}


def _default(each: Any) -> Any:
    return {} if each.name == "tags" else each.default


def check_volumes(volumes: Iterable[object]) -> None:
    """:raises ConfigurationError: when they are no volumes, or more than a task can have."""
    given = list(volumes)
    for volume in given:
        if not isinstance(volume, EbsVolume):
            raise ConfigurationError(f"volumes: {volume!r:.80} is of type {type(volume).__name__}; give an EbsVolume.")
    if len(given) > VOLUMES_PER_TASK:
        raise ConfigurationError(
            f"volumes: {len(given)} are given, but ECS attaches {VOLUMES_PER_TASK} to a task; leave out the others "
            "(AmazonECS/latest/developerguide/ebs-volumes.html)."
        )


def check_configured(
    definition: Mapping[str, Any], volumes: Iterable[EbsVolume], *, where: str = "the task definition"
) -> None:
    """Check that the task definition's volumes to be configured at launch are those that the launches configure.

    :raises TaskDefinitionError: one sentence; RunTask would refuse every launch.
    """
    names = {volume.name for volume in volumes}
    wanted = {
        str(one.get("name", "")) for one in definition.get("volumes") or () if (one or {}).get("configuredAtLaunch")
    }
    if missing := sorted(wanted - names):
        raise TaskDefinitionError(
            f"{where}: volume {', '.join(missing)} is configured at launch, but the pipeline's volumes have none of "
            f'that name; give volumes=[EbsVolume("{missing[0]}", ...)], or take configuredAtLaunch out '
            "(AmazonECS/latest/developerguide/specify-ebs-config.html)."
        )
    if unknown := sorted(names - wanted):
        raise TaskDefinitionError(
            f"volumes: {where} has no volume {', '.join(unknown)} with configuredAtLaunch true; add it there, with a "
            "mount point, or take it out of volumes (AmazonECS/latest/developerguide/specify-ebs-config.html)."
        )
