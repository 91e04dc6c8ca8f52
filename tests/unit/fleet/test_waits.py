"""What a shard waits for before its container runs: nothing in the first minute, then a line a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from watched_ecs import Ecs, task

from ecs_feature.aws.resources import EcsTask
from ecs_feature.exceptions import AwsError, LaunchError
from ecs_feature.fleet.launch_queue import LaunchQueue
from ecs_feature.fleet.slots import SlotRequest, Slots
from ecs_feature.fleet.waits import Wait, start_wait, telling
from tests.jumping_clock import now, on_the_clock

MOMENT = datetime(2026, 11, 21, tzinfo=UTC)
PENDING = EcsTask("arn:1", "", "", "PENDING", "RUNNING", launch_type="FARGATE")


class Notes(list[tuple[float, str]]):
    """What was told, and when."""

    def __call__(self, sentence: str) -> None:
        self.append((now(), sentence))

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self]


@pytest.mark.parametrize(
    ("began", "seconds", "at"),
    [
        (0.0, 59.9, []),
        (0.0, 60.1, [60]),
        (1.0, 70.0, []),
        (1.0, 200.0, [75, 135, 195]),
        (14.9, 61.0, [75]),
        (15.0, 119.0, [75]),
        (15.0, 121.0, [75, 135]),
        (16.0, 3600.0, list(range(90, 3616, 60))),
    ],
)
def test_a_wait_is_told_after_a_minute_and_then_once_a_minute_with_others(
    began: float, seconds: float, at: list[float]
) -> None:
    async def main() -> None:
        notes = Notes()
        await asyncio.sleep(began)
        with telling(notes, lambda: Wait("parallelism", "for a slot.")):
            await asyncio.sleep(seconds)
        await asyncio.sleep(600)
        assert notes.times == pytest.approx(at, abs=0.01)
        assert [said for _, said in notes] == [f"It has waited {each - began:.0f} s for a slot." for each in at]

    on_the_clock(main)


def test_a_wait_that_cannot_be_told_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        asked = []

        def what() -> Wait:
            asked.append(now())
            raise KeyError("x")

        with telling(Notes(), what):
            await asyncio.sleep(200)
        assert len(asked) == 3

    on_the_clock(main)
    assert "A shard cannot be told what it waits for." in caplog.text


FARGATE = 2.0
SLOTS: list[tuple[SlotRequest, SlotRequest, int, str]] = [
    (SlotRequest("g", 2), SlotRequest("g", 2), 2, "2 of at most 2 tasks run (parallelism)"),
    (
        SlotRequest("g", None, 0.5, 1.0),
        SlotRequest("g", None, 0.5, 1.0),
        2,
        "1 of at most 1 vCPUs are in use (max_vcpus)",
    ),
    (SlotRequest("g", 9, 1.0), SlotRequest("h", 9, 0.5), 2, "2 of 2 vCPUs are in use (what the FARGATE quota leaves)"),
    (SlotRequest("g", 2, 1.0), SlotRequest("g", 2, 1.0), 2, "2 of at most 2 tasks run (parallelism)"),
]


@pytest.mark.parametrize(("held", "wanted", "holders", "why"), SLOTS, ids=[row[3] for row in SLOTS])
def test_a_wait_for_a_slot_says_which_limit_holds_it(
    held: SlotRequest, wanted: SlotRequest, holders: int, why: str
) -> None:
    async def main() -> None:
        slots, notes = Slots(lambda capacity: FARGATE), [Notes() for _ in range(3)]

        async def hold(request: SlotRequest, note: Notes, seconds: float) -> None:
            async with slots.held(request, note):
                await asyncio.sleep(seconds)

        holding = [asyncio.create_task(hold(held, Notes(), 100)) for _ in range(holders)]
        await asyncio.sleep(1)
        waiting = [asyncio.create_task(hold(wanted, note, 0)) for note in notes]
        await asyncio.gather(*holding, *waiting)
        for note in notes:
            assert [(round(at), said) for at, said in note] == [
                (75, f"It has waited 74 s for a slot: {why}; 3 shards wait.")
            ]

    on_the_clock(main)


def test_a_wait_for_those_that_came_first_says_so() -> None:
    """The first one is too big for what is left."""
    slots = Slots()

    async def main() -> None:
        async with slots.held(SlotRequest("g", None, 1.0, 2.0)):
            big = asyncio.create_task(slots._take(SlotRequest("g", None, 2.0, 2.0), Notes()))
            await asyncio.sleep(0)
            notes = Notes()
            small = asyncio.create_task(slots._take(SlotRequest("g", None, 0.5, 2.0), notes))
            await asyncio.sleep(100)
        assert [said for _, said in notes] == [
            "It has waited 60 s for a slot: others of its group come first; 2 shards wait."
        ]
        for one in (big, small):
            one.cancel()
        await asyncio.gather(big, small, return_exceptions=True)

    on_the_clock(main)


def on_the_queue(test: Callable[[LaunchQueue], Any]) -> None:
    async def main() -> None:
        queue = LaunchQueue(clock=now)
        await test(queue)
        await queue.close()

    on_the_clock(main)


def test_a_wait_for_its_turn_says_how_many_wait_and_at_which_rate() -> None:
    async def test(queue: LaunchQueue) -> None:
        async def launch() -> None:
            pass

        notes = [Notes() for _ in range(2400)]
        await asyncio.gather(*(queue.run("FARGATE", "a", launch, note) for note in notes))
        told = [(at, said) for note in notes for at, said in note]
        assert 900 <= len(told) <= 1300  # those that waited for more than a minute, at 20 a second
        assert {round(at) for at, _ in told} == {60}
        assert [len(note) for note in notes[:1100]] == [0] * 1100
        _, said = notes[-1][0]
        assert said.startswith("It has waited 60 s for its turn to be launched: 1")
        assert said.endswith(" launches on FARGATE wait, at 20.0 a second.")

    on_the_queue(test)


def test_a_wait_for_an_answer_of_run_task_says_so() -> None:
    async def test(queue: LaunchQueue) -> None:
        queue.max_in_flight, notes = 2, Notes()

        async def hang() -> None:
            await asyncio.sleep(100)

        hanging = [asyncio.create_task(queue.run("FARGATE", "a", hang)) for _ in range(2)]
        await asyncio.sleep(5)
        await queue.run("FARGATE", "a", hang, notes)
        assert [said for _, said in notes][:1] == ["It has waited 70 s for RunTask: 2 calls have no answer yet."]
        await asyncio.gather(*hanging)

    on_the_queue(test)


@pytest.mark.parametrize("error", [LaunchError("RESOURCE:CPU"), AwsError("no.")])
def test_a_launch_that_fails_is_told_of_no_more(error: Exception) -> None:
    async def test(queue: LaunchQueue) -> None:
        async def fail() -> None:
            raise error

        notes = Notes()
        with pytest.raises(type(error)):
            await queue.run("FARGATE", "a", fail, notes)
        await asyncio.sleep(600)
        assert notes == []

    on_the_queue(test)


@pytest.mark.parametrize(
    ("changed", "waits"),
    [
        ({"last_status": "PROVISIONING"}, "for FARGATE to prepare its network interface and its place"),
        ({"last_status": "PROVISIONING", "launch_type": ""}, "for ECS to prepare its network interface and its place"),
        (
            {"last_status": "PROVISIONING", "launch_type": "", "capacity_provider": "FARGATE_SPOT"},
            "for FARGATE_SPOT to prepare its network interface and its place",
        ),
        (
            {"last_status": "PROVISIONING", "launch_type": "", "capacity_provider": "gpu"},
            "for room on the container instances of gpu",
        ),
        ({"launch_type": "EC2"}, "for room on the container instances of EC2"),
        ({"launch_type": "EC2", "container_instance": "arn:i"}, "for the agent to begin with it"),
        ({}, "for the agent to begin with it"),
        ({"pull_started_at": MOMENT}, "for its images, which are pulled"),
        (
            {"pull_started_at": MOMENT, "pull_stopped_at": MOMENT},
            "for its containers to start, e.g. for what their dependsOn names",
        ),
        ({"last_status": "ACTIVATING"}, "for ECS to register it, e.g. with a load balancer"),
    ],
)
def test_a_task_that_has_not_started_waits_for(changed: dict[str, Any], waits: str) -> None:
    assert start_wait(replace(PENDING, **changed)) == waits


@pytest.mark.parametrize(
    ("seconds", "age", "times"),
    [(50, 0, 0), (59, 0, 0), (70, 0, 1), (185, 0, 3), (590, 0, 9), (50, 30, 1), (300, 600, 6)],
)
async def test_a_task_that_does_not_start_is_told_once_a_minute_from_its_creation_on(
    seconds: float, age: float, times: int
) -> None:
    ecs, notes, told = Ecs(), [], []
    ecs.status, ecs.stopped_at = {"arn:0": "PENDING"}, {"arn:0": seconds + 60.0}
    watcher = ecs.watcher()
    one = task("arn:0", last_status="PENDING", created_at=datetime.fromtimestamp(watcher.now().timestamp() - age, UTC))

    def note(sentence: str) -> None:
        notes.append((ecs.now, sentence))

    ended = asyncio.create_task(watcher.ended("c", one, poll_seconds=1, tell=told.append, note=note))
    while ecs.now < seconds:  # noqa: ASYNC110 (the fake's time has no event to wait for)
        await asyncio.sleep(0)
    ecs.status = {}
    assert (await ended).stopped  # type: ignore[union-attr]
    assert told == []
    assert abs(len(notes) - times) <= (times > 1)
    if notes:
        at, said = notes[0]
        assert said == (
            f"ECS task arn:0 has been PENDING for {at + age:.0f} s and waits for the agent to begin with it."
        )
