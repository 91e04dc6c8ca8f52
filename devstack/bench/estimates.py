"""Whether ``airflow ecs-feature estimate`` says what runs then take: asked first, run afterwards."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from airflow.sdk import DAG

from devstack import airflow
from devstack.bench.fan_outs import CONTAINER, START, TASKDEFS
from devstack.bench.measure import REST_SECONDS, Bench
from devstack.bench.predictions import Prediction, Ran, Stages, ran
from devstack.errors import StackError
from devstack.stack import COMMAND_SECONDS
from ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant
from fargate_local.limits import STATE_SECONDS

SHARDS: Final = 120
SECONDS: Final = (2.0, 20.0)
"""The shards' least and most; most are short, some are not."""
STEPS: Final = 1000
JITTER: Final = 0.1
"""By how much of it a shard's time may differ from day to day, either way."""
MAX_VCPUS: Final = 16
"""The account's: 64 shards of a quarter vCPU at once, fewer than a run has and far fewer than three."""
LONG: Final = (60.0, 66.0)
"""Of the long shards of the pipeline without a past: above the minute that Fargate bills at least."""
PARALLELISM: Final = 8
PAST_RUNS: Final = 2
RUN_TIMEOUT_SECONDS: Final = 240.0
LOOK_SECONDS: Final = 1.0
ARGUMENTS: Final = 12
"""How many arguments of a command are shown."""


@dataclass(frozen=True)
class Skewed:
    """A pipeline whose shards take different times.

    :param seconds: of each shard's container; up to ``JITTER`` more or less of it from day to day.
    :param services: tasks of a service that each run holds.
    """

    dag_id: str
    seconds: tuple[float, ...]
    services: int = 0
    parallelism: int | None = None

    def source(self) -> str:
        """The DAG file."""
        return (
            '"""Airflow DAG of a benchmark."""\n\n'
            "from devstack.bench.estimates import Skewed, build\n\n"
            f"dag = build({self!r})\n"
        )

    def names(self) -> list[str]:
        """The shards' names, each with its milliseconds, which the template reads from there."""
        return [f"s{number:03d}-{1000 * seconds:.0f}" for number, seconds in enumerate(self.seconds)]

    @property
    def template(self) -> str:
        """How long a shard's container runs, which depends on its name and on the day."""
        usual = f"((params.shards or {self.names()})[ti.map_index].rpartition('-')[2] | int)"
        drawn = f"({usual} * (ds_nodash | int) % {STEPS + 1} / {STEPS})"  # 0 to 1
        return f"{{{{ {usual} / 1000 * (1 + {JITTER} * (2 * {drawn} - 1)) }}}}"


def build(pipeline: Skewed) -> DAG:
    """The DAG of a pipeline."""

    def found(**_: Any) -> list[str]:
        return pipeline.names()

    services = [ScaledService("encoder-control", pipeline.services)] if pipeline.services else []
    return FeaturePipeline(
        dag_id=pipeline.dag_id,
        schedule="@daily",
        start_date=START,
        end_date=START.add(months=1),
        cluster="${CLUSTER}",
        shards=found,
        variants=[Variant("control", "bench-job", services, environment={"SIMULATED_SECONDS": pipeline.template})],
        container=CONTAINER,
        taskdefs=TASKDEFS,
        input_uri="s3://${BUCKET}/bench/input/",
        output_uri=f"s3://${{BUCKET}}/bench/{pipeline.dag_id}",
        parallelism=pipeline.parallelism,
    ).dag()


def skewed(count: int, seed: int) -> tuple[float, ...]:
    """Durations within :data:`SECONDS`: half of them below 5 s, one in ten above 12."""
    rng = random.Random(seed)
    least, most = SECONDS
    return tuple(round(min(most, least + rng.lognormvariate(1.0, 1.0)), 3) for _ in range(count))


def long(count: int, seed: int) -> tuple[float, ...]:
    """A mix of durations: three short ones, which a trial run takes, then one in six within :data:`LONG`."""
    rng, short = random.Random(seed), skewed(count, seed)
    return tuple(
        round(rng.uniform(*LONG), 3) if number >= TRIAL and number % 6 == 3 else seconds
        for number, seconds in enumerate(short)
    )


TRIAL: Final = 3
"""Shards of the run that tells what a pipeline without a past takes beside its shards."""
PAST: Final = Skewed("bench_estimate", skewed(SHARDS, seed=5), services=4)
NEW: Final = Skewed("bench_estimate_new", long(36, seed=6), parallelism=PARALLELISM)

Start = Callable[[], list[str]]
"""Starts runs; returns their ids."""


