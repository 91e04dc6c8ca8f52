"""Losing sight of a task ends no wait for it, whatever the reason."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError, EndpointConnectionError, ProxyConnectionError
from botocore.exceptions import SSLError as BotoSslError
from watched_ecs import Ecs, task

from ecs_feature.exceptions import AccessDeniedError, ClusterNotFoundError, CredentialsError
from ecs_feature.fleet import watcher as watcher_module
from ecs_feature.fleet.watcher import MAX_UNSEEN_POLL_SECONDS


def answer(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeTasks")


BLIND = [
    answer("ExpiredTokenException"),
    answer("AccessDeniedException"),
    answer("ThrottlingException"),
    answer("ClusterNotFoundException"),
    answer("InvalidParameterException"),
    answer("NobodyKnowsIt"),
    BotoSslError(endpoint_url="e", error="handshake"),
    ProxyConnectionError(proxy_url="p"),
    EndpointConnectionError(endpoint_url="e"),
    CredentialRetrievalError(provider="p", error_msg="m"),
    CredentialsError("no credentials."),
    AccessDeniedError("denied."),
    ClusterNotFoundError("no cluster."),
    ssl.SSLError("certificate"),
    OSError("no route"),
    TimeoutError(),
    KeyError("tasks"),
    TypeError("None"),
    ValueError("nonsense"),
    RuntimeError("a bug"),
    asyncio.CancelledError(),
]


def named(error: BaseException) -> str:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


def waiting(ecs: Ecs, watcher: Any, tell: Any = lambda sentence: None, arn: str = "arn:0", **given: Any) -> Any:
    return asyncio.create_task(watcher.ended("c", task(arn), poll_seconds=1, tell=tell, **given))


async def until(ecs: Ecs, seconds: float) -> None:
    while ecs.now < seconds:  # noqa: ASYNC110 (the fake's time has no event to wait for)
        await asyncio.sleep(0)


@pytest.mark.parametrize("error", BLIND, ids=named)
async def test_nothing_that_a_poll_raises_ends_the_wait(error: BaseException) -> None:
    ecs, told = Ecs(), []
    watcher = ecs.watcher()
    ended = waiting(ecs, watcher, told.append)
    ecs.refuse = error
    await until(ecs, 900)
    assert not ended.done()
    ecs.refuse, ecs.stopped_at = None, {"arn:0": 905.0}
    async with asyncio.timeout(5):
        assert (await ended).stopped
    assert ecs.now <= 905 + MAX_UNSEEN_POLL_SECONDS + 3
    assert 13 <= len(told) <= 17  # once a minute
    assert told[0].startswith("ECS task arn:0 cannot be seen and is left running: ")
    assert told[-1].startswith("ECS task arn:0 is seen again after 9")


@pytest.mark.parametrize(
    ("error", "first", "renews"),
    [
        (answer("ExpiredTokenException"), 1, 1),
        (KeyError("tasks"), 1, 1),
        (answer("ThrottlingException"), 60, None),
        (EndpointConnectionError(endpoint_url="e"), 60, 60),
    ],
    ids=named,
)
async def test_what_passes_by_itself_is_told_and_renewed_after_a_minute_anything_else_at_once(
    error: Exception, first: float, renews: float | None
) -> None:
    ecs, told = Ecs(), []
    watcher = ecs.watcher()
    ended = waiting(ecs, watcher, lambda sentence: told.append(ecs.now))
    ecs.refuse = error
    await until(ecs, 180)
    ended.cancel()
    assert told[0] == pytest.approx(first, abs=MAX_UNSEEN_POLL_SECONDS + 2)
    if renews is None:
        assert ecs.renewed == []
    else:
        assert ecs.renewed[0] == pytest.approx(renews, abs=MAX_UNSEEN_POLL_SECONDS + 2)


async def test_a_task_of_which_an_answer_says_nothing_is_not_missing() -> None:
    ecs, told = Ecs(), []
    ecs.unsaid, ecs.stopped_at = {"arn:0"}, {"arn:0": 0.0, "arn:1": 500.0}
    watcher = ecs.watcher(missing_seconds=60)
    unseen, other = waiting(ecs, watcher, told.append), waiting(ecs, watcher, arn="arn:1")
    assert (await other).stopped
    assert not unseen.done()
    assert "DescribeTasks said nothing of the task" in told[0]
    ecs.unsaid = set()
    assert (await unseen).stopped


async def test_a_task_is_not_missing_while_ecs_cannot_be_asked() -> None:
    """MISSING, then an hour without sight, then MISSING for less than the grace."""
    ecs = Ecs()
    watcher = ecs.watcher(missing_seconds=60)
    ecs.missing_until = {"arn:0": 3640.0}
    ecs.stopped_at = {"arn:0": 3640.0}
    ended = waiting(ecs, watcher)
    await until(ecs, 5)
    ecs.refuse = KeyError("tasks")
    await until(ecs, 3605)
    ecs.refuse = None
    assert (await ended).stopped


async def test_a_shard_that_cannot_be_told_keeps_nobody_from_its_end(caplog: pytest.LogCaptureFixture) -> None:
    def tell(sentence: str) -> None:
        raise OSError("the log is full")

    ecs = Ecs()
    ecs.refuse, ecs.stopped_at = KeyError("tasks"), dict.fromkeys(("arn:0", "arn:1"), 100.0)
    watcher = ecs.watcher()
    waits = [waiting(ecs, watcher, tell), waiting(ecs, watcher, arn="arn:1")]
    await until(ecs, 90)
    ecs.refuse = None
    assert [one.stopped for one in await asyncio.gather(*waits)] == [True, True]


async def test_a_shard_is_told_in_its_own_context() -> None:
    """By it Airflow finds the task's log."""
    who, told = contextvars.ContextVar("who", default="nobody"), []
    ecs = Ecs()
    ecs.refuse = KeyError("tasks")
    watcher = ecs.watcher()
    waits = []
    for name in ("AA", "UA"):
        context = contextvars.copy_context()
        context.run(who.set, name)
        waits.append(context.run(waiting, ecs, watcher, lambda sentence: told.append(who.get()), f"arn:{name}"))
    await until(ecs, 10)
    assert sorted(told) == ["AA", "UA"]
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), asyncio.CancelledError()], ids=named)
async def test_a_fault_in_the_loop_itself_does_not_end_it(
    fault: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watcher_module, "BATCH_POLL_SECONDS", 0.0)
    ecs, faults = Ecs(), [fault] * 3

    async def sleep(seconds: float) -> None:
        if faults:
            raise faults.pop()
        await Ecs.sleep(ecs, seconds)

    ecs.stopped_at = {"arn:0": 10.0}
    watcher = ecs.watcher()
    watcher.sleep = sleep
    async with asyncio.timeout(5):
        assert (await waiting(ecs, watcher)).stopped
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "A fault in the watcher; it goes on."
    ] * 3


async def test_the_loops_own_cancellation_leaves_no_wait_hanging() -> None:
    ecs = Ecs()
    watcher = ecs.watcher()
    ended = waiting(ecs, watcher)
    await until(ecs, 5)
    assert watcher._loop is not None
    watcher._loop.cancel()
    await asyncio.wait({ended}, timeout=5)
    assert ended.cancelled()
    assert watcher._loop.cancelled()


async def test_a_task_that_could_not_be_seen_is_late_only_when_ecs_says_so() -> None:
    ecs = Ecs()
    ecs.refuse = KeyError("tasks")
    ecs.shown = {"started_at": datetime(2026, 11, 21, tzinfo=UTC)}
    watcher = ecs.watcher()
    ended = waiting(ecs, watcher, start_seconds=60)
    await until(ecs, 600)
    assert not ended.done()
    ecs.refuse, ecs.stopped_at = None, {"arn:0": 700.0}
    assert (await ended).stopped
