from __future__ import annotations

import json
import os
from pathlib import Path

from devstack import fargate
from devstack.airflow import Installation, Secrets, inherited, load_secrets, settings
from devstack.up import exports


def test_the_users_own_airflow_and_aws_never_reach_the_stack() -> None:
    given = {
        "AWS_PROFILE": "production",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AIRFLOW_HOME": "/somewhere",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_PROXY": "example.org",
        "LANG": "C.UTF-8",
    }
    kept = inherited(given)
    assert kept["LANG"] == "C.UTF-8"
    assert kept["NO_PROXY"] == kept["no_proxy"] == "example.org,localhost,127.0.0.1,::1"
    assert kept["AWS_CONFIG_FILE"] == kept["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert not {"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AIRFLOW_HOME", "PYTHONDONTWRITEBYTECODE"} & kept.keys()
    assert not [name for name in kept if name.startswith("AIRFLOW")]


def test_each_dag_folder_is_a_bundle_and_the_first_is_the_dags_folder(tmp_path: Path) -> None:
    bundles = {"dags-folder": tmp_path / "dags", "system-tests": tmp_path / "more"}
    aws, environment = {"AWS_DEFAULT_REGION": "us-east-1"}, tmp_path / "environment.json"
    installation = Installation(tmp_path / "home", 8081, bundles, aws, environment)
    variables = settings(installation, Secrets("f", "j", "a"))
    assert variables["AIRFLOW__CORE__DAGS_FOLDER"] == str(tmp_path / "dags")
    configured = json.loads(variables["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert {each["name"]: each["kwargs"]["path"] for each in configured} == {k: str(v) for k, v in bundles.items()}
    assert variables["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8081/execution/"
    assert json.loads(variables["AIRFLOW_CONN_AWS_DEFAULT"]) == {
        "conn_type": "aws",
        "extra": {"region_name": "us-east-1"},
    }


def test_the_keys_of_a_home_are_made_once_and_only_the_user_can_read_them(tmp_path: Path) -> None:
    made = load_secrets(tmp_path / "home")
    assert load_secrets(tmp_path / "home") == made
    assert (tmp_path / "home" / "secrets.json").stat().st_mode & 0o077 == 0
    assert load_secrets(tmp_path / "other") != made


def test_only_complete_export_lines_count() -> None:
    text = "hello\nexport AWS_ENDPOINT_URL=http://127.0.0.1:1\nexport NAME='a b'\nexport AWS_REGION=us-eas"
    assert fargate.parse_exports(text) == {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "NAME": "a b"}


def test_exports_survive_a_shell() -> None:
    assert exports({"A": "plain", "B": '{"a": "it\'s"}'}) == 'export A=plain\nexport B=\'{"a": "it\'"\'"\'s"}\''
