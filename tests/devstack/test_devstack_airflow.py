from __future__ import annotations

from pathlib import Path

from devstack.airflow import Installation, Secrets, parts, settings


def installed(folder: Path, **more: object) -> dict[str, str]:
    aws, bundles = {"AWS_DEFAULT_REGION": "us-east-1"}, {"dags-folder": folder / "dags"}
    installation = Installation(folder / "home", 8081, bundles, aws, folder / "environment.json", **more)
    return settings(installation, Secrets("f", "j", "a"))


def test_the_database_is_sqlite_in_airflow_home_unless_another_is_named(tmp_path: Path) -> None:
    variable = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    url = "postgresql+psycopg2://airflow@127.0.0.1:5433/airflow"
    assert installed(tmp_path)[variable] == f"sqlite:///{tmp_path / 'home' / 'airflow.db'}"
    assert installed(tmp_path, database_url=url)[variable] == url


def test_options_add_to_what_the_stack_sets_and_win_over_it(tmp_path: Path) -> None:
    options = {"core": {"parallelism": "32"}, "triggerer": {"capacity": "500"}}
    variables = installed(tmp_path, options=options)
    assert variables["AIRFLOW__CORE__PARALLELISM"] == "32"
    assert variables["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert variables["AIRFLOW__TRIGGERER__CAPACITY"] == "500"
    unchanged = installed(tmp_path)
    assert unchanged["AIRFLOW__CORE__PARALLELISM"] == "8"
    assert "AIRFLOW__TRIGGERER__CAPACITY" not in unchanged


def test_one_triggerer_has_no_number_and_several_are_numbered() -> None:
    assert list(parts(1)) == ["api-server", "scheduler", "dag-processor", "triggerer"]
    assert list(parts(2)) == ["api-server", "scheduler", "dag-processor", "triggerer-1", "triggerer-2"]


def test_only_the_api_server_is_of_the_first_tier_because_all_others_talk_to_it() -> None:
    assert [name for name, part in parts(2).items() if part.tier == 1] == ["api-server"]
