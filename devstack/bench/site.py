"""The stack that fan-outs are measured on: PostgreSQL, all of Airflow, and the local Fargate with its quotas on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from devstack.bench.database import Database
from devstack.bench.fan_outs import TASKDEFS, DagFile
from devstack.bench.measure import Bench
from devstack.bench.trees import Sampler
from devstack.fargate import NAME as FARGATE
from devstack.postgres import NAME as POSTGRES
from devstack.postgres import Postgres
from devstack.stack import Stack, clear
from ecs_feature.tasks import definitions
from fargate_local.limits import STATE_SECONDS

GRACE_SECONDS: Final = 2.0
MAP_LENGTH: Final = 20_000


@contextlib.contextmanager
def bench(
    folder: Path,
    *,
    pace: float,
    capacity: int,
    triggerers: int = 1,
    patch: bool = False,
    postgres: bool = True,
    fan_outs: Sequence[DagFile] = (),
    options: Mapping[str, Mapping[str, str]] | None = None,
    fargate_arguments: Sequence[str] = ("--runtime", "simulated"),
) -> Iterator[Bench]:
    """Start a stack for fan-outs; end all of it after the block.

    :param folder: made anew.
    :param pace: factor on the time that a Fargate task takes from RunTask to RUNNING (32 s) and from its end to
        STOPPED (10 s).
    :param capacity: of each triggerer.
    :param patch: whether the plugin patches Airflow.
    :param postgres: False is SQLite, for small tests.
    :param fan_outs: those known before, so that their DAGs are parsed early.
    :param options: further Airflow configuration.
    :param fargate_arguments: of the local Fargate; its quotas are on unless they say otherwise.
    """
    clear(folder)
    dags = folder / "dags"
    dags.mkdir(parents=True)
    settings: dict[str, dict[str, str]] = {
        "core": {"max_map_length": str(MAP_LENGTH)},
        # As docs/scaling.md has it for a thousand mapped shards; for both sides.
        "dag_processor": {"min_file_process_interval": "600"},
        # Each time it looks, the scheduler loads all task instances of a running run.
        "scheduler": {"scheduler_idle_sleep_time": "2"},
        # While the triggers of a turn are made, the event loop of all shards stands still.
        "triggerer": {"capacity": str(capacity), "max_trigger_to_select_per_loop": "20"},
        "ecs_feature": {"patch_airflow": str(patch)},
    }
    for section, values in (options or {}).items():
        settings.setdefault(section, {}).update(values)
    with contextlib.ExitStack() as parts:
        server = parts.enter_context(Postgres(folder / "logs")) if postgres else None
        stack = Stack(
            folder,
            extra_dags={"bench": dags},
            dags=False,
            grace_seconds=GRACE_SECONDS,
            database_url=server.url if server else None,
            triggerers=triggerers,
            options=settings,
            fargate_arguments=(*fargate_arguments, "--pace", str(pace)),
        )
        for fan_out in fan_outs:
            (dags / f"{fan_out.dag_id}.py").write_text(fan_out.source())
        parts.enter_context(stack)
        _register(stack)
        names = ["api-server", "scheduler", "dag-processor", *stack.triggerers, FARGATE]

        def roots() -> dict[str, int]:
            running = {name: stack.processes.pid(name) for name in names if stack.is_running(name)}
            return {**running, **({POSTGRES: server.pid} if server else {})}

        sampler = parts.enter_context(Sampler(roots))
        url = server.url if server else f"sqlite:///{stack.home / 'airflow.db'}"
        yield Bench(stack, Database(url), sampler, dags, latency_seconds(pace), pace)


def latency_seconds(pace: float) -> float:
    """What the local Fargate adds to each task, from RunTask to STOPPED, beside the container's own time."""
    return pace * sum(STATE_SECONDS.values())


def _register(stack: Stack) -> None:
    """Register the job's task definition, which the stock operator only names."""
    values = json.loads(stack.environment_file.read_text())
    definition = definitions.load(TASKDEFS / "bench-job.json", values)
    definitions.register(stack.client("ecs"), definition)
