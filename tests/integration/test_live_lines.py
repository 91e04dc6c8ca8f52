"""Live lines on a local Fargate: containers that talk, and what CloudWatch Logs is asked for it."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loop_watch import watched_loop
from operator_context import CLUSTER, register_logged

from ecs_feature.fleet.fleet import Fleet, FleetKey
from ecs_feature.fleet.registry import joined
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.shards.run import ShardRun
from ecs_feature.tasks.launch import Launch, Network
from ecs_feature.tasks.outcomes import Kind
from fargate_local import LocalFargate, Settings

KEY = FleetKey(aws_conn_id=None)
GROUP = "/ecs/talk"
TALK = """
import sys, time
lines, every, code = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
for line in range(lines):
    print("same" if line % 5 == 4 else f"line {line}", flush=True)
    time.sleep(every)
sys.exit(code)
"""


class TaskLog:
    """What a shard writes to its task log, with the moments."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, str]] = []

    def info(self, message: str, *arguments: Any) -> None:
        self.lines.append((time.monotonic(), message % arguments))

    warning = error = info

    def info_within(self, _: float, message: str, *arguments: Any) -> None:
        self.info(message, *arguments)

    def of_container(self) -> list[str]:
        return [text.split("] ", 1)[1] for _, text in self.lines if text.startswith("[talk] ")]


@pytest.fixture
def talking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalFargate]:
    """A local Fargate whose containers are processes that print lines."""
    (tmp_path / "images" / "talk").mkdir(parents=True)
    (tmp_path / "images" / "talk" / "talk.py").write_text(TALK)
    settings = Settings(images=tmp_path / "images", state_dir=tmp_path / "state", pace=0.001)
    with LocalFargate(settings) as local:
        for name, value in local.environ.items():
            monkeypatch.setenv(name, value)
        local.client("ecs").create_cluster(clusterName=CLUSTER)
        register_logged(local, "talk", GROUP)
        yield local


def shard(
    fleet: Fleet,
    number: int,
    log: Any,
    *,
    command: tuple[str, ...] = (),
    live: bool = False,
    family: str = "talk",
    seconds: float = 10,
    poll_seconds: float = 0.2,
    **policy: Any,
) -> ShardRun:
    environment = {"SIMULATED_SECONDS": str(seconds)}
    launch = Launch(CLUSTER, family, family, Network(("subnet-1",)), environment, command, started_by=f"d/{number}")
    return ShardRun(
        fleet, f"S{number}", launch, ShardPolicy(poll_seconds=poll_seconds, **policy), f"try-{number}", log, live=live
    )


def talk(lines: int, every: float, code: int = 0) -> tuple[str, ...]:
    return ("python", "talk.py", str(lines), str(every), str(code))


def said(lines: int) -> list[str]:
    return ["same" if line % 5 == 4 else f"line {line}" for line in range(lines)]


def made(aws: LocalFargate) -> Counter[str]:
    return Counter(call.operation for call in aws.calls() if call.operation.endswith("LogEvents"))


def tasks_left() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [0, 3])
async def test_lines_are_in_the_task_log_while_the_container_runs_and_each_of_them_once(
    talking: LocalFargate, code: int
) -> None:
    log = TaskLog()
    async with joined(KEY) as fleet:
        outcome = await shard(fleet, 1, log, command=talk(25, 0.3, code), live=True).run()
        ended = time.monotonic()
    assert outcome.kind is (Kind.SUCCEEDED if code == 0 else Kind.APPLICATION_FAILURE)
    assert log.of_container() == said(25)
    early = [moment for moment, text in log.lines if "[talk]" in text and moment < ended - 2.5]
    assert len(early) >= 8
    # Every three seconds, and once at the end; a failed shard's last lines are read by themselves as well.
    assert made(talking)["FilterLogEvents"] <= 5
    assert made(talking)["GetLogEvents"] == (code != 0)
    assert tasks_left() == set()


async def test_a_shard_is_followed_after_its_code_failed_and_not_before(talking: LocalFargate) -> None:
    first, second = TaskLog(), TaskLog()
    async with joined(KEY) as fleet:
        await shard(fleet, 1, first, command=talk(30, 0.02, 3)).run()
        assert made(talking) == {"GetLogEvents": 1}
        again = shard(fleet, 2, second, command=talk(300, 0.01))
        again.try_number = 2
        await again.run()
    assert first.of_container() == said(30)[-20:]
    assert second.of_container()[-200:] == said(300)[-200:]


async def test_shards_that_succeed_at_their_first_try_are_not_followed(simulated: LocalFargate) -> None:
    logs = [TaskLog() for _ in range(20)]
    async with joined(KEY) as fleet:
        await asyncio.gather(*(shard(fleet, n, logs[n], family="job", seconds=1).run() for n in range(20)))
        assert fleet._follower._loop is None
    assert made(simulated)["FilterLogEvents"] <= 3
    # Its launch, and the two last lines of its container.
    assert [len(log.lines) for log in logs] == [3] * 20


@pytest.mark.slow
async def test_150_streams_at_once_cost_about_a_call_a_second(simulated: LocalFargate) -> None:
    logs = [TaskLog() for _ in range(150)]
    async with watched_loop() as watch, joined(KEY) as fleet:
        began = time.monotonic()
        shards = [
            shard(fleet, n, logs[n], family="job", seconds=15, poll_seconds=1, live_lines="always") for n in range(150)
        ]
        outcomes = await asyncio.gather(*(one.run() for one in shards))
        took = time.monotonic() - began
    calls = made(simulated)
    blocked = watch.blocked_seconds
    print(f"150 streams, {took:.1f} s: {dict(calls)}, loop blocked for {blocked:.2f} s at most", file=sys.stderr)  # noqa: T201
    assert {outcome.kind for outcome in outcomes} == {Kind.SUCCEEDED}
    # The launch, and the two lines of the container: each once, the first of them while it ran.
    assert [len(log.lines) for log in logs] == [3] * 150
    ran = [log.lines[2][0] - log.lines[1][0] for log in logs]
    assert min(ran) > 3
    assert calls["GetLogEvents"] == 0
    assert calls["FilterLogEvents"] <= took + 10  # one shard one call every three seconds would be 750
    assert watch.blocked_seconds < 1.0


async def test_a_log_that_cannot_be_read_neither_fails_nor_delays_a_shard(
    talking: LocalFargate, caplog: pytest.LogCaptureFixture
) -> None:
    talking.add_fault(
        {"match": {"operation": "FilterLogEvents", "service_api": "logs"}, "error": "ThrottlingException"}
    )
    log = TaskLog()
    async with joined(KEY) as fleet:
        one = shard(fleet, 1, log, command=talk(3, 0.3), live=True)
        assert (await one.run()).kind is Kind.SUCCEEDED
        assert one.task is not None
        assert one.task.stopped_at is not None
        assert time.time() - one.task.stopped_at.timestamp() < 14
    assert log.of_container() == []
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([text for text in warnings if "cannot be" in text]) == 1


async def test_a_cancelled_shard_leaves_nothing_running(talking: LocalFargate) -> None:
    log = TaskLog()
    async with joined(KEY) as fleet:
        running = asyncio.create_task(shard(fleet, 1, log, command=talk(1000, 0.05), live=True).run())
        while not log.of_container():  # noqa: ASYNC110 (the log is a list; it has no event to wait for)
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert tasks_left() == set()
