"""A browser on a seeded Airflow with a real API server, below a base path: started once for all of these tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from devstack.processes import ROOT
from devstack.ui.boards import Size
from devstack.ui.browser import NoBrowserError, browser, cookie, page
from devstack.ui.stack import UiStack

FOLDER = ROOT / "build" / "test" / f"browser-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
BASE_PATH = "/airflow"
SIZE = Size(shards=40, runs=6, named_runs=14)


class Ui:
    """What a browser test works with.

    :ivar stack: the Airflow.
    """

    def __init__(self, stack: UiStack, chromium: Any) -> None:
        self.stack = stack
        self._chromium = chromium
        self._tokens: dict[str, str] = {}

    def token(self, user: str) -> str:
        if user not in self._tokens:
            self._tokens[user] = self.stack.token(user)
        return self._tokens[user]

    def ask(self, method: str, path: str, user: str | None = "admin", **arguments: Any) -> httpx.Response:
        """A request below the base path."""
        headers = {"Authorization": f"Bearer {self.token(user)}"} if user else {}
        return httpx.request(
            method, f"{self.stack.url}{path}", headers=headers, trust_env=False, timeout=60, **arguments
        )

    def json(self, path: str, **params: Any) -> Any:
        """The JSON of a GET as an admin."""
        return self.ask("GET", path, params=params).raise_for_status().json()

    def pages(self, path: str, key: str, **params: Any) -> list[dict[str, Any]]:
        """All entries of a list of Airflow's own API."""
        entries: list[dict[str, Any]] = []
        while True:
            found = self.json(f"/api/v2{path}", limit=100, offset=len(entries), **params)
            entries += found[key]
            if not found[key] or len(entries) >= found["total_entries"]:
                return entries

    @contextmanager
    def open(self, path: str, user: str = "admin", **how: Any) -> Iterator[Any]:
        """A page of our own in a new session; it must raise no dialog and no error."""
        bad: list[str] = []
        with page(self._chromium, self.stack.url, self.token(user), **how) as opened:
            opened.on("dialog", lambda dialog: (bad.append(f"dialog: {dialog.message}"), dialog.dismiss()))
            opened.on("pageerror", lambda error: bad.append(f"error: {error}"))
            opened.goto(f"{self.stack.url}{path}", wait_until="domcontentloaded")
            yield opened
        assert bad == []

    @contextmanager
    def touched(self, path: str, **size: int) -> Iterator[Any]:
        """A page on a screen that is touched."""
        context = self._chromium.new_context(has_touch=True, viewport=size, reduced_motion="reduce")
        try:
            context.add_cookies([cookie(self.stack.url, self.token("admin"))])
            opened = context.new_page()
            opened.goto(f"{self.stack.url}{path}", wait_until="domcontentloaded")
            yield opened
        finally:
            context.close()


Open = Callable[..., AbstractContextManager[Any]]


SHOWN_MILLISECONDS = 30_000
"""How long a page may take until it shows what is expected: two busy cores are slow."""


@pytest.fixture(scope="package")
def ui() -> Iterator[Ui]:
    """The seeded Airflow and the browser; skips where there is no browser."""
    with ExitStack() as parts:
        try:
            chromium = parts.enter_context(browser())
        except NoBrowserError as error:
            pytest.skip(str(error))
        from playwright.sync_api import expect

        expect.set_options(timeout=SHOWN_MILLISECONDS)
        yield Ui(parts.enter_context(UiStack(FOLDER, SIZE, base_path=BASE_PATH)), chromium)
