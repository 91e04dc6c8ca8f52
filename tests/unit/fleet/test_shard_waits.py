"""What a shard waits for now, and for how long it has waited for what."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from ecs_feature.fleet.launch_queue import LaunchQueue
from ecs_feature.fleet.slots import SlotRequest, Slots
from ecs_feature.fleet.waits import TROUBLE_SECONDS, ShardWaits, Wait, current
from tests.jumping_clock import now, on_the_clock

RATE, QUOTA = Wait("launch rate", "for its turn."), Wait("vCPU quota", "for a slot.")


@contextmanager
def serving(waits: ShardWaits) -> Any:
    token = current.set(waits)
    try:
        yield
    finally:
        current.reset(token)


def test_waits_are_added_up_by_what_they_are_for_and_short_ones_are_not_kept() -> None:
    async def main() -> None:
        waits = ShardWaits()
        assert waits.now() is None
        for wait, seconds in ((RATE, 3.0), (QUOTA, 50.0), (RATE, 0.9), (RATE, 4.0)):
            with waits.during(lambda wait=wait: wait):
                await asyncio.sleep(seconds)
                assert waits.now() == (wait, pytest.approx(seconds))
            assert waits.now() is None
        assert waits.taken() == {"launch rate": pytest.approx(7.0), "vCPU quota": pytest.approx(50.0)}
        assert waits.taken() == {}

    on_the_clock(main)


def test_a_wait_that_fails_is_kept_too_and_one_that_is_not_counted_is_not() -> None:
    async def main() -> None:
        waits = ShardWaits()
        with suppress(KeyError), waits.during(lambda: RATE):
            await asyncio.sleep(5)
            raise KeyError
        with waits.during(lambda: QUOTA, waited=100, counted=False):
            await asyncio.sleep(5)
            assert waits.now() == (QUOTA, pytest.approx(105))
        assert waits.taken() == {"launch rate": pytest.approx(5)}

    on_the_clock(main)


def test_an_inner_wait_hides_the_outer_one_while_it_lasts() -> None:
    async def main() -> None:
        waits = ShardWaits()
        with waits.during(lambda: QUOTA, counted=False):
            await asyncio.sleep(10)
            with waits.during(lambda: RATE, counted=False):
                assert waits.now() == (RATE, 0)
            assert waits.now() == (QUOTA, 10)

    on_the_clock(main)


def test_trouble_with_aws_is_what_it_waits_for_until_something_goes_on() -> None:
    async def main() -> None:
        waits = ShardWaits()
        tell: list[str] = []
        waits.telling(tell.append)("RunTask was denied.")
        await asyncio.sleep(60)
        waits.troubled("RunTask is denied still.")
        assert waits.now() == (Wait("AWS", "for AWS: RunTask is denied still."), 60)
        assert tell == ["RunTask was denied."]
        with suppress(OSError), waits.during(lambda: RATE):  # the call was tried again
            assert waits.now() == (Wait("AWS", "for AWS: RunTask is denied still."), 60)
            raise OSError("x")
        assert waits.now() is not None
        with waits.during(lambda: RATE):
            pass
        assert waits.now() is None
        waits.troubled("again")
        assert waits.now() == (Wait("AWS", "for AWS: again"), 0)
        waits.launched()
        assert waits.now() is None

    on_the_clock(main)


def test_trouble_that_is_told_no_more_is_over() -> None:
    async def main() -> None:
        waits = ShardWaits()
        waits.troubled("denied")
        await asyncio.sleep(TROUBLE_SECONDS - 1)
        assert waits.now() is not None
        await asyncio.sleep(2)
        assert waits.now() is None
        waits.troubled("denied again")
        assert waits.now() == (Wait("AWS", "for AWS: denied again"), 0)

    on_the_clock(main)


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        ({"parallelism": 1}, "parallelism"),
        ({"vcpus": 1.0, "max_vcpus": 1.0}, "max_vcpus"),
        ({"vcpus": 2.0}, "vCPU quota"),
    ],
)
def test_a_shard_that_waits_for_a_slot_knows_for_which_limit(limits: dict[str, Any], what: str) -> None:
    async def main() -> None:
        slots, first, second = Slots(lambda capacity: 2.0), ShardWaits(), ShardWaits()

        async def hold(waits: ShardWaits) -> None:
            with serving(waits):
                async with slots.held(SlotRequest("g", **limits), lambda _: None):
                    await asyncio.sleep(30)

        running = [asyncio.create_task(hold(waits)) for waits in (first, second)]
        await asyncio.sleep(20)
        assert first.now() is None
        found = second.now()
        assert found is not None
        assert (found[0].what, found[1]) == (what, pytest.approx(20))
        await asyncio.gather(*running)
        assert (first.taken(), second.taken()) == ({}, {what: pytest.approx(30)})

    on_the_clock(main)


def test_one_behind_others_of_its_group_waits_for_what_they_wait_for() -> None:
    async def main() -> None:
        slots, waits = Slots(), ShardWaits()

        async def hold(vcpus: float) -> None:
            async with slots.held(SlotRequest("g", None, vcpus, 2.0), lambda _: None):
                await asyncio.sleep(30)

        async def behind() -> None:
            with serving(waits):
                await hold(0.5)

        running = [asyncio.create_task(one) for one in (hold(1.0), hold(2.0), behind())]
        await asyncio.sleep(20)
        assert waits.now() == (Wait("max_vcpus", "for a slot: others of its group come first; 2 shards wait."), 20)
        await asyncio.gather(*running)

    on_the_clock(main)


def test_a_launch_that_waits_for_its_turn_knows_it() -> None:
    async def main() -> None:
        queue = LaunchQueue(clock=now)
        last = ShardWaits()

        async def launch() -> None:
            pass

        async def run(waits: ShardWaits) -> None:
            with serving(waits):
                await queue.run("FARGATE", "a", launch, lambda _: None)

        running = [asyncio.create_task(run(waits)) for waits in (*(ShardWaits() for _ in range(600)), last)]
        await asyncio.sleep(10)
        found = last.now()
        assert found is not None
        assert (found[0].what, found[1]) == ("launch rate", pytest.approx(10))
        await asyncio.gather(*running)
        assert last.taken() == {"launch rate": pytest.approx(30, abs=3)}
        await queue.close()

    on_the_clock(main)
