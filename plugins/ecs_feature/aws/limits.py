"""Published limits of Amazon ECS and AWS Fargate, as data. Each stands beside the page it comes from.

Pages are below https://docs.aws.amazon.com/ unless a full address is given.
"""

from __future__ import annotations

import re
from typing import Final

from ecs_feature.exceptions import ConfigurationError

# AmazonECS/latest/developerguide/task-cpu-memory-error.html: CPU units -> memory in MiB that go with it.
FARGATE_SIZES: Final[dict[int, tuple[int, ...]]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
    32768: (61440, 122880, 249856),
}
FARGATE_SIZES_PAGE: Final = "AmazonECS/latest/developerguide/task-cpu-memory-error.html"

# AmazonECS/latest/APIReference/API_EphemeralStorage.html: GiB of a Fargate task; 20 without it.
EPHEMERAL_GIB: Final = (21, 200)
DEFAULT_EPHEMERAL_GIB: Final = 20
# AmazonECS/latest/APIReference/API_RunTask.html
OVERRIDES_CHARACTERS: Final = 8192
STARTED_BY: Final = re.compile(r"[A-Za-z0-9_/-]{1,128}")
# AmazonECS/latest/APIReference/ECS_Idempotency.html
CLIENT_TOKEN_CHARACTERS: Final = 64
# AmazonECS/latest/APIReference/API_Tag.html
TAGS_PER_RESOURCE: Final = 50
TAG_KEY_CHARACTERS: Final = 128
TAG_VALUE_CHARACTERS: Final = 256
TAG_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9 +\-=._:/@]")
# AmazonECS/latest/developerguide/service-quotas.html
SUBNETS: Final = 16
SECURITY_GROUPS: Final = 5
CONTAINERS: Final = 10
TASK_DEFINITION_BYTES: Final = 64 * 1024
SERVICE_DESIRED_COUNT: Final = 5000
QUOTAS_PAGE: Final = "AmazonECS/latest/developerguide/service-quotas.html"
# AmazonECS/latest/APIReference/API_DescribeTasks.html, API_DescribeServices.html
DESCRIBE_TASKS: Final = 100
DESCRIBE_SERVICES: Final = 10
# AmazonECS/latest/developerguide/throttling.html: launches on Fargate, (burst, refill per second).
FARGATE_LAUNCHES: Final = (100, 20)
# same page: RunTask calls per second on Fargate, no extra burst.
RUN_TASK_CALLS_PER_SECOND: Final = 20
# AmazonECS/latest/developerguide/request-throttling.html: DescribeTasks and ListTasks together, (burst, per second).
TASK_READ_CALLS: Final = (100, 20)
# same page: RunTask and StopTask together.
TASK_WRITE_CALLS: Final = (100, 40)
# AmazonECS/latest/APIReference/API_ListTasks.html, API_DescribeClusters.html
LIST_TASKS: Final = 100
DESCRIBE_CLUSTERS: Final = 100
# general/latest/gr/ecs-service.html: Fargate's vCPUs that run at once; Service Quotas code by capacity provider.
FARGATE_VCPU_QUOTAS: Final[dict[str, str]] = {"FARGATE": "L-3032A538", "FARGATE_SPOT": "L-36FBB829"}
# AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html: calls per second, the least that any region has.
GET_LOG_EVENTS_PER_SECOND: Final = 10
FILTER_LOG_EVENTS_PER_SECOND: Final = 5
# AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html: log streams a call; events a page.
FILTER_LOG_STREAMS: Final = 100
FILTER_LOG_EVENTS: Final = 10_000
# AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html: messages a call, seconds of a long poll.
SQS_MESSAGES: Final = 10
SQS_WAIT_SECONDS: Final = 20


def valid_fargate_size(cpu: int, memory_mib: int, *, field: str = "cpu/memory") -> tuple[int, int]:
    """Return ``(cpu, memory_mib)`` if Fargate has tasks of that size.

    :param cpu: CPU units, 1024 to a vCPU.
    :param memory_mib: memory in MiB.
    :raises ConfigurationError: when Fargate does not offer the pair; the sentence names the nearest valid ones.
    """
    if cpu not in FARGATE_SIZES:
        known = ", ".join(str(size) for size in FARGATE_SIZES)
        raise ConfigurationError(
            f"{field}: cpu {cpu} is not a Fargate size; choose one of {known} CPU units ({FARGATE_SIZES_PAGE})."
        )
    sizes = FARGATE_SIZES[cpu]
    if memory_mib not in sizes:
        below = max((size for size in sizes if size < memory_mib), default=sizes[0])
        above = min((size for size in sizes if size > memory_mib), default=sizes[-1])
        nearest = " or ".join(str(size) for size in sorted({below, above}))
        raise ConfigurationError(
            f"{field}: Fargate has no task with cpu {cpu} and memory {memory_mib} MiB; with cpu {cpu} choose "
            f"{sizes[0]} to {sizes[-1]} MiB, nearest {nearest} ({FARGATE_SIZES_PAGE})."
        )
    return cpu, memory_mib


def tag_text(text: str, max_characters: int = TAG_VALUE_CHARACTERS) -> str:
    """``text`` with what a tag may not hold replaced by ``_``, cut to ``max_characters`` characters."""
    return TAG_FORBIDDEN.sub("_", text)[:max_characters]
