"""RunTask calls in turns: fair between runs, at the quota, cancelled ones leave."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from ecs_feature.exceptions import AwsError, ThrottledError
from ecs_feature.fleet.launch_queue import FairQueue, LaunchPlan, LaunchQueue, Ticket
from fargate_local.quotas import Quotas


def ticket(share: str = "", capacity: str = "FARGATE") -> Ticket:
    return Ticket(capacity, share, asyncio.get_running_loop().create_future())


async def test_shares_take_turns_and_each_is_first_in_first_out() -> None:
    line = FairQueue()
    made = {name: ticket(name[0]) for name in ("a1", "a2", "a3", "b1", "c1", "b2")}
    for one in made.values():
        line.add(one)
    names = {one: name for name, one in made.items()}
    assert [names[line.next()] for _ in range(len(line))] == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert len(line) == 0


async def test_who_leaves_is_not_called() -> None:
    line = FairQueue()
    first, second = ticket("a"), ticket("a")
    line.add(first)
    line.add(second)
    line.remove(first)
    line.remove(first)
    assert line.next() is second


async def test_spot_and_on_demand_have_a_pace_each() -> None:
    plan = LaunchPlan(0.0)
    for _ in range(3):
        plan.throttled("FARGATE_SPOT", 1.0)
    assert plan.rate("FARGATE_SPOT") == 16
    assert plan.rate("FARGATE") == 20
    plan.add(slow := ticket("a", "FARGATE_SPOT"))
    plan.add(fast := ticket("a", "FARGATE"))
    assert plan.next(1.0) is fast
    wait = plan.next(1.0)
    assert wait == pytest.approx(1 / 16)
    assert plan.next(1.0 + 1 / 16) is slow
    assert plan.next(2.0) is None


class World:
    """An account with Fargate's published quotas, and time that passes only while somebody sleeps."""

    def __init__(self, *, rate: float | None = None, answer_seconds: float = 0.0) -> None:
        self.now = 0.0
        self.quotas = Quotas(lambda: self.now)
        if rate is not None:
            self.quotas._run_task_on_fargate = type(self.quotas._run_task_on_fargate)(rate, rate, lambda: self.now)
        self.answer_seconds = answer_seconds
        self.launched: list[tuple[str, float]] = []
        self.refused = 0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        self._sleepers.append((self.now + seconds, len(self._sleepers), event))
        await event.wait()

    async def pass_time(self, done: asyncio.Future[Any]) -> None:
        """Wake the sleepers, one after the other, until ``done``."""
        while not done.done():
            for _ in range(10):
                await asyncio.sleep(0)
            if self._sleepers:
                self._sleepers.sort(key=lambda sleeper: sleeper[:2])
                at, _, event = self._sleepers.pop(0)
                self.now = max(self.now, at)
                event.set()

    def run_task(self, name: str, capacity: str = "FARGATE") -> Any:
        async def call() -> str:
            try:
                self.quotas.take_call("RunTask")
                self.quotas.take_run_task(capacity, 1)
            except Exception as error:
                self.refused += 1
                raise ThrottledError("Rate exceeded") from error
            self.launched.append((name, self.now))
            if self.answer_seconds:
                await self.sleep(self.answer_seconds)
            return name

        return call

    def queue(self, **options: Any) -> LaunchQueue:
        return LaunchQueue(clock=lambda: self.now, sleep=self.sleep, **options)


async def gathered(world: World, *calls: Any) -> list[Any]:
    done = asyncio.gather(*calls)
    await world.pass_time(done)
    return await done


async def test_a_thousand_launches_take_the_time_of_the_quota_and_none_is_refused() -> None:
    world = World()
    queue = world.queue()
    await gathered(world, *(queue.run("FARGATE", "run", world.run_task(str(n))) for n in range(1000)))
    assert world.refused == 0
    assert [name for name, _ in world.launched] == [str(n) for n in range(1000)]
    assert world.now == pytest.approx((1000 - 15) / 20, abs=0.5)


