"""The janitor on a local Fargate with real tasks: what it puts right, and what it never touches."""

from __future__ import annotations

import contextlib
import json
import runpy
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from ecs_feature.operators import janitor as module
from ecs_feature.operators.janitor import EcsJanitorOperator
from ecs_feature.services import lease_holders
from ecs_feature.services.client import EcsServices
from ecs_feature.services.leases import SharingPolicy
from ecs_feature.services.snapshot import newest
from fargate_local import LocalFargate, Settings

CLUSTER = "features"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


class Stack:
    """A cluster, and short ways to put things into it."""

    def __init__(self, aws: LocalFargate) -> None:
        self.aws = aws
        self.ecs = aws.client("ecs")
        self.services = EcsServices(self.ecs, CLUSTER)
        self.ecs.create_cluster(clusterName=CLUSTER)
        self.ecs.register_task_definition(
            family="sleeper",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[
                {
                    "name": "sleeper",
                    "image": "sleeper:1",
                    "command": ["python", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
                }
            ],
        )

    def service(self, name: str, *, desired: int = 0) -> str:
        self.ecs.create_service(
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition="sleeper",
            desiredCount=desired,
            launchType="FARGATE",
            networkConfiguration=NETWORK,
        )
        return name

    def lease(self, name: str, holder: str, count: int, until: datetime) -> None:
        self.services.acquire(name, holder=holder, count=count, until=until, policy=SharingPolicy())

    def task(self, **tags: str) -> str:
        (arn,) = self.tasks(1, **tags)
        return arn

    def tasks(self, count: int, **tags: str) -> list[str]:
        answer = self.ecs.run_task(
            cluster=CLUSTER,
            taskDefinition="sleeper",
            count=count,
            launchType="FARGATE",
            networkConfiguration=NETWORK,
            tags=[{"key": key, "value": value} for key, value in tags.items()],
        )
        return [task["taskArn"] for task in answer["tasks"]]

    def status(self, arn: str) -> dict[str, Any]:
        task: dict[str, Any] = self.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]
        return task

    def counts(self, *names: str) -> list[tuple[int, int]]:
        return [(service.desired, service.running) for service in self.services.describe(names)]


def until(read: Callable[[], Any], met: Callable[[Any], object], seconds: float = 30.0) -> Any:
    """Read until the condition is met; fails with what was read last."""
    end = time.monotonic() + seconds
    while not met(value := read()):
        assert time.monotonic() < end, f"not met within {seconds} s: {value}"
        time.sleep(0.02)
    return value


@pytest.fixture
def stack_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stack]]:
    """Starts a local Fargate with settings of the test's own."""
    (tmp_path / "images" / "sleeper").mkdir(parents=True)
    environment = tmp_path / "environment.json"
    environment.write_text(json.dumps({"CLUSTER": CLUSTER}))
    monkeypatch.setenv("AIRFLOW__ECS_FEATURE__ENVIRONMENT_FILE", str(environment))
    with contextlib.ExitStack() as started:

        def start(**changed: Any) -> Stack:
            settings = {"images": tmp_path / "images", "quotas": False, "pace": 0.001} | changed
            aws = started.enter_context(LocalFargate(Settings(**settings)))
            for name, value in aws.environ.items():
                monkeypatch.setenv(name, value)
            return Stack(aws)

        yield start


@pytest.fixture
def stack(stack_of: Callable[..., Stack]) -> Stack:
    return stack_of()


class TaskInstance:
    """Of the janitor: what it pushes, and which runs Airflow says go on."""

    def __init__(self, going_on: Collection[tuple[str, str]] = (), paused: Collection[str] = ()) -> None:
        self.going_on, self.paused, self.pushed = going_on, paused, dict[str, Any]()

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def get_dr_count(self, dag_id: str, run_ids: list[str], states: list[str]) -> int:
        assert states == ["queued", "running"]
        return sum((dag_id, run_id) in self.going_on for run_id in run_ids)

    def get_ti_count(self, dag_id: str, run_ids: list[str], states: list[str]) -> int:
        assert "deferred" in states
        return 0 if dag_id in self.paused else 1


def tidy(going_on: Collection[tuple[str, str]] = (), paused: Collection[str] = (), **changes: Any) -> dict[str, Any]:
    operator = EcsJanitorOperator(task_id="tidy", aws_conn_id=None, **({"clusters": ["${CLUSTER}"]} | changes))
    report: dict[str, Any] = operator.execute({"ti": TaskInstance(going_on, paused)})
    return report


