"""Managed Instances: ECS starts an instance where a task finds no room. Their types are data."""

from __future__ import annotations

from typing import Final, NamedTuple

from fargate_local.instances import Need
from fargate_local.shapes import JsonObject


class InstanceType(NamedTuple):
    """An EC2 instance type (https://aws.amazon.com/ec2/instance-types/)."""

    name: str
    cpu: int
    memory_mib: int
    architecture: str


_SIZES: Final = (("large", 2), ("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16), ("8xlarge", 32), ("16xlarge", 64))
_FAMILIES: Final = (("m5", 4, "x86_64"), ("r5", 8, "x86_64"), ("m7g", 4, "arm64"), ("r7g", 8, "arm64"))
TYPES: Final = tuple(
    InstanceType(f"{family}.{size}", vcpus * 1024, vcpus * gib * 1024, architecture)
    for size, vcpus in _SIZES
    for family, gib, architecture in _FAMILIES
)
"""Smallest first."""


def type_for(need: Need, architecture: str, provider: JsonObject) -> InstanceType | None:
    """The smallest type with room for a task that the provider's requirements allow; None: there is none.

    :param provider: `managedInstancesProvider`; of its requirements only `allowedInstanceTypes` counts here.
    """
    template = provider.get("instanceLaunchTemplate", {})
    allowed = template.get("instanceRequirements", {}).get("allowedInstanceTypes")
    fitting = (
        each
        for each in TYPES
        if each.architecture == architecture and each.cpu >= need.cpu and each.memory_mib >= need.memory_mib
    )
    return next((each for each in fitting if not allowed or each.name in allowed), None)
