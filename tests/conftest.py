"""Airflow of the tests: its own home, no examples, nothing of the user's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_HOME = tempfile.TemporaryDirectory(prefix="ecs-feature-tests-")
for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "AIRFLOW__", "AWS_"))]:
    if name not in ("AWS_CA_BUNDLE",):
        del os.environ[name]
# Before Airflow is imported anywhere: it reads these at import.
os.environ |= {
    "AIRFLOW_HOME": _HOME.name,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AWS_EC2_METADATA_DISABLED": "true",
}
