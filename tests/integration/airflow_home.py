"""An Airflow of a test's own, without services: its environment, and its DAGs in its database."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forks import Forks

DATABASE = "airflow.db"
ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
SYNC_DAGS = """
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

manager = DagBundlesManager()
manager.sync_bundles_to_db()
(bundle,) = manager.get_all_dag_bundles()
bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
assert not bag.import_errors, bag.import_errors
sync_bag_to_db(bag, bundle.name, None)
"""
"""The beginning of a program that works with the DAGs of ``dags/`` in its home, once its database is there."""

COMMANDS_FIRST = """
import airflow.cli.cli_parser, airflow.dag_processing.dagbag, airflow.models.serialized_dag, ecs_feature.cli.definition
import ecs_feature.cli.estimate_command, ecs_feature.cli.logs_command, ecs_feature.cli.rerun_command, ecs_feature.plugin
from sqlalchemy.orm import configure_mappers
configure_mappers()
"""
"""What the process imports that commands are forked from, see :class:`forks.Forks`: nothing in it reads a database."""


def environment(home: Path) -> dict[str, str]:
    """For processes whose Airflow lives in ``home`` and knows nothing of the test's own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))}
    return {
        **clean,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / DATABASE}",
    }


def python(home: Path, *arguments: str, more: Mapping[str, str] | None = None) -> list[str]:
    """The lines that a Python program prints in an Airflow home; it must succeed.

    :param more: variables of its environment.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment(home) | dict(more or {}),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def home_with(folder: Path, dags: str) -> Path:
    """An Airflow home in ``folder``, with a database and a DAG file."""
    (folder / "dags").mkdir()
    (folder / "dags" / "dags.py").write_text(dags)
    shutil.copy(migrated(), folder / DATABASE)
    return folder


def migrated() -> Path:
    """A database as Airflow makes it: made once for its version and kept in build/, because that takes long."""
    kept = ROOT / "build" / "test" / f"airflow-{importlib.metadata.version('apache-airflow-core')}.db"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with (kept.parent / "airflow-db.lock").open("a") as lock, tempfile.TemporaryDirectory(dir=kept.parent) as home:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            python(Path(home), "-m", "airflow", "db", "migrate")
            (Path(home) / DATABASE).rename(kept)
    return kept


class Patched:
    """Programs in an Airflow that has the plugin, each in a process forked from one that has imported Airflow.

    :param home: see :func:`home_with`.
    """

    FIRST = "import airflow.cli.commands.triggerer_command, airflow.dag_processing.processor\n"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.forks = Forks(self.FIRST, home, environment(home) | {"AIRFLOW__CORE__PLUGINS_FOLDER": str(PLUGINS)})

    def lines(self, program: str, **options: str) -> list[str]:
        """The lines that a program prints, with a new database; it must succeed.

        :param options: of ``[ecs_feature]``.
        """
        for left in self.home.glob(f"{DATABASE}*"):  # of the program before, SQLite's journal too
            left.unlink()
        shutil.copy(migrated(), self.home / DATABASE)
        given = {f"AIRFLOW__ECS_FEATURE__{name.upper()}": value for name, value in options.items()}
        done = self.forks.run(f"os.environ.update({given!r})\n{program}")
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.splitlines()

    def printed(self, program: str, *, patched: str) -> Any:
        """What a program prints last, as JSON.

        :param patched: ``[ecs_feature] patch_airflow``.
        """
        return json.loads(self.lines(program, patch_airflow=patched)[-1])
