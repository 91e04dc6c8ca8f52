"""What is left in XComs of the shards that wait: little, seldom, and nothing for those that do not."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ecs_feature.fleet.waits import ShardWaits, Wait, waits_of_shard
from ecs_feature.shards.waits_row import WAITS_KEY, waits_in
from ecs_feature.triggers import waiting as module
from ecs_feature.triggers.waiting import RUN_SECONDS, WaitsWriter, listed
from tests.jumping_clock import now, on_the_clock

QUOTA = Wait("vCPU quota", "for a slot.")


class Pushes(list[tuple[float, str, str, Any]]):
    """What was written, when, for which run and into whose XCom."""

    async def __call__(self, owner: Any, key: str, value: Any, log: Any) -> bool:
        assert key == WAITS_KEY
        self.append((now(), owner.run_id, f"{owner.task_id}[{owner.map_index}]", value))
        return True

    @property
    def said(self) -> list[tuple[float, int]]:
        """When, and how many shards it names."""
        return [(at, len(waits_in([value], datetime.now(UTC)))) for at, _, _, value in self]


def ti(index: int = 0, run: str = "r", task: str = "control.shard") -> Any:
    return SimpleNamespace(dag_id="d", run_id=run, task_id=task, map_index=index)


async def shard(writer: WaitsWriter, one: Any, waits: float, runs: float = 0.0) -> None:
    shown = ShardWaits()
    with writer.listed(one, shown):
        with shown.during(lambda: QUOTA):
            await asyncio.sleep(waits)
        await asyncio.sleep(runs)


@pytest.mark.parametrize("waits", [0.0, 1.0, 14.0])
def test_shards_that_are_launched_within_15_seconds_leave_nothing(waits: float) -> None:
    async def main() -> None:
        pushes = Pushes()
        writer = WaitsWriter(pushes)
        await asyncio.gather(*(shard(writer, ti(index), waits, 300) for index in range(50)))
        assert pushes == []

    on_the_clock(main)


def test_shards_that_wait_are_one_row_a_run_that_is_written_twice_a_minute_and_emptied_when_they_are_launched() -> None:
    async def main() -> None:
        pushes = Pushes()
        writer = WaitsWriter(pushes)
        await asyncio.gather(*(shard(writer, ti(index), 100 if index else 50, 300) for index in range(50)))
        assert pushes.said == [(15, 50), (45, 50), (75, 49), (105, 0)]
        assert {(run, owner) for _, run, owner, _ in pushes} == {("r", "control.shard[0]")}
        (_, _, _, first), *_ = pushes
        assert first["waits"][0]["what"] == "vCPU quota"
        until, at = (datetime.fromisoformat(first[name]) for name in ("until", "at"))
        assert (until - at).total_seconds() == 90

    on_the_clock(main)


def test_runs_that_wait_at_once_are_written_in_turns_one_in_five_seconds() -> None:
    async def main() -> None:
        pushes = Pushes()
        writer = WaitsWriter(pushes)
        await asyncio.gather(*(shard(writer, ti(run=f"r{number}"), 600) for number in range(20)))
        times = [at for at, *_ in pushes]
        assert times == [15 + 5 * turn for turn in range(len(times))]
        assert 100 <= len(times) <= 120
        turns = [run for _, run, *_ in pushes]
        assert turns[:20] == turns[20:40] == [f"r{number}" for number in range(20)]
        row = pushes[-1][3]
        until, at = (datetime.fromisoformat(row[name]) for name in ("until", "at"))
        assert (until - at).total_seconds() == 300  # a turn comes each 100 s

    on_the_clock(main)


def test_a_run_whose_shards_are_over_is_forgotten_and_the_writer_ends() -> None:
    async def main() -> None:
        pushes = Pushes()
        writer = WaitsWriter(pushes)
        await shard(writer, ti(), 40)
        assert len(pushes) == 1
        assert writer._runs == {}
        await asyncio.sleep(10)
        assert writer._turns is not None
        assert writer._turns.done()
        await shard(writer, ti(), 40)  # and begins anew
        assert len(pushes) == 2

    on_the_clock(main)


def test_a_row_that_cannot_be_written_does_not_end_the_writer(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        calls = []

        async def fail(*_: Any) -> bool:
            calls.append(now())
            raise RuntimeError("x")

        await shard(WaitsWriter(fail), ti(), 100)
        assert calls == [15, 45, 75]

    on_the_clock(main)
    assert "What shards wait for cannot be shown." in caplog.text


def test_a_shard_that_comes_back_while_its_end_is_under_way_stays_listed() -> None:
    """Cleared: the new try starts before the old trigger has left."""

    async def main() -> None:
        writer, old, new = WaitsWriter(Pushes()), ExitStack(), ExitStack()
        old.enter_context(writer.listed(ti(), ShardWaits()))
        waits = ShardWaits()
        new.enter_context(writer.listed(ti(), waits))
        old.close()
        assert writer._runs["d", "r"].shards == {("control.shard", 0): waits}
        new.close()
        assert writer._runs == {}

    on_the_clock(main)


def test_what_the_code_of_a_shard_waits_for_is_that_shards() -> None:
    async def main() -> None:
        with listed(ti(1)) as waits:
            assert waits_of_shard() is waits
            writer = module._writers[asyncio.get_running_loop()]
            assert writer._runs["d", "r"].shards == {("control.shard", 1): waits}
        assert waits_of_shard() is not waits
        assert writer._runs == {}
        with listed(None) as waits:  # dag.test()
            assert waits_of_shard() is waits
            assert writer._runs == {}

    on_the_clock(main)


def test_the_writer_costs_little_for_shards_that_do_not_wait() -> None:
    """5,000 running shards: a look at all of them is some milliseconds, each five seconds."""
    import time

    async def main() -> None:
        pushes = Pushes()
        writer = WaitsWriter(pushes)
        with ExitStack() as stack:
            for index in range(5000):
                waits = ShardWaits()
                stack.enter_context(writer.listed(ti(index), waits))
                stack.enter_context(waits.during(lambda: None, counted=False))
            began = time.process_time()
            for _ in range(10):
                await writer._turn()
            assert time.process_time() - began < 0.5
        assert pushes == []
        assert RUN_SECONDS == 30

    asyncio.run(main())
