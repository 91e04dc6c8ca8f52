"""When a triggerer's runner tells of ends at once: whose end is a group's last."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from ecs_feature.tuning.rounds import LastOfGroup


class Shard:
    """A shard's trigger, as far as it is looked at."""

    def __init__(self, task_id: str, run_id: str = "r1") -> None:
        self.task_instance = SimpleNamespace(dag_id="features", run_id=run_id, task_id=task_id)


class Runner:
    """Runs triggers and notes when it was asked to tell, and of whose ends it would."""

    def __init__(self) -> None:
        self.last = LastOfGroup(Shard)
        self.ended: list[str] = []
        self.told: list[list[str]] = []
        self.answered = asyncio.Event()
        self.answered.set()
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ends: dict[str, asyncio.Future[None]] = {}

    async def sync_state_to_supervisor(self, finished: list[int]) -> None:
        assert finished == []  # Airflow's own turn finds the tasks that are done
        self.told.append(self.ended[:])
        await self.answered.wait()

    def start(self, name: str, trigger: Any) -> None:
        end = self.ends[name] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            self.last.begins(trigger, self)
            await end
            self.ended.append(name)

        self.tasks[name] = asyncio.create_task(run())

    async def end(self, *names: str, error: Exception | None = None) -> None:
        for name in names:
            if error is None:
                self.ends[name].set_result(None)
            else:
                self.ends[name].set_exception(error)
        await asyncio.wait([self.tasks[name] for name in names])
        await turns()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def started(**shards: Any) -> Runner:
    runner = Runner()
    for name, trigger in shards.items():
        runner.start(name, trigger)
    await turns()
    return runner


async def test_only_the_last_end_of_a_group_is_told_at_once() -> None:
    runner = await started(a=Shard("control.shard"), b=Shard("control.shard"))
    await runner.end("b")
    assert runner.told == []
    await runner.end("a")
    assert runner.told == [["b", "a"]]


async def test_ends_of_the_same_moment_are_told_together() -> None:
    runner = await started(a=Shard("control.shard"), b=Shard("control.shard"))
    await runner.end("a", "b")
    assert runner.told == [["a", "b"]]


async def test_variants_and_runs_are_groups_of_their_own() -> None:
    runner = await started(
        named=Shard("control.shards.AA"),
        same=Shard("control.shards.UA"),
        variant=Shard("treatment.shards.AA"),
        run=Shard("control.shards.AA", "r2"),
    )
    await runner.end("variant")
    assert runner.told == [["variant"]]
    await runner.end("run")
    assert runner.told == [["variant"], ["variant", "run"]]
    await runner.end("named")
    assert len(runner.told) == 2
    await runner.end("same")
    assert len(runner.told) == 3


async def test_a_group_may_come_again() -> None:
    runner = await started(a=Shard("control.shard"))
    await runner.end("a")
    runner.start("b", Shard("control.shard"))
    await turns()
    await runner.end("b")
    assert runner.told == [["a"], ["a", "b"]]


async def test_what_fails_is_told_as_well() -> None:
    runner = await started(a=Shard("control.shard"))
    await runner.end("a", error=RuntimeError("no"))
    assert runner.told == [[]]
    assert isinstance(runner.tasks["a"].exception(), RuntimeError)


async def test_nobody_tells_for_who_is_cancelled() -> None:
    runner = await started(a=Shard("control.shard"), b=Shard("control.shard"))
    runner.tasks["a"].cancel()
    await turns()
    await runner.end("b")
    assert runner.told == [["b"]]
    runner.start("c", Shard("control.shard"))
    await turns()
    runner.tasks["c"].cancel()
    await turns()
    assert runner.told == [["b"]]


@pytest.mark.parametrize("other", [SimpleNamespace(task_instance=None), Shard("")], ids=["other", "no-task"])
async def test_other_triggers_are_nobodys_last(other: Any) -> None:
    if isinstance(other, Shard):
        other.task_instance = None
    runner = await started(a=other)
    await runner.end("a")
    assert runner.told == []


async def test_while_the_supervisor_has_not_answered_nobody_asks_again() -> None:
    runner = await started(a=Shard("a.shard"), b=Shard("b.shard"), c=Shard("c.shard"))
    runner.answered.clear()
    await runner.end("a")
    await runner.end("b")
    assert runner.told == [["a"]]
    runner.answered.set()
    await turns()
    await runner.end("c")
    assert runner.told == [["a"], ["a", "b", "c"]]


async def test_a_supervisor_that_is_gone_is_airflows_own_turn_to_find() -> None:
    runner = await started(a=Shard("a.shard"), b=Shard("b.shard"))

    async def lost(_: list[int]) -> None:
        raise asyncio.IncompleteReadError(b"", 4)

    runner.sync_state_to_supervisor = lost  # type: ignore[method-assign]
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    await runner.end("a")
    await runner.end("b")
    assert problems == []
    assert not any(task.exception() for task in runner.tasks.values())
