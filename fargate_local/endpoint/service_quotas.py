"""Service Quotas for Fargate's vCPUs; every other quota is moto's."""

from __future__ import annotations

from fargate_local import limits
from fargate_local.errors import ApiError
from fargate_local.settings import Settings
from fargate_local.shapes import JsonObject

TARGET = "ServiceQuotasV20190624.GetServiceQuota"
SERVICE_CODE = "fargate"


def get_service_quota(settings: Settings, request: JsonObject) -> JsonObject:
    """The answer to GetServiceQuota for the service `fargate`.

    :raises ApiError: NoSuchResourceException, there is no such quota.
    """
    code = request.get("QuotaCode")
    for quota_code, name in limits.VCPU_QUOTAS.values():
        if quota_code == code:
            account = f"arn:aws:servicequotas:{settings.region}:{settings.account_id}"
            return {
                "Quota": {
                    "ServiceCode": SERVICE_CODE,
                    "ServiceName": "AWS Fargate",
                    "QuotaArn": f"{account}:{SERVICE_CODE}/{quota_code}",
                    "QuotaCode": quota_code,
                    "QuotaName": name,
                    "Value": settings.fargate_vcpus,
                    "Unit": "None",
                    "Adjustable": True,
                    "GlobalQuota": False,
                }
            }
    raise ApiError("NoSuchResourceException", "The request failed because the specified resource does not exist.")
