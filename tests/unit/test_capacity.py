"""What a launch asks to run on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ecs_feature.capacity import Fallback, bucket_of, check_capacity, request_of
from ecs_feature.exceptions import ConfigurationError

MIXED = (
    {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
)
EC2_PROVIDER = ({"capacityProvider": "gpu-asg", "weight": 1},)


@pytest.mark.parametrize(
    ("capacity", "request_members", "bucket"),
    [
        ("on_demand", {"launchType": "FARGATE"}, "FARGATE"),
        ("spot", {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}, "FARGATE_SPOT"),
        ("ec2", {"launchType": "EC2"}, ""),
        ("cluster_default", {}, "FARGATE"),
        (MIXED, {"capacityProviderStrategy": [dict(item) for item in MIXED]}, "FARGATE_SPOT"),
        (EC2_PROVIDER, {"capacityProviderStrategy": [dict(item) for item in EC2_PROVIDER]}, ""),
    ],
    ids=["on demand", "spot", "ec2", "cluster default", "mixed", "provider of EC2 instances"],
)
def test_each_capacity_asks_in_its_own_way_and_uses_its_own_quota(
    capacity: Any, request_members: dict[str, Any], bucket: str
) -> None:
    check_capacity(capacity)
    assert request_of(capacity) == request_members
    assert bucket_of(capacity) == bucket


def test_spot_with_fallback_is_a_capacity_of_a_pipeline() -> None:
    check_capacity("spot_with_fallback")


@pytest.mark.parametrize(
    ("capacity", "sentence"),
    [
        ("reserved", "capacity: 'reserved' is not known; give one of on_demand, spot"),
        ([], "capacity: a strategy of 0 items; RunTask takes 1 to 20"),
        ([{"capacityProvider": "FARGATE", "weight": 1}] * 21, "a strategy of 21 items"),
        ([{"weight": 1}], "names no capacityProvider"),
        ([{"capacityProvider": "FARGATE", "wieght": 1}], "wieght is not part of a strategy's item"),
        ([{"capacityProvider": "FARGATE", "weight": 1001}], "weight 1001 of FARGATE is out of range; give 0 to 1000"),
        ([{"capacityProvider": "FARGATE", "weight": -1}], "weight -1 of FARGATE is out of range"),
        ([{"capacityProvider": "FARGATE", "base": 100_001}], "base 100001 of FARGATE is out of range"),
        ([{"capacityProvider": "FARGATE"}], "no item of the strategy has a weight"),
    ],
)
def test_what_run_task_would_refuse_is_refused_in_one_sentence(capacity: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_capacity(capacity)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"interruptions": 0}, "fallback.interruptions: 0 is too small; give 1 or more."),
        ({"wait": timedelta(seconds=-1)}, "fallback.wait: "),
    ],
)
def test_a_fallback_that_cannot_be_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Fallback(**values)
