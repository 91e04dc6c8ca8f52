"""The account's Fargate vCPU quota, from Service Quotas."""

from __future__ import annotations

from typing import Any

from ecs_feature.aws import limits
from ecs_feature.aws.connection import AwsConnection
from ecs_feature.aws.errors import translated
from ecs_feature.exceptions import EcsFeatureError


def vcpu_quota(bucket: str, aws: AwsConnection) -> tuple[float | None, str]:
    """vCPUs of ``bucket`` at once, and a note; None where there is no such quota or it cannot be read.

    :param bucket: ``FARGATE``, ``FARGATE_SPOT``, or neither.
    :param aws: what the pipeline's shards use.
    """
    code = limits.FARGATE_VCPU_QUOTAS.get(bucket)
    if code is None:
        return (
            None,
            "Shards on instances have no Fargate vCPU quota and wait for none; your own instances cost nothing more.",
        )
    try:
        with translated(f"The quota {code}"):
            answer = _client(aws).get_service_quota(ServiceCode="fargate", QuotaCode=code)
    except EcsFeatureError as error:
        return None, f"The vCPU quota is not known, so it sets no bound: {error}"
    except Exception as error:  # a missing connection, a missing region: the estimate goes on without
        return None, f"The vCPU quota is not known, so it sets no bound: {error}"
    value = float(answer["Quota"]["Value"])
    return value, f"{bucket} allows {value:g} vCPUs at once in this account."


def _client(aws: AwsConnection) -> Any:
    """A client that gives up soon: the quota is a help, not a need."""
    from botocore.config import Config

    hook = aws.hook("service-quotas")
    hasty = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 1})
    return hook.get_client_type(region_name=hook.region_name, config=hook._client_config().merge(hasty))
