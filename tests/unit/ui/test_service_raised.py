"""From how many tasks a rerun raises a service, and to how many, before anything happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecs_feature.services.leases import SharingPolicy
from ecs_feature.ui.estimates import service_raised

MINE, OTHER = "flights/r1/control", "flights/r2/control"


def held(*leases: tuple[str, int], running: int, minutes: float = 1) -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    holders = [{"holder": holder, "count": count} for holder, count in leases]
    return {"at": at, "running": running, "holders": holders}


@pytest.mark.parametrize(
    ("mine", "policy", "seen", "raised"),
    [
        ([2], SharingPolicy(), {}, (0, 2)),
        ([2], SharingPolicy(), held(running=0), (0, 2)),
        ([2], SharingPolicy(), held((OTHER, 2), running=2), (2, 4)),
        ([2], SharingPolicy(sharing="max"), held((OTHER, 3), running=3), (3, 3)),
        ([2], SharingPolicy(sharing="max"), {}, (0, 2)),
        ([2], SharingPolicy(), held((MINE, 2), running=2), (2, 2)),
        ([2, 2], SharingPolicy(cap=3), held(running=0), (0, 3)),
        ([2], SharingPolicy(baseline=3), held(running=3), (3, 3)),
        ([2], SharingPolicy(autoscaled=True), held(running=5), (5, 5)),
        ([2], SharingPolicy(baseline=1), held((OTHER, 9), running=9, minutes=40), (1, 2)),
    ],
    ids=[
        "unseen",
        "free",
        "another-run",
        "shared",
        "shared-free",
        "own-lease",
        "cap",
        "baseline",
        "autoscaled",
        "long-ago",
    ],
)
def test_leases_of_others_add_up_as_the_policy_says(
    mine: list[int], policy: SharingPolicy, seen: dict[str, Any], raised: tuple[int, int]
) -> None:
    row = service_raised("encoder", mine, policy, seen, lambda holder: holder == MINE)
    assert (row["from"], row["to"]) == raised
