"""``make compose-demo`` and ``make compose-down``: the stack of docker-compose.airflow.yml on a container engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from datetime import time as day_time
from typing import Any, Final

from rich.console import Console

from devstack import rt_live, runs
from devstack.api import AirflowApi
from devstack.errors import RunFailedError, StackError
from devstack.processes import ROOT
from devstack.receipt import problems
from ecs_feature.results.receipts import render

FILE: Final = ROOT / "docker-compose.airflow.yml"
FOLDER: Final = ROOT / "build" / "compose"
SOCKET: Final = "/var/run/docker.sock"
RT_LIVE_DAYS: Final = {"fargate": date(2020, 6, 15), "workers": date(2020, 6, 16)}
"""One for each dispatch."""
RT_LIVE_WORKERS: Final = 3
"""Each is a container of 2 GiB."""
LOOK_SECONDS: Final = 2.0
PARSE_SECONDS: Final = 180.0
UP_SECONDS: Final = 3600.0
NEEDED: Final = (2, 24)
"""Of Compose: `env_file`, `depends_on` and merges as the file has them."""


class Compose:
    """``docker compose`` with the project's file and the user's own variables."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.environ = {**environ, "DOCKER_GROUP": environ.get("DOCKER_GROUP") or group(environ)}

    @property
    def port(self) -> str:
        return self.environ.get("PORT") or "8080"

    def __call__(self, *arguments: str, shown: bool = False) -> str:
        """The standard output of a command.

        :param shown: its output goes to the screen instead.
        :raises StackError: it failed.
        """
        command = ["docker", "compose", "-f", str(FILE), *arguments]
        pipe = None if shown else subprocess.PIPE
        done = subprocess.run(command, env=self.environ, stdout=pipe, stderr=pipe, text=True, timeout=UP_SECONDS)
        if done.returncode:
            said = "" if shown else "\n" + (done.stderr or done.stdout).strip()
            raise StackError(f"docker compose {arguments[0]} failed with exit code {done.returncode}.{said}")
        return done.stdout or ""

    def in_service(self, service: str, *command: str) -> str:
        """The standard output of a command in a service's container."""
        return self("exec", "-T", service, *command)


def check_engine(environ: Mapping[str, str] = os.environ) -> None:
    """See that there is an engine and Compose 2.

    :raises StackError: one sentence says what is missing.
    """
    if shutil.which("docker", path=environ.get("PATH")) is None:
        raise StackError("There is no `docker` here: the stack needs Docker's engine and Compose 2 (docs/docker.md).")
    if _asked(environ, "docker", "version", "--format", "{{.Server.Version}}") is None:
        raise StackError("No container engine answers `docker version`: start one, or name it with DOCKER_HOST.")
    version = _asked(environ, "docker", "compose", "version", "--short")
    if version is None:
        raise StackError("`docker compose` is not there: the containers need Compose 2.24 or later (docs/docker.md).")
    if _numbers(version) < NEEDED:
        raise StackError(f"Compose is {version}, but the containers need 2.24 or later (docs/docker.md).")


def _asked(environ: Mapping[str, str], *command: str) -> str | None:
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.lstrip("v").split("-")[0].split("+")[0].split(".")[:2] if part.isdigit())


def group(environ: Mapping[str, str]) -> str:
    """The group that may use the engine's socket."""
    try:
        return str(os.stat(environ.get("DOCKER_SOCKET") or SOCKET).st_gid)
    except OSError:
        return "0"


def down(console: Console) -> None:
    """Remove the containers, volumes and networks, and the ECS tasks' containers that nobody has removed.

    :raises StackError: there is no engine, or it refuses.
    """
    check_engine()
    compose = Compose()
    # Its tasks' containers are in the stack's network, which can go only after them.
    compose("stop", "fargate-local", shown=True)
    owner = f"label=fargate-local.owner={compose.environ.get('COMPOSE_PROJECT_NAME') or 'ecs-feature'}"
    left = (_asked(compose.environ, "docker", "ps", "-aq", "--filter", owner) or "").split()
    if left:
        _asked(compose.environ, "docker", "rm", "-f", *left)
    compose("down", "--volumes", "--remove-orphans", shown=True)
    console.print("Removed; the images stay.", highlight=False)


