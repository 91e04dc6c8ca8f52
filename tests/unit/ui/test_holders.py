"""Who holds a service, as its leases were seen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ecs_feature.services.leases import CUT, Lease
from ecs_feature.ui.holders import dags_of, is_of, is_of_run, told

NOW = datetime(2026, 11, 28, tzinfo=UTC)
LONG = "manual__" + "r" * 200
LONG_DAG = "d" * 250
LANES = ("control", "treatment")


def seen(holder: str) -> str:
    """As it is read from the tag of its lease."""
    lease = Lease.from_tag(Lease(holder, 2, NOW, NOW).to_tag(NOW)["value"])
    assert lease is not None
    return lease.holder


def test_the_tags_of_these_have_no_room_for_the_whole() -> None:
    assert CUT in seen(f"flights/{LONG}/control")
    assert CUT in seen(f"{LONG_DAG}/r1/control").partition("/")[0]
    assert CUT not in seen("flights/r1/control")


HOLDERS = [
    "flights/r1/control", "flights/r1/", "flights/r1", "flights/été …/control", f"flights/{LONG}/control",
    f"flights/{LONG}/treatment", f"flights/{LONG}x/control", f"{LONG_DAG}/r1/control", f"{LONG_DAG}/r2/control",
]  # fmt: skip


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_lease_is_of_its_own_holder_and_of_no_other(holder: str) -> None:
    assert [other for other in HOLDERS if is_of(seen(holder), other)] == [holder]


@pytest.mark.parametrize(
    ("holder", "dag_id", "run_id", "mine"),
    [
        ("flights/r1/control", "flights", "r1", True),
        ("flights/r1", "flights", "r1", True),
        ("flights/r1/a.lane.that.is.gone", "flights", "r1", True),
        ("flights/r11/control", "flights", "r1", False),
        ("flights2/r1/control", "flights", "r1", False),
        (f"flights/{LONG}/treatment", "flights", LONG, True),
        (f"flights/{LONG}/control", "flights", LONG[:-1], False),
        (f"flights/{LONG}/control", "flights", f"{LONG}x", False),
        (f"{LONG_DAG}/r1/control", LONG_DAG, "r1", True),
        (f"{LONG_DAG}/r1/control", LONG_DAG, "r2", False),
    ],
)
def test_a_run_knows_its_leases_also_those_that_were_cut(holder: str, dag_id: str, run_id: str, mine: bool) -> None:
    assert is_of_run(seen(holder), dag_id, run_id, LANES) is mine


def service(*holders: str) -> dict[str, Any]:
    return {"name": "encoder", "holders": [{"holder": seen(holder), "count": 2, "since": ""} for holder in holders]}


def test_who_may_not_read_a_dag_is_not_told_of_its_runs() -> None:
    held = service("flights/r1/control", "payroll/r9/control", f"{LONG_DAG}/r1/control", f"flights/{LONG}/control")
    shown = told(held, "flights", ["r1", LONG], LANES, {"flights"})
    names = [each["holder"] for each in shown["holders"]]
    assert names == ["flights/r1/control", None, None, f"flights/{LONG}/control"]
    assert [each["count"] for each in shown["holders"]] == [2] * 4
    assert held["holders"][1]["holder"] == "payroll/r9/control", "what was seen stays as it is"
    assert dags_of([held]) == {"flights", "payroll"}


def test_a_run_that_is_not_known_any_more_keeps_what_its_tag_has() -> None:
    (other,) = told(service(f"flights/{LONG}/control"), "flights", ["r1"], LANES, {"flights"})["holders"]
    assert other["holder"].startswith("flights/manual__rrr")
