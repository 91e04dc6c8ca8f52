"""What Airflow is told of the Shards tab."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ecs_feature.ui import registration

ROOT = Path(__file__).resolve().parents[3]


def test_pages_have_relative_addresses_names_and_routes_of_their_own() -> None:
    apps = registration.react_apps()
    assert {app["destination"] for app in apps} == {"dag", "dag_run", "nav"}
    for key in ("name", "url_route", "bundle_url"):
        assert len({app[key] for app in apps}) == len(apps)
    for app in apps:
        assert app["bundle_url"].startswith("ecs_feature/static/")
        assert app["bundle_url"].endswith(f"?v={registration.digest()}")


def test_a_changed_module_has_another_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registration, "STATIC", tmp_path)
    (tmp_path / "a.js").write_text("1")
    before = registration.digest()
    (tmp_path / "a.js").write_text("2")
    assert registration.digest() != before


def test_only_the_api_server_imports_fastapi_and_without_the_app_the_rest_is_there() -> None:
    program = """
import sys
from ecs_feature.plugin import EcsFeaturePlugin
plugin = EcsFeaturePlugin()
assert plugin.react_apps and plugin.operator_extra_links
assert "fastapi" not in sys.modules, "fastapi"
sys.modules["fastapi"] = None  # an Airflow that has another API server
assert plugin.fastapi_apps == []
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT / "plugins")}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "The Shards tab is missing" in done.stderr + done.stdout
