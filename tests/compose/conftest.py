"""The compose file and the Dockerfile as data, and the scripts of docker/ as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.airflow.yml"


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """docker-compose.airflow.yml, anchors resolved, variables as they are written."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
    return loaded


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its services by name."""
    return dict(compose["services"])


@pytest.fixture(scope="session")
def dockerfile() -> list[str]:
    """The instructions of the Dockerfile, one a line, without comments."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.strip().startswith("#"))
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def load_script(name: str) -> ModuleType:
    """A script of docker/, imported under its own name."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docker" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module
