"""A short, seeded selection of `make chaos`, on the real scheduler and two triggerers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from devstack.chaos.campaign import Campaign, Result
from devstack.chaos.scenarios import SCENARIOS, SMALL, SMALL_BLINDNESS, SMALL_MEDDLER, Scenario

SEED = int(os.environ.get("CHAOS_SEED", "7"))
ALL = (SMALL, SMALL_BLINDNESS, SMALL_MEDDLER)
WHOLE = tuple(each for each in SCENARIOS if each.name in ("spot", "start_failures"))
"""Two whole scenarios; `make chaos` runs them all."""
PATIENT_SECONDS = 450.0
"""The deadline of every shard: nothing here says how long a shard may take on a busy machine."""


def played(stack: Any, chosen: Iterable[Scenario]) -> dict[str, Result]:
    """The results of scenarios that run all at once: what one does to everybody, the others have to survive as well."""
    lines: list[str] = []
    campaign = Campaign(stack.stack, ("ours",), SEED, 1, lines.append, stack.fronts)
    scenarios = tuple(replace(each, deadline_seconds=PATIENT_SECONDS) for each in chosen)
    campaign.prepare(scenarios)
    found = campaign.phase(scenarios)
    (stack.stack.folder / "chaos.txt").write_text("\n".join(lines) + "\n")
    return {result.scenario.name: result for result in found}


@pytest.fixture(scope="module")
def results(chaos_stack: Any) -> dict[str, Result]:
    return played(chaos_stack, ALL)


@pytest.mark.parametrize("name", [each.name for each in ALL])
def test_nothing_is_doubled_lost_left_running_or_paid_for_by_the_wrong_one(
    results: dict[str, Result], name: str
) -> None:
    check(results[name])


@pytest.mark.slow
def test_whole_scenarios_end_well_too(chaos_stack: Any) -> None:
    found = played(chaos_stack, WHOLE)
    for result in found.values():
        check(result)
    assert found["spot"].verdict.endings["SpotInterruption"] >= 1
    assert found["start_failures"].verdict.endings["TaskFailedToStart"] >= 1


def check(result: Result) -> None:
    verdict = result.verdict
    assert verdict.problems == ()
    assert verdict.services_left_up == 0
    assert verdict.shards == result.scenario.shards


def test_the_faults_have_struck(results: dict[str, Result]) -> None:
    endings = {name: result.verdict.endings for name, result in results.items()}
    assert endings["small"]["EssentialContainerExited (exit 137)"] >= 1
    assert endings["small"]["EssentialContainerExited (exit 3)"] == 2
    assert results["small"].verdict.application_failures == 2
    assert sum(results["small"].kills.values()) == 1
    assert sum(results["small_blindness"].done.values()) >= 1
    assert sum(results["small_meddler"].done.values()) == 3


def test_where_airflow_is_patched_the_dag_processor_is_not_asked_for_callbacks_that_no_shard_has(
    results: dict[str, Result], chaos_stack: Any
) -> None:
    logs = list((chaos_stack.stack.home / "logs" / "dag_processor").rglob("*.log"))
    asked = [line for path in logs for line in path.read_text().splitlines() if "not a failure callback" in line]
    assert {name for name in results if f"chaos_{name}_ours" in "".join(asked)} == set(results)  # for other tasks
    assert [line for line in asked if ".shard" in line] == []
