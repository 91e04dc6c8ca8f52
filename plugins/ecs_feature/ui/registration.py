"""What Airflow is told of the Shards tab: its pages, and the app that serves them, which alone needs FastAPI."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

URL_PREFIX: Final = "/ecs_feature"
STATIC: Final = Path(__file__).with_name("static")
_PAGES: Final = (
    ("Shards", "shards_tab.js", "dag", "shards"),
    ("Shards", "shards_tab.js", "dag_run", "shards-run"),
    ("ECS features", "nav_page.js", "nav", "ecs-features"),
)
"""Name, module, destination, route. Airflow takes the component from ``globalThis[NAME]``: the two of one name are one
component, which gets a run's id on the page of a run."""


@cache
def react_apps() -> list[dict[str, Any]]:
    """The pages, as ``AirflowPlugin.react_apps`` has them.

    Airflow resolves a ``bundle_url`` against its own base URL, so a relative one works below any path. The digest is of
    all modules, so that a browser loads a new version of the package at once.
    """
    version = digest()
    return [
        {
            "name": name,
            "bundle_url": f"{URL_PREFIX.removeprefix('/')}/static/{module}?v={version}",
            "destination": destination,
            "url_route": route,
            **({"category": "browse"} if destination == "nav" else {}),
        }
        for name, module, destination, route in _PAGES
    ]


@cache
def fastapi_apps() -> list[dict[str, Any]]:
    """The app, as ``AirflowPlugin.fastapi_apps`` has it; called in the API server only."""
    from ecs_feature.ui.app import create_app

    return [{"app": create_app(), "url_prefix": URL_PREFIX, "name": "ecs_feature"}]


def digest() -> str:
    """Of all static files."""
    found = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            found.update(path.relative_to(STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]
