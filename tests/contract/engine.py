"""A container engine for tests: whether there is one, and what it has."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

IMAGE = os.environ.get("BASE_IMAGE", "local/python:bookworm")
"""Any image with Python 3 and a shell; docker/base-images makes this one where no registry is reached."""


def docker(*arguments: str, check: bool = True) -> str:
    """The standard output of a `docker` command."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout


def missing() -> str:
    """What is missing for tests with an engine, in one sentence; nothing when all is there."""
    try:
        asked = subprocess.run(
            ["docker", "image", "inspect", IMAGE], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return "no container engine: `docker` is not there or does not answer"
    if asked.returncode == 0:
        return ""
    if "No such image" in asked.stderr:
        return f"the container engine has no image {IMAGE}: run docker/base-images, or name one with BASE_IMAGE"
    return "no container engine answers `docker image inspect`"


def containers(label: str) -> list[str]:
    """The ids of all containers with a label."""
    return docker("ps", "-aq", "--no-trunc", "--filter", f"label={label}").split()


def inspect(container: str) -> dict[str, Any]:
    """A container as the engine describes it."""
    described: dict[str, Any] = json.loads(docker("inspect", container))[0]
    return described


_MISSING = missing()
needs_engine = pytest.mark.skipif(bool(_MISSING), reason=_MISSING or "an engine is there")
