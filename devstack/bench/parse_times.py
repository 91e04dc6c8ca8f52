"""How long Airflow's DAG files take to parse, and what importing ecs_feature.pipeline adds to Airflow's own import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from devstack.errors import StackError
from devstack.processes import ROOT

TIMES = 5
SECONDS = 120.0

_PARSE = """
import json, runpy, sys, time
sys.path.insert(0, {dags!r})
from airflow.sdk import DAG, Asset, Param, TaskGroup, TriggerRule, task
began = time.perf_counter()
import ecs_feature.pipeline
imported = time.perf_counter() - began
files = {{}}
for path in {files!r}:
    runpy.run_path(path)
for path in {files!r}:
    began = time.perf_counter()
    runpy.run_path(path)
    files[path] = time.perf_counter() - began
loaded = sorted(name for name in ("boto3", "aiobotocore") if name in sys.modules)
print(json.dumps({{"import": imported, "files": files, "loaded": loaded}}))
"""


def parse_times(env: Mapping[str, str]) -> dict[str, Any]:
    """Medians over some fresh processes, in seconds.

    :param env: of an Airflow that has an environment file.
    :returns: ``import_seconds``; ``files``: seconds by DAG file, when all imports are done; ``loaded``: which AWS
        libraries the DAG files have loaded.
    :raises StackError: a file cannot be parsed.
    """
    dags = ROOT / "dags"
    files = [str(path) for path in sorted(dags.glob("*.py"))]
    code = _PARSE.format(dags=str(dags), files=files)
    found = [_run(code, env) for _ in range(TIMES)]
    return {
        "import_seconds": median(each["import"] for each in found),
        "files": {Path(path).name: median(each["files"][path] for each in found) for path in files},
        "loaded": found[0]["loaded"],
    }


def _run(code: str, env: Mapping[str, str]) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if ended.returncode:
        raise StackError(f"The DAG files cannot be parsed:\n{ended.stderr[-2000:]}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))
