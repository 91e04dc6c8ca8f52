"""What launches cost in the receipt: by region, platform and capacity, and what is said where a price is not known."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_feature.results.receipts import render, variant_receipt
from ecs_feature.tasks.prices import package_prices

HEAD = {"dag_id": "f", "run_id": "r", "logical_date": None, "state": "success", "seconds": 1.0}


def receipt(*launches: dict[str, Any], held: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Of one shard with these launches, of a vCPU-hour and two GB-hours each."""
    used = {"outcome": "succeeded", "vcpu_seconds": 3600.0, "gb_seconds": 7200.0, "memory_mib": 2048}
    records = [{"shard": "UA", "launches": [{**used, **launch} for launch in launches]}]
    return variant_receipt(
        states={"UA": "success"}, records=records, up=None, steady=None, down={"held": list(held)}, published=None,
        prices=package_prices(),
    )  # fmt: skip


def of(region: str, **launch: Any) -> dict[str, Any]:
    return {"task_arn": f"arn:aws:ecs:{region}:1:task/features/0a", "capacity": "FARGATE", **launch}


def text(variant: dict[str, Any]) -> list[str]:
    return render({**HEAD, "variants": {"control": variant}}).splitlines()


@pytest.mark.parametrize(
    ("launch", "usd"),
    [
        (of("us-east-1"), 0.04048 + 2 * 0.004445),
        (of("us-east-1", platform="LINUX/ARM64"), 0.03238 + 2 * 0.00356),
        (of("us-east-1", platform="WINDOWS/X86_64"), 0.046552 + 0.046 + 2 * 0.00511175),
        (of("eu-central-1"), 0.04656 + 2 * 0.00511),
        (of("ap-northeast-2", platform="LINUX/ARM64"), 0.03725 + 2 * 0.00409),
        (of("us-east-1", capacity="FARGATE_SPOT"), 0.3 * (0.04048 + 2 * 0.004445)),
        (of("us-east-1", metered={"ephemeral_gb": 30 * 3600.0}), 0.04048 + 2 * 0.004445 + 30 * 0.000111),
        (of("us-east-1", metered={"ebs.gp3.gb": 720 * 3600.0}), 0.04048 + 2 * 0.004445 + 0.08),
        (of("us-east-1", capacity="managed", kind="MANAGED_INSTANCES", instance_type="m7g.4xlarge"), 0.0816 / 2 * 1.12),
        (of("us-east-1", capacity="managed", kind="MANAGED_INSTANCES", instance_type="c5.large"), 0.085 / 2 * 1.12),
        ({}, 0.04048 + 2 * 0.004445),
    ],
    ids=["x86", "arm", "windows", "region", "arm-region", "spot", "storage", "volume", "managed", "managed-c", "old"],
)
def test_a_launch_costs_what_its_region_platform_and_capacity_do(launch: dict[str, Any], usd: float) -> None:
    variant = receipt(launch)
    assert variant["cost_usd"] == round(usd, 6)
    assert "unpriced" not in variant


@pytest.mark.parametrize(
    ("launch", "what"),
    [
        (of("mars-north-1"), "LINUX/X86_64 on FARGATE in mars-north-1"),
        (of("us-west-2", platform="WINDOWS/X86_64"), "WINDOWS/X86_64 on FARGATE in us-west-2"),
        (
            of("us-east-1", capacity="managed", kind="MANAGED_INSTANCES", instance_type="p9.huge"),
            "p9.huge of MANAGED_INSTANCES in us-east-1",
        ),
        (
            of("us-east-1", capacity="managed", kind="MANAGED_INSTANCES/SPOT", instance_type="m5.large"),
            "m5.large of MANAGED_INSTANCES/SPOT in us-east-1",
        ),
        (
            of("us-east-1", capacity="managed", kind="MANAGED_INSTANCES/UNKNOWN"),
            "an unknown instance type of MANAGED_INSTANCES/UNKNOWN in us-east-1",
        ),
    ],
)
def test_a_price_that_is_not_known_is_no_dollars_but_a_sentence(launch: dict[str, Any], what: str) -> None:
    variant = receipt(launch)
    assert (variant["cost_usd"], variant["unpriced"]) == (None, {what: 1})
    assert text(variant)[3].endswith("  not known")
    assert text(variant)[-1] == (
        f"control: the price of {what} is not known (launches, services: 1), so the cost leaves it out; "
        "[ecs_feature] prices_file can give it (docs/launch-options.md)"
    )


def test_what_is_known_is_added_up_beside_what_is_not() -> None:
    variant = receipt(of("us-east-1"), of("us-east-1", metered={"ebs.io2.gb": 3600.0}), of("mars-north-1"))
    assert variant["cost_usd"] == round(2 * (0.04048 + 2 * 0.004445), 6)
    assert variant["unpriced"] == {"LINUX/X86_64 on FARGATE in mars-north-1": 1, "ebs.io2.gb": 1}
    assert text(variant)[3].endswith(f"  {variant['cost_usd']:.4f} +")


def test_services_have_their_own_region_and_platform_and_those_of_old_runs_their_shards_region() -> None:
    held = {"name": "encoder", "vcpu_seconds": 3600.0, "gb_seconds": 0.0}
    old = receipt(of("eu-west-2"), held=(held,))
    assert old["cost_usd"] == round(2 * 0.04656 + 2 * 0.00511, 6)
    new = receipt(of("eu-west-2"), held=({**held, "region": "us-east-1", "platform": "LINUX/ARM64"},))
    assert new["cost_usd"] == round(0.04656 + 2 * 0.00511 + 0.03238, 6)


@pytest.mark.parametrize(
    ("last", "suggested"),
    [({"outcome": "succeeded", "ephemeral_gib": 80}, 80), ({"outcome": "disk_full", "ephemeral_gib": 80}, None)],
)
def test_the_receipt_suggests_the_storage_that_was_enough(last: dict[str, Any], suggested: int | None) -> None:
    variant = receipt({"outcome": "disk_full"}, {"outcome": "disk_full", "ephemeral_gib": 40}, last)
    too_little = 40 if suggested else 80
    assert variant["ephemeral"] == {"shards": ["UA"], "too_little_gib": too_little, "suggested_gib": suggested}
    note = "control: 1 shards filled 40 GiB of ephemeral storage; set ephemeral_storage_gib to 80"
    assert (text(variant)[-1] == note) is bool(suggested)


def test_a_launch_says_what_it_had_beside_the_defaults() -> None:
    (launch,) = receipt(of("us-east-1", platform="LINUX/ARM64", ephemeral_gib=50))["launches"]
    assert (launch["platform"], launch["ephemeral_gib"]) == ("LINUX/ARM64", 50)
    assert "kind" not in launch
