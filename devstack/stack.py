"""The whole stack: the local Fargate, what is provisioned in it, and Airflow; started in the order that is fastest."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, Final

from botocore.exceptions import ClientError

from devstack import airflow, celery_workers, fargate, installer, ports, provision
from devstack.api import AirflowApi
from devstack.errors import StackError, UsageError
from devstack.own import Own
from devstack.processes import GRACE_SECONDS, ROOT, Processes
from devstack.redis import Redis
from ecs_feature.exceptions import EcsFeatureError

DAGS_BUNDLE: Final = "dags-folder"
MIGRATED: Final = "migrated-postgres"
"""File in AIRFLOW_HOME: the version of Airflow that has migrated a database that is kept elsewhere."""
TASKDEFS: Final = ROOT / "include" / "taskdefs"
MIGRATE_SECONDS: Final = 180.0
HEALTHY_SECONDS: Final = 180.0
DAG_SECONDS: Final = 90.0
"""How long a DAG may take to appear once Airflow is healthy: the first parse follows at once and takes seconds."""

COMMAND_SECONDS: Final = 120.0
"""How long an ``airflow`` command may take; most of it is imports."""
LOCKED_TRIES: Final = 5
"""How often a command is given that finds SQLite locked."""


class Stack:
    """One local stack; use it as a context manager, and nothing of it is left behind.

    :param folder: its state (AIRFLOW_HOME, logs, S3, ...); made when missing, kept afterwards.
    :param port: of Airflow's UI and API; a free one by default.
    :param extra_dags: further DAG folders by bundle name.
    :param grace_seconds: how long each part may take to end; short where nobody needs its state any more.
    :param report: is told the name of each phase that has been reached: ``fargate``, ``airflow``.
    :param database_url: SQLAlchemy's URL of Airflow's database; None is SQLite in the stack's folder.
    :param database_is_kept: whether that database outlives the stack, as SQLite's does.
    :param own: whether ``include/local.json`` counts, a file of the user's; see :mod:`devstack.own`.
    :param triggerers: how many; the components are ``triggerer``, or ``triggerer-1``, ``triggerer-2`` and so on.
    :param options: further Airflow configuration by section and option; it wins over what the stack sets.
    :param fargate_arguments: further arguments of ``python -m fargate_local``.
    :param dags: whether the project's own DAGs are parsed; without them there must be extra ones.
    :param connections: further Airflow connections by id, each as its JSON has it.
    :param workers: whether tasks may run on Celery workers: a Redis is started, Celery is an executor beside
        LocalExecutor, and ECS tasks find what makes them this stack's workers in the bucket.
    :param values: further values of the environment file.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        extra_dags: Mapping[str, Path] | None = None,
        grace_seconds: float = GRACE_SECONDS,
        report: Callable[[str], None] = lambda phase: None,
        database_url: str | None = None,
        database_is_kept: bool = False,
        own: bool = False,
        triggerers: int = 1,
        options: Mapping[str, Mapping[str, str]] | None = None,
        fargate_arguments: Sequence[str] = (),
        dags: bool = True,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        workers: bool = False,
        values: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.home = self.folder / "airflow"
        self.logs = self.folder / "logs"
        self.environment_file = self.folder / "environment.json"
        self.port = port
        self.bundles = {**({DAGS_BUNDLE: ROOT / "dags"} if dags else {}), **(extra_dags or {})}
        assert self.bundles, "a stack without DAGs has nothing to do"
        self.aws: dict[str, str] = {}
        self.settings: dict[str, str] = {}
        self._database_url = database_url
        self._database_is_kept = database_url is None or database_is_kept
        self._own = own
        self._token = secrets.token_hex(16)
        self._options = options or {}
        self._connections = connections or {}
        self._values = values or {}
        self._fargate_arguments = fargate_arguments
        self._parts = airflow.parts(triggerers)
        self._grace_seconds = grace_seconds
        self._report = report
        self._lock: IO[str] | None = None
        self._api: AirflowApi | None = None
        self._clients: provision.Client | None = None
        self._side_door: fargate.SideDoor | None = None
        self.processes = Processes(self.logs)
        self.redis = Redis(self.logs, self.folder.parent) if workers else None

    def __enter__(self) -> Stack:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def api(self) -> AirflowApi:
        """Airflow's REST API; there once Airflow was started."""
        assert self._api is not None, "the stack was not started"
        return self._api

    @property
    def client(self) -> provision.Client:
        """Makes a boto3 client for the local Fargate by the service's name."""
        assert self._clients is not None, "the stack was not started"
        return self._clients

    @property
    def side_door(self) -> fargate.SideDoor:
        """What the local Fargate offers beside the AWS API."""
        assert self._side_door is not None, "the stack was not started"
        return self._side_door

    @property
    def triggerers(self) -> list[str]:
        """The names of the triggerers among the components."""
        return [name for name in self._parts if name.startswith("triggerer")]

    @property
    def environment(self) -> dict[str, str]:
        """What makes an ``airflow`` command one of this stack; complete once Airflow was started."""
        return {**airflow.inherited(os.environ), **self.settings}

    def start(self) -> None:
        """Start everything and wait until Airflow says that it is healthy.

        :raises UsageError: another command runs a stack in this folder.
        :raises StackError: a part ended or took too long; names it.
        """
        self._prepare_folder()
        port = self.port or ports.free(1)[0]
        inherited = airflow.inherited(os.environ)
        own = Own.read() if self._own else Own()
        fargate.start(
            self.processes,
            {**inherited, **installer.settings()},
            images=ROOT / "include" / "images",
            state=self.folder / "fargate",
            efs={provision.EFS_FILE_SYSTEM_ID: ROOT / "include" / "efs" / "shared-models", **own.file_systems()},
            more=self._fargate_arguments,
        )
        # The database is made while the local Fargate starts: each keeps one core busy for some seconds.
        keys = airflow.load_secrets(self.home)
        migration = self._start_migration({**inherited, **airflow.settings(self._installation(port, _NOWHERE), keys)})
        self.aws = fargate.exports(self.processes)
        self._clients = provision.clients(self.aws)
        self._side_door = fargate.SideDoor(self.aws["AWS_ENDPOINT_URL"])
        self.provision()
        self._report("fargate")
        if migration is not None:
            self.processes.finish(migration, timeout_seconds=MIGRATE_SECONDS)
            self._migrated.write_text(_airflow_version())
        if self.redis is not None:
            self.redis.start()
        installation = self._installation(port, self.aws)
        self.settings = airflow.settings(installation, keys)
        if self.redis is not None:
            celery_workers.write_environment(self.client("s3"), self.settings)
        self._api = AirflowApi(installation.url)
        self.start_airflow()
        self._report("airflow")

    def start_airflow(self) -> None:
        """Start Airflow's components and wait until they are healthy; once more after :meth:`kill_airflow`.

        :raises StackError: a part ended or took too long; names it.
        """
        for name in self._parts:
            self.start_component(name)
        self.processes.wait_until(self._is_healthy, what="Airflow is not healthy", timeout_seconds=HEALTHY_SECONDS)

    def kill_airflow(self) -> None:
        """Kill all of Airflow at once with -9, workers too; the local Fargate goes on."""
        self.processes.kill(self._parts.keys())

    def start_component(self, name: str) -> None:
        """Start one component of Airflow, also again after ``processes.kill({name})``; nothing is waited for."""
        part = self._parts[name]
        self.processes.start(name, airflow.command(*part.arguments), self.environment, tier=part.tier)

    def is_running(self, name: str) -> bool:
        """Whether a component was started, not killed, and has not ended by itself."""
        return self.processes.is_running(name)

    def stop(self) -> None:
        """End everything; safe to call at any time and more than once."""
        self.processes.stop(grace_seconds=self._grace_seconds)
        if self.redis is not None:
            self.redis.stop()
        for connections in (self._api, self._side_door):
            if connections is not None:
                connections.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def check(self) -> None:
        """See that every part is alive.

        :raises StackError: one has ended; names it and carries the end of its log.
        """
        self.processes.check()

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until a DAG was parsed.

        :raises StackError: a DAG file cannot be imported (carries the traceback), or the DAG does not appear.
        """
        self.processes.wait_until(
            lambda: self._is_parsed(dag_id),
            what=f"DAG {dag_id} has not appeared in Airflow",
            timeout_seconds=DAG_SECONDS,
        )

    def trigger(self, dag_id: str, logical_date: datetime, conf: Mapping[str, Any] | None = None) -> str:
        """Unpause a DAG and start a run of it; returns the run id."""
        self.wait_for_dag(dag_id)
        self.api.unpause(dag_id)
        return self.api.trigger(dag_id, logical_date, conf)

    def backfill(self, dag_id: str, first: date, last: date, *, max_active_runs: int) -> None:
        """Create a backfill with the ``airflow`` command, as a user would, and unpause the DAG.

        It is paused until then: when the command fails, Airflow removes the runs that it had created, and a scheduler
        that works on one of these dies of that.

        :param last: included.
        :raises StackError: the command failed; carries the end of its output.
        """
        self.wait_for_dag(dag_id)
        self.api.pause(dag_id)
        options = {"dag-id": dag_id, "from-date": first, "to-date": last, "max-active-runs": max_active_runs}
        arguments = ["backfill", "create", *(f"--{name}={value}" for name, value in options.items())]
        for attempt in range(1, LOCKED_TRIES + 1):
            try:
                self._finish_command("backfill-create", arguments)
                break
            except StackError as error:
                # It reads before it writes, and SQLite refuses that at once when others wrote in between. Airflow then
                # removes what it had created, so that the command can be given again.
                if attempt == LOCKED_TRIES or "database is locked" not in str(error):
                    raise
        self.api.unpause(dag_id)

    def services(self) -> list[dict[str, Any]]:
        """The ECS services as ``DescribeServices`` returns them, by name."""
        ecs = self.client("ecs")
        arns = ecs.list_services(cluster=provision.CLUSTER, maxResults=10)["serviceArns"]
        if not arns:
            return []
        found = ecs.describe_services(cluster=provision.CLUSTER, services=arns)["services"]
        return sorted(found, key=lambda service: str(service["serviceName"]))

    def _finish_command(self, name: str, arguments: Sequence[str]) -> None:
        command = self.processes.start(name, airflow.command(*arguments), self.environment)
        self.processes.finish(command, timeout_seconds=COMMAND_SECONDS)

    @property
    def _migrated(self) -> Path:
        return self.home / ("migrated" if self._database_url is None else MIGRATED)

    def _prepare_folder(self) -> None:
        for folder in (self.home, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.folder)

    def _installation(self, port: int, aws: Mapping[str, str]) -> airflow.Installation:
        celery = celery_workers.options(self.redis.url) if self.redis is not None else {}
        options = {name: {**celery.get(name, {}), **self._options.get(name, {})} for name in {*celery, *self._options}}
        return airflow.Installation(
            self.home,
            port,
            self.bundles,
            aws,
            self.environment_file,
            self._database_url,
            options,
            self._connections,
        )

    def _start_migration(self, env: Mapping[str, str]) -> Any:
        kept = self._database_is_kept and self._migrated.exists()
        if kept and self._migrated.read_text() == _airflow_version():
            return None
        return self.processes.start("db-migrate", airflow.command("db", "migrate"), env)

    def provision(self) -> None:
        """Make what is missing in the local AWS, and write the environment file; may be repeated.

        :raises StackError: a service's task definition, or the user's own file, is wrong; one sentence.
        """
        own = Own.read() if self._own else Own()
        try:
            values = provision.provision(
                self.client,
                region=self.aws["AWS_DEFAULT_REGION"],
                taskdefs=TASKDEFS,
                token=self._token,
                urls=self.side_door.load_balancers,
                own=own,
            )
        except (EcsFeatureError, ClientError, ValueError) as error:
            raise StackError(f"The local AWS cannot be provisioned: {error}") from error
        provision.write_values(self.environment_file, {**values, **self._values})

    def _is_healthy(self) -> bool:
        status = self.api.health()
        return bool(status) and all(value == "healthy" for value in status.values())

    def _is_parsed(self, dag_id: str) -> bool:
        if dag_id in self.api.dag_ids():
            return True
        errors = self.api.import_errors()
        if errors:
            first = errors[0]
            raise StackError(f"{first['filename']} cannot be imported:\n{str(first['stack_trace']).strip()}")
        return False


def clear(folder: Path) -> None:
    """Remove the state of an earlier stack, unless that one is still running.

    :raises UsageError: it is.
    """
    if folder.exists():
        with lock(folder):
            shutil.rmtree(folder)


def lock(folder: Path) -> IO[str]:
    """Hold a stack's folder as long as the returned file is open.

    :raises UsageError: another command holds it.
    """
    handle = (folder / "lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise UsageError(f"Another command is running the stack in {folder}: stop it first.") from None
    return handle


_NOWHERE: Final[Mapping[str, str]] = {"AWS_DEFAULT_REGION": "us-east-1"}
"""What the database migration is told of AWS: nothing it could reach."""


def _airflow_version() -> str:
    return importlib.metadata.version("apache-airflow-core")
