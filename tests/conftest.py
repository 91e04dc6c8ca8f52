"""Airflow of the tests: its own home, no examples, nothing of the user's. And how the tests are spread and timed."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
_HOME = tempfile.TemporaryDirectory(prefix="ecs-feature-tests-")
for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "AIRFLOW__", "AWS_"))]:
    if name not in ("AWS_CA_BUNDLE",):
        del os.environ[name]
# Hundreds of processes import the package: what one compiles the others need not compile again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Before Airflow is imported anywhere: it reads these at import.
os.environ |= {
    "AIRFLOW_HOME": _HOME.name,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AWS_EC2_METADATA_DISABLED": "true",
}

# A quarter of the tests' own CPU time went into the collector's looks at what Airflow and pytest keep to the end.
gc.disable()

TIMEOUT_SECONDS = {"tests/browser/": 180, "tests/chaos/": 900, "tests/system/": 500, "tests/integration/": 180}
"""Of each test in a folder, its fixtures included: for the start of a stack, for the runs that a module waits for, and
for Airflow commands on a busy machine. All others have the time-out of pyproject.toml."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        seconds = next((most for folder, most in TIMEOUT_SECONDS.items() if item.nodeid.startswith(folder)), None)
        if seconds is not None and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(seconds))
    if hasattr(config, "workerinput"):
        from scheduling import slow_first

        items.sort(key=slow_first)


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are cores: the tests wait more than they compute."""
    return min(8, (os.cpu_count() or 1) + 2)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from scheduling import scheduler

    return scheduler(config, log)
