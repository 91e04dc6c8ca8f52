"""What an estimate is priced with: the records of past launches, or the pipeline's own sizes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.estimates.facts import PipelineFacts
from ecs_feature.estimates.past_runs import given
from ecs_feature.estimates.pricing import Pricing
from ecs_feature.estimates.workload import Services, total
from ecs_feature.tasks.cost import Usage
from ecs_feature.tasks.prices import package_prices
from ecs_feature.tasks.volumes import EbsVolume

X86, ARM = 0.04048 + 2 * 0.004445, 0.03238 + 2 * 0.00356
ROLE = "arn:aws:iam::123456789012:role/r"


def pricing(
    bucket: str = "FARGATE", *, region: str = "us-east-1", facts: dict[str, Any] | None = None, **own: Any
) -> Pricing:
    aws = AwsConnection(region_name=region)
    known = PipelineFacts("d", {"control": ["shard"]}, (), bucket, None, None, aws, **(facts or {}))
    return Pricing(package_prices(), known, **own)


def launch(region: str = "us-east-1", **more: Any) -> dict[str, Any]:
    """Of a vCPU-hour and two GB-hours."""
    arn = f"arn:aws:ecs:{region}:1:task/features/0a"
    return {"task_arn": arn, "capacity": "FARGATE", "vcpu_seconds": 3600.0, "gb_seconds": 7200.0, **more}


@pytest.mark.parametrize(
    ("bucket", "record", "own", "usd"),
    [
        ("FARGATE", launch(), {}, X86),
        ("FARGATE", launch(platform="LINUX/ARM64"), {}, ARM),
        ("FARGATE", launch("eu-central-1"), {}, 0.04656 + 2 * 0.00511),
        ("FARGATE_SPOT", launch(), {}, 0.3 * X86),
        ("FARGATE", launch(capacity="FARGATE_SPOT"), {}, X86),
        ("FARGATE", launch(metered={"ephemeral_gb": 36_000.0}), {}, X86 + 10 * 0.000111),
        ("FARGATE", launch(), {"vcpu_hour_usd": 1.0}, 1 + 2 * 0.004445),
        ("FARGATE_SPOT", launch(), {"vcpu_hour_usd": 1.0, "gb_hour_usd": 2.0}, 0.3 * 5),
        ("", launch(capacity="batch"), {}, 0),
        ("", launch(capacity="m", kind="MANAGED_INSTANCES", instance_type="m5.large"), {}, 0.048 * 1.12),
        ("FARGATE", launch(capacity="m", kind="MANAGED_INSTANCES", instance_type="m5.large"), {}, X86),
        ("FARGATE", {"vcpu_seconds": 3600.0, "gb_seconds": 7200.0}, {}, X86),
    ],
    ids=[
        "x86", "arm", "region", "spot", "back-from-spot", "storage", "own", "own-spot", "instances", "managed",
        "back-from-managed", "old",
    ],
)  # fmt: skip
def test_a_past_launch_costs_what_it_would_on_what_the_pipeline_runs_on_now(
    bucket: str, record: dict[str, Any], own: dict[str, float], usd: float
) -> None:
    prices = pricing(bucket, **own)
    assert prices.of_record(record).of(Usage.from_dict(record)) == pytest.approx(usd)
    assert prices.notes() == []


def test_a_price_that_is_not_known_is_a_note_and_services_take_the_region_of_the_past() -> None:
    prices = pricing()
    prices.of_record(launch("mars-north-1"))
    assert prices.of_services().vcpu_hour_usd is None
    assert prices.notes() == [
        "The price of LINUX/X86_64 on FARGATE in mars-north-1 is not known and not included; [ecs_feature] prices_file "
        "can give it."
    ]


def test_given_durations_cost_what_the_definition_and_the_launch_ask_for() -> None:
    volume = EbsVolume("scratch", ROLE, 720)
    prices = pricing("FARGATE", region="eu-west-1", facts={"ephemeral_gib": 50, "volumes": (volume,)})
    prices.platforms = {"control": "LINUX/ARM64"}
    (run,) = given(
        {"UA": [3600.0]}, {"control": (1.0, 2.0, Services())}, start_seconds=0.0, before_seconds=0.0, after_seconds=0.0,
        priced=prices.of_variant,
    )  # fmt: skip
    used = run.variants["control"].shards["UA"][0].used
    assert used.usd == pytest.approx(ARM + 0.088)
    assert prices.notes() == [
        "The price of ephemeral_gb is not known and not included; [ecs_feature] prices_file can give it."
    ]
    assert total([used, used]).usd == pytest.approx(2 * used.usd)


def test_without_a_region_of_its_own_the_connections_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = pricing(region="")
    monkeypatch.setattr(AwsConnection, "hook", lambda self, name: SimpleNamespace(region_name="eu-west-2"))
    assert prices.of_services().vcpu_hour_usd == 0.04656

    def missing(self: AwsConnection, name: str) -> Any:
        raise RuntimeError("no such connection")

    monkeypatch.setattr(AwsConnection, "hook", missing)
    assert pricing(region="").of_services().vcpu_hour_usd == 0.04048


class Ecs:
    """Answers DescribeCapacityProviders."""

    def __init__(self, answer: dict[str, Any] | None) -> None:
        self.answer, self.asked = answer, []

    def describe_capacity_providers(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        if self.answer is None:
            raise RuntimeError("denied")
        return {"capacityProviders": [self.answer]}


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        ({"type": "MANAGED_INSTANCES"}, "MANAGED_INSTANCES"),
        ({"type": "EC2_AUTOSCALING"}, ""),
        (None, "MANAGED_INSTANCES/UNKNOWN"),
    ],
)
def test_given_durations_on_managed_instances_cost_what_is_not_known_and_not_nothing(
    provider: dict[str, Any] | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecs = Ecs(provider)
    monkeypatch.setattr(AwsConnection, "client", lambda self, service: ecs)
    prices = pricing("", facts={"cluster": "features", "providers": ("managed",)})
    for _ in range(2):
        assert prices.of_variant("control", Usage(3600, 7200), 3600.0).usd == 0
    assert ecs.asked == [{"cluster": "features", "capacityProviders": ["managed"]}]
    note = (
        f"The price of an unknown instance type of {kind} in us-east-1 is not known and not included; [ecs_feature] "
        "prices_file can give it."
    )
    assert prices.notes() == ([note] if kind else [])