async def test_answers_that_take_a_second_do_not_slow_the_launches() -> None:
    world = World(answer_seconds=1.0)
    queue = world.queue()
    await gathered(world, *(queue.run("FARGATE", "run", world.run_task(str(n))) for n in range(200)))
    assert world.launched[-1][1] == pytest.approx((200 - 15) / 20, abs=0.5)


async def test_no_more_calls_are_under_way_than_allowed() -> None:
    world = World(answer_seconds=10.0)
    queue = world.queue(max_in_flight=5)
    await gathered(world, *(queue.run("FARGATE", "run", world.run_task(str(n))) for n in range(15)))
    assert [round(at) for _, at in world.launched] == [0] * 5 + [10] * 5 + [20] * 5


async def test_a_run_that_comes_late_gets_its_share_at_once() -> None:
    world = World()
    queue = world.queue()
    await gathered(
        world,
        *(queue.run("FARGATE", "early", world.run_task("early")) for _ in range(300)),
        *(queue.run("FARGATE", "late", world.run_task("late")) for _ in range(100)),
    )
    assert Counter(name for name, _ in world.launched[:200]) == {"early": 100, "late": 100}


async def test_a_lower_quota_is_found_and_everything_is_launched() -> None:
    world = World(rate=5)
    queue = world.queue()
    launched = await gathered(world, *(queue.run("FARGATE", "run", world.run_task(str(n))) for n in range(500)))
    assert len(launched) == len(world.launched) == 500
    assert world.now < 1.2 * 500 / 5
    assert 3 < queue.rate("FARGATE") < 8


async def test_two_triggerers_share_the_quota_without_talking() -> None:
    world = World()
    queues = [world.queue(rng=random.Random(seed)) for seed in range(2)]
    await gathered(
        world,
        *(queue.run("FARGATE", "run", world.run_task(str(n))) for n, queue in enumerate(queues) for _ in range(500)),
    )
    assert len(world.launched) == 1000
    assert world.now < 1.15 * 50
    half = Counter(name for name, _ in world.launched[:500])
    assert max(half.values()) <= 1.4 * min(half.values())


async def test_a_caller_that_is_cancelled_leaves_the_queue() -> None:
    world = World()
    queue = world.queue()
    waiting = [asyncio.create_task(queue.run("FARGATE", "run", world.run_task(str(n)))) for n in range(30)]
    await asyncio.sleep(0)
    for number in (0, 15, 20):
        waiting[number].cancel()
    done = asyncio.gather(*waiting, return_exceptions=True)
    await world.pass_time(done)
    cancelled = [n for n, answer in enumerate(await done) if isinstance(answer, asyncio.CancelledError)]
    assert cancelled == [0, 15, 20]
    assert len(world.launched) == 27
    assert queue._in_flight == 0
    assert queue._plan.waiting() == 0


async def test_another_error_reaches_its_own_caller_only() -> None:
    world = World()
    queue = world.queue()

    async def refused() -> str:
        raise AwsError("RunTask failed.", "InvalidParameterException", "RunTask")

    done = asyncio.gather(
        queue.run("FARGATE", "a", refused), queue.run("FARGATE", "b", world.run_task("b")), return_exceptions=True
    )
    await world.pass_time(done)
    error, answer = await done
    assert isinstance(error, AwsError)
    assert answer == "b"
    assert queue.rate("FARGATE") == 20


async def test_a_launch_that_is_refused_again_and_again_does_not_hold_up_its_run() -> None:
    queue, made = LaunchQueue(), []
    refusal = ThrottledError("RunTask was throttled.", "ThrottlingException", "RunTask")

    async def run_task(name: str) -> str:
        if name == "refused":
            raise refusal
        made.append(name)
        return name

    launches = [
        asyncio.create_task(queue.run("FARGATE", "run", lambda name=name: run_task(name)))
        for name in ("refused", "one", "two")
    ]
    await asyncio.gather(*launches[1:])
    assert made == ["one", "two"]
    launches[0].cancel()
    await queue.close()
