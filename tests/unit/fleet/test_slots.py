"""Places among what runs at once, in tasks and in vCPUs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from ecs_feature.fleet.slots import SlotRequest, Slots


class Holders:
    """Tasks that hold a place until they are told to end."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.running: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, request: SlotRequest) -> None:
        self._ends[name] = asyncio.Event()

        async def hold() -> None:
            async with self.slots.held(request):
                self.running.append(name)
                await self._ends[name].wait()
                self.running.remove(name)

        self.tasks[name] = asyncio.create_task(hold())
        await settle()

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("wanted", "fit"),
    [
        ({"parallelism": 2}, 2),
        ({"vcpus": 0.5, "max_vcpus": 1.5}, 3),
        ({"vcpus": 4, "max_vcpus": 1.5}, 1),
        ({"parallelism": 2, "vcpus": 0.25, "max_vcpus": 1.5}, 2),
        ({}, 4),
        ({"vcpus": 0.25}, 3),
    ],
    ids=["tasks", "vCPUs", "bigger than the cap goes alone", "the lower of both", "no cap", "the account's quota"],
)
async def test_as_many_run_as_the_caps_allow(wanted: dict[str, Any], fit: int) -> None:
    holders = Holders(Slots(lambda capacity: 0.75))
    for number in range(4):
        await holders.come(str(number), SlotRequest("g", **wanted))
    assert holders.running == [str(number) for number in range(fit)]
    await holders.end("0")
    assert len(holders.running) == min(fit, 3)
    await holders.end("1", "2", "3")


async def test_the_next_of_a_group_is_the_one_that_waited_longest_and_groups_take_turns() -> None:
    holders = Holders(Slots(lambda capacity: 1.0))
    for name in ("a1", "a2", "a3", "b1", "b2"):
        await holders.come(name, SlotRequest(name[0], vcpus=1.0))
    order = []
    for _ in range(5):
        order += holders.running
        await holders.end(*holders.running)
    assert order == ["a1", "a2", "b1", "a3", "b2"]


async def test_a_cancelled_wait_does_not_keep_the_place_of_others() -> None:
    holders = Holders(Slots())
    for name in ("1", "2", "3"):
        await holders.come(name, SlotRequest("g", parallelism=1))
    holders.tasks["2"].cancel()
    await settle()
    await holders.end("1")
    assert holders.running == ["3"]
    holders.tasks["3"].cancel()
    await settle()
    await holders.come("4", SlotRequest("g", parallelism=1))
    assert holders.slots.used("FARGATE") == 0
    assert holders.running[-1] == "4"
    await holders.end("4")


async def test_a_big_task_at_the_head_is_not_overtaken_for_ever() -> None:
    holders = Holders(Slots())
    await holders.come("small", SlotRequest("g", vcpus=1, max_vcpus=4))
    await holders.come("big", SlotRequest("g", vcpus=4, max_vcpus=4))
    await holders.come("small too", SlotRequest("g", vcpus=1, max_vcpus=4))
    assert holders.running == ["small"]
    await holders.end("small")
    assert holders.running == ["big"]
    await holders.end("big")
    assert holders.running == ["small too"]
    await holders.end("small too")


async def test_a_higher_quota_lets_the_waiting_in() -> None:
    quota = [1.0]
    slots = Slots(lambda capacity: quota[0])
    holders = Holders(slots)
    for name in ("1", "2", "3"):
        await holders.come(name, SlotRequest("g", vcpus=1.0))
    assert slots.waiting_for_quota("FARGATE")
    assert not slots.waiting_for_quota("FARGATE_SPOT")
    quota[0] = 3.0
    slots.admit()
    await settle()
    assert holders.running == ["1", "2", "3"]
    assert not slots.waiting_for_quota("FARGATE")
    await holders.end("1", "2", "3")
    assert slots.used("FARGATE") == 0


async def test_ten_thousand_waits_are_cancelled_in_no_time() -> None:
    slots = Slots()
    holders = [asyncio.create_task(_hold(slots)) for _ in range(10_000)]
    await settle()
    began = time.process_time()  # no clock: other processes may have the cores
    for task in holders:
        task.cancel()
    await asyncio.gather(*holders, return_exceptions=True)
    assert time.process_time() - began < 5
    assert slots.used("FARGATE") == 0


async def _hold(slots: Slots) -> None:
    async with slots.held(SlotRequest("g", parallelism=1, vcpus=0.25)):
        await asyncio.Event().wait()
