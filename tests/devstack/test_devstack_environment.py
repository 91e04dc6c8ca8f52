from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from devstack import bootstrap, fargate
from devstack.airflow import Installation, Secrets, inherited, load_secrets, settings
from devstack.interpreters import Interpreter, NoInterpreterError, choose, probe
from devstack.up import exports

PY310 = Interpreter("/usr/bin/python3.10", (3, 10, 13))
PY311 = Interpreter("/usr/bin/python3.11", (3, 11, 7))
PY312 = Interpreter("/usr/bin/python3.12", (3, 12, 1))
PY313 = Interpreter("/usr/bin/python3.13", (3, 13, 0))
PY314 = Interpreter("/usr/bin/python3.14", (3, 14, 0))


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ([PY311, PY313, PY312], PY312),
        ([PY310, PY311, PY313], PY313),
        ([PY314, PY311], PY311),
        ([PY312._replace(has_venv=False), PY311], PY311),
        ([PY312._replace(usable=False), PY313], PY313),
    ],
)
def test_python_312_is_preferred_then_313_then_311(found: list[Interpreter], chosen: Interpreter) -> None:
    assert choose(found) == chosen


@pytest.mark.parametrize(
    ("found", "versions"), [([PY310], "3.10.13"), ([PY314, PY310], "3.10.13, 3.14.0"), ([], "none that runs")]
)
def test_without_a_supported_python_one_sentence_says_which_is_needed(found: list[Interpreter], versions: str) -> None:
    with pytest.raises(NoInterpreterError) as caught:
        choose(found)
    assert str(caught.value) == (
        "Python 3.11, 3.12 or 3.13 (CPython) is needed, because the amazon provider 9.39.0 needs 3.11 or later, but "
        f"this machine has {versions}: install one (3.12 is best), or name it with make PYTHON=/path/to/python3.12."
    )


def test_a_python_without_venv_is_named_with_the_package_that_brings_it() -> None:
    with pytest.raises(NoInterpreterError) as caught:
        choose([PY310, PY312._replace(has_venv=False)])
    assert str(caught.value) == (
        "Python 3.12.1 (/usr/bin/python3.12) has no venv module: install it "
        "(Debian, Ubuntu: apt install python3.12-venv) and run make again."
    )


def test_an_interpreter_that_does_not_run_is_not_found(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert probe(str(shim)) is None


@pytest.mark.parametrize(
    ("output", "start"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("error: failed to copy file: No space left on device (os error 28)", "The disk is full"),
        ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution", "The package index"),
        ("error sending request for url\n  Caused by: dns error: failed to lookup address", "The package index"),
        ("ConnectTimeoutError(..., 'Connection to mirror timed out. (connect timeout=15)')", "The package index"),
        ("error: command 'gcc' failed: No such file or directory", "A package has no wheel"),
        ("The virtual environment was not created because ensurepip is not available", "This Python cannot make"),
    ],
)
def test_a_known_cause_of_a_failed_installation_is_told_in_one_sentence(output: str, start: str) -> None:
    sentence = bootstrap.explain(output)
    assert sentence is not None
    assert sentence.startswith(start)


def test_an_unknown_cause_is_not_guessed() -> None:
    assert bootstrap.explain("ERROR: Hash mismatch") is None


def test_a_stamp_that_is_missing_or_broken_means_that_the_build_was_interrupted(tmp_path: Path) -> None:
    assert bootstrap.read_stamp(tmp_path) == {}
    (tmp_path / "stamp.json").write_text('{"digest": "x"')
    assert bootstrap.read_stamp(tmp_path) == {}
    bootstrap.write_stamp(tmp_path, {"digest": "x", "python": "3.12.1"})
    assert bootstrap.read_stamp(tmp_path) == {"digest": "x", "python": "3.12.1"}


def test_the_digest_follows_the_lock_the_project_and_the_place(tmp_path: Path) -> None:
    first = bootstrap.digest(tmp_path)
    (tmp_path / "requirements.lock").write_text("boto3==1\n")
    second = bootstrap.digest(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    third = bootstrap.digest(tmp_path)
    assert len({first, second, third, bootstrap.digest(tmp_path.parent)}) == 4


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