def demo(day: date, console: Console) -> None:
    """Up; the day of ``make demo`` and a day of rt_live in both dispatches; their receipts; down.

    :raises StackError: the stack or a run failed; it is left up, so that one can look.
    """
    check_engine()
    compose = Compose()
    compose("up", "--build", "--wait", shown=True)
    password = compose.in_service("api-server", "cat", "/var/lib/stack/keys/admin_password")
    api = AirflowApi(f"http://127.0.0.1:{compose.port}", password)
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        receipts = [run_day(api, runs.DAG_ID, day)]
        for dispatch, its_day in RT_LIVE_DAYS.items():
            choose(compose, api, dispatch, RT_LIVE_WORKERS)
            receipts.append(run_day(api, rt_live.DAG_ID, its_day))
    finally:
        api.close()
    for receipt in receipts:
        console.print(render(receipt), highlight=False, markup=False, soft_wrap=True)
    path = FOLDER / "receipts.json"
    path.write_text(json.dumps(receipts, indent=2) + "\n")
    down(console)
    console.print(f"Receipts: {path.relative_to(ROOT)}", highlight=False)


def choose(compose: Compose, api: AirflowApi, dispatch: str, workers: int) -> None:
    """Change how rt_live runs its shards, and wait until Airflow has parsed it so.

    :raises StackError: it does not.
    """
    values = (f"RT_LIVE_DISPATCH={dispatch}", f"RT_LIVE_WORKERS={workers}")
    compose.in_service("fargate-local", "python", "provision_stack.py", *values)
    wanted = {"fargate": {"default"}, "workers": {"rt-live"}}[dispatch]
    until(lambda: shard_queues(api) == wanted, f"rt_live is not parsed with dispatch={dispatch}", PARSE_SECONDS)


def until(met: Callable[[], bool], sentence: str, seconds: float) -> None:
    """Look until it is so; an API server that is too busy to answer is asked again.

    :raises StackError: it is not so after that time: the sentence, and what was wrong last.
    """
    deadline, last = time.monotonic() + seconds, ""
    while True:
        try:
            if met():
                return
        except StackError as error:
            last = f" ({error})"
        if time.monotonic() > deadline:
            raise StackError(f"{sentence} after {seconds:.0f} s{last}.")
        time.sleep(LOOK_SECONDS)


def shard_queues(api: AirflowApi) -> set[str]:
    """The queues of rt_live's shards."""
    if rt_live.DAG_ID not in api.dag_ids():
        return set()
    tasks = api.get(f"/dags/{rt_live.DAG_ID}/tasks")["tasks"]
    return {task["queue"] for task in tasks if "shards." in task["task_id"]}


def run_day(api: AirflowApi, dag_id: str, day: date) -> dict[str, Any]:
    """Run a day to its end; its receipt.

    :raises RunFailedError: it failed, or its receipt does not stand up.
    """
    until(lambda: dag_id in api.dag_ids(), f"Airflow has not parsed {dag_id}", PARSE_SECONDS)
    api.unpause(dag_id)
    run_id = api.trigger(dag_id, datetime.combine(day, day_time(), UTC))
    state = ""

    def ended() -> bool:
        nonlocal state
        state = api.run_state(dag_id, run_id)
        return state in runs.ENDED

    until(ended, f"The run {run_id} of {dag_id} has not ended", runs.RUN_SECONDS)
    failed = runs.first_failures(api.task_instances(dag_id, run_id))
    if state != "success" or failed:
        names = ", ".join(str(each["task_id"]) for each in failed) or "no task"
        raise RunFailedError(f"The run {run_id} of {dag_id} failed in {names}; see docker compose -f {FILE.name} logs.")
    receipt: dict[str, Any] = api.xcom(dag_id, run_id, "receipt")
    if wrong := problems(receipt):
        raise RunFailedError("\n".join(wrong))
    return receipt
