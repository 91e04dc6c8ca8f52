"""What an estimate is made of: XComs of past runs, the account's quota, arguments; and how it is shown."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from ecs_feature.cli.definition import _not_negative
from ecs_feature.cli.report import WHAT_HELPS, render
from ecs_feature.estimates import quotas
from ecs_feature.estimates.estimate import savings
from ecs_feature.estimates.facts import PipelineFacts, count_runs, shard_tasks
from ecs_feature.estimates.history import _past_run, _ShardTask
from ecs_feature.estimates.past_runs import Draw, EstimateRequest, PastRun, PastVariant
from ecs_feature.estimates.simulation import Bounds, simulate
from ecs_feature.estimates.workload import LaunchSample, Services
from ecs_feature.exceptions import SelectionError
from ecs_feature.shards import SHARED_ARGUMENTS
from ecs_feature.tasks.cost import Usage

START = datetime(2026, 1, 1, tzinfo=UTC)
FACTS = PipelineFacts("p", {"control": ["control.shards.AA", "control.shards.UA"]}, ("AA", "UA"), "FARGATE", 4, 8.0, {})


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def launch(created: float | None, started: float | None, stopped: float | None, **more: Any) -> dict[str, Any]:
    times = {"created_at": created, "started_at": started, "stopped_at": stopped}
    return {
        "task_arn": "arn",
        "cpu": 512,
        "memory_mib": 1024,
        "vcpu_seconds": 30.0,
        "gb_seconds": 60.0,
        **{name: None if value is None else at(value) for name, value in times.items()},
        **more,
    }


def record(shard: str, *launches: dict[str, Any], outcome: str = "succeeded") -> dict[str, Any]:
    return {"shard": shard, "outcome": outcome, "launches": list(launches)}


def read(xcoms: dict[str, list[Any]], tasks: list[_ShardTask] | None = None, **changes: Any) -> PastRun:
    run = SimpleNamespace(
        run_id="r",
        state="success",
        clear_number=0,
        conf={},
        start_date=START,
        end_date=START + timedelta(seconds=100),
    )
    vars(run).update(changes)
    return _past_run(
        FACTS, run, xcoms, {("r", "control.scale_up"): START + timedelta(seconds=10)}, {("r", "control"): tasks or []}
    )


XCOMS = {
    "control.shards.AA": [record("AA", launch(40, 45, 60))],
    "control.shards.UA": [record("UA", launch(41, None, 50), launch(52, 55, 80))],
    "control.scale_down": [
        {"held": [{"name": "e", "seconds": 75.1, "vcpu_seconds": 37.52, "gb_seconds": 75.1}], "services": []}
    ],
}


def test_a_past_run_tells_its_stages_its_launches_and_its_services() -> None:
    run = read(XCOMS)
    work = run.variants["control"]
    assert work.before_seconds == 40
    assert run.after_seconds == 20
    assert (run.start, run.seconds) == (START.timestamp(), 100)
    assert work.services == Services(0.5, 1.0, lead_seconds=30.0, tail_seconds=pytest.approx(5.1))
    used = Usage(30.0, 60.0)
    assert work.shards == {
        "AA": (LaunchSample(5, 15, 0.5, used),),
        "UA": (LaunchSample(9, 0, 0.5, used), LaunchSample(3, 25, 0.5, used)),
    }


@pytest.mark.parametrize(
    "changes",
    [{"state": "failed"}, {"clear_number": 1}, {"end_date": START + timedelta(seconds=70)}],
    ids=["failed", "cleared", "ended before its last launch"],
)
def test_only_a_whole_run_tells_its_stages(changes: dict[str, Any]) -> None:
    run = read(XCOMS, **changes)
    assert run.after_seconds is None
    assert run.variants["control"].before_seconds is None
    assert run.variants["control"].services == Services()
    assert set(run.variants["control"].shards) == {"AA", "UA"}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "s3://somewhere",
        record("AA", launch(40, 45, 60), outcome="failed"),
        record("AA"),
        record("AA", launch(None, None, None)),
        record("AA", launch(40, 45, None)),
    ],
    ids=["nothing", "not a record", "a failed shard", "no launches", "nothing started", "no end"],
)
def test_what_says_nothing_of_a_duration_is_left_out(value: Any) -> None:
    assert read({"control.shards.AA": [value]}).variants == {}


def shard_task(start: float, end: float | None, state: str = "success") -> _ShardTask:
    return _ShardTask(state, START + timedelta(seconds=start), None if end is None else START + timedelta(seconds=end))


def test_shards_tasks_tell_when_they_were_handed_over_and_how_late_their_ends_were_seen() -> None:
    tasks = [shard_task(31, 61), shard_task(30, 83), shard_task(30, 32, "skipped")]
    run = read(XCOMS, tasks)
    work = run.variants["control"]
    assert (work.handover_seconds, work.tasks) == (10.0, 3)
    assert {each.detection_lag_seconds for shard in work.shards.values() for each in shard} == {2.0}
    assert run.after_seconds == 18
    assert work.services.tail_seconds == pytest.approx(3.1)


@pytest.mark.parametrize(
    "tasks",
    [[shard_task(50, 61)], [shard_task(50, 59), shard_task(50, 79)], [shard_task(50, None), shard_task(50, 85)]],
    ids=["one without a record", "before the launch's end", "one has not ended"],
)
def test_tasks_that_do_not_match_their_records_tell_nothing(tasks: list[_ShardTask]) -> None:
    run = read(XCOMS, tasks)
    work = run.variants["control"]
    assert (work.handover_seconds, run.after_seconds) == (0.0, 20)
    assert {each.detection_lag_seconds for shard in work.shards.values() for each in shard} == {0.0}


@pytest.mark.parametrize(
    ("conf", "partial"), [(None, False), ({}, False), ({"shards": []}, False), ({"shards": ["AA"]}, True)]
)
def test_a_run_that_was_asked_for_some_shards_is_a_partial_one(conf: dict[str, Any] | None, partial: bool) -> None:
    assert read(XCOMS, conf=conf).partial is partial


def test_a_hook_is_given_only_what_it_takes_of_a_shards_aws_arguments() -> None:
    arguments = {
        "shard": "AA",
        "record": {"variant": "control"},
        "launch": {},
        "policy": {},
        "aws": {"aws_conn_id": "mine", "region_name": "eu-west-1", "verify": False, "events_queue_url": "https://q"},
    }
    shard = SimpleNamespace(
        task_id="control.shards.AA",
        task_type="EcsShardOperator",
        is_mapped=False,
        start_trigger_args=SimpleNamespace(trigger_kwargs=arguments),
    )
    plan = SimpleNamespace(task_id="plan", task_type="FeaturePlanOperator", start_trigger_args=None)
    facts = PipelineFacts.of(SimpleNamespace(dag_id="p", task_dict={"a": plan, "b": shard}, default_args={}))
    hook = facts.aws.hook("service-quotas")
    assert (hook.client_type, hook.aws_conn_id, hook.region_name, hook.verify) == (
        "service-quotas",
        "mine",
        "eu-west-1",
        False,
    )


def test_the_arguments_that_named_shards_share_are_found() -> None:
    def shard(name: str) -> SimpleNamespace:
        kwargs = {"shard": name, "shared": "control"}
        return SimpleNamespace(
            task_id=f"control.shards.{name}",
            task_type="EcsShardOperator",
            is_mapped=False,
            start_trigger_args=SimpleNamespace(trigger_kwargs=kwargs),
        )

    common = {"record": {"variant": "control"}, "launch": {"cluster": "c"}, "policy": {}, "aws": {}}
    plan = SimpleNamespace(task_id="plan", task_type="FeaturePlanOperator", start_trigger_args=None)
    tasks = {"plan": plan, **{name: shard(name) for name in ("AA", "UA")}}
    dag = SimpleNamespace(dag_id="p", task_dict=tasks, default_args={SHARED_ARGUMENTS: {"control": common}})
    assert [arguments["launch"] for _, arguments in shard_tasks(dag)] == [{"cluster": "c"}] * 2
    assert PipelineFacts.of(dag).shards == ("AA", "UA")


def test_names_are_chosen_by_words_or_commas_and_unknown_ones_are_refused() -> None:
    assert FACTS.choose(None, "shards") == ("AA", "UA")
    assert FACTS.choose(["UA,AA", "UA"], "shards") == ("UA", "AA")
    with pytest.raises(SelectionError, match=r"variants: x, y not among control, the variants of DAG 'p'\."):
        FACTS.choose(["x", "y"], "variants")


def test_a_backfill_has_the_runs_of_the_schedule() -> None:
    dag = SimpleNamespace(dag_id="p", iter_dagrun_infos_between=lambda first, last: range((last - first).days + 1))
    assert count_runs(dag, START, START + timedelta(days=6)) == 7


@pytest.mark.parametrize(
    ("bucket", "code"), [("FARGATE", "L-3032A538"), ("FARGATE_SPOT", "L-36FBB829")], ids=["on demand", "spot"]
)
def test_the_quota_is_the_one_of_the_capacity(bucket: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("service-quotas", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    stub = Stubber(client)
    stub.add_response("get_service_quota", {"Quota": {"Value": 4000.0}}, {"ServiceCode": "fargate", "QuotaCode": code})
    monkeypatch.setattr(quotas, "_client", lambda aws: client)
    with stub:
        assert quotas.vcpu_quota(bucket, {}) == (4000.0, f"{bucket} allows 4000 vCPUs at once in this account.")


def test_a_quota_that_may_not_be_read_sets_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("service-quotas", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    stub = Stubber(client)
    stub.add_client_error("get_service_quota", "AccessDeniedException", "not authorized")
    monkeypatch.setattr(quotas, "_client", lambda aws: client)
    with stub:
        value, note = quotas.vcpu_quota("FARGATE", {})
    assert value is None
    assert note.startswith("The vCPU quota is not known, so it sets no bound: ")


def test_ec2_has_no_quota_of_fargate() -> None:
    assert quotas.vcpu_quota("", {})[0] is None


@pytest.mark.parametrize("text", ["-1", "nan", "inf"])
def test_seconds_and_prices_are_not_negative(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"{text} is less than 0, or no number"):
        _not_negative(text)


def test_there_is_advice_for_every_bound() -> None:
    shards = {"AA": (LaunchSample(0, 10, 1.0),), "UA": (LaunchSample(0, 10, 1.0),), "OO": (LaunchSample(0, 50, 1.0),)}
    past = PastRun("r", {"control": PastVariant(shards, 20.0)}, 5.0)
    tight = Bounds((1, 0.1), (1, 0.1), max_vcpus=1.0, parallelism=1, max_shards=1, max_active_runs=1)
    runs = Draw(EstimateRequest(3, ["control"], list(shards)), [past], random.Random(0)).runs()
    loose = Bounds(parallelism=100, max_vcpus=100.0, max_shards=100)
    named = set(savings(runs, tight, simulate(runs, tight))) | set(savings(runs, loose, simulate(runs, loose)))
    assert named <= set(WHAT_HELPS)
    assert {"runs at once", "before the shards", "after the shards", "slowest shard"} <= named


def test_the_table_shows_one_run_without_totals_and_puts_notes_below() -> None:
    one = {"p50": 3725.0, "p90": 3725.4}
    answer = {
        "dag_id": "p",
        "from": None,
        "to": None,
        "variants": ["control"],
        "capacity": "FARGATE_SPOT",
        "past_runs": 1,
        "draws": 200,
        "runs": 1,
        "max_active_runs": 1,
        "shards": {"p50": 16, "p90": 16},
        **dict.fromkeys(("run_seconds", "seconds", "vcpu_seconds", "gb_seconds"), one),
        **{key: {"p50": 12.345, "p90": 0.00012} for key in ("run_usd", "usd", "shards_usd", "services_usd")},
        "peak_tasks": 16,
        "peak_vcpus": 8.5,
        "binding": "shards",
        "bounds": {},
        "notes": ["A note."],
    }
    assert render(answer).splitlines() == [
        "p: one run; control; 16 shards on FARGATE_SPOT",
        "From 1 past run, drawn 200 times.",
        "",
        "                  p50      p90",
        "a run         1:02:05  1:02:05",
        "USD a run       12.35   0.0001",
        "  shards        12.35   0.0001",
        "  services      12.35   0.0001",
        "vCPU-seconds    3,725    3,725",
        "GB-seconds      3,725    3,725",
        "",
        "At once at most: 16 tasks of shards, 8.50 vCPUs.",
        "Bound by nothing but the shards' own time.",
        "A note.",
    ]


def test_without_the_package_installed_the_command_runs_as_a_module() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "plugins")}
    command = [sys.executable, "-m", "ecs_feature.cli", "estimate", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python -m ecs_feature.cli estimate ")
    assert "--max-active-runs N" in done.stdout
