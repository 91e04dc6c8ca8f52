"""One DescribeTasks call serves 100 shards; a missing task is waited for."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from watched_ecs import START, Ecs, task

from ecs_feature.aws import limits
from ecs_feature.exceptions import ThrottledError
from ecs_feature.fleet.watcher import MAX_POLL_SECONDS


async def test_250_tasks_cost_three_calls_a_poll() -> None:
    ecs = Ecs()
    ecs.stopped_at = {f"arn:{i}": 6.0 for i in range(250)}
    watcher = ecs.watcher()
    ended = await asyncio.gather(*(watcher.ended("c", task(arn), poll_seconds=3) for arn in ecs.stopped_at))
    assert [task.arn for task in ended if task] == list(ecs.stopped_at)
    assert ecs.calls == [("c", 100), ("c", 100), ("c", 50)] * 2


@pytest.mark.parametrize(("tasks", "polls"), [(100, 20), (101, 10)])
async def test_more_tasks_than_one_call_takes_are_asked_for_once_a_second(tasks: int, polls: int) -> None:
    ecs = Ecs()
    names = [f"arn:{number}" for number in range(tasks)]
    ecs.stopped_at = dict.fromkeys(names, 9.9)
    watcher = ecs.watcher()
    await asyncio.gather(*(watcher.ended("c", task(name), poll_seconds=0.5) for name in names))
    assert len(set(ecs.asked)) == polls


async def test_a_task_that_ecs_does_not_show_yet_is_waited_for() -> None:
    ecs = Ecs()
    ecs.missing_until, ecs.stopped_at = {"arn:0": 100.0}, {"arn:0": 200.0}
    ended = await ecs.watcher().ended("c", task("arn:0"), poll_seconds=10)
    assert ended is not None
    assert ended.stopped
    assert ecs.now == 200


async def test_a_task_that_stays_missing_is_given_up_after_the_grace() -> None:
    ecs = Ecs()
    ecs.missing_until = {"arn:0": 9e9}
    assert await ecs.watcher(missing_seconds=60).ended("c", task("arn:0"), poll_seconds=10) is None
    assert ecs.now == 70


async def test_each_task_is_asked_for_at_its_own_pace() -> None:
    ecs = Ecs()
    ecs.stopped_at = {"arn:0": 4.0, "arn:1": 4.0}
    watcher = ecs.watcher()
    await asyncio.gather(
        watcher.ended("c", task("arn:0"), poll_seconds=60), watcher.ended("c", task("arn:1"), poll_seconds=2)
    )
    assert ecs.asked[:2] == [2, 4]
    assert ecs.asked[2:] == [pytest.approx(60, abs=2.5)]


async def test_an_old_task_is_asked_for_seldom() -> None:
    """Within 5 % of its age, but at least every 30 s."""
    ecs = Ecs()
    ecs.stopped_at = {"arn:0": 3600.0}
    ended = await ecs.watcher().ended("c", task("arn:0", created_at=START - timedelta(seconds=200)), poll_seconds=3)
    assert ended is not None
    assert 3600 <= ecs.now <= 3600 + MAX_POLL_SECONDS
    intervals = [after - before for before, after in itertools.pairwise(ecs.asked)]
    assert intervals[0] == pytest.approx(0.05 * 200, abs=3)
    assert max(intervals) == pytest.approx(MAX_POLL_SECONDS, abs=3)
    assert len(ecs.calls) < 150


async def test_batches_are_filled_with_those_that_are_due_next() -> None:
    """1,000 tasks that began one after the other: at most 1.5 calls for 100 of them a poll."""
    ecs = Ecs()
    watcher, waits = ecs.watcher(), []
    for number in range(1000):
        arn = f"arn:{number}"
        ecs.stopped_at[arn] = number / 20 + 40
        waits.append(asyncio.create_task(watcher.ended("c", task(arn), poll_seconds=3)))
        if number % 60 == 59:
            until = ecs.now + 3
            while ecs.now < until:  # noqa: ASYNC110 (the fake's time has no event to wait for)
                await asyncio.sleep(0)
    await asyncio.gather(*waits)
    task_polls = sum(asked for _, asked in ecs.calls)
    assert len(ecs.calls) <= 1.5 * task_polls / 100


async def test_ten_thousand_tasks_keep_to_half_of_the_describe_bucket() -> None:
    ecs = Ecs()
    ecs.stopped_at = {f"arn:{number}": 100.0 for number in range(10_000)}
    watcher = ecs.watcher()
    await asyncio.gather(*(watcher.ended("c", task(arn), poll_seconds=1) for arn in ecs.stopped_at))
    burst, refill = limits.TASK_READ_CALLS
    assert len(ecs.calls) <= burst / 4 + refill / 2 * ecs.now + 1
    assert ecs.now <= 100 + 11  # all of them once more


async def test_a_throttled_poll_is_repeated_and_the_rate_goes_down() -> None:
    ecs = Ecs()
    ecs.stopped_at = {f"arn:{number}": 5.0 for number in range(2000)}
    ecs.refuse = ThrottledError("DescribeTasks was throttled.")
    watcher = ecs.watcher()
    waits = [asyncio.create_task(watcher.ended("c", task(arn), poll_seconds=1)) for arn in ecs.stopped_at]
    while ecs.now < 60:  # noqa: ASYNC110 (the fake's time has no event to wait for)
        await asyncio.sleep(0)
    asked = len(ecs.calls)
    assert asked < 150
    ecs.refuse = None
    ended = await asyncio.gather(*waits)
    assert all(task is not None and task.stopped for task in ended)


async def test_a_call_that_hangs_does_not_keep_others_from_being_asked() -> None:
    ecs = Ecs()
    ecs.hang = "arn:stuck"
    ecs.stopped_at = {"arn:0": 20.0}
    watcher = ecs.watcher()
    stuck = asyncio.create_task(watcher.ended("a", task("arn:stuck"), poll_seconds=1))
    assert await watcher.ended("b", task("arn:0"), poll_seconds=1)
    assert ecs.asked[-1] == 20
    assert [call for call in ecs.calls if call[0] == "a"] == [("a", 1)]
    stuck.cancel()
    await watcher.close()


async def test_a_task_that_does_not_start_in_time_comes_back_as_it_is() -> None:
    ecs = Ecs()
    ecs.status["arn:0"] = "PENDING"
    pending = task("arn:0", last_status="PROVISIONING", created_at=START - timedelta(seconds=60))
    ended = await ecs.watcher().ended("c", pending, poll_seconds=3, start_seconds=300)
    assert ended is not None
    assert ended.last_status == "PENDING"
    assert 240 <= ecs.now <= 243


@pytest.mark.parametrize(
    "shown",
    [
        {"last_status": "RUNNING", "started_at": datetime(2026, 11, 21, tzinfo=UTC)},
        {"last_status": "DEPROVISIONING"},
        {"last_status": "PENDING", "desired_status": "STOPPED"},
    ],
    ids=["it runs", "it ends", "it is to end"],
)
async def test_only_a_task_on_its_way_to_running_can_be_late(shown: dict[str, Any]) -> None:
    ecs = Ecs()
    ecs.stopped_at = {"arn:0": 900.0}
    ecs.shown = shown
    ended = await ecs.watcher().ended("c", task("arn:0"), poll_seconds=3, start_seconds=10)
    assert ended is not None
    assert ended.stopped


async def test_a_task_that_is_heard_to_have_stopped_ends_at_once() -> None:
    ecs = Ecs()
    watcher = ecs.watcher()
    waiting = asyncio.create_task(watcher.ended("c", task("arn:0"), poll_seconds=3))
    await asyncio.sleep(0)
    stopped = task("arn:0", last_status="STOPPED")
    assert watcher.report_stopped(stopped)
    assert await waiting is stopped
    assert not watcher.report_stopped(stopped)


async def test_a_cancelled_wait_is_no_longer_asked_for() -> None:
    ecs = Ecs()
    ecs.stopped_at = {"arn:1": 50.0}
    watcher = ecs.watcher()
    first = asyncio.create_task(watcher.ended("c", task("arn:0"), poll_seconds=1))
    second = asyncio.create_task(watcher.ended("c", task("arn:1"), poll_seconds=1))
    while not ecs.calls:  # noqa: ASYNC110 (the fake counts; it has no event to wait for)
        await asyncio.sleep(0)
    first.cancel()
    await second
    assert ecs.calls[0] == ("c", 2)
    assert ecs.calls[-1] == ("c", 1)
