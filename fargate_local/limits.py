"""ECS's and Fargate's published limits as data, each with the page of docs.aws.amazon.com it comes from."""

from __future__ import annotations

import re
from typing import Final

# AmazonECS/latest/developerguide/task-cpu-memory-error: CPU units -> memory in MiB
FARGATE_MEMORY_MIB: Final[dict[int, tuple[int, ...]]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
    32768: (61440, 122880, 249856),
}

# AmazonECS/latest/developerguide/service-quotas
MAX_TASK_DEFINITION_BYTES: Final = 64 * 1024
MAX_CONTAINERS: Final = 10
MAX_SUBNETS: Final = 16
MAX_SECURITY_GROUPS: Final = 5
MAX_DESIRED_COUNT: Final = 5000

# AmazonECS/latest/APIReference/API_RunTask
MAX_TASKS_PER_RUN: Final = 10
MAX_OVERRIDES_CHARACTERS: Final = 8192
STARTED_BY: Final = re.compile(r"[A-Za-z0-9/_-]{1,128}")

# AmazonECS/latest/APIReference/API_EphemeralStorage
EPHEMERAL_STORAGE_GIB: Final = (21, 200)
# AmazonECS/latest/developerguide/ebs-volumes
MAX_LAUNCH_VOLUMES: Final = 1
# AmazonECS/latest/APIReference/API_TaskManagedEBSVolumeConfiguration: GiB, IOPS (None: not settable), needed or not
EBS_TYPES: Final[dict[str, tuple[tuple[int, int], tuple[int, int] | None, bool]]] = {
    "gp3": ((1, 16384), (3000, 16000), False),
    "gp2": ((1, 16384), None, False),
    "io1": ((4, 16384), (100, 64000), True),
    "io2": ((4, 16384), (100, 256000), True),
    "st1": ((125, 16384), None, False),
    "sc1": ((125, 16384), None, False),
    "standard": ((1, 1024), None, False),
}
EBS_THROUGHPUT_MIB: Final = (125, 1000)

# AmazonECS/latest/APIReference/ECS_Idempotency
MAX_CLIENT_TOKEN_CHARACTERS: Final = 64
CLIENT_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,64}")
# AmazonECS/latest/APIReference/API_CreateService (clientToken)
SERVICE_CLIENT_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,36}")
CLIENT_TOKEN_SECONDS: Final = 24 * 3600.0
CLIENT_TOKEN_AFTER_STOP_SECONDS: Final = 3600.0

# AmazonECS/latest/APIReference/API_DescribeTasks, API_DescribeServices, API_ListTasks
MAX_DESCRIBED_TASKS: Final = 100
MAX_DESCRIBED_SERVICES: Final = 10
MAX_DESCRIBED_CLUSTERS: Final = 100
# AmazonECS/latest/APIReference/API_DescribeCapacityProviders
MAX_DESCRIBED_PROVIDERS: Final = 100
# AmazonECS/latest/developerguide/platform-linux-fargate, platform-windows-fargate
PLATFORM_VERSIONS: Final = ("LATEST", "1.4.0", "1.3.0", "1.2.0", "1.1.0", "1.0.0")
# AmazonECS/latest/APIReference/API_DescribeContainerInstances
MAX_DESCRIBED_INSTANCES: Final = 100
MAX_LIST_RESULTS: Final = 100

# AmazonECS/latest/APIReference/API_UpdateTaskProtection, API_GetTaskProtection
PROTECTION_MINUTES: Final = (1, 2880)
DEFAULT_PROTECTION_MINUTES: Final = 120
MAX_PROTECTED_PER_CALL: Final = 10
MAX_PROTECTIONS_READ: Final = 100

# AmazonECS/latest/APIReference/API_Tag
MAX_TAGS: Final = 50
MAX_TAG_KEY_CHARACTERS: Final = 128
MAX_TAG_VALUE_CHARACTERS: Final = 256
TAG_CHARACTERS: Final = re.compile(r"[\w\s+\-=.:/@]*", re.UNICODE)

