"""All views: a stranger's names do no harm in them, and axe-core has nothing serious against them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from devstack.ui import boards
from tests.browser.test_run_page import run_of_day, run_page

OURS = ".ecsf-root"
SEVERE = ("serious", "critical")


def newest(ui: Any, dag_id: str) -> str:
    return str(ui.json("/ecs_feature/api/board", dag_id=dag_id)["runs"][-1]["run_id"])


def findings(page: Any, part: str = OURS) -> list[str]:
    """What axe-core says of our part of the page."""
    found = Axe().run(page, context=part, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}"
        for each in found
        if each["impact"] in SEVERE
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(ui: Any, dark: bool) -> None:
    with ui.open(run_page(boards.NAMED, run_of_day(ui, boards.NAMED, 13)), dark=dark) as page:
        expect(page.locator("li.ecsf-reason").first).to_be_visible()
        assert findings(page) == []
        page.goto(f"{ui.stack.url}/plugin/ecs-features", wait_until="domcontentloaded")
        expect(page.locator(OURS).get_by_role("link", name=boards.NAMED)).to_be_visible()
        assert findings(page) == []
        page.goto(f"{ui.stack.url}/dags/{boards.NAMED}/plugin/shards", wait_until="domcontentloaded")
        page.locator(f"{OURS} [role=gridcell]").first.click()
        expect(page.get_by_role("region", name="The chosen shard")).to_be_visible()
        assert findings(page) == []


def test_names_of_strangers_are_text_in_the_run(ui: Any) -> None:
    with ui.open(run_page(boards.HOSTILE_DAG, newest(ui, boards.HOSTILE_DAG))) as page:
        for name in boards.HOSTILE:
            expect(page.locator(OURS).get_by_text(name, exact=True).first).to_be_attached()
        assert page.locator(f"{OURS} img, {OURS} b").count() == 0


def test_names_of_strangers_are_text_in_the_board_and_its_sheet(ui: Any) -> None:
    with ui.open(f"/dags/{boards.HOSTILE_DAG}/plugin/shards", width=1280) as page:
        for name in boards.HOSTILE:
            expect(page.locator(f"{OURS} [role=rowheader] bdi").get_by_text(name, exact=True)).to_be_attached()
        page.locator(f"{OURS} [role=gridcell]").first.click()
        page.keyboard.press("Control+Home")
        for _ in boards.HOSTILE:
            page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("ArrowRight")
        page.get_by_role("button", name=re.compile("^Rerun 8")).click()
        expect(page.get_by_role("dialog")).to_contain_text(boards.HOSTILE[0])
        assert page.locator(f"{OURS} img, dialog img, dialog b").count() == 0
        page.keyboard.press("Escape")


def test_a_foreign_dag_says_so_in_one_line(ui: Any) -> None:
    run_id = ui.pages(f"/dags/{boards.FOREIGN}/dagRuns", "dag_runs")[0]["dag_run_id"]
    with ui.open(run_page(boards.FOREIGN, run_id)) as page:
        expect(page.locator(OURS)).to_contain_text("no shards")


def test_the_overview_has_a_line_for_each_pipeline_and_none_for_others(ui: Any) -> None:
    with ui.open("/plugin/ecs-features") as page:
        for dag_id in (boards.NAMED, boards.MAPPED, boards.EMPTY, boards.HOSTILE_DAG):
            expect(page.locator(OURS).get_by_role("link", name=dag_id)).to_be_visible()
        expect(page.locator(OURS).get_by_role("link", name=boards.FOREIGN)).to_have_count(0)
