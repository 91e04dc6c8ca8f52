"""The price table: ``prices.json`` beside this file, under the user's own.

A price that is in neither is not known, and never guessed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ecs_feature.aws.resources import DEFAULT_REGION, LINUX_X86, MANAGED_INSTANCES, is_of_instances, region_of
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.tasks.cost import EPHEMERAL, Price, Usage

SPOT_SHARE: Final = 0.3
"""Fargate Spot's part of the on-demand price: https://aws.amazon.com/fargate/pricing/, "up to 70% discount". The real
price changes, so Spot costs are estimates."""
HOURS_A_MONTH: Final = 30 * 24
"""As in the examples of https://aws.amazon.com/ebs/pricing/."""
_GB_PER_VCPU: Final = {"c": 2.0, "m": 4.0, "r": 8.0}
"""By the family's first letter: https://aws.amazon.com/ec2/instance-types/."""
_EBS_METERS: Final = {"gb_month_usd": "gb", "iops_month_usd": "iops", "mib_month_usd": "mib"}
_PRICE: Final = "a price"
_ANYTHING: Final = "anything"
_ANY_NAME: Final = "any name"
_SHAPE: Final[Mapping[str, Any]] = {
    "checked": _ANYTHING,
    "sources": _ANYTHING,
    "managed_instances_fee": _PRICE,
    "regions": {
        _ANY_NAME: {
            "fargate": {
                _ANY_NAME: dict.fromkeys(("vcpu_hour_usd", "gb_hour_usd", "licence_vcpu_hour_usd"), _PRICE),
            },
            "ephemeral_gb_hour_usd": _PRICE,
            "ebs": {_ANY_NAME: dict.fromkeys(_EBS_METERS, _PRICE)},
            "instances": {_ANY_NAME: _PRICE},
        }
    },
}
"""Of a price file: each name's own shape, a price, or anything."""


@dataclass(frozen=True)
class PriceTable:
    """Prices by region.

    :param regions: as ``prices.json`` has them.
    :param fee: of Managed Instances, as a share of the instance's On-Demand price.
    """

    regions: Mapping[str, Mapping[str, Any]]
    fee: float | None = None
    _made: dict[tuple[str, ...], Price] = field(default_factory=dict, compare=False, repr=False)

    def price(
        self,
        region: str,
        capacity: str = "",
        *,
        platform: str = LINUX_X86,
        kind: str = "",
        instance_type: str = "",
    ) -> Price:
        """The price of a task.

        :param capacity: as :attr:`ecs_feature.aws.resources.EcsTask.capacity`; empty, when it is not known, is Fargate.
        :param platform: as :attr:`ecs_feature.aws.resources.EcsTask.platform`.
        :param kind: of its capacity provider, see :func:`ecs_feature.tasks.capacity.kind_of`.
        :param instance_type: of Managed Instances.
        """
        key = (region, capacity, platform, kind, instance_type)
        if key not in self._made:
            self._made[key] = self._price(*key)
        return self._made[key]

    def of_row(self, row: Mapping[str, Any], region: str = DEFAULT_REGION) -> Price:
        """The price of a launch's record, or of a row of services held; also those that older versions wrote.

        :param region: of a row that has neither an ARN nor a region.
        """
        arn = str(row.get("task_arn") or "")
        return self.price(
            row.get("region") or (region_of(arn) if arn else region),
            row.get("capacity") or "",
            platform=row.get("platform") or LINUX_X86,
            kind=row.get("kind") or "",
            instance_type=row.get("instance_type") or "",
        )

    def _price(self, region: str, capacity: str, platform: str, kind: str, instance_type: str) -> Price:
        row = self.regions.get(region, {})
        metered = _metered(row)
        if kind.startswith(MANAGED_INSTANCES):
            return self._managed(region, row, kind, instance_type, metered)
        if is_of_instances(capacity):
            return Price(0.0, 0.0, metered, name=capacity)  # the user's own instances: they are paid for anyway
        name, fargate = f"{platform} on {capacity or 'FARGATE'} in {region}", row.get("fargate", {})
        rates: Mapping[str, float] = fargate.get(platform, {})
        share = 1.0
        if capacity == "FARGATE_SPOT":
            own = fargate.get(f"{platform}/SPOT")
            rates, share = (own, 1.0) if own else (rates, SPOT_SHARE)
        vcpu, gb = rates.get("vcpu_hour_usd"), rates.get("gb_hour_usd")
        if vcpu is None or gb is None:
            return Price(None, None, metered, name=name)
        return Price((vcpu + rates.get("licence_vcpu_hour_usd", 0.0)) * share, gb * share, metered, name=name)

    def _managed(
        self, region: str, row: Mapping[str, Any], kind: str, instance_type: str, metered: Mapping[str, float]
    ) -> Price:
        family = instance_type.partition(".")[0]
        on_demand, ratio = row.get("instances", {}).get(family), _GB_PER_VCPU.get(family[:1])
        name = f"{instance_type or 'an unknown instance type'} of {kind} in {region}"
        if on_demand is None or ratio is None or self.fee is None or kind != MANAGED_INSTANCES:
            return Price(None, None, metered, name=name)
        return Price(on_demand * (1 + self.fee), None, metered, ratio, name)


