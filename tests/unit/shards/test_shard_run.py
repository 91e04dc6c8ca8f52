"""A shard's try: who pays for which ending, against a fleet that plays a script."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from scripted_fleet import BATCH, LAUNCH, RUNNING, STARVED, Fleet, RefusedLaunch, shard_run, stopped

from ecs_feature.aws.resources import EcsContainer, EcsTask
from ecs_feature.exceptions import LaunchError
from ecs_feature.logs.cursor import LogLine
from ecs_feature.logs.tail import LastLines
from ecs_feature.tasks import outcomes
from ecs_feature.tasks.launch import client_token
from ecs_feature.tasks.outcomes import Kind
from ecs_feature.tasks.sizes import Size


async def test_a_success_is_one_launch_with_the_tries_token() -> None:
    fleet = Fleet(stopped(0))
    run = shard_run(fleet)
    assert (await run.run()).kind is Kind.SUCCEEDED
    assert fleet.tokens == [client_token("uuid", 0)]
    record = run.record(outcomes.Outcome(Kind.SUCCEEDED), {"result_uri": "s3://b/k"})
    assert record["result_uri"] == "s3://b/k"
    assert record["launches"][0]["vcpu_seconds"] == 60.0
    assert record["launches"][0]["gb_seconds"] == 120.0


async def test_an_application_failure_is_not_launched_again() -> None:
    fleet = Fleet(stopped(3))
    outcome = await shard_run(fleet).run()
    assert (outcome.kind, outcome.exit_code) == (Kind.APPLICATION_FAILURE, 3)
    assert len(fleet.tokens) == 1


@pytest.mark.parametrize(
    "ending",
    [
        stopped(143, "SpotInterruption"),
        stopped(None, "TaskFailedToStart", "Timeout waiting for network interface provisioning to complete."),
        stopped(None, "EssentialContainerExited", "Host EC2 (instance i-0a) terminated."),
        None,
    ],
    ids=["spot", "start failure", "host", "vanished"],
)
async def test_infrastructure_pays_with_a_new_launch_under_a_new_token(ending: Any) -> None:
    fleet = Fleet(ending, stopped(0))
    run = shard_run(fleet)
    assert (await run.run()).kind is Kind.SUCCEEDED
    assert fleet.tokens == [client_token("uuid", 0), client_token("uuid", 1)]
    assert len(run.launches) == 2


async def test_a_launch_that_started_nothing_keeps_its_token_so_that_it_never_makes_two_tasks() -> None:
    no_capacity = LaunchError("Capacity is unavailable at this time.")
    fleet = Fleet(no_capacity, no_capacity, stopped(143, "SpotInterruption"), no_capacity, stopped(0))
    run = shard_run(fleet)
    assert (await run.run()).kind is Kind.SUCCEEDED
    first, second = client_token("uuid", 0), client_token("uuid", 1)
    assert fleet.tokens == [first, first, first, second, second]


async def test_capacity_is_waited_for_beyond_the_relaunches_until_its_time_is_over() -> None:
    fleet = Fleet(*[LaunchError("Capacity is unavailable at this time.")] * 3, stopped(0))
    run = shard_run(fleet, max_relaunches=0)
    assert (await run.run()).kind is Kind.SUCCEEDED
    fleet = Fleet(LaunchError("Capacity is unavailable at this time."))
    assert (await shard_run(fleet, capacity_seconds=0).run()).kind is Kind.CAPACITY_UNAVAILABLE


async def test_relaunches_end_and_the_last_outcome_stands() -> None:
    fleet = Fleet(*[stopped(143, "SpotInterruption")] * 3)
    run = shard_run(fleet, max_relaunches=2)
    assert (await run.run()).kind is Kind.SPOT_INTERRUPTION
    assert [record.outcome for record in run.launches] == ["spot_interruption"] * 3
    assert len(run.pauses) == 2  # type: ignore[attr-defined]


async def test_after_the_interruptions_that_are_borne_the_shard_runs_on_demand() -> None:
    fleet = Fleet(*[stopped(143, "SpotInterruption")] * 2, stopped(0))
    await shard_run(fleet, launch=replace(LAUNCH, capacity="spot"), fallback_interruptions=2).run()
    assert [launch.capacity for launch in fleet.launched] == ["spot", "spot", "on_demand"]


async def test_out_of_memory_is_launched_again_in_the_next_size_and_a_later_relaunch_keeps_it() -> None:
    fleet = Fleet(STARVED, stopped(143, "SpotInterruption"), stopped(0))
    run = shard_run(fleet)
    assert (await run.run()).kind is Kind.SUCCEEDED
    assert [launch.size for launch in fleet.launched] == [Size(), Size(512, 2048), Size(512, 2048)]
    assert [record.outcome for record in run.launches] == ["out_of_memory", "spot_interruption", "succeeded"]


@pytest.mark.parametrize(
    ("endings", "given", "followed"),
    [
        ([stopped(0)], {}, []),
        ([stopped(3)], {}, []),
        ([stopped(143, "SpotInterruption"), stopped(0)], {}, []),
        ([STARVED, stopped(0)], {}, [2]),
        ([stopped(0)], {"try_number": 2}, [1]),
        ([stopped(0)], {"try_number": 2, "live_lines": "never"}, []),
        ([STARVED, stopped(0)], {"live_lines": "always"}, [1, 2]),
        ([stopped(0)], {"live": True, "live_lines": "never"}, [1]),
    ],
    ids=["first try", "failing", "spot", "memory", "second try", "never", "always", "asked for"],
)
async def test_whose_log_is_followed(endings: list[EcsTask], given: dict[str, Any], followed: list[int]) -> None:
    fleet = Fleet(*endings)
    await shard_run(fleet, **given).run()
    assert fleet.followed == fleet.left == [f"arn:aws:ecs:us-east-1:1:task/features/{number}" for number in followed]


LEFT_OUT = "... 7 lines left out; see the log link"


@pytest.mark.parametrize(
    ("exit_code", "given", "lines", "tails"),
    [
        (0, {}, ["first words", LEFT_OUT, "last words"], []),
        (3, {}, ["first words", LEFT_OUT, "last words", "Traceback"], [(20, True, False)]),
        (0, {"missed_newest": True}, ["first words", "last words", "Traceback"], [(20, False, False)]),
        (0, {"trouble": True}, ["first words"], []),
        (3, {"trouble": True}, ["first words", "last words", "Traceback"], [(20, True, True)]),
    ],
    ids=["all was shown", "failed: its end is read again", "too much", "not readable", "failed and not readable"],
)
async def test_no_line_of_a_followed_log_is_copied_twice(
    exit_code: int, given: dict[str, bool], lines: list[str], tails: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fleet = Fleet(stopped(exit_code))
    fleet.tail = LastLines((LogLine(0, "first words"), LogLine(1, "last words"), LogLine(2, "Traceback")))
    fleet.trouble, fleet.missed_newest = given.get("trouble", False), given.get("missed_newest", False)
    await shard_run(fleet, live=True).run()
    copied = [record.message for record in caplog.records if record.message.startswith("[features]")]
    assert copied == [f"[features] {line}" for line in lines]
    assert fleet.tails == tails


async def test_a_task_that_does_not_start_is_stopped_and_replaced() -> None:
    stuck = stopped(None, "UserInitiated", outcomes.STOP_REASON_STUCK)
    fleet = Fleet(replace(RUNNING, last_status="PENDING"), stuck, stopped(0))
    run = shard_run(fleet)
    assert (await run.run()).kind is Kind.SUCCEEDED
    assert fleet.stopped == [f"arn:aws:ecs:us-east-1:1:task/features/1 {outcomes.STOP_REASON_STUCK}"]
    assert [record.outcome for record in run.launches] == ["stuck", "succeeded"]


async def test_a_task_that_does_not_even_stop_is_replaced_all_the_same() -> None:
    fleet = Fleet(replace(RUNNING, last_status="PROVISIONING"), TimeoutError(), stopped(0))
    run = shard_run(fleet)
    assert (await run.run()).kind is Kind.SUCCEEDED
    assert [record.outcome for record in run.launches] == ["stuck", "succeeded"]


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        ({"skip_exit_codes": (3,)}, Kind.SKIPPED),
        ({"non_retryable_exit_codes": (3,)}, Kind.NOT_RETRYABLE),
        ({"non_retryable_exit_codes": (4,), "skip_exit_codes": (5,)}, Kind.APPLICATION_FAILURE),
    ],
)
async def test_exit_codes_mean_what_the_policy_says(policy: dict[str, Any], kind: Kind) -> None:
    assert (await shard_run(Fleet(stopped(3)), **policy).run()).kind is kind


async def test_a_launch_that_aws_refuses_is_an_outcome_with_its_record() -> None:
    run = shard_run(Fleet(RefusedLaunch("RunTask failed: no.", "InvalidParameterException", "RunTask")))
    outcome = await run.run()
    assert outcome.kind is Kind.REFUSED
    assert [record.outcome for record in run.launches] == ["refused"]


@pytest.mark.parametrize(("replayed", "least", "most"), [(False, 0.5, 1.0), (True, 0.0, 0.0)])
async def test_the_pause_is_whole_unless_an_earlier_triggerer_has_waited_already(
    replayed: bool, least: float, most: float
) -> None:
    fleet = Fleet(stopped(143, "SpotInterruption"), stopped(0))
    fleet.given_back = stopped(143, "SpotInterruption") if replayed else RUNNING
    run = shard_run(fleet)
    await run.run()
    (pause,) = run.pauses  # type: ignore[attr-defined]
    assert least <= pause <= most


RESULT = "s3://bucket/shard=UA/uuid.json"


async def test_the_result_file_decides_when_ecs_no_longer_shows_the_task() -> None:
    fleet = Fleet(None)
    fleet.objects.add(RESULT)
    assert (await shard_run(fleet, result_uri=RESULT).run()).kind is Kind.SUCCEEDED
    assert len(fleet.launched) == 1


OLD = datetime.now(UTC) - timedelta(hours=2)


async def test_over_an_hour_later_the_task_that_still_runs_is_found_again_and_none_is_launched() -> None:
    fleet = Fleet(stopped(0))
    fleet.found = [replace(stopped(143, "SpotInterruption"), arn="arn:old"), replace(RUNNING, arn="arn:live")]
    run = shard_run(fleet, since=OLD)
    assert (await run.run()).kind is Kind.SUCCEEDED
    assert fleet.launched == []
    assert fleet.looked_for == ["ecs-feature/d/uuid"]
    assert run.task is not None
    assert run.task.arn == "arn:live"


async def test_over_an_hour_later_a_new_launch_counts_the_ones_that_ecs_still_shows() -> None:
    fleet = Fleet(stopped(143, "SpotInterruption"), stopped(0))
    fleet.found = [replace(stopped(143, "SpotInterruption"), arn=f"arn:{n}") for n in range(2)]
    assert (await shard_run(fleet, since=OLD).run()).kind is Kind.SUCCEEDED
    assert fleet.tokens == [client_token("uuid", 2)]


@pytest.mark.parametrize(("has_result", "launches"), [(True, 0), (False, 1)])
async def test_over_an_hour_later_without_a_task_the_result_file_decides(has_result: bool, launches: int) -> None:
    fleet = Fleet(stopped(0))
    fleet.objects = {RESULT} if has_result else set()
    assert (await shard_run(fleet, since=OLD, result_uri=RESULT).run()).kind is Kind.SUCCEEDED
    assert len(fleet.launched) == launches


async def test_within_the_hour_the_token_finds_the_task_and_nothing_is_looked_for() -> None:
    fleet = Fleet(stopped(0))
    await shard_run(fleet, since=datetime.now(UTC) - timedelta(minutes=49)).run()
    assert fleet.looked_for == []


@pytest.mark.parametrize(
    ("definition", "vcpus"),
    [
        ({"containerDefinitions": [{"cpu": 256}, {"cpu": 512}, {}]}, 0.75),
        ({"cpu": "1024", "containerDefinitions": [{"cpu": 256}]}, 1.0),
        ({}, 0.0),
    ],
    ids=["the containers'", "the task's own", "not known"],
)
async def test_a_task_without_a_size_of_its_own_takes_what_its_containers_do(
    definition: dict[str, Any], vcpus: float
) -> None:
    fleet = Fleet(stopped(0))
    fleet.definition = definition
    await shard_run(fleet, launch=replace(LAUNCH, capacity="ec2")).run()
    assert fleet.slots == [{"vcpus": vcpus, "max_vcpus": None, "capacity": "", "started_by": "ecs-feature/d/uuid"}]


@pytest.mark.parametrize(
    ("default", "bucket", "has_network"), [(None, "FARGATE", True), ((), "", False), (BATCH, "", False)]
)
async def test_the_clusters_default_decides_on_the_quota_and_with_the_definition_on_the_network(
    default: Any, bucket: str, has_network: bool
) -> None:
    fleet = Fleet(stopped(0))
    fleet.default, fleet.definition = default, {"cpu": "512", "networkMode": "bridge"}
    await shard_run(fleet, launch=replace(LAUNCH, capacity="cluster_default")).run()
    assert fleet.slots[0]["capacity"] == fleet.launched[0].bucket == bucket
    assert (fleet.launched[0].network is not None) is has_network


async def test_the_record_of_a_task_without_a_size_has_the_memory_of_its_containers() -> None:
    containers = (EcsContainer("features", "STOPPED", 0, memory_mib=300),)
    run = shard_run(Fleet(replace(stopped(0), launch_type="EC2", memory_mib=0, containers=containers)))
    await run.run()
    assert run.launches[0].memory_mib == 300


async def test_a_shard_takes_its_vcpus_of_the_quota() -> None:
    fleet = Fleet(stopped(0))
    await shard_run(fleet, max_vcpus=8.0).run()
    assert fleet.slots == [{"vcpus": 0.5, "max_vcpus": 8.0, "capacity": "FARGATE", "started_by": "ecs-feature/d/uuid"}]


async def test_a_permanent_fault_is_not_launched_again() -> None:
    fleet = Fleet(stopped(None, "TaskFailedToStart", "CannotPullContainerError: repository does not exist"))
    assert (await shard_run(fleet).run()).kind is Kind.START_FAILED_PERMANENT
    assert len(fleet.tokens) == 1


async def test_a_shard_past_its_timeout_is_stopped_and_says_so() -> None:
    fleet = Fleet(TimeoutError(), stopped(143, "UserInitiated", outcomes.STOP_REASON_TIMEOUT))
    outcome = await shard_run(fleet, timeout_seconds=1000).run()
    assert outcome.kind is Kind.TIMED_OUT
    assert fleet.stopped == [f"arn:aws:ecs:us-east-1:1:task/features/1 {outcomes.STOP_REASON_TIMEOUT}"]


async def test_a_kill_stops_the_task_of_this_try() -> None:
    fleet = Fleet()
    run = shard_run(fleet)
    run.task = replace(RUNNING, arn="arn:aws:ecs:us-east-1:1:task/features/1")
    await run.kill()
    assert fleet.stopped == [f"arn:aws:ecs:us-east-1:1:task/features/1 {outcomes.STOP_REASON_KILLED}"]


async def test_a_kill_after_the_end_stops_nothing() -> None:
    fleet = Fleet(stopped(0))
    run = shard_run(fleet)
    await run.run()
    await run.kill()
    assert fleet.stopped == []


async def test_a_kill_before_any_launch_stops_nothing() -> None:
    fleet = Fleet()
    await shard_run(fleet).kill()
    assert fleet.tokens == fleet.stopped == []


async def test_a_kill_before_a_launch_is_repeated_stops_the_task_of_an_earlier_triggerer() -> None:
    fleet = Fleet()
    fleet.found = [replace(RUNNING, arn="arn:aws:ecs:us-east-1:1:task/features/7")]
    await shard_run(fleet).kill()
    assert fleet.tokens == []
    assert fleet.looked_for == ["ecs-feature/d/uuid"]
    assert fleet.stopped == [f"arn:aws:ecs:us-east-1:1:task/features/7 {outcomes.STOP_REASON_KILLED}"]


async def test_a_kill_between_replayed_launches_stops_the_one_that_still_runs() -> None:
    fleet = Fleet(stopped(None, "SpotInterruption"), stopped(0))
    fleet.given_back = stopped(None, "SpotInterruption")
    run = shard_run(fleet)
    pause = asyncio.Event()
    run.sleep = lambda seconds: pause.set() or asyncio.sleep(60)  # type: ignore[func-returns-value]
    running = asyncio.create_task(run.run())
    await pause.wait()
    running.cancel()
    fleet.found = [replace(RUNNING, arn="arn:aws:ecs:us-east-1:1:task/features/7")]
    await run.kill()
    assert fleet.stopped == [f"arn:aws:ecs:us-east-1:1:task/features/7 {outcomes.STOP_REASON_KILLED}"]


async def test_a_kill_leaves_a_task_that_another_triggerer_has_launched_since() -> None:
    fleet = Fleet()
    run = shard_run(fleet)
    younger = run.born + timedelta(seconds=1)
    fleet.found = [replace(RUNNING, arn="arn:aws:ecs:us-east-1:1:task/features/7", created_at=younger)]
    await run.kill()
    assert fleet.stopped == []


async def test_a_shard_that_a_triggerer_stopped_after_it_had_lost_it_is_launched_again() -> None:
    fleet = Fleet(stopped(None, "UserInitiated", outcomes.STOP_REASON_KILLED), stopped(0))
    assert (await shard_run(fleet).run()).kind is Kind.SUCCEEDED
    assert len(set(fleet.tokens)) == 2


async def test_a_container_that_is_not_essential_does_not_decide() -> None:
    probe = EcsContainer("probe", "STOPPED", 1)
    ended = stopped(137)
    fleet = Fleet(replace(ended, containers=(*ended.containers, probe)))
    containers = [{"name": "features"}, {"name": "probe", "essential": False}]
    fleet.definition = {"cpu": "512", "containerDefinitions": containers}
    assert (await shard_run(fleet, non_retryable_exit_codes=(137,)).run()).kind is Kind.NOT_RETRYABLE


async def test_a_kill_while_the_launch_waits_for_its_turn_launches_nothing() -> None:
    fleet = Fleet()
    run = shard_run(fleet)
    run.current = replace(LAUNCH, client_token=client_token("uuid", 0))
    await run.kill()
    assert fleet.tokens == fleet.stopped == []


async def test_a_kill_between_run_task_and_its_answer_finds_the_task_by_its_token() -> None:
    fleet = Fleet(stopped(0))
    run = shard_run(fleet)
    run.current, run.in_doubt = replace(LAUNCH, client_token=client_token("uuid", 0)), True
    await run.kill()
    assert fleet.tokens == [client_token("uuid", 0)]
    assert fleet.stopped == [f"arn:aws:ecs:us-east-1:1:task/features/1 {outcomes.STOP_REASON_KILLED}"]
