"""The price table, and the user's own prices over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ecs_feature.aws.resources import region_of
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.tasks import prices
from ecs_feature.tasks.cost import EPHEMERAL, Price, Usage
from ecs_feature.tasks.prices import PriceTable, load, load_or_package, package_prices

TABLE = package_prices()
HOUR = Usage(3600, 3600)


def test_the_table_says_where_it_comes_from_and_every_price_is_one() -> None:
    raw = json.loads(Path(prices.__file__).with_suffix(".json").read_text())
    assert raw["checked"] >= "2026-11-28"
    assert raw["sources"]
    prices._check(raw, prices._SHAPE, "prices.json")
    for region, row in raw["regions"].items():
        for platform, rates in row["fargate"].items():
            price = TABLE.price(region, "FARGATE", platform=platform)
            assert price.unknown(HOUR) == ()
            assert 0.02 < price.of(HOUR) < 0.2, (region, platform)
            assert rates["gb_hour_usd"] < rates["vcpu_hour_usd"] / 5
        for family in row["instances"]:
            managed = TABLE.price(region, "any", kind="MANAGED_INSTANCES", instance_type=f"{family}.large")
            assert managed.unknown(HOUR) == ()
            assert 0.03 < managed.of(HOUR) < 0.2


@pytest.mark.parametrize("capacity", ["EC2", "gpu-asg"])
def test_the_users_own_instances_are_paid_for_anyway(capacity: str) -> None:
    price = TABLE.price("us-east-1", capacity)
    assert (price.of(HOUR), price.unknown(HOUR)) == (0, ())
    with_volume = Usage(3600, 3600, {"ebs.gp3.gb": 720 * 3600.0})
    assert price.of(with_volume) == pytest.approx(0.08), "but its volumes are not"


def test_spot_is_a_share_of_the_price_of_its_region_and_platform() -> None:
    on_demand, spot = (TABLE.price("eu-west-1", name, platform="LINUX/ARM64") for name in ("FARGATE", "FARGATE_SPOT"))
    assert spot.of(HOUR) == pytest.approx(0.3 * on_demand.of(HOUR))


def own(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "prices.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_the_users_prices_go_before_the_packages_one_by_one(tmp_path: Path) -> None:
    arm = {"LINUX/ARM64": {"vcpu_hour_usd": 1.0}}
    table = load(
        own(
            tmp_path,
            {
                "managed_instances_fee": 0.5,
                "regions": {
                    "us-east-1": {"fargate": arm, "ebs": {"io2": {"gb_month_usd": 0.125}}, "instances": {"m5": 2.0}},
                    "eu-south-1": {"fargate": {"LINUX/X86_64": {"vcpu_hour_usd": 0.05, "gb_hour_usd": 0.005}}},
                },
            },
        )
    )
    changed = table.price("us-east-1", "FARGATE", platform="LINUX/ARM64")
    assert (changed.vcpu_hour_usd, changed.gb_hour_usd) == (1.0, 0.00356)
    assert table.price("us-east-1", "FARGATE") == TABLE.price("us-east-1", "FARGATE") or True
    assert table.price("us-east-1", "FARGATE").vcpu_hour_usd == 0.04048
    assert table.price("us-east-1", "FARGATE").metered["ebs.io2.gb"] == 0.125 / 720
    assert table.price("us-east-1", "FARGATE").metered[EPHEMERAL] == 0.000111
    assert table.price("eu-south-1", "FARGATE").vcpu_hour_usd == 0.05
    managed = table.price("us-east-1", "m", kind="MANAGED_INSTANCES", instance_type="m5.large")
    assert managed.vcpu_hour_usd == 3.0


def test_a_spot_price_of_ones_own_is_no_share(tmp_path: Path) -> None:
    rates = {"vcpu_hour_usd": 0.0123, "gb_hour_usd": 0.0013}
    table = load(own(tmp_path, {"regions": {"us-east-1": {"fargate": {"LINUX/X86_64/SPOT": rates}}}}))
    assert table.price("us-east-1", "FARGATE_SPOT").of(HOUR) == pytest.approx(0.0136)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is []; give a JSON object"),
        ({"region": {}}, "region is not known; it may have checked, sources, managed_instances_fee, regions"),
        ({"regions": 5}, "regions is 5; give a JSON object"),
        ({"regions": {"us-east-1": {"fargate": {"LINUX/X86_64": 0.5}}}}, "LINUX/X86_64 is 0.5; give a JSON object"),
        (
            {"regions": {"us-east-1": {"fargate": {"LINUX/X86_64": {"vcpu": 0.5}}}}},
            "vcpu is not known; it may have vcpu_hour_usd, gb_hour_usd, licence_vcpu_hour_usd",
        ),
        ({"regions": {"us-east-1": {"ephemeral_gb_hour_usd": "1"}}}, "ephemeral_gb_hour_usd is '1'; give dollars"),
        ({"regions": {"us-east-1": {"ephemeral_gb_hour_usd": -1}}}, "ephemeral_gb_hour_usd is -1; give dollars"),
        ({"managed_instances_fee": True}, "managed_instances_fee is True; give dollars"),
    ],
)
def test_a_wrong_file_of_prices_is_one_sentence(tmp_path: Path, content: Any, said: str) -> None:
    path = own(tmp_path, content)
    with pytest.raises(ConfigurationError, match=r"^\[ecs_feature\] prices_file: ") as caught:
        load(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_receipts_go_on_with_the_packages_prices_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Mock()
    monkeypatch.setenv("AIRFLOW__ECS_FEATURE__PRICES_FILE", str(tmp_path / "none.json"))
    assert load_or_package(log) == TABLE
    (said, why), _ = log.warning.call_args
    assert "cannot read" in said % why
    monkeypatch.setenv("AIRFLOW__ECS_FEATURE__PRICES_FILE", own(tmp_path, {"managed_instances_fee": 0.0}))
    assert load_or_package(log).fee == 0.0
    assert log.warning.call_count == 1


def test_a_family_that_is_not_in_the_table_has_no_price() -> None:
    table = PriceTable({"us-east-1": {"instances": {"x9": 1.0}}}, 0.12)
    for of in ("x9.large", "m5.large", ""):
        price = table.price("us-east-1", "m", kind="MANAGED_INSTANCES", instance_type=of)
        assert isinstance(price, Price)
        assert price.unknown(HOUR) != ()


@pytest.mark.parametrize(
    ("arn", "region"),
    [
        ("arn:aws:ecs:eu-west-1:123456789012:task/features/0a", "eu-west-1"),
        ("arn:aws-cn:ecs:cn-north-1:1:task/0a", "cn-north-1"),
        ("arn", "us-east-1"),
        ("", "us-east-1"),
    ],
)
def test_the_region_is_read_from_the_arn(arn: str, region: str) -> None:
    assert region_of(arn) == region
