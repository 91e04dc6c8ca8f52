"""What runs and the janitor leave of the services that they saw, and the newest of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecs_feature.aws.resources import EcsService
from ecs_feature.services.leases import Lease, SharingPolicy
from ecs_feature.services.snapshot import newest, seen

NOW = datetime(2026, 11, 28, 6, 0, 0, 500_000, UTC)
HOUR = timedelta(hours=1)


def service(
    *leases: Lease, name: str = "encoder", policy: SharingPolicy | None = None, cluster: str = "features"
) -> EcsService:
    tags = [one.to_tag(NOW + timedelta(seconds=number)) for number, one in enumerate(leases)]
    tags += [policy.to_tag()] if policy else []
    pairs = (("team", "ml"), *((tag["key"], tag["value"]) for tag in tags))
    arn = f"arn:aws:ecs:eu-central-1:123456789012:service/{cluster}/{name}"
    return EcsService(name, arn, "ACTIVE", 3, 2, 1, 1, tags=pairs)


def test_a_service_is_seen_with_its_holders_and_its_baseline() -> None:
    later = Lease("other/run/control", 1, NOW - HOUR, NOW + HOUR)
    first = Lease("flights/run 1/é", 2, NOW - 2 * HOUR, NOW - HOUR)
    row = seen(service(later, first, policy=SharingPolicy(baseline=1)), NOW)
    assert json.loads(json.dumps(row)) == {
        "name": "encoder",
        "arn": "arn:aws:ecs:eu-central-1:123456789012:service/features/encoder",
        "at": "2026-11-28T06:00:00.500+00:00",
        "running": 2,
        "desired": 3,
        "baseline": 1,
        "holders": [
            {"holder": "flights/run 1/é", "count": 2, "since": row["holders"][0]["since"]},
            {"holder": "other/run/control", "count": 1, "since": row["holders"][1]["since"]},
        ],
    }
    assert [each["since"][:19] for each in row["holders"]] == ["2026-11-28T04:00:00", "2026-11-28T05:00:00"]


def test_a_holder_that_was_renewing_is_seen_once_with_its_larger_lease() -> None:
    two = [Lease("d/r", count, NOW - HOUR, NOW + HOUR) for count in (2, 4, 3)]
    assert [each["count"] for each in seen(service(*two), NOW)["holders"]] == [4]


def test_a_service_that_no_run_has_leased_has_neither_baseline_nor_holders() -> None:
    row = seen(service(), NOW)
    assert (row["baseline"], row["holders"]) == (None, [])


def test_a_lease_that_cannot_be_read_has_no_holder() -> None:
    broken = EcsService("e", "arn", "ACTIVE", 0, 0, 0, 1, tags=(("ecs-feature:lease:ab:1", "nonsense"),))
    assert seen(broken, NOW)["holders"] == []


def row(minutes: int, name: str = "encoder", running: int = 0, cluster: str = "features") -> dict[str, Any]:
    left = seen(service(name=name, cluster=cluster), NOW + timedelta(minutes=minutes))
    return {**left, "running": running}


def test_the_newest_of_all_that_was_left_counts() -> None:
    up = {"services": [{**row(0), "before": 0, "policy": "baseline 0 cap 2 sum", "since": "x"}]}
    steady = {"services": [{**row(2, running=2), "peak": 2}, row(2, "ranker", 1)]}
    down = {"services": [{**row(9), "peak": 2, "others": 0}], "held": [{"name": "encoder", "seconds": 3.0}]}
    swept = {"cluster": "c", "services": [], "tasks": [], "seen": [row(5, "ranker")]}
    janitor = {"dry_run": False, "clusters": [swept]}
    for values in ([up, steady, down, janitor], [janitor, down, steady, up]):
        found = newest(values)
        assert [(each["name"], each["running"], each["at"][11:16]) for each in found] == [
            ("encoder", 0, "06:09"),
            ("ranker", 0, "06:05"),
        ]
    assert set(found[0]) == {"name", "arn", "cluster", "at", "running", "desired", "baseline", "holders"}
    assert newest([up, steady])[0]["running"] == 2


def test_services_of_two_clusters_with_one_name_are_two() -> None:
    found = newest([{"services": [row(0, running=1), row(1, running=2, cluster="other")]}])
    assert [(each["cluster"], each["running"]) for each in found] == [("features", 1), ("other", 2)]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [],
        3,
        {},
        {"services": None},
        {"services": {"a": 1}},
        {"services": [None, "x", {"name": "encoder", "running": 2, "peak": 2}]},
        {"clusters": None},
        {"clusters": ["x", {"seen": None}, {"services": [{"name": "e"}]}]},
        {"variants": {}},
    ],
    ids=str,
)
def test_what_an_older_version_or_another_task_left_is_passed_over(value: Any) -> None:
    assert [each["name"] for each in newest([value, {"services": [row(0)]}])] == ["encoder"]


def test_an_arn_of_the_old_form_has_no_cluster() -> None:
    old = {**row(0), "arn": "arn:aws:ecs:eu-central-1:123456789012:service/encoder"}
    assert newest([{"services": [old]}])[0]["cluster"] == ""
