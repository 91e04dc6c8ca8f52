"""The browser of pictures, benchmarks and browser tests: the machine's Chromium, or Playwright's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from devstack.errors import StackError

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS: Final = ("--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars")
"""Root has no sandbox, and containers have little shared memory."""
MISSING: Final = (
    "no browser: install Debian's chromium, or Playwright's own with .venv/bin/python -m playwright install chromium"
)


class NoBrowserError(StackError):
    """There is no browser on this machine."""


def program() -> str | None:
    """The machine's own Chromium; None: it has none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Any]:
    """A browser for the ``with`` block.

    :raises NoBrowserError: there is none.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise NoBrowserError(f"no browser: {error}; run make environment.") from error
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = program() or (str(own) if own.exists() else None)
        if found is None:
            raise NoBrowserError(f"{MISSING}.")
        launched = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS), env=_environment())
        try:
            yield launched
        finally:
            launched.close()


def _environment() -> dict[str, str | float | bool]:
    """Without proxies: the pages are on this machine."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


@contextmanager
def page(
    of: Any, url: str, token: str, *, dark: bool = False, width: int = 1440, height: int = 900, scale: float = 1.0
) -> Iterator[Any]:
    """A page of a user who is logged in, at no address yet.

    :param url: of Airflow's UI.
    :param token: of Airflow's API; the UI carries it in a cookie.
    """
    context = of.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=scale,
        color_scheme="dark" if dark else "light",
        locale="en-US",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    try:
        context.add_cookies([cookie(url, token)])
        # Where Airflow's UI keeps what the user has chosen.
        context.add_init_script(
            f"try {{ localStorage.setItem('theme', '{'dark' if dark else 'light'}') }} catch (e) {{}}"
        )
        opened = context.new_page()
        opened.set_default_timeout(20_000)
        yield opened
    finally:
        context.close()


def cookie(url: str, token: str) -> Mapping[str, Any]:
    """Airflow's cookie, as its login sets it."""
    return {"name": "_token", "value": token, "url": url, "httpOnly": True}