def _metered(row: Mapping[str, Any]) -> dict[str, float]:
    """Dollars per hour by meter."""
    made = {
        f"ebs.{kind}.{meter}": rates[rate] / HOURS_A_MONTH
        for kind, rates in row.get("ebs", {}).items()
        for rate, meter in _EBS_METERS.items()
        if rate in rates
    }
    if "ephemeral_gb_hour_usd" in row:
        made[EPHEMERAL] = row["ephemeral_gb_hour_usd"]
    return made


@dataclass
class Bill:
    """Adds up what rows cost, and names what has no known price.

    :ivar usd: of all whose price is known.
    :ivar unknown: what has none -> how many rows.
    """

    table: PriceTable
    usd: float = 0.0
    unknown: dict[str, int] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any], region: str = DEFAULT_REGION) -> float | None:
        """Add the record of a launch, or of services held; its dollars, None when a part of it has no known price."""
        used, price = Usage.from_dict(row), self.table.of_row(row, region)
        usd, unknown = price.of(used), price.unknown(used)
        self.usd += usd
        for name in unknown:
            self.unknown[name] = self.unknown.get(name, 0) + 1
        return None if unknown else usd

    @property
    def known(self) -> float | None:
        """The dollars; None when there is no price for any of it."""
        return self.usd if self.usd or not self.unknown else None


def package_prices() -> PriceTable:
    """The package's table alone."""
    package = _package()
    return PriceTable(package["regions"], package["managed_instances_fee"])


def load_or_package(log: Any) -> PriceTable:
    """:func:`load`; the package's table, with a warning, where the user's cannot be read: work goes on without."""
    try:
        return load()
    except ConfigurationError as error:
        log.warning("The package's prices are used: %s", error)
        return package_prices()


def load(path: str | None = None) -> PriceTable:
    """The package's table under the user's.

    :param path: of the user's JSON file; None: ``[ecs_feature] prices_file``; empty: none.
    :raises ConfigurationError: the file cannot be read, or has another shape.
    """
    if path is None:
        from airflow.providers.common.compat.sdk import conf

        path = conf.get("ecs_feature", "prices_file", fallback="") or ""
    return _under(_package(), path) if path else package_prices()


@functools.cache
def _package() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return found


def _under(package: Mapping[str, Any], path: str) -> PriceTable:
    field_name = "[ecs_feature] prices_file"
    try:
        own = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{field_name}: cannot read {path} ({error.strerror}); name a JSON file.") from error
    except ValueError as error:
        raise ConfigurationError(f"{field_name}: {path} is not JSON ({error}); see docs/launch-options.md.") from error
    _check(own, _SHAPE, f"{field_name}: {path}")
    merged = _merged({name: package[name] for name in ("regions", "managed_instances_fee")}, own)
    return PriceTable(merged["regions"], merged["managed_instances_fee"])


def _check(value: Any, shape: Any, where: str) -> None:
    """:raises ConfigurationError: when it has not that shape."""
    if shape is _PRICE:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ConfigurationError(f"{where} is {value!r:.80}; give dollars, 0 or more (docs/launch-options.md).")
    elif shape is not _ANYTHING:
        if not isinstance(value, dict):
            raise ConfigurationError(f"{where} is {value!r:.80}; give a JSON object (docs/launch-options.md).")
        for name, each in value.items():
            if name not in shape and _ANY_NAME not in shape:
                raise ConfigurationError(f"{where}.{name} is not known; it may have {', '.join(shape)}.")
            _check(each, shape.get(name, shape.get(_ANY_NAME)), f"{where}.{name}")


def _merged(package: Any, own: Any) -> Any:
    if not isinstance(package, Mapping) or not isinstance(own, Mapping):
        return own
    return {
        **package,
        **{name: _merged(package[name], each) if name in package else each for name, each in own.items()},
    }