def test_it_settles_abandoned_services_and_stops_overdue_tasks_and_touches_nothing_else(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, shared, others = stack.service("dead"), stack.service("shared"), stack.service("others", desired=1)
    stack.lease(dead, "flights/run 1/control", 2, datetime.now(UTC) + timedelta(minutes=3))
    stack.lease(shared, "flights/run 1/control", 1, datetime.now(UTC) + timedelta(minutes=3))
    stack.lease(shared, "flights/run 2/control", 1, datetime.now(UTC) + timedelta(hours=3))
    late = stack.task(**{"ecs-feature:timeout-seconds": "60", "ecs-feature:shard": "UA", "ecs-feature:run": "run 1"})
    timely = stack.task(**{"ecs-feature:timeout-seconds": "3600", "ecs-feature:shard": "DL"})
    foreign = stack.task(team="x")
    until(lambda: stack.counts(dead, shared, others), lambda counts: counts == [(2, 2), (2, 2), (1, 1)])
    until(lambda: stack.status(late), lambda task: task["lastStatus"] == "RUNNING")
    _later(monkeypatch, timedelta(minutes=10))
    told = len(stack.aws.calls())

    report = tidy(dry_run="True")
    assert _outcome(report) == ({dead: (2, 0, "dry run"), shared: (2, 1, "dry run")}, {late: "dry run"})
    assert {call.operation for call in stack.aws.calls()[told:]} == {
        "DescribeClusters", "ListServices", "DescribeServices", "DescribeTaskDefinition", "ListTasks", "DescribeTasks",
    }  # fmt: skip

    assert _seen(report) == {
        dead: (2, ["flights/run 1/control"]),
        shared: (2, ["flights/run 1/control", "flights/run 2/control"]),
    }

    report = tidy(dry_run="False")
    assert _outcome(report) == ({dead: (2, 0, ""), shared: (2, 1, "")}, {late: ""})
    assert _seen(report) == {dead: (0, []), shared: (1, ["flights/run 2/control"])}
    (cluster,) = report["clusters"]
    (row,) = [row for row in cluster["services"] if row["name"] == dead]
    assert row["expired"][0]["holder"] == "flights/run 1/control"
    assert row["idle_seconds"] == pytest.approx(2 * 7 * 60, abs=60)
    assert row["vcpu_seconds"] == pytest.approx(row["idle_seconds"] / 4, abs=0.1)
    assert (cluster["tasks"][0]["shard"], cluster["tasks"][0]["run"]) == ("UA", "run 1")
    assert cluster["tasks"][0]["idle_seconds"] == pytest.approx(9 * 60, abs=60)
    assert report["cost_usd"] > 0
    until(lambda: stack.counts(dead, shared, others), lambda counts: counts == [(0, 0), (1, 1), (1, 1)])
    stopped = until(lambda: stack.status(late), lambda task: task["lastStatus"] == "STOPPED")
    assert stopped["stoppedReason"] == "ecs-feature: the janitor stopped it, past its deadline"
    assert [stack.status(arn)["desiredStatus"] for arn in (timely, foreign)] == ["RUNNING", "RUNNING"]

    assert _outcome(tidy()) == ({}, {})


def test_a_lease_past_its_time_stays_while_its_run_goes_on(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    going, over = stack.service("going"), stack.service("over")
    stack.lease(going, "flights/backfill__2013/control", 2, datetime.now(UTC) + timedelta(minutes=1))
    stack.lease(over, "flights/manual__2013/control", 2, datetime.now(UTC) + timedelta(minutes=1))
    _later(monkeypatch, timedelta(minutes=10))
    (cluster,) = tidy(going_on={("flights", "backfill__2013")})["clusters"]
    assert [row["name"] for row in cluster["services"]] == [over]
    assert [desired for desired, _ in stack.counts(going, over)] == [2, 0]


def test_a_lease_past_its_time_ends_with_the_tasks_of_a_run_that_nobody_schedules(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_holders, "CHECK_SECONDS", 0.0)
    for name in ("one", "two"):
        stack.lease(stack.service(name), f"flights/{name}/control", 2, datetime.now(UTC) + timedelta(minutes=1))
    _later(monkeypatch, timedelta(minutes=10))
    going_on = {("flights", "one"), ("flights", "two")}
    (cluster,) = tidy(going_on)["clusters"]
    assert cluster["services"] == []
    (cluster,) = tidy(going_on, paused={"flights"})["clusters"]
    assert sorted(row["name"] for row in cluster["services"]) == ["one", "two"]
    assert [desired for desired, _ in stack.counts("one", "two")] == [0, 0]


def test_a_lease_stays_when_airflow_does_not_say_whether_its_run_goes_on(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.lease(stack.service("one"), "flights/r/control", 2, datetime.now(UTC) + timedelta(minutes=1))
    _later(monkeypatch, timedelta(minutes=10))

    def unanswered(*_: Any, **__: Any) -> int:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    monkeypatch.setattr(TaskInstance, "get_dr_count", unanswered)
    (cluster,) = tidy()["clusters"]
    assert cluster["services"] == []
    assert [desired for desired, _ in stack.counts("one")] == [2]


def test_it_reads_every_page(stack_of: Callable[..., Stack], monkeypatch: pytest.MonkeyPatch) -> None:
    stack = stack_of(pace=1000.0)  # no task ever starts
    for number in range(101):
        stack.service(f"service{number}")
    stack.lease("service100", "dead", 1, datetime.now(UTC) + timedelta(minutes=1))
    arns = [arn for _ in range(11) for arn in stack.tasks(10, **{"ecs-feature:timeout-seconds": "60"})]
    _later(monkeypatch, timedelta(minutes=10))
    told = len(stack.aws.calls())
    assert _outcome(tidy(dry_run=True)) == ({"service100": (1, 0, "dry run")}, dict.fromkeys(arns, "dry run"))
    calls = stack.aws.calls()[told:]
    for operation in ("ListServices", "ListTasks"):
        assert len([call for call in calls if call.operation == operation]) == 2
    described = [len(call.request["services"]) for call in calls if call.operation == "DescribeServices"]
    assert described == [10] * 10 + [1] + [1]
    # 110 shards' tasks, and the one that the service wants.
    assert [len(call.request["tasks"]) for call in calls if call.operation == "DescribeTasks"] == [100, 11]


def test_one_service_that_fails_does_not_keep_it_from_the_others(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        stack.lease(stack.service(name), "dead", 1, datetime.now(UTC) + timedelta(minutes=1))
    _later(monkeypatch, timedelta(minutes=10))
    stack.aws.add_fault({"match": {"operation": "UpdateService"}, "error": "AccessDeniedException", "times": 1})
    operator = EcsJanitorOperator(task_id="tidy", clusters=[CLUSTER], aws_conn_id=None)
    ti = TaskInstance()
    with pytest.raises(AirflowException, match=r"^UpdateService was denied for Service 'first'"):
        operator.execute({"ti": ti})
    services, _ = _outcome(ti.pushed["return_value"])
    assert [why_not[:24] for _, _, why_not in services.values()] == ["UpdateService was denied", ""]
    assert [desired for desired, _ in stack.counts("first", "second")] == [1, 0]


def test_a_cluster_that_does_not_exist_is_named(stack: Stack) -> None:
    with pytest.raises(AirflowException, match=r"^Cluster 'nowhere' does not exist in this account and region"):
        tidy(clusters=["nowhere"])


def test_the_dag_runs_it_every_ten_minutes_one_at_a_time_and_takes_dry_run_from_the_form() -> None:
    file = Path(__file__).resolve().parents[2] / "dags" / "ecs_feature_janitor.py"
    dag = runpy.run_path(str(file))["dag"]
    assert (dag.schedule, dag.catchup, dag.max_active_runs) == ("*/10 * * * *", False, 1)
    assert dag.params["dry_run"] is False
    (operator,) = dag.tasks
    operator.render_template_fields({"params": {"dry_run": True}})
    assert (operator.clusters, operator.dry_run) == (["${CLUSTER}"], "True")


def _outcome(report: dict[str, Any]) -> tuple[dict[str, tuple[int, int, str]], dict[str, str]]:
    (cluster,) = report["clusters"]
    assert all(row["done"] is (row["why_not"] == "") for row in (*cluster["services"], *cluster["tasks"]))
    return (
        {row["name"]: (row["before"], row["after"], row["why_not"]) for row in cluster["services"]},
        {row["arn"]: row["why_not"] for row in cluster["tasks"]},
    )


def _seen(report: dict[str, Any]) -> dict[str, tuple[int, list[str]]]:
    """The services that runs have leased, as the janitor leaves them: desired count and holders."""
    rows = newest([report])
    return {row["name"]: (row["desired"], [each["holder"] for each in row["holders"]]) for row in rows}


def _later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """The janitor's clock goes ahead; nobody waits."""

    def services(ecs: Any, cluster: str, **more: Any) -> EcsServices:
        return EcsServices(ecs, cluster, now=lambda: datetime.now(UTC) + by, **more)

    monkeypatch.setattr(module, "EcsServices", services)
