"""Airflow as the stack runs it: its components, LocalExecutor, everything set through the environment."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from devstack.ports import HOST

PARALLELISM: Final = 8
"""Worker processes of the LocalExecutor; shards run in the triggerer and take none."""

FOREIGN: Final = ("AIRFLOW", "AWS_", "_AIRFLOW")
"""Prefixes of variables that are the user's own and must not reach the stack, real credentials above all."""

DROPPED: Final = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH"})


@dataclass(frozen=True)
class Secrets:
    """Keys that belong to one AIRFLOW_HOME."""

    fernet_key: str
    jwt_secret: str
    api_secret_key: str


@dataclass(frozen=True)
class Installation:
    """Where one Airflow lives and what it is told.

    :param home: AIRFLOW_HOME.
    :param port: of the API server and the UI, on the loopback interface.
    :param bundles: DAG folders by bundle name; the first is also ``[core] dags_folder``.
    :param aws: the variables that an AWS SDK needs to find the local Fargate.
    :param environment_file: the values of ``${NAME}`` placeholders, see ``[ecs_feature] environment_file``.
    :param database_url: SQLAlchemy's URL of Airflow's database; None is SQLite in AIRFLOW_HOME.
    :param options: further configuration by section and option; it wins over what the stack sets.
    :param connections: further Airflow connections by id, each as its JSON has it.
    """

    home: Path
    port: int
    bundles: Mapping[str, Path]
    aws: Mapping[str, str]
    environment_file: Path
    database_url: str | None = None
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the UI and the API are served."""
        return f"http://{HOST}:{self.port}"

    @property
    def database(self) -> str:
        """SQLAlchemy's URL of Airflow's database."""
        return self.database_url or f"sqlite:///{self.home / 'airflow.db'}"


@dataclass(frozen=True)
class Part:
    """One component of Airflow.

    :param arguments: of the ``airflow`` command. The log servers are left out: all components share one disk, so the
        API server reads the logs there.
    :param tier: 1, or 2 for what talks to those of tier 1, see :class:`devstack.processes.Component`.
    """

    arguments: tuple[str, ...]
    tier: int


def parts(triggerers: int) -> dict[str, Part]:
    """The components by name, those first that are started first; one triggerer has no number in its name."""
    names = ["triggerer"] if triggerers == 1 else [f"triggerer-{number}" for number in range(1, triggerers + 1)]
    return {
        "api-server": Part(("api-server",), 1),
        "scheduler": Part(("scheduler", "--skip-serve-logs"), 2),
        "dag-processor": Part(("dag-processor",), 2),
        **{name: Part(("triggerer", "--skip-serve-logs"), 2) for name in names},
    }


def command(*arguments: str) -> list[str]:
    """A command of the airflow CLI, run by this interpreter."""
    return [sys.executable, "-m", "airflow", *arguments]


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What children get from the user's environment: all but their Airflow, their AWS and what slows Python down.

    Proxies are kept out of loopback calls.
    """
    kept = {key: value for key, value in environ.items() if not key.startswith(FOREIGN) and key not in DROPPED}
    local = f"localhost,{HOST},::1"
    proxied = kept.get("no_proxy") or kept.get("NO_PROXY")
    kept["NO_PROXY"] = kept["no_proxy"] = f"{proxied},{local}" if proxied else local
    kept |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONUNBUFFERED": "1",
    }
    if sys.platform == "darwin":
        # Airflow forks; without this macOS aborts forked children that touch Objective-C.
        kept["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
    return kept


def settings(installation: Installation, keys: Secrets) -> dict[str, str]:
    """The variables that make an ``airflow`` command belong to this installation."""
    bundles = [
        {
            "name": name,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(path)},
        }
        for name, path in installation.bundles.items()
    ]
    aws_default = {"conn_type": "aws", "extra": {"region_name": installation.aws["AWS_DEFAULT_REGION"]}}
    options: dict[str, dict[str, str]] = {
        "core": {
            "dags_folder": str(next(iter(installation.bundles.values()))),
            "load_examples": "False",
            "executor": "LocalExecutor",
            "parallelism": str(PARALLELISM),
            "simple_auth_manager_all_admins": "True",
            "execution_api_server_url": f"{installation.url}/execution/",
            "fernet_key": keys.fernet_key,
            # The default asks a name server, which can take seconds where there is none.
            "hostname_callable": "socket.gethostname",
        },
        "database": {"sql_alchemy_conn": installation.database},
        "api": {
            "host": HOST,
            "port": str(installation.port),
            "base_url": installation.url,
            "secret_key": keys.api_secret_key,
        },
        "api_auth": {"jwt_secret": keys.jwt_secret},
        "logging": {"base_log_folder": str(installation.home / "logs")},
        "dag_processor": {"dag_bundle_config_list": json.dumps(bundles), "refresh_interval": "5"},
        "scheduler": {"scheduler_idle_sleep_time": "0.5"},
        "ecs_feature": {"environment_file": str(installation.environment_file)},
    }
    for section, values in installation.options.items():
        options.setdefault(section, {}).update(values)
    variables = {
        f"AIRFLOW__{section.upper()}__{option.upper()}": value
        for section, values in options.items()
        for option, value in values.items()
    }
    return {
        "AIRFLOW_HOME": str(installation.home),
        **variables,
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws_default),
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in installation.connections.items()},
        **installation.aws,
    }


def load_secrets(home: Path) -> Secrets:
    """The keys of an AIRFLOW_HOME, made at the first call and kept in a file that only the user can read."""
    path = home / "secrets.json"
    if path.exists():
        return Secrets(**json.loads(path.read_text()))
    fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    made = Secrets(fernet_key, jwt_secret=secrets.token_hex(32), api_secret_key=secrets.token_hex(32))
    home.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(made)))
    return made
