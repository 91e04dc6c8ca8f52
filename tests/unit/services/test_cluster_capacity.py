"""Which capacity providers a cluster has, as ``plan`` asks before anything is launched."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.services.client import EcsServices

MANAGED = {"name": "managed", "status": "ACTIVE", "managedInstancesProvider": {}, "type": "MANAGED_INSTANCES"}
GROUP = {"name": "managed", "status": "ACTIVE", "autoScalingGroupProvider": {}, "type": "EC2_AUTOSCALING"}


class Ecs:
    """A cluster that is associated with Fargate's providers, and what DescribeCapacityProviders answers."""

    def __init__(self, *providers: dict[str, Any] | Exception) -> None:
        self.providers = providers
        self.asked: list[dict[str, Any]] = []

    def describe_clusters(self, clusters: list[str]) -> dict[str, Any]:
        return {"clusters": [{"status": "ACTIVE", "capacityProviders": ["FARGATE", "FARGATE_SPOT"]}]}

    def describe_capacity_providers(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        for each in self.providers:
            if isinstance(each, Exception):
                raise each
        return {"capacityProviders": list(self.providers), "failures": []}


DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeCapacityProviders")


def test_managed_instances_are_the_clusters_own_without_an_association() -> None:
    ecs = Ecs(MANAGED)
    EcsServices(ecs, "features").check_cluster(["managed", "FARGATE"])
    assert ecs.asked == [{"cluster": "features", "capacityProviders": ["managed"]}]


def test_a_cluster_that_has_them_is_asked_nothing_more() -> None:
    ecs = Ecs()
    EcsServices(ecs, "features").check_cluster(["FARGATE_SPOT"])
    assert ecs.asked == []


@pytest.mark.parametrize("answer", [[], [GROUP], [{**MANAGED, "status": "DEPROVISIONING"}], [DENIED]])
def test_any_other_provider_must_be_associated(answer: list[Any]) -> None:
    with pytest.raises(
        ConfigurationError, match="capacity: cluster 'features' is not associated with managed, only with"
    ):
        EcsServices(Ecs(*answer), "features").check_cluster(["managed"])
