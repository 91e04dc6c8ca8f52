"""The board: its cells are what Airflow's API says; find, filter, sort, keyboard; what a viewer sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from devstack.ui import boards
from tests.browser.board_view import Cell, alike, expected, shown

PATH = f"/dags/{boards.NAMED}/plugin/shards"
GRID = ".ecsf-root [role=grid]"
CELL = f"{GRID} [role=gridcell]"
LANES = [boards.CONTROL, boards.TREATMENT]


def board_of(ui: Any, dag_id: str) -> dict[str, Any]:
    return dict(ui.json("/ecs_feature/api/board", dag_id=dag_id))


@pytest.fixture(scope="module")
def named(ui: Any) -> Iterator[Any]:
    """The named board's page, for the tests that leave it as it was."""
    with ui.open(PATH, width=1280) as page:
        page.locator(CELL).first.wait_for()
        yield page


@pytest.fixture
def whole(named: Any) -> Iterator[Any]:
    yield named
    named.get_by_role("searchbox", name="Find shard").fill("")
    named.get_by_label("Sort").select_option("name")
    for pressed in named.locator(".ecsf-chip[aria-pressed=true]").all():
        pressed.click()
    named.get_by_role("button", name="both", exact=True).click()
    if named.get_by_role("button", name="Untick").count():
        named.get_by_role("button", name="Untick").click()


def names_in_sight(page: Any) -> list[str]:
    rows = page.locator(f"{GRID} [role=row]:not([hidden])").filter(has=page.locator("[role=rowheader]")).all()
    placed = [
        (int(row.get_attribute("aria-rowindex")), row.locator("[role=rowheader] bdi").inner_text()) for row in rows
    ]
    return [name for _, name in sorted(placed)]


def test_the_named_board_equals_airflows_api_cell_by_cell(ui: Any, named: Any) -> None:
    board = board_of(ui, boards.NAMED)
    names = {
        task: shard
        for lane in board["lanes"]
        for shard, task in zip(board["shards"], lane["tasks"], strict=False)
        if task
    }
    wanted = expected(ui, boards.NAMED, LANES, names)
    found = shown(named, [run["run_id"] for run in board["runs"]], LANES)
    assert alike(found, wanted) == wanted
    assert {"published", "failed", "earlier version", "ran, not published", "not part of this run"} <= set(
        wanted.values()
    )


def test_the_mapped_board_equals_airflows_api_cell_by_cell_by_name(ui: Any) -> None:
    board = board_of(ui, boards.MAPPED)
    wanted = expected(ui, boards.MAPPED, [""], {})
    with ui.open(f"/dags/{boards.MAPPED}/plugin/shards") as page:
        page.locator(CELL).first.wait_for()
        found = shown(page, [run["run_id"] for run in board["runs"]], [""])
    assert alike(found, wanted) == wanted
    assert Cell("", board["runs"][0]["run_id"], "tenant-0001") in wanted


def test_find_filter_sort_and_variant(whole: Any) -> None:
    whole.get_by_role("searchbox", name="Find shard").fill("w")
    expect(whole.locator(f"{GRID} [role=columnheader]").first).to_contain_text("4 of 52 shards")
    assert names_in_sight(whole) == ["WA", "WI", "WV", "WY"]
    whole.get_by_role("searchbox", name="Find shard").fill("")
    chip = whole.locator(".ecsf-chip").filter(has_text=re.compile(r"^earlier version"))
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(whole.locator(f"{GRID} [role=columnheader]").first).to_contain_text("7 of 52 shards")
    chip.click()
    whole.get_by_label("Sort").select_option("failures")
    expect(whole.locator(f"{GRID} [role=row][aria-rowindex='2'] [role=rowheader] b")).to_have_text(re.compile(r"\d+×"))
    whole.get_by_role("button", name="treatment", exact=True).click()
    expect(whole.locator(CELL).first.locator("i")).to_have_count(1)


