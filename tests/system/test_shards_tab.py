"""Shards ticked on the board and run again, in a real browser, on a real scheduler, triggerer and Fargate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from devstack.ui.browser import NoBrowserError, browser, page

from .conftest import FINISHED_DAY

NAMED, MAPPED = "rerun_features", "mapped_features"
MAPPED_DAY = datetime(2013, 2, 14, tzinfo=UTC)
GREEN_SECONDS = 150
RUN_SECONDS = 200


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    try:
        with browser() as launched:
            yield launched
    except NoBrowserError as error:
        pytest.skip(str(error))


def rerun(stack: Any, chromium: Any, dag_id: str, run_id: str, day: str, shards: list[str], service: str) -> list[Any]:
    """Tick shards, confirm, and wait until their cells are green in place.

    :returns: the RunTask and the UpdateService calls since then.
    """
    launched, updated = len(stack.calls("RunTask")), len(stack.calls("UpdateService"))
    url = stack.api.url
    token = httpx.get(f"{url}/auth/token", trust_env=False, follow_redirects=True).json()["access_token"]
    with page(chromium, url, token) as opened:
        opened.goto(f"{url}/dags/{dag_id}/plugin/shards", wait_until="domcontentloaded")
        cells = [opened.locator(f".ecsf-root [role=gridcell][aria-label^='{shard}, {day}']").first for shard in shards]
        cells[0].wait_for()
        if dag_id == NAMED:
            opened.get_by_role("button", name="treatment", exact=True).click()
        for cell in cells:
            expect(cell).to_have_attribute("aria-label", re.compile("published"))
            cell.click()
        opened.evaluate("globalThis.notReloaded = true")
        opened.get_by_role("button", name=re.compile(f"^Rerun {len(shards)} shard")).click()
        sheet = opened.get_by_role("dialog")
        expect(sheet).to_contain_text(f"{service} 0 → 1 → 0")
        assert len(stack.calls("RunTask")) == launched, "nothing runs before the user confirms"
        sheet.get_by_role("button", name=re.compile("^Rerun")).click()
        for cell in cells:
            expect(cell).not_to_have_attribute("aria-label", re.compile("published"), timeout=30_000)
        for cell in cells:
            expect(cell).to_have_attribute("aria-label", re.compile("published"), timeout=GREEN_SECONDS * 1000)
        assert opened.evaluate("globalThis.notReloaded") is True
    stack.succeed(run_id, RUN_SECONDS)
    return [stack.calls("RunTask")[launched:], stack.calls("UpdateService")[updated:]]


def environments(calls: list[dict[str, Any]]) -> list[tuple[str, str]]:
    containers = [call["request"]["overrides"]["containerOverrides"][0] for call in calls]
    values = [{item["name"]: item["value"] for item in each.get("environment", ())} for each in containers]
    return sorted((each.get("VARIANT", ""), each["SHARD"]) for each in values)


def counts(calls: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(call["request"]["service"], call["request"]["desiredCount"]) for call in calls]


def test_two_ticked_shards_run_again_and_turn_green_without_a_reload(
    stack: Any, chromium: Any, finished_run: str
) -> None:
    day, service = f"{FINISHED_DAY:%Y-%m-%d}", "encoder-treatment"
    launches, updates = rerun(stack, chromium, NAMED, finished_run, day, ["HA", "OO"], service)
    assert environments(launches) == [("treatment", "HA"), ("treatment", "OO")]
    assert counts(updates) == [(service, 1), (service, 0)]


def test_a_mapped_shard_is_ticked_by_its_name_and_runs_again_alone(stack: Any, chromium: Any) -> None:
    run_id = stack.run(MAPPED, MAPPED_DAY)
    stack.succeed(run_id, RUN_SECONDS)
    shard = stack.api.xcom(MAPPED, run_id, "find_shards")[1]
    service = "encoder-control"
    launches, updates = rerun(stack, chromium, MAPPED, run_id, f"{MAPPED_DAY:%Y-%m-%d}", [shard], service)
    assert environments(launches) == [("control", shard)]
    assert counts(updates) == [(service, 1), (service, 0)]
