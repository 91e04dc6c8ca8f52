"""The package as it is installed: a wheel in a bare Airflow, or the plugins folder; each shows its plugin once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (path,) = folder.glob("*.whl")
    return path


def airflow(*arguments: str, environment: Mapping[str, str], home: Path) -> str:
    """What an airflow command prints, in a home of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env={**clean, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **environment},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def rows(printed: str) -> list[dict[str, str]]:
    """The JSON list in what a command printed; log lines may stand before it."""
    found: list[dict[str, str]] = json.loads(printed[printed.index("[{") :])
    return found


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"ecs_feature"}
    assert "ecs_feature/operators/shard.py" in names


def test_the_wheel_shows_as_a_provider_and_its_plugin_once(wheel: Path, tmp_path: Path) -> None:
    # A target folder in front of the path stands for a bare Airflow: nothing of this checkout is on it.
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {"PYTHONPATH": str(site), "AIRFLOW__CORE__PLUGINS_FOLDER": str(tmp_path / "plugins")}
    where = "import ecs_feature, sys; sys.stdout.write(ecs_feature.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(site))
    providers = rows(airflow("providers", "list", "--output", "json", environment=environment, home=tmp_path))
    assert [row["version"] for row in providers if row["package_name"] == "ecs-feature"] == ["0.1.0"]
    plugins = rows(airflow("plugins", "--output", "json", environment=environment, home=tmp_path))
    assert [row["name"] for row in plugins].count("ecs_feature") == 1


def test_the_folder_shows_its_plugin_once_beside_an_installed_package(tmp_path: Path) -> None:
    environment = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins")}
    plugins = rows(airflow("plugins", "--output", "json", environment=environment, home=tmp_path))
    assert [row["name"] for row in plugins].count("ecs_feature") == 1
    assert not [row for row in plugins if row["name"] in ("pipeline", "fleet", "shard")]


def test_the_long_description_has_no_link_that_only_works_in_the_repository(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    text = archive.read(metadata).decode()
    assert "# ecs-feature" in text
    assert [target for target in re.findall(r"\]\(([^)]*)\)", text) if not target.startswith("https://")] == []


def test_the_wheel_writes_a_pipeline(wheel: Path, tmp_path: Path) -> None:
    site, project = tmp_path / "site", tmp_path / "project"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (project / "dags").mkdir(parents=True)
    (project / "include").mkdir()
    environment = {"PYTHONPATH": str(site), "AIRFLOW__CORE__PLUGINS_FOLDER": str(tmp_path / "plugins")}
    said = airflow("ecs-feature", "init", "state_features", environment=environment, home=project)
    assert "include/images/state_features/contract.py" in said.splitlines()
    values = dict.fromkeys(re.findall(r"\$\{(\w+)\}", "".join(each.read_text() for each in project.rglob("*.*"))), "x")
    (project / "environment.json").write_text(
        json.dumps({**values, "CLUSTER": "c", "SUBNETS": "s", "SECURITY_GROUPS": ""})
    )
    lint = ("ecs-feature", "lint", "--environment-file", "environment.json")
    assert airflow(*lint, environment=environment, home=project).splitlines()[-1] == "Nothing found."
    assert not (project / "airflow.db").exists(), "no database is needed"
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(
        tests, cwd=project, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )
    assert "2 passed" in done.stdout, done.stdout[-3000:]
