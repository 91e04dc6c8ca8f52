"""With which policy a run writes its lease again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecs_feature.services.leases import SharingPolicy
from ecs_feature.services.run_lease import RunLease

NOW = datetime(2026, 11, 21, tzinfo=UTC)
OWN, TARGETS = SharingPolicy(1, 5, "max"), SharingPolicy(3, 9, autoscaled=True)


class Services:
    def now(self) -> datetime:
        return NOW

    def hold(self, name: str, **given: Any) -> Any:
        return name, given


@pytest.mark.parametrize(
    ("applied", "policy"),
    [(None, OWN), (SharingPolicy(2), OWN), (TARGETS, TARGETS)],
    ids=["tag gone", "a policy of the service", "a policy of a scalable target"],
)
def test_only_a_policy_that_was_made_for_a_scalable_target_is_kept(
    applied: SharingPolicy | None, policy: SharingPolicy
) -> None:
    lease = RunLease("features", "dag/run", {"encoder": 2}, {"encoder": OWN}, 60.0)
    assert lease.hold(Services(), "encoder", applied) == (  # type: ignore[arg-type,comparison-overlap]
        "encoder",
        {"holder": "dag/run", "count": 2, "until": NOW + timedelta(seconds=60), "policy": policy},
    )
