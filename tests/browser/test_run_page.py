"""The tab of a run: its figures are those of Airflow's API, failures are grouped, the Gantt names the shards."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from playwright.sync_api import expect

from devstack.ui import boards

BAD_DAY_AGO = 13


def run_page(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/runs/{run_id}/plugin/shards-run"


def run_of_day(ui: Any, dag_id: str, ago: int) -> str:
    """The scheduled run of so many days ago."""
    runs = ui.pages(f"/dags/{dag_id}/dagRuns", "dag_runs", order_by="-run_after", run_type="scheduled")
    return str(runs[ago]["dag_run_id"])


@pytest.fixture(scope="module")
def bad_run(ui: Any) -> str:
    return run_of_day(ui, boards.NAMED, BAD_DAY_AGO)


def test_figures_reasons_and_ticks_of_a_bad_day(ui: Any, bad_run: str) -> None:
    tasks = ui.pages(f"/dags/{boards.NAMED}/dagRuns/{bad_run}/taskInstances", "task_instances")
    states = Counter(each["state"] for each in tasks if each["operator"] == "EcsShardOperator")
    assert states["failed"] > 10, "the seed has lost its bad day"
    with ui.open(run_page(boards.NAMED, bad_run), width=1280) as page:
        figures = page.locator("dl.ecsf-head .ecsf-figure")
        expect(figures.filter(has_text="Failed").locator("dd")).to_have_text(str(states["failed"]))
        reasons = page.locator("li.ecsf-reason")
        expect(reasons.first).to_be_visible()
        counts = [int(re.match(r"(\d+)", text)[1]) for text in reasons.locator("strong").all_inner_texts()]  # type: ignore[index]
        assert sum(counts) >= states["failed"]
        assert len(counts) < states["failed"], "failures are grouped"
        reasons.first.get_by_role("button", name=re.compile("Tick")).first.click()
        expect(page.get_by_role("button", name=re.compile(rf"Rerun {counts[0]} shard"))).to_be_visible()


def test_find_narrows_the_gantt_to_the_shards_of_that_name(ui: Any, bad_run: str) -> None:
    with ui.open(run_page(boards.NAMED, bad_run)) as page:
        box = page.get_by_role("searchbox", name="Find shard")
        expect(box).to_be_visible()
        box.fill("WY")
        expect(page.get_by_text(re.compile(r"^2 (of \d+ )?shards$"))).to_be_visible()


def test_a_run_that_goes_on_shows_its_progress_and_what_is_left(ui: Any) -> None:
    run_id = run_of_day(ui, boards.MAPPED, 0)
    with ui.open(run_page(boards.MAPPED, run_id)) as page:
        progress = page.get_by_role("progressbar", name="Shards done")
        expect(progress).to_have_attribute("aria-valuemax", "40")
        expect(page.get_by_text("tenant-0001", exact=True).first).to_be_visible()