def predictions(running: Bench, folder: Path, tell: Callable[[str], None]) -> dict[str, Prediction]:
    """Ask and run: one more run, a part of one, three days of a backfill, and a pipeline with durations given.

    :param folder: for the file of durations.
    :raises StackError: a run failed.
    """
    stack = running.stack
    for pipeline in (PAST, NEW):
        stack.wait_for_dag(pipeline.dag_id)
        stack.api.unpause(pipeline.dag_id)
    days = iter(START.date() + timedelta(days=number) for number in range(28))

    def once(dag_id: str, shards: Sequence[str] = ()) -> list[str]:
        conf = {"shards": list(shards)} if shards else None
        return [stack.api.trigger(dag_id, datetime.combine(next(days), datetime.min.time(), UTC), conf)]

    for _ in range(PAST_RUNS):
        tell(f"{PAST.dag_id}: {SHARDS} shards, the past")
        took = _wait(running, PAST.dag_id, once(PAST.dag_id))
        tell(f"    {took.seconds:.1f} s, {took.usd:.4f} USD")
        time.sleep(REST_SECONDS)
    part = PAST.names()[::3]
    found = {}

    def check(name: str, dag_id: str, arguments: Sequence[str], start: Start) -> None:
        tell(f"{dag_id}: {name}")
        found[name] = prediction = predicted(running, dag_id, arguments, start)
        tell(prediction.line())

    check("one more run", PAST.dag_id, (), lambda: once(PAST.dag_id))
    check("a third of its shards", PAST.dag_id, ("--shards", *part), lambda: once(PAST.dag_id, part))
    first, last = next(days), (next(days), next(days))[-1]
    dates = ("--from", str(first), "--to", str(last))
    check("a backfill of three days", PAST.dag_id, dates, lambda: _backfill(running, PAST.dag_id, first, last))
    given = _given(running, folder, once(NEW.dag_id, NEW.names()[:TRIAL]))
    check("durations given", NEW.dag_id, given, lambda: once(NEW.dag_id))
    return found


def predicted(running: Bench, dag_id: str, arguments: Sequence[str], start: Start) -> Prediction:
    """Ask the command, then start the runs and see what they take.

    :raises StackError: the command or a run failed.
    """
    began = time.monotonic()
    answer = _asked(running, dag_id, arguments)
    time.sleep(max(0.0, began + REST_SECONDS - time.monotonic()))  # the launch bucket fills up
    return Prediction(dag_id, _short(arguments), answer, _wait(running, dag_id, start()))


def _asked(running: Bench, dag_id: str, arguments: Sequence[str]) -> dict[str, Any]:
    command = airflow.command("ecs-feature", "estimate", dag_id, *arguments, "--output", "json")
    done = subprocess.run(
        command, env=running.stack.environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    if done.returncode:
        raise StackError(f"airflow ecs-feature estimate {dag_id} failed:\n{done.stderr.strip()[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _given(running: Bench, folder: Path, trial: Sequence[str]) -> list[str]:
    """What somebody would give who has tried a pipeline with a few shards, and knows how long each will run."""
    _wait(running, NEW.dag_id, trial)
    starts = running.pace * (STATE_SECONDS["PROVISIONING"] + STATE_SECONDS["PENDING"])
    stages = Stages.of(*_runs(running, NEW.dag_id, trial))
    path = folder / "durations.json"
    path.write_text(json.dumps(dict(zip(NEW.names(), NEW.seconds, strict=True))))
    return [
        "--durations", str(path),
        "--start-seconds", f"{starts:.2f}",
        "--before-seconds", f"{stages.before - starts:.2f}",
        "--after-seconds", f"{stages.after:.2f}",
    ]  # fmt: skip


def _backfill(running: Bench, dag_id: str, first: date, last: date) -> list[str]:
    stack, count = running.stack, (last - first).days + 1
    stack.backfill(dag_id, first, last, max_active_runs=count)
    runs = stack.api.pages(f"/dags/{dag_id}/dagRuns", "dag_runs", run_type="backfill")
    return [str(run["dag_run_id"]) for run in runs]


def _wait(running: Bench, dag_id: str, run_ids: Sequence[str]) -> Ran:
    """Wait for the runs' ends.

    :raises StackError: one failed, or the time is over.
    """
    stack, deadline = running.stack, time.monotonic() + RUN_TIMEOUT_SECONDS
    while not (states := set(running.database.run_states(dag_id, run_ids))) <= {"success", "failed"}:
        stack.check()
        if time.monotonic() > deadline:
            raise StackError(f"{dag_id} has not ended after {RUN_TIMEOUT_SECONDS:.0f} s; see {stack.logs}.")
        time.sleep(LOOK_SECONDS)
    if states != {"success"}:
        raise StackError(f"A run of {dag_id} failed; see {stack.home / 'logs'}.")
    return ran(*_runs(running, dag_id, run_ids))


def _runs(running: Bench, dag_id: str, run_ids: Sequence[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The runs as Airflow's API has them, and their receipts."""
    api = running.stack.api
    runs = [api.get(f"/dags/{dag_id}/dagRuns/{run_id}") for run_id in run_ids]
    return runs, [api.xcom(dag_id, run_id, "receipt") for run_id in run_ids]


def _short(arguments: Sequence[str]) -> tuple[str, ...]:
    """The arguments as they are shown: without the path of a file, and not all names of a hundred."""
    shown = [Path(each).name if each.endswith(".json") else each for each in arguments]
    return (*shown[:ARGUMENTS], *(["..."] if len(shown) > ARGUMENTS else []))
