"""What the account leaves of its vCPUs, and what is done when nobody tells."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ecs_feature.exceptions import AccessDeniedError
from ecs_feature.fleet.vcpu_quota import VcpuQuota


class Account:
    """Clusters with tasks: ARN -> (capacity, CPU units)."""

    def __init__(self, quota: float | Exception = 10.0) -> None:
        self.quota = quota
        self.clusters: dict[str, dict[str, tuple[str, int]]] = {}
        self.own: set[str] = set()
        self.shards: set[str] = set()
        self.nameless = False
        self.calls: Counter[str] = Counter()
        self.waits = True
        self.changes = 0

    async def call(self, service: str, operation: str, **given: Any) -> Any:
        self.calls[operation] += 1
        return getattr(self, operation)(**given)

    def get_service_quota(self, ServiceCode: str, QuotaCode: str) -> Any:
        assert (ServiceCode, QuotaCode) in (("fargate", "L-3032A538"), ("fargate", "L-36FBB829"))
        if isinstance(self.quota, Exception):
            raise self.quota
        return {"Quota": {"Value": self.quota}}

    def refuse(self) -> Any:
        raise AccessDeniedError("ListClusters was denied.")

    def list_clusters(self) -> Any:
        return {"clusterArns": list(self.clusters)}

    def describe_clusters(self, clusters: list[str]) -> Any:
        return {
            "clusters": [
                {"clusterArn": arn, "runningTasksCount": len(self.clusters[arn]), "pendingTasksCount": 0}
                for arn in clusters
            ]
        }

    def list_tasks(self, cluster: str, desiredStatus: str, nextToken: str = "0") -> Any:
        assert desiredStatus == "RUNNING"
        arns, start = list(self.clusters[cluster]), int(nextToken)
        more = {"nextToken": str(start + 100)} if start + 100 < len(arns) else {}
        return {"taskArns": arns[start : start + 100], **more}

    def describe_tasks(self, cluster: str, tasks: list[str]) -> Any:
        assert len(tasks) <= 100
        described = []
        for arn in tasks:
            capacity, cpu = self.clusters[cluster][arn]
            by = {"capacityProviderName": capacity} if capacity == "FARGATE_SPOT" else {"launchType": capacity}
            described.append({"taskArn": arn, "cpu": str(cpu), "startedBy": "" if self.nameless else f"by {arn}", **by})
        return {"tasks": described}

    def changed(self) -> None:
        self.changes += 1

    def reader(self, **options: Any) -> VcpuQuota:
        def is_own(arn: str, started_by: str) -> bool:
            return arn in self.own or started_by in self.shards

        return VcpuQuota(self.call, is_own, lambda capacity: self.waits, self.changed, **options)


async def test_others_tasks_are_taken_off_the_quota_by_capacity() -> None:
    account = Account(100.0)
    account.clusters["a"] = {f"own{n}": ("FARGATE", 1024) for n in range(50)}
    account.clusters["a"] |= {f"other{n}": ("FARGATE", 512) for n in range(120)}
    account.clusters["b"] = {"spot": ("FARGATE_SPOT", 4096), "host": ("EC2", 4096)}
    account.clusters["empty"] = {}
    account.own = {f"own{n}" for n in range(50)}
    quota = account.reader()
    assert quota.quota("FARGATE") is None
    await asyncio.gather(*(quota.known("FARGATE") for _ in range(1000)))
    assert quota.left("FARGATE") == 100 - 60
    assert (quota.quota("FARGATE"), quota.quota("EC2")) == (100, None)
    await quota.known("FARGATE_SPOT")
    assert quota.left("FARGATE_SPOT") == 96
    assert account.calls["get_service_quota"] == 2
    assert account.calls["describe_tasks"] == 2 + 1  # sizes never change, so they are read once
    assert account.calls["list_tasks"] == 2 * (2 + 1)


async def test_what_an_earlier_triggerer_has_launched_of_this_fleets_shards_is_not_others() -> None:
    account = Account(100.0)
    account.clusters["a"] = {f"task{n}": ("FARGATE", 1024) for n in range(30)}
    account.shards = {f"by task{n}" for n in range(20)}
    quota = account.reader()
    await quota.known("FARGATE")
    assert quota.left("FARGATE") == 100 - 10


async def test_what_turns_out_to_be_own_after_a_reading_is_given_back_at_once() -> None:
    account = Account(100.0)
    account.clusters["a"] = {"task1": ("FARGATE", 2048), "task2": ("FARGATE", 1024)}
    quota = account.reader()
    await quota.known("FARGATE")
    assert quota.left("FARGATE") == 97
    for _ in range(2):
        quota.own("by task1")
    assert quota.left("FARGATE") == 99


async def test_a_task_that_nobody_is_named_for_stays_others() -> None:
    account = Account(100.0)
    account.clusters["a"] = {"task1": ("FARGATE", 2048)}
    account.nameless = True
    quota = account.reader()
    await quota.known("FARGATE")
    quota.own("")
    assert quota.left("FARGATE") == 98


async def test_where_looking_is_no_longer_allowed_a_task_may_still_turn_out_to_be_own() -> None:
    account = Account(100.0)
    account.clusters["a"] = {"task1": ("FARGATE", 2048)}
    quota = account.reader()
    await quota.known("FARGATE")
    account.list_clusters = account.refuse  # type: ignore[method-assign]
    await quota.known("FARGATE_SPOT")
    quota.own("by task1")
    assert quota.left("FARGATE") == 100


@pytest.mark.parametrize(
    "refusal",
    [
        AccessDeniedError("GetServiceQuota was denied.", "AccessDeniedException", "GetServiceQuota"),
        ClientError({"Error": {"Code": "NoSuchResourceException", "Message": "no"}}, "GetServiceQuota"),
        TimeoutError(),
    ],
    ids=["denied", "unknown", "no answer"],
)
async def test_a_quota_that_cannot_be_read_sets_no_cap_and_says_so_once(
    refusal: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ecs_feature")
    quota = Account(refusal).reader()
    for _ in range(3):
        await quota.known("FARGATE")
    assert quota.left("FARGATE") is None
    assert [record.message[:45] for record in caplog.records] == ["The vCPU quota of FARGATE cannot be read, so "]


async def test_capacity_without_a_quota_is_not_asked_for() -> None:
    account = Account()
    quota = account.reader()
    await quota.known("my-instances")
    assert quota.left("my-instances") is None
    assert not account.calls


async def test_it_is_read_again_once_a_minute_while_somebody_waits() -> None:
    account, pauses = Account(10.0), []
    account.clusters["a"] = {"other": ("FARGATE", 8192)}

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            account.clusters["a"].clear()
        if len(pauses) == 3:
            account.waits = False
        if len(pauses) == 10:
            await asyncio.Event().wait()

    quota = account.reader(sleep=sleep)
    await quota.known("FARGATE")
    assert quota.left("FARGATE") == 2
    watching = asyncio.create_task(quota.watch())
    while len(pauses) < 10:  # noqa: ASYNC110 (the fake's time has no event to wait for)
        await asyncio.sleep(0)
    watching.cancel()
    assert quota.left("FARGATE") == 10
    assert set(pauses) == {60.0}
    assert account.calls["get_service_quota"] == account.changes == 3


async def test_without_a_look_at_others_the_quota_alone_is_the_cap() -> None:
    account = Account(10.0)

    def denied() -> Any:
        raise AccessDeniedError("ListClusters was denied.", "AccessDeniedException", "ListClusters")

    account.list_clusters = denied  # type: ignore[method-assign]
    quota = VcpuQuota(account.call, lambda: account.own, lambda capacity: True, lambda: None)
    await quota.known("FARGATE")
    assert quota.left("FARGATE") == 10.0
