"""The fleet on a local Fargate with Fargate's quotas: calls, not mocks."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from loop_watch import watched_loop
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from ecs_feature.exceptions import AwsError, ClusterNotFoundError, ConfigurationError
from ecs_feature.fleet.fleet import Fleet, FleetKey
from ecs_feature.fleet.registry import joined
from ecs_feature.tasks.launch import Launch, Network, client_token, started_by
from fargate_local import LocalFargate

CLUSTER = "features"
GROUP = "/ecs/features"
KEY = FleetKey(aws_conn_id=None)


@pytest.fixture
def aws(simulated: LocalFargate) -> LocalFargate:
    return simulated


def launch(number: int, *, run: str = "run", seconds: float = 1, **environment: str) -> Launch:
    return Launch(
        CLUSTER,
        "job",
        "job",
        Network(("subnet-1",)),
        environment={"SIMULATED_SECONDS": str(seconds), **environment},
        started_by=f"flights/{run}",
        client_token=client_token(run, number),
    )


async def shard(fleet: Fleet, number: int, *, run: str = "run", poll_seconds: float = 1, **given: Any) -> Any:
    """One launch, to its end."""
    task = await fleet.launch(launch(number, run=run, **given), share=run)
    return await fleet.ended(CLUSTER, task, poll_seconds=poll_seconds)


def calls(aws: LocalFargate) -> Counter[str]:
    return Counter(call.operation for call in aws.calls())


async def test_200_shards_cost_200_run_tasks_and_few_describes(aws: LocalFargate) -> None:
    began = time.monotonic()
    async with watched_loop() as watch, joined(KEY) as fleet:
        ended = await asyncio.gather(*(shard(fleet, number) for number in range(200)))
        took = time.monotonic() - began
        tails = await asyncio.gather(*(fleet.log_tail(task, "job", 20) for task in ended))
    assert Counter(task.containers[0].exit_code for task in ended) == {0: 200}
    assert len({task.arn for task in ended}) == 200
    made = calls(aws)
    assert Counter(call.status for call in aws.calls("RunTask"))[200] == 200
    # Where the machine stands still for a moment, late calls reach AWS's bucket with those after them.
    assert made["RunTask"] <= 220
    assert made["DescribeTasks"] <= 1.5 * took / 1
    assert made["DescribeTaskDefinition"] == 1
    assert all(tail.lines for tail in tails)
    assert made["GetLogEvents"] == 0
    assert made["FilterLogEvents"] <= 6
    assert watch.blocked_seconds < 1.0


async def test_two_fleets_under_one_quota_launch_everything_once(aws: LocalFargate) -> None:
    fleets = [Fleet(KEY), Fleet(KEY)]
    try:
        for fleet in fleets:
            await fleet.opened()
        ended = await asyncio.gather(
            *(shard(fleet, n, run=f"run{which}") for which, fleet in enumerate(fleets) for n in range(60))
        )
    finally:
        for fleet in fleets:
            await fleet.close()
    assert Counter(task.containers[0].exit_code for task in ended) == {0: 120}
    assert len({task.arn for task in ended}) == 120


async def test_a_throttled_and_faulty_minute_is_waited_for(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"operation": "RunTask"}, "error": "ThrottlingException", "times": 5})
    aws.add_fault({"match": {"operation": "RunTask"}, "drop_answer": True, "times": 2})
    aws.add_fault({"match": {"operation": "DescribeTasks"}, "error": "ThrottlingException", "times": 3})
    async with joined(KEY) as fleet:
        ended = await asyncio.gather(*(shard(fleet, number) for number in range(10)))
        assert fleet._queue.rate("FARGATE") < 20
    assert Counter(task.containers[0].exit_code for task in ended) == {0: 10}
    arns = aws.client("ecs").list_tasks(cluster=CLUSTER, desiredStatus="STOPPED")["taskArns"]
    assert len(arns) == 10


async def test_a_task_that_does_not_start_comes_back_and_is_stopped(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"family": "job"}, "stuck": "PENDING"})
    async with joined(KEY) as fleet:
        task = await fleet.launch(launch(1))
        late = await fleet.ended(CLUSTER, task, poll_seconds=0.2, start_seconds=2)
        assert late is not None
        assert late.last_status == "PENDING"
        await fleet.stop(CLUSTER, task.arn, "late")
        stopped = await fleet.ended(CLUSTER, task, poll_seconds=0.2)
    assert stopped is not None
    assert stopped.stopped


async def test_the_tasks_of_one_try_are_found_running_and_stopped(aws: LocalFargate) -> None:
    async with joined(KEY) as fleet:
        first = await fleet.launch(launch(1, run="a"))
        await fleet.ended(CLUSTER, first, poll_seconds=0.2)
        second = await fleet.launch(launch(2, run="a", seconds=60))
        await fleet.launch(launch(3, run="b", seconds=60))
        found = await fleet.tasks_started_by(CLUSTER, "ecs-feature/flights/a")
    assert [task.arn for task in found] == [second.arn, first.arn]
    assert [task.stopped for task in found] == [False, True]


async def test_an_object_is_there_or_not(aws: LocalFargate) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="results")
    s3.put_object(Bucket="results", Key="day/AA.json", Body=b"{}")
    async with joined(KEY) as fleet:
        assert await fleet.object_exists("s3://results/day/AA.json")
        assert not await fleet.object_exists("s3://results/day/UA.json")
        assert not await fleet.object_exists("s3://nowhere/day/UA.json")


async def test_a_failed_shards_log_is_read_by_itself_and_others_together(aws: LocalFargate) -> None:
    async with joined(KEY) as fleet:
        ended = await asyncio.gather(*(shard(fleet, n, SIMULATED_EXIT_CODE="1") for n in range(3)))
        exact = await fleet.log_tail(ended[0], "job", 1, failed=True)
        together = await asyncio.gather(*(fleet.log_tail(task, "job", 20) for task in ended[1:]))
        unknown = await fleet.log_tail(ended[0], "no such container", 20)
    assert len(exact.lines) == 1
    assert all(tail.lines[-1].text == exact.lines[0].text for tail in together)
    assert unknown.missing == "container no such container is not in the task definition, so there are no lines here"
    made = calls(aws)
    assert (made["GetLogEvents"], made["FilterLogEvents"]) == (1, 1)


async def test_a_task_without_a_readable_log_group_has_no_lines(aws: LocalFargate) -> None:
    async with joined(KEY) as fleet:
        task = await shard(fleet, 1)
        aws.client("logs").delete_log_group(logGroupName=GROUP)
        for failed in (False, True):
            tail = await fleet.log_tail(task, "job", 5, failed=failed)
            assert tail.missing == f"its log group {GROUP} does not exist, so there are no lines here"


async def test_a_cap_in_vcpus_holds(aws: LocalFargate) -> None:
    running, most = 0, 0

    async def one(fleet: Fleet, number: int) -> None:
        nonlocal running, most
        async with fleet.slot("g", None, vcpus=0.25, max_vcpus=1.0):
            running += 1
            most = max(most, running)
            await shard(fleet, number, poll_seconds=0.2)
            running -= 1

    async with joined(KEY) as fleet:
        await asyncio.gather(*(one(fleet, number) for number in range(9)))
    assert most == 4


async def test_the_last_that_leaves_closes_the_fleet_and_nothing_is_left(aws: LocalFargate) -> None:
    async with joined(KEY) as one, joined(KEY) as two:
        assert one is two
        waiting = asyncio.create_task(shard(one, 1, seconds=60))
        while not calls(aws)["DescribeTasks"]:  # noqa: ASYNC110 (the server counts; it has no event to wait for)
            await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with joined(KEY) as three:
        assert three is not one
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []


async def test_a_fleet_waits_for_the_next_shards_and_asks_anew_for_what_may_have_changed(aws: LocalFargate) -> None:
    fleets, queues = [], []
    for _ in range(2):
        async with joined(KEY, idle_seconds=60) as fleet:
            fleets.append(fleet)
            queues.append(fleet._queue)
            for _ in range(2):
                async with fleet.slot("g", None, vcpus=0.25):
                    await shard(fleet, len(fleets), seconds=0.1, poll_seconds=0.1)
                await fleet.default_strategy(CLUSTER)
                await fleet.task_definition("job")
    assert fleets[0] is fleets[1]
    assert queues[0] is not queues[1]  # what it has learned of the launch rate
    made = calls(aws)
    assert made["DescribeClusters"] == 4  # for each: the vCPUs in use, the default strategy
    assert made["GetServiceQuota"] == 2
    assert made["DescribeTaskDefinition"] == 1


async def test_a_role_is_assumed_once_for_all_clients(aws: LocalFargate, monkeypatch: pytest.MonkeyPatch) -> None:
    role = {"conn_type": "aws", "extra": {"role_arn": "arn:aws:iam::123456789012:role/airflow"}}
    monkeypatch.setenv("AIRFLOW_CONN_FEATURES", json.dumps(role))
    sts = get_backend("sts")[DEFAULT_ACCOUNT_ID]["aws"]
    before = len(sts.assumed_roles)
    async with joined(FleetKey(aws_conn_id="features")) as fleet:
        async with fleet.slot("g", None, vcpus=0.25):
            await fleet.task_definition("job")
        assert not await fleet.object_exists("s3://features/nothing")
    assert len(sts.assumed_roles) == before + 1


async def test_a_role_that_cannot_be_assumed_at_first_is_waited_for(
    aws: LocalFargate, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = {"conn_type": "aws", "extra": {"role_arn": "arn:aws:iam::123456789012:role/airflow"}}
    monkeypatch.setenv("AIRFLOW_CONN_FEATURES", json.dumps(role))
    aws.add_fault({"match": {"service_api": "sts"}, "error": "ServiceUnavailable", "times": 6})
    async with joined(FleetKey(aws_conn_id="features")) as fleet:
        assert await fleet.task_definition("job")


async def test_without_a_region_the_fleet_says_so(aws: LocalFargate, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_FEATURES", json.dumps({"conn_type": "aws"}))
    with pytest.raises(ConfigurationError, match="No AWS region is given"):
        async with joined(FleetKey(aws_conn_id="features")):
            pass


async def test_a_task_that_an_earlier_triggerer_has_launched_for_a_shard_is_not_others(aws: LocalFargate) -> None:
    async with joined(KEY) as earlier:
        await earlier.launch(launch(1, seconds=60))
    left = []
    for who in ("flights/run", "flights/another"):
        async with joined(KEY) as fleet, fleet.slot("g", None, vcpus=0.25, started_by=started_by(who)):
            left.append(fleet._quota.left("FARGATE"))
            assert fleet.quota_vcpus("FARGATE") == 4000
    assert left[0] == left[1] + 0.25


@pytest.mark.parametrize(
    ("fault", "doubts"),
    [
        ({"error": "ThrottlingException"}, [True, False, True]),
        ({"drop_answer": True}, [True, True, True]),
        ({"error": "ServerException"}, [True, True, True]),
    ],
)
async def test_who_launches_knows_whether_there_may_be_a_task(
    aws: LocalFargate, fault: dict[str, Any], doubts: list[bool]
) -> None:
    aws.add_fault({"match": {"operation": "RunTask"}, **fault, "times": 1})
    told: list[bool] = []
    async with joined(KEY) as fleet:
        await fleet.launch(launch(1), in_doubt=told.append)
    assert told == doubts


async def test_who_is_refused_for_good_knows_that_there_is_no_task(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"operation": "RunTask"}, "error": "ClientException", "times": 1})
    told: list[bool] = []
    async with joined(KEY) as fleet:
        with pytest.raises(AwsError):
            await fleet.launch(launch(1), in_doubt=told.append)
    assert told == [True, False]


@pytest.mark.parametrize("denied", [False, True])
async def test_a_task_that_the_token_has_started_before_is_adopted_even_if_it_cannot_be_seen(
    aws: LocalFargate, denied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ECS_FEATURE__CREDENTIALS_TIMEOUT_SECONDS", "0")
    async with joined(KEY) as fleet:
        first = await fleet.launch(launch(1))
        if denied:
            aws.add_fault({"match": {"operation": "DescribeTasks"}, "error": "AccessDeniedException", "times": 2})
        second = await fleet.launch(replace(launch(1), started_by="flights/other"))
        assert (second.arn, second.created_at) == (first.arn, None if denied else first.created_at)
        ended = await fleet.ended(CLUSTER, second, poll_seconds=0.2)
    assert ended is not None
    assert ended.stopped


async def test_a_thousand_stops_do_not_take_what_launches_need(aws: LocalFargate) -> None:
    async with joined(KEY) as fleet:
        began = time.monotonic()
        stops = (
            fleet.stop(CLUSTER, f"arn:aws:ecs:us-east-1:123456789012:task/{CLUSTER}/{n:032}", "x") for n in range(80)
        )
        await asyncio.gather(*stops)
    assert time.monotonic() - began >= 1.4  # 50 at once, then 20 a second
    assert {call.status for call in aws.calls("StopTask")} == {400}, "none was throttled; no such task"


async def test_a_fleet_that_nobody_joins_again_is_closed_after_a_while(aws: LocalFargate) -> None:
    async with joined(KEY, idle_seconds=0.1) as one:
        await shard(one, 1, seconds=0.1, poll_seconds=0.1)
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert others
    async with asyncio.timeout(10):
        await asyncio.gather(*others, return_exceptions=True)
    async with joined(KEY) as two:
        assert two is not one


async def test_a_fleet_without_what_it_can_do_without_waits_for_others(aws: LocalFargate) -> None:
    for operation in ("GetServiceQuota", "DescribeTaskDefinition", "DescribeClusters"):
        aws.add_fault({"match": {"operation": operation}, "error": "AccessDeniedException", "status": 400})
    async with joined(KEY, idle_seconds=60) as one, asyncio.timeout(10), one.slot("g", None, vcpus=0.25):
        assert await one.default_strategy(CLUSTER) is None
        with pytest.raises(AwsError):
            await one.task_definition("job")
    async with joined(KEY) as two:
        assert two is one


async def test_a_stop_in_a_cluster_that_does_not_exist_is_an_error_and_of_a_missing_task_it_is_none(
    aws: LocalFargate,
) -> None:
    async with joined(KEY) as fleet:
        arn = f"arn:aws:ecs:us-east-1:123456789012:task/{CLUSTER}/{7:032}"
        await fleet.stop(CLUSTER, arn, "x")
        with pytest.raises(ClusterNotFoundError):
            await fleet.stop("nothing", arn, "x")


async def test_a_fleet_that_aws_refused_something_does_not_wait_for_others(aws: LocalFargate) -> None:
    async with joined(KEY, idle_seconds=60) as one:
        with pytest.raises(AwsError):
            await one.running_tasks("nothing")
    async with joined(KEY) as two:
        assert two is not one


@pytest.mark.filterwarnings("error")
def test_the_end_of_the_event_loop_closes_a_fleet_that_waits(aws: LocalFargate) -> None:
    async def run() -> Fleet:
        async with joined(KEY, idle_seconds=60) as fleet:
            await shard(fleet, 1, seconds=0.1, poll_seconds=0.1)
        return fleet

    fleet = asyncio.run(run())
    gc.collect()
    assert not fleet._clients._clients._made


async def test_a_refused_launch_is_told_at_once(aws: LocalFargate) -> None:
    async with joined(KEY) as fleet:
        with pytest.raises(AwsError):
            await fleet.launch(launch(1, run="x").__class__(CLUSTER, "nothing", "job", Network(("subnet-1",))))
