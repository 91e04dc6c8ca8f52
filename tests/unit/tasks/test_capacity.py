"""What a launch asks to run on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pipelines import pipeline

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.tasks.capacity import Fallback, bucket_of, check_capacity, kind_of, may_be_instances, request_of
from ecs_feature.tasks.launch import Network

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


@pytest.mark.parametrize(
    ("default", "bucket"),
    [
        (None, "FARGATE"),
        ((), ""),
        (({"capacityProvider": "FARGATE_SPOT", "weight": 1},), "FARGATE_SPOT"),
        (EC2_PROVIDER, ""),
    ],
    ids=["not known", "none, so EC2", "Spot", "instances"],
)
def test_the_clusters_default_uses_the_quota_of_what_it_is(default: Any, bucket: str) -> None:
    assert bucket_of("cluster_default", default) == bucket
    assert bucket_of("on_demand", default) == "FARGATE"


@pytest.mark.parametrize(
    ("capacity", "may"),
    [("on_demand", False), ("spot", False), ("spot_with_fallback", False), (MIXED, False), ("ec2", True),
     ("cluster_default", True), (EC2_PROVIDER, True)],
)  # fmt: skip
def test_which_capacity_may_be_instances(capacity: Any, may: bool) -> None:
    assert may_be_instances(capacity) is may


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
        ([{"capacityProvider": "FARGATE", "base": 1}], "no item of the strategy has a weight"),
        (
            [{"capacityProvider": "a", "base": 1, "weight": 1}, {"capacityProvider": "b", "base": 1, "weight": 1}],
            "several items of the strategy have a base",
        ),
        (
            [{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "gpu-asg", "weight": 1}],
            "the strategy mixes Fargate and providers of instances",
        ),
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


@pytest.mark.parametrize("capacity", ["ec2", "cluster_default", EC2_PROVIDER])
def test_a_pipeline_on_instances_needs_no_subnets_and_its_memory_has_no_bound_of_fargate(capacity: Any) -> None:
    assert pipeline(capacity=capacity, subnets="", max_memory_mib=500_000).resolved().network() is None
    assert pipeline(capacity=capacity).resolved().network() == Network(("subnet-0a",))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"capacity": "on_demand"}, "subnets: 0 given, but awsvpc takes 1 to 16"),
        ({"capacity": MIXED}, "subnets: 0 given"),
        ({"capacity": "ec2", "security_groups": "sg-0a"}, "subnets: 0 given"),
        ({"capacity": "ec2", "max_memory_mib": -1}, "max_memory_mib: -1 is too small; give 0 or more, or None."),
        ({"capacity": "spot", "subnets": "s", "max_memory_mib": 249_857}, "is no size of a Fargate task"),
    ],
)
def test_what_a_pipeline_cannot_be_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        pipeline(**{"subnets": "", **values}).resolved()


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        ({"type": "FARGATE_SPOT"}, "FARGATE_SPOT"),
        ({"type": "EC2_AUTOSCALING", "autoScalingGroupProvider": {}}, "EC2_AUTOSCALING"),
        ({"autoScalingGroupProvider": {"autoScalingGroupArn": "arn"}}, "EC2_AUTOSCALING"),
        ({"type": "MANAGED_INSTANCES", "managedInstancesProvider": {}}, "MANAGED_INSTANCES"),
        (
            {"managedInstancesProvider": {"instanceLaunchTemplate": {"capacityOptionType": "ON_DEMAND"}}},
            "MANAGED_INSTANCES",
        ),
        (
            {"managedInstancesProvider": {"instanceLaunchTemplate": {"capacityOptionType": "SPOT"}}},
            "MANAGED_INSTANCES/SPOT",
        ),
        ({"name": "new"}, ""),
    ],
)
def test_the_kind_of_a_capacity_provider_is_read_from_its_description(provider: dict[str, Any], kind: str) -> None:
    assert kind_of(provider) == kind
