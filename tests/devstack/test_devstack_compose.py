"""`make compose-demo`: what it says where something is missing, and what it asks of Compose. No engine is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack import compose
from devstack.errors import StackError


def docker(folder: Path, script: str) -> dict[str, str]:
    """An environment in which `docker` is a script."""
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("exit 1", "No container engine answers `docker version`"),
        ('[ "$1" = version ] && echo 20.10', "`docker compose` is not there"),
        ("case $1 in version) echo 20.10;; *) echo 1.29.2;; esac", "Compose is 1.29.2, but"),
        ("case $1 in version) echo 20.10;; *) echo v2.23.3;; esac", "Compose is v2.23.3, but"),
    ],
    ids=["no engine", "no compose", "compose 1", "an older compose 2"],
)
def test_what_is_missing_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, sentence: str
) -> None:
    with pytest.raises(StackError) as caught:
        compose.check_engine(docker(tmp_path, script))
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value).splitlines()) == 1


def test_no_docker_at_all_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="There is no `docker` here"):
        compose.check_engine({"PATH": str(tmp_path)})


@pytest.mark.parametrize("version", ["2.24.0", "2.26.1-4", "v2.40.3", "5.0.0+x"])
def test_a_compose_that_is_new_enough_is_taken(tmp_path: Path, version: str) -> None:
    compose.check_engine(docker(tmp_path, f"echo {version}"))


def test_the_group_is_that_of_the_socket(tmp_path: Path) -> None:
    socket = tmp_path / "docker.sock"
    socket.touch()
    assert compose.Compose({"DOCKER_SOCKET": str(socket)}).environ["DOCKER_GROUP"] == str(socket.stat().st_gid)
    assert compose.Compose({"DOCKER_SOCKET": str(socket), "DOCKER_GROUP": "7"}).environ["DOCKER_GROUP"] == "7"
    assert compose.Compose({"DOCKER_SOCKET": str(tmp_path / "none")}).environ["DOCKER_GROUP"] == "0"
