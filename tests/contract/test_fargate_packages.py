"""Packages that an image needs and this Python lacks are installed for its containers, from its requirements.txt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fargate_local.errors import StartFailure
from fargate_local.runtimes.packages import Packages


def image(folder: Path, requirements: str | None) -> Path:
    made = folder / "image"
    made.mkdir()
    if requirements is not None:
        (made / "requirements.txt").write_text(requirements)
    return made


def package(folder: Path) -> Path:
    """A project that is in no index, and is installed without one."""
    project = folder / "project"
    (project / "only_here").mkdir(parents=True)
    (project / "only_here" / "__init__.py").write_text("VALUE = 7\n")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "only-here"\nversion = "1"\n'
    )
    return project


@pytest.mark.parametrize(
    "requirements",
    [None, "", "# nothing\n", "boto3\n", "boto3>=1  # ours\npolars>=1\n", 'no-such-thing; python_version < "3"\n'],
)
async def test_nothing_is_installed_where_this_python_has_it_all(tmp_path: Path, requirements: str | None) -> None:
    packages, folder = Packages(tmp_path / "packages"), image(tmp_path, requirements)
    await packages.install(folder)
    assert packages.path(folder) is None
    assert not (tmp_path / "packages").exists()


async def test_what_is_missing_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_NO_BUILD_ISOLATION", "1")
    packages, folder = Packages(tmp_path / "packages"), image(tmp_path, f"{package(tmp_path)}\n")
    assert packages.path(folder) is None
    await packages.install(folder)
    where = packages.path(folder)
    assert where is not None
    assert (where / "only_here" / "__init__.py").is_file()
    (where / "mark").touch()
    await packages.install(folder)
    assert (where / "mark").exists()


@pytest.mark.parametrize("line", ["./no/such/folder", "boto3<1"])
async def test_what_cannot_be_installed_is_a_failed_pull(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    packages, folder = Packages(tmp_path / "packages"), image(tmp_path, f"{line}\n")
    with pytest.raises(StartFailure, match=r"CannotPullContainerError: image/requirements\.txt cannot be installed: "):
        await packages.install(folder)
    assert packages.path(folder) is None


def test_a_container_finds_its_packages(tmp_path: Path) -> None:
    from fargate_local.runtimes.host import host_environment

    spec: Any = type("Spec", (), {"environment": {}, "mounts": ()})()
    found = host_environment(spec, tmp_path / "image", tmp_path, tmp_path / "packages")
    assert found["PYTHONPATH"] == f"{tmp_path / 'image'}:{tmp_path / 'packages'}"
    assert host_environment(spec, tmp_path / "image", tmp_path)["PYTHONPATH"] == str(tmp_path / "image")
