"""By touch: a tap chooses, a long press or a tap on a check box ticks, a finger that moves scrolls."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from devstack.ui import boards
from tests.browser.test_board import CELL, GRID, PATH
from tests.browser.test_run_page import BAD_DAY_AGO, run_of_day, run_page

LONG_MS = 800
"""Longer than a long press takes, on two busy cores."""
RERUN = re.compile("^Rerun")


def middle(locator: Any) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def press(page: Any, locator: Any, milliseconds: int = LONG_MS) -> None:
    """Put a finger there, and lift it after a while."""
    x, y = middle(locator)
    session = page.context.new_cdp_session(page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    page.wait_for_timeout(milliseconds)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def drag(page: Any, x: float, y: float) -> None:
    """Pull up by 150 pixels, slower than a long press takes."""
    session = page.context.new_cdp_session(page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 11):
        moved = [{"x": x, "y": y - 15 * step}]
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": moved})
        page.wait_for_timeout(LONG_MS / 10)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def ready(page: Any) -> None:
    page.get_by_role("button", name=re.compile("Tick all")).first.wait_for()
    page.get_by_role("button", name=boards.CONTROL, exact=True).tap()


def test_a_tap_on_a_cell_chooses_it_and_its_check_box_ticks_it(ui: Any) -> None:
    with ui.touched(PATH, width=1180, height=820) as page:
        ready(page)
        page.locator(f"{CELL}[aria-label*=' failed']").first.tap()
        strip = page.get_by_role("region", name="The chosen shard")
        expect(strip).to_be_visible()
        expect(page.get_by_role("button", name=RERUN)).to_have_count(0)
        strip.get_by_role("checkbox").tap()
        expect(page.get_by_role("button", name="Rerun 1 shard…")).to_be_visible()
        expect(page.locator(f"{CELL}[aria-selected=true]")).to_have_count(1)
        strip.get_by_role("checkbox").tap()
        expect(page.get_by_role("button", name=RERUN)).to_have_count(0)


def test_a_long_press_ticks_once_and_a_finger_that_scrolls_does_not(ui: Any) -> None:
    with ui.touched(PATH, width=1180, height=820) as page:
        ready(page)
        cell = page.locator(f"{CELL}[aria-label*=' failed']").first
        press(page, cell)
        expect(page.get_by_role("button", name="Rerun 1 shard…")).to_be_visible()
        page.wait_for_timeout(300)
        expect(page.locator(f"{CELL}[aria-selected=true]")).to_have_count(1)  # the click after it is none more
        top = page.locator(GRID).evaluate("it => it.scrollTop")
        drag(page, *middle(page.locator(GRID)))
        assert page.locator(GRID).evaluate("it => it.scrollTop") > top + 50
        expect(page.get_by_role("button", name="Rerun 1 shard…")).to_be_visible()


def test_in_a_run_a_tap_chooses_a_shard_and_its_box_ticks_it(ui: Any) -> None:
    with ui.touched(run_page(boards.NAMED, run_of_day(ui, boards.NAMED, BAD_DAY_AGO)), width=1180, height=820) as page:
        row = page.get_by_role("option").nth(2)
        row.locator(".ecsf-plot").tap()
        expect(page.locator(".ecsf-strip").get_by_role("link", name="task and log")).to_be_visible()
        expect(page.get_by_role("button", name=RERUN)).to_have_count(0)
        box = row.locator("[data-tick]").bounding_box()
        page.touchscreen.tap(box["x"] - 5, box["y"] - 3)  # beside it: a finger is wider than 14 px
        expect(page.get_by_role("button", name="Rerun 1 shard…")).to_be_visible()
