"""``airflow ecs-feature estimate`` as a user runs it: a real Airflow command, on a real metadata database."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow_home import COMMANDS_FIRST, SYNC_DAGS, environment, home_with
from forks import Forks

ROOT = Path(__file__).resolve().parents[2]

DAGS = '''"""Airflow DAGs of the estimate's test."""
from datetime import datetime

from airflow.sdk import DAG, CronPartitionTimetable
from ecs_feature.pipeline import FeaturePipeline, ScaledService, Variant


def pipeline(dag_id, shards, schedule):
    return FeaturePipeline(
        dag_id=dag_id, schedule=schedule, start_date=datetime(2013, 1, 1), cluster="features", shards=shards,
        variants=[Variant("control", "flight-features-control", [ScaledService("encoder-control", 2)])],
        container="features", input_uri="s3://b/raw/", output_uri="s3://b/out", subnets="subnet-0a",
        security_groups="", taskdefs=TASKDEFS,
    ).dag()


named = pipeline("named", ("AA", "UA"), "@daily")
found = pipeline("found", "s3://b/raw/ds={{ ds }}/carrier=*/", None)
local = pipeline("local", ("AA",), CronPartitionTimetable("@daily", timezone="Asia/Tokyo"))
with DAG("other") as other:
    pass
'''

HISTORY = (
    SYNC_DAGS
    + """
import datetime as dt, sys
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

dag = SerializedDagModel.get_dag("named")
T0 = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)


def at(seconds):
    return T0 + dt.timedelta(seconds=seconds)


def launch(created, seconds):
    return {
        "task_arn": "arn", "outcome": "succeeded", "cpu": 512, "memory_mib": 1024,
        "created_at": at(created).isoformat(), "started_at": at(created + 5).isoformat(),
        "stopped_at": at(created + 5 + seconds).isoformat(),
        "vcpu_seconds": 0.5 * 60, "gb_seconds": 60.0,
    }


# Four days: 40 s before the shards (services held from second 10), UA takes 5 + 20 s, then 15 s. One more run failed.
with create_session() as session:
    for day, state in enumerate(("success",) * 4 + ("failed",)):
        date, start = dt.datetime(2013, 1, 1 + day, tzinfo=dt.timezone.utc), 1000 * day
        run = dag.create_dagrun(
            run_id=f"r{day}", logical_date=date, data_interval=(date, date), run_after=date,
            run_type=DagRunType.MANUAL, triggered_by=DagRunTriggeredByType.TEST, state=DagRunState(state),
            session=session,
        )
        run.start_date, run.end_date = at(start), at(start + 80)
        session.flush()
        for ti in run.task_instances:
            if ti.task_id == "control.scale_up":
                ti.end_date = at(start + 10)
        session.flush()
        values = {
            "control.shards.AA": {"shard": "AA", "outcome": "succeeded", "launches": [launch(start + 40, 10)]},
            "control.shards.UA": {"shard": "UA", "outcome": "succeeded", "launches": [launch(start + 40, 20)]},
            "control.scale_down": {
                "held": [{"name": "encoder-control", "seconds": 60.0, "vcpu_seconds": 30.0, "gb_seconds": 60.0}]
            },
        }
        for task_id, value in values.items():
            session.add(
                XComModel(
                    dag_run_id=run.id, dag_id="named", run_id=run.run_id, task_id=task_id, map_index=-1,
                    key="return_value", value=value,
                )
            )

# A day of Tokyo's.
with create_session() as session:
    date = dt.datetime(2026, 3, 26, 15, tzinfo=dt.timezone.utc)
    SerializedDagModel.get_dag("local").create_dagrun(
        run_id="local", logical_date=None, data_interval=None, run_after=date, partition_key="2026-03-27T00:00:00",
        partition_date=date, run_type=DagRunType.SCHEDULED, triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.SUCCESS, session=session,
    )
"""
)

Estimate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def estimate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estimate]:
    """Runs the command in an Airflow home with three DAGs and five past runs of one of them."""
    dags = DAGS.replace("TASKDEFS", repr(str(ROOT / "include" / "taskdefs")))
    home = home_with(tmp_path_factory.mktemp("airflow"), dags)
    placeholders = (
        "EXECUTION_ROLE_ARN FEATURES_TASK_ROLE_ARN ENCODER_TASK_ROLE_ARN ENCODER_TOKEN_SECRET_ARN IMAGE_REGISTRY "
        "IMAGE_TAG LOG_GROUP REGION EFS_FILE_SYSTEM_ID EFS_ACCESS_POINT_ID"
    )
    values = {name: "arn:aws:iam::123456789012:role/x" if "ARN" in name else "x1" for name in placeholders.split()}
    (home / "typed_wrong.json").write_text(json.dumps({"UAA": 3, "*": 5}))
    (home / "environment.json").write_text(json.dumps(values))
    environ = environment(home) | {
        "AIRFLOW__ECS_FEATURE__ENVIRONMENT_FILE": str(home / "environment.json"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    with Forks(COMMANDS_FIRST, home, environ) as forks:
        made = forks.run(HISTORY)
        assert made.returncode == 0, made.stderr[-3000:]
        yield lambda *arguments: forks.run_module("airflow", "ecs-feature", "estimate", *arguments)


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_one_run_takes_and_costs_what_past_runs_did(estimate: Estimate) -> None:
    found = answer(estimate("named", "--max-vcpus", "100", "-o", "json"))
    assert found["run_seconds"] == {"p50": 80.0, "p90": 80.0}
    # Two shards of half a vCPU, billed a minute each; a service of half a vCPU for the 60 s of its lease.
    assert (found["vcpu_seconds"], found["gb_seconds"]) == ({"p50": 90.0, "p90": 90.0}, {"p50": 180.0, "p90": 180.0})
    assert found["usd"]["p50"] == pytest.approx((90 * 0.04048 + 180 * 0.004445) / 3600, abs=1e-6)  # type: ignore[index]
    assert (found["past_runs"], found["runs"], found["peak_tasks"], found["peak_vcpus"]) == (5, 1, 2, 1.5)
    assert found["binding"] == "before the shards"
    assert found["notes"] == []


def test_a_backfill_of_partitions_counts_local_days(estimate: Estimate) -> None:
    dates = ("--from", "2026-03-27", "--to", "2026-03-28")
    found = answer(estimate("local", *dates, "--shard-seconds", "10", "--max-vcpus", "100", "-o", "json"))
    assert found["runs"] == 2
    assert str(found["notes"]).count("1 of these runs are there already") == 1


def test_a_backfill_goes_in_waves_and_says_which_of_its_runs_are_there_already(estimate: Estimate) -> None:
    arguments = ("--from", "2013-01-01", "--to", "2013-01-07", "--max-active-runs", "3", "--max-vcpus", "100")
    found = answer(estimate("named", *arguments, "-o", "json"))
    assert (found["runs"], found["seconds"]["p50"]) == (7, 240.0)  # type: ignore[index]
    assert found["usd"]["p50"] == pytest.approx(7 * found["run_usd"]["p50"], abs=1e-5)  # type: ignore[index]
    assert found["binding"] == "runs at once"
    assert found["notes"] == [
        "5 of these runs are there already; a backfill does them again only as --reprocess-behavior says."
    ]


def test_the_table_is_for_people(estimate: Estimate) -> None:
    done = estimate("named", "--shards", "UA", "--max-vcpus", "100")
    lines = done.stdout.splitlines()
    assert lines[0] == "named: one run; control; 1 shards on FARGATE"
    assert lines[1] == "From 5 past runs, drawn 200 times."
    assert lines[4].split() == ["a", "run", "0:01:20", "0:01:20"]
    assert done.stderr == ""


def test_a_pipeline_without_a_past_is_estimated_from_durations_and_its_task_definitions(estimate: Estimate) -> None:
    arguments = ("--shard-seconds", "10", "--shard-count", "1000", "--start-seconds", "0", "--max-vcpus", "4000")
    found = answer(estimate("found", *arguments, "-o", "json"))
    shards = 49.25 + 10 + 0.25  # launches at 20 a second, the last one's time, half a poll until its end is seen
    assert found["seconds"]["p50"] == pytest.approx(60 + shards + 30)  # type: ignore[index]
    assert found["binding"] == "before the shards"
    # 1,000 minutes of half a vCPU; two encoders of a quarter vCPU while the shards are awaited and run.
    assert found["vcpu_seconds"]["p50"] == pytest.approx(30_000 + 0.5 * (60 + shards))  # type: ignore[index]


def test_without_access_to_service_quotas_the_estimate_goes_on_and_says_so(estimate: Estimate) -> None:
    (note,) = answer(estimate("named", "-o", "json"))["notes"]  # type: ignore[misc]
    assert note.startswith("The vCPU quota is not known, so it sets no bound: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nope"], "DAG 'nope' is not known to this Airflow"),
        (["other"], "DAG 'other' is not a FeaturePipeline's"),
        (["named", "--from", "2013-02-02", "--to", "2013-02-01"], "--from 2013-02-02 is after --to 2013-02-01"),
        (["named", "--from", "2013-02-02"], "--from and --to belong together"),
        (["found", "--from", "2013-01-01", "--to", "2013-01-02"], "DAG 'found' has no run between"),
        (["named", "--shards", "ZZ"], "shards: ZZ not among AA, UA"),
        (["named", "--variants", "x"], "variants: x not among control"),
        (["found"], "DAG 'found' has no finished run to learn from; give --shard-seconds or --durations."),
        (["found", "--shard-seconds", "1"], "--shard-seconds: DAG 'found' finds its shards at run time"),
        (["named", "--max-vcpus", "0.5"], "max_vcpus: 0.5 vCPUs are too few"),
        (["named", "--durations", "missing.json"], "--durations: cannot read missing.json"),
        (["named", "--durations", "typed_wrong.json"], "--durations: 'UAA' is not among the shards AA, UA; '*' stands"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_estimated_is_refused_with_one_sentence(
    estimate: Estimate, arguments: list[str], sentence: str
) -> None:
    done = estimate(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