# AmazonECS/latest/APIReference/API_RegisterTaskDefinition, API_CreateCluster, API_CreateService
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")

# AmazonECS/latest/APIReference/API_ContainerDefinition (stopTimeout, on Fargate)
DEFAULT_STOP_TIMEOUT_SECONDS: Final = 30
MAX_STOP_TIMEOUT_SECONDS: Final = 120

# AmazonECS/latest/APIReference/API_HealthCheck
HEALTH_INTERVAL_SECONDS: Final = 30
HEALTH_TIMEOUT_SECONDS: Final = 5
HEALTH_RETRIES: Final = 3

# AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents: per call, and what one event costs beside its text
LOG_BATCH_EVENTS: Final = 10_000
LOG_BATCH_BYTES: Final = 1_048_576
LOG_EVENT_OVERHEAD_BYTES: Final = 26
LOG_LINE_BYTES: Final = 256 * 1024

# AmazonECS/latest/developerguide/throttling: Fargate launches, On-Demand and Spot each; RunTask calls on Fargate
LAUNCH_BURST: Final = 100
LAUNCH_REFILL_PER_SECOND: Final = 20.0
RUN_TASK_CALLS_PER_SECOND: Final = 20

# general/latest/gr/ecs-service (AWS Fargate service quotas): capacity -> quota code and name
VCPU_QUOTAS: Final[dict[str, tuple[str, str]]] = {
    "FARGATE": ("L-3032A538", "Fargate On-Demand vCPU resource count"),
    "FARGATE_SPOT": ("L-36FBB829", "Fargate Spot vCPU resource count"),
}
VCPU_LIMIT_REASON: Final = "You've reached the limit on the number of vCPUs you can run concurrently"

# AmazonECS/latest/developerguide/request-throttling: bucket -> (burst, refill per second, operations).
# The "cluster-*" and the modify buckets not named in our FACTS are those of the same page.
API_BUCKETS: Final[dict[str, tuple[int, float, frozenset[str]]]] = {
    "task-modify": (100, 40.0, frozenset({"RunTask", "StartTask", "StopTask"})),
    "task-read": (100, 20.0, frozenset({"DescribeTasks", "ListTasks"})),
    "service-read": (100, 20.0, frozenset({"DescribeServices", "ListServices"})),
    "service-modify": (50, 5.0, frozenset({"CreateService", "UpdateService", "DeleteService"})),
    "task-definition-modify": (20, 1.0, frozenset({"RegisterTaskDefinition", "DeregisterTaskDefinition"})),
    "tag-modify": (20, 10.0, frozenset({"TagResource", "UntagResource"})),
}

STATE_SECONDS: Final[dict[str, float]] = {"PROVISIONING": 12.0, "PENDING": 20.0, "DEPROVISIONING": 10.0}
"""Typical time a Fargate task spends in each state (network interface; image pull; interface released), in seconds.

Not published: the order of magnitude seen in practice. `Settings.pace` scales it.
"""


def is_fargate_size(cpu_units: int, memory_mib: int) -> bool:
    """Whether Fargate has tasks of this size."""
    return memory_mib in FARGATE_MEMORY_MIB.get(cpu_units, ())


def cpu_units(text: str) -> int:
    """CPU units of a task-level `cpu` such as "1024", "1 vCPU" or ".5 vcpu".

    :raises ValueError: the text is neither.
    """
    return _quantity(text, "vcpu", 1024)


def memory_mib(text: str) -> int:
    """MiB of a task-level `memory` such as "2048", "2 GB" or "0.5GB".

    :raises ValueError: the text is neither.
    """
    return _quantity(text, "gb", 1024)


def _quantity(text: str, unit: str, factor: int) -> int:
    plain = text.strip().lower()
    if plain.endswith(unit) and re.fullmatch(r"[0-9]{0,9}\.?[0-9]{1,9}", plain.removesuffix(unit).strip()):
        return round(float(plain.removesuffix(unit)) * factor)
    if re.fullmatch(r"[0-9]{1,9}", plain):
        return int(plain)
    raise ValueError(text)
