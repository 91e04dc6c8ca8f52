"""The Dockerfile agrees with the rest of the project; no engine is needed."""

from __future__ import annotations

import fnmatch
import re

from .conftest import ROOT

HEADING = "# tests, checks and builds"


def _copied_from_the_project(dockerfile: list[str]) -> list[str]:
    copies = [line.split()[1:] for line in dockerfile if line.startswith("COPY ") and "--from" not in line]
    return [source for words in copies for source in words[:-1]]


def test_the_build_context_holds_what_is_copied_and_nothing_else(dockerfile: list[str]) -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
    copied = _copied_from_the_project(dockerfile)
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(source == each or source.startswith(f"{each}/") for each in allowed), source
    for each in allowed:
        assert any(source == each or source.startswith(f"{each}/") for source in copied), each
    assert any(fnmatch.fnmatch("devstack/__pycache__", line) for line in lines)


def test_uv_is_the_one_that_builds_the_environment_elsewhere(dockerfile: list[str]) -> None:
    uv = next(line for line in (ROOT / "requirements.lock").read_text().splitlines() if line.startswith("uv=="))
    assert f"ARG UV={uv}" in dockerfile


def test_base_image_is_a_build_argument_of_every_stage(dockerfile: list[str]) -> None:
    stages = [line.split()[1] for line in dockerfile if line.startswith("FROM ")]
    assert set(stages) == {"${BASE_IMAGE}", "uv", "airflow"}


def test_the_test_tools_stay_out_of_the_image(dockerfile: list[str]) -> None:
    cut = next(line for line in dockerfile if "sed " in line)
    assert f"sed '/^{HEADING}$/,$d'" in cut
    runtime, _, tools = (ROOT / "requirements.txt").read_text().partition(f"\n{HEADING}\n")
    names = re.findall(r"^([a-z0-9-]+)", runtime, re.MULTILINE)
    assert {"apache-airflow", "asyncpg", "psycopg2-binary", "moto", "polars", "uvicorn"} <= set(names)
    assert "pytest" not in names
    assert "pytest==" in tools


def test_dependencies_are_installed_before_anything_that_changes_often(dockerfile: list[str]) -> None:
    final = dockerfile[next(n for n, line in enumerate(dockerfile) if line.endswith(" AS airflow")) :]
    steps = [n for n, line in enumerate(final) if "requirements.lock --requirement" in re.sub(r"\s+", " ", line)]
    wheel = [n for n, line in enumerate(final) if "/dist/*.whl" in line]
    code = [n for n, line in enumerate(final) if line.startswith("COPY devstack")]
    assert len(steps) == len(wheel) == len(code) == 1
    assert steps < wheel < code


def test_containers_do_not_run_as_root(dockerfile: list[str]) -> None:
    assert [line for line in dockerfile if line.startswith("USER ")] == ["USER airflow"]
