"""Rerun of ticked cells in two runs: the sheet says what it does, and Airflow clears exactly these."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import expect

from devstack.ui import boards
from tests.browser.test_board import CELL, PATH, board_of
from tests.browser.test_pages import findings


def cleared(ui: Any, run_id: str) -> set[str]:
    """The shards' tasks of a run that have no state."""
    tasks = ui.pages(f"/dags/{boards.NAMED}/dagRuns/{run_id}/taskInstances", "task_instances")
    return {each["task_id"] for each in tasks if each["operator"] == "EcsShardOperator" and each["state"] is None}


def test_the_sheet_has_the_focus_gives_it_back_and_looks_once_more_before_it_clears(ui: Any) -> None:
    """Somebody else begins a rerun while the sheet is open: this one clears nothing."""
    asked: list[bool] = []

    def answer(route: Any) -> None:
        asked.append(json.loads(route.request.post_data)["dry_run"])
        if len(asked) == 1:
            return route.continue_()
        busy = {"task_id": "control.scale_up", "map_index": -1, "state": "deferred"}
        return route.fulfill(json={"task_instances": [busy], "total_entries": 1})

    inside = "document.querySelector('dialog').contains(document.activeElement)"
    with ui.open(PATH, width=1280) as page:
        page.get_by_role("button", name=re.compile("Tick all")).first.wait_for()
        page.locator(f"{CELL}[aria-label*=' failed']").first.click()
        opener = page.get_by_role("button", name=re.compile("^Rerun"))
        page.route("**/clearTaskInstances", answer)
        opener.focus()
        page.keyboard.press("Enter")
        sheet = page.get_by_role("dialog")
        confirm = sheet.get_by_role("button", name=re.compile("^Rerun"))
        expect(confirm).to_be_enabled()
        assert page.evaluate(inside)
        for _ in range(6):
            page.keyboard.press("Tab")
            assert page.evaluate(f"{inside} || document.activeElement === document.body"), "focus stays in the sheet"
        confirm.click()
        expect(sheet).to_contain_text("control.scale_up is still going on in this run")
        assert asked == [True, True], "nothing was cleared"
        page.keyboard.press("Escape")
        expect(sheet).to_have_count(0)
        expect(opener).to_be_focused()


def test_a_rerun_across_two_runs_clears_exactly_the_ticked_shards(ui: Any) -> None:
    ended = [run for run in board_of(ui, boards.NAMED)["runs"] if not run["active"]]
    runs = [run for run in ended if run["run_type"] == "scheduled"][-2:]
    with ui.open(PATH, width=1280) as page:
        page.locator(CELL).first.wait_for()
        page.get_by_role("button", name="control", exact=True).click()
        page.get_by_role("button", name=re.compile("Tick all")).first.wait_for()
        for run, shard in zip(runs, ("CA", "NY"), strict=True):
            page.get_by_role("searchbox", name="Find shard").fill(shard)
            cell = page.locator(f"{CELL}[aria-label^='{shard}, {run['partition']}']").first
            cell.click()
        page.get_by_role("button", name=re.compile(r"^Rerun 2 shards in 2 runs")).click()
        sheet = page.get_by_role("dialog")
        for run in runs:
            expect(sheet).to_contain_text(run["partition"])
        expect(sheet).to_contain_text("encoder-control")
        expect(sheet).to_contain_text(re.compile(r"encoder-control \d → \d → \d"))
        confirm = sheet.get_by_role("button", name=re.compile("^Rerun 2"))
        expect(confirm).to_be_enabled()
        assert findings(page, "dialog") == []
        assert [cleared(ui, run["run_id"]) for run in runs] == [set(), set()], (
            "nothing happens before the user confirms"
        )
        confirm.click()
        expect(sheet).to_have_count(0)
        for run, shard in zip(runs, ("CA", "NY"), strict=True):
            assert cleared(ui, run["run_id"]) == {f"control.shards.{shard}"}
        page.get_by_role("searchbox", name="Find shard").fill("NY")
        expect(page.locator(f"{CELL}[aria-label^='NY, {runs[1]['partition']}: waiting']")).to_be_attached()
