"""When a triggerer's runner reports events between its turns, and which: whose end is a group's last."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, NamedTuple

from ecs_feature.airflow_patches.last_events import LastEventReporter


class Shard:
    """A shard's trigger, as far as it is looked at."""

    def __init__(self, task_id: str, run_id: str = "r1", dag_id: str = "features") -> None:
        self.task_instance = SimpleNamespace(dag_id=dag_id, run_id=run_id, task_id=task_id)


class Other:
    """Somebody else's trigger."""

    def __init__(self, task_id: str) -> None:
        self.task_instance = Shard(task_id).task_instance


class Event(NamedTuple):
    """An event in the runner's queue."""

    trigger_id: str


class Supervisor:
    """Notes of which triggers' events it is told, and answers when it may."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def asend(self, changes: list[Event]) -> None:
        self.told.append([event.trigger_id for event in changes])
        await self.answers.wait()


class Runner:
    """Runs triggers, which it knows by name, and queues an event of each that ends."""

    def __init__(self) -> None:
        self.last = LastEventReporter(Shard, lambda runner, events: runner.comms_decoder.asend(events))
        self.events: deque[Event] = deque()
        self.comms_decoder: Any = Supervisor()
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ends: dict[str, asyncio.Future[None]] = {}

    @property
    def told(self) -> list[list[str]]:
        told: list[list[str]] = self.comms_decoder.told
        return told

    @property
    def queued(self) -> list[str]:
        return [event.trigger_id for event in self.events]

    def start(self, name: str, trigger: Any) -> None:
        end = self.ends[name] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            self.last.started(name, trigger, self)
            await end
            self.events.append(Event(name))

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


async def test_when_the_last_of_a_group_ends_all_its_ends_are_told() -> None:
    runner = await started(a=Shard("control.shard"), b=Shard("control.shard"))
    await runner.end("b")
    assert (runner.told, runner.queued) == ([], ["b"])
    await runner.end("a")
    assert (runner.told, runner.queued) == ([["b", "a"]], [])


async def test_ends_of_the_same_moment_are_told_together() -> None:
    runner = await started(a=Shard("control.shard"), b=Shard("control.shard"))
    await runner.end("a", "b")
    assert runner.told == [["a", "b"]]


async def test_what_the_runners_own_turn_has_told_is_not_told_again() -> None:
    runner = await started(a=Shard("control.shard"), b=Shard("control.shard"))
    await runner.end("a")
    runner.events.clear()
    await runner.end("b")
    assert runner.told == [["b"]]


async def test_variants_runs_and_dags_are_groups_of_their_own() -> None:
    runner = await started(
        named=Shard("control.shards.AA"),
        same=Shard("control.shards.UA"),
        variant=Shard("treatment.shards.AA"),
        run=Shard("control.shards.AA", "r2"),
        dag=Shard("control.shards.AA", "r1", "others"),
    )
    await runner.end("named")
    for name in ("variant", "run", "dag"):
        await runner.end(name)
    assert (runner.told, runner.queued) == ([["variant"], ["run"], ["dag"]], ["named"])
    await runner.end("same")
    assert runner.told[3:] == [["named", "same"]]


async def test_a_group_may_come_again_and_none_is_remembered() -> None:
    runner = await started(a=Shard("control.shard"))
    await runner.end("a")
    runner.start("b", Shard("control.shard"))
    await turns()
    await runner.end("b")
    assert runner.told == [["a"], ["b"]]
    assert runner.last._groups == {}


async def test_one_that_ended_without_an_event_leaves_that_to_the_runner() -> None:
    runner = await started(a=Shard("control.shard"), b=Shard("variant.shard"))
    await runner.end("a", error=RuntimeError("no"))
    assert runner.told == []
    assert isinstance(runner.tasks["a"].exception(), RuntimeError)


async def test_nobody_tells_for_who_is_cancelled() -> None:
    runner = await started(a=Shard("control.shard"), b=Shard("control.shard"), c=Shard("control.shard"))
    runner.tasks["a"].cancel()
    await turns()
    await runner.end("b")
    runner.tasks["c"].cancel()
    await turns()
    assert (runner.told, runner.queued) == ([], ["b"])
    assert runner.last._groups == {}


async def test_other_triggers_are_nobodys_last_and_are_left_in_the_queue() -> None:
    runner = await started(a=Other("control.shard"), b=Shard("control.shard"), c=object())
    await runner.end("a", "c")
    assert runner.told == []
    await runner.end("b")
    assert (runner.told, runner.queued) == ([["b"]], ["a", "c"])


async def test_a_trigger_without_a_task_is_nobodys_last() -> None:
    trigger = Shard("control.shard")
    trigger.task_instance = None  # type: ignore[assignment]
    runner = await started(a=trigger)
    await runner.end("a")
    assert runner.told == []


async def test_while_the_supervisor_has_not_answered_nobody_tells_again() -> None:
    runner = await started(a=Shard("a.shard"), b=Shard("b.shard"), c=Shard("c.shard"))
    runner.comms_decoder.answers.clear()
    await runner.end("a")
    await runner.end("b")
    assert (runner.told, runner.queued) == ([["a"]], ["b"])
    runner.comms_decoder.answers.set()
    await turns()
    await runner.end("c")
    assert (runner.told, runner.queued) == ([["a"], ["c"]], ["b"])


async def test_what_could_not_be_told_is_there_for_the_runners_own_turn() -> None:
    runner = await started(a=Shard("a.shard"), b=Shard("a.shard"), c=Other("c"), d=Shard("d.shard"))

    async def refuses(_: list[Event]) -> None:
        runner.events.append(Event("meanwhile"))
        raise NotImplementedError("an event that cannot be encoded")

    runner.comms_decoder = SimpleNamespace(asend=refuses)
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    await runner.end("c", "a", "b")
    assert runner.queued == ["a", "b", "c", "meanwhile"]
    runner.comms_decoder = Supervisor()
    await runner.end("d")
    assert runner.told == [["d"]]
    assert problems == []


async def test_it_is_told_in_nobodys_context() -> None:
    shard: ContextVar[str] = ContextVar("shard")
    runner = await started()
    seen: list[str | None] = []

    async def note(_: list[Event]) -> None:
        seen.append(shard.get(None))

    runner.comms_decoder = SimpleNamespace(asend=note)
    shard.set("UA")
    runner.start("a", Shard("a.shard"))
    await turns()
    await runner.end("a")
    assert seen == [None]