def test_by_keyboard_alone_cells_are_reached_ticked_and_unticked(whole: Any) -> None:
    whole.get_by_role("button", name=re.compile("Tick all")).first.wait_for()
    whole.locator(f"{GRID} [role=gridcell][tabindex='0']").focus()
    whole.keyboard.press("Control+Home")
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        whole.keyboard.press(key)
    focused = whole.evaluate("document.activeElement.getAttribute('aria-colindex')")
    assert focused == "3"
    assert whole.locator(f"{GRID} [role=gridcell][tabindex='0']").count() == 1, "a roving tabindex"
    whole.keyboard.press("Space")
    expect(whole.get_by_role("button", name=re.compile(r"^Rerun 2"))).to_be_visible()
    whole.keyboard.press("Shift+ArrowLeft")
    whole.keyboard.press("ArrowLeft")
    expect(whole.get_by_role("button", name=re.compile(r"^Rerun 4 shards in 2 runs"))).to_be_visible()
    whole.keyboard.press("Escape")
    expect(whole.get_by_role("button", name=re.compile(r"^Rerun"))).to_have_count(0)


def test_the_strip_says_how_a_shard_ended_and_does_not_move_the_board(whole: Any) -> None:
    top = whole.locator(GRID).bounding_box()
    whole.locator(f"{CELL}[aria-label*=' failed']").last.click()
    strip = whole.get_by_role("region", name="The chosen shard")
    expect(strip).to_contain_text(re.compile("exited with code|memory|shard_timeout|can not start"))
    expect(strip.get_by_role("link", name="log")).to_have_count(2)
    assert whole.locator(GRID).bounding_box() == top


def test_in_a_low_window_the_strip_is_in_sight_and_scrolls_and_no_chosen_cell_is_under_it(ui: Any) -> None:
    with ui.open(PATH, width=1024, height=640) as page:
        page.locator(CELL).first.wait_for()
        page.locator(CELL).nth(3).click()
        strip = page.get_by_role("region", name="The chosen shard")
        expect(strip.get_by_role("link", name="log")).to_have_count(2)
        below = page.locator(".ecsf-b-below")
        box = below.bounding_box()
        assert box["y"] + box["height"] <= 640
        strip.get_by_role("link", name="features").last.scroll_into_view_if_needed()
        last = strip.get_by_role("link", name="features").last.bounding_box()
        assert box["y"] <= last["y"]
        assert last["y"] + last["height"] <= box["y"] + box["height"]
        for _ in range(7):
            page.keyboard.press("ArrowDown")
        chosen = page.locator(f"{GRID} [role=gridcell][tabindex='0']").bounding_box()
        assert chosen["y"] + chosen["height"] <= below.bounding_box()["y"]


def test_a_viewer_sees_the_board_and_has_nothing_to_rerun_with(ui: Any) -> None:
    with ui.open(PATH, "viewer") as page:
        page.locator(CELL).first.wait_for()
        page.wait_for_timeout(1500)
        page.locator(CELL).first.click()
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name=re.compile("Rerun|Tick"))).to_have_count(0)
        expect(page.locator(".ecsf-root").get_by_role("link", name=re.compile("Backfill"))).to_have_count(0)


def test_the_board_follows_when_the_host_turns_dark(named: Any) -> None:
    color = "getComputedStyle(document.querySelector('.ecsf-root [role=rowheader]')).color"
    light = named.evaluate(color)
    named.evaluate("document.documentElement.classList.replace('light', 'dark')")
    named.wait_for_timeout(300)
    dark = named.evaluate(color)
    named.evaluate("document.documentElement.classList.replace('dark', 'light')")
    assert light != dark


@pytest.mark.parametrize(
    ("dag_id", "words"), [(boards.FOREIGN, "no feature pipeline"), (boards.EMPTY, "has not run yet")]
)
def test_a_board_without_runs_or_pipeline_says_so(ui: Any, dag_id: str, words: str) -> None:
    with ui.open(f"/dags/{dag_id}/plugin/shards") as page:
        expect(page.locator(".ecsf-root")).to_contain_text(words)
