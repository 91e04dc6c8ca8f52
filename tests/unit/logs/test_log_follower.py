"""The follower against a CloudWatch Logs of its own, on a clock that jumps: an hour of following takes no time."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    ParamValidationError,
    ProxyConnectionError,
)
from botocore.exceptions import SSLError as BotoSslError
from log_clock import EPOCH, Logs, Reader, task, writing

from ecs_feature.exceptions import AccessDeniedError, AwsError, CredentialsError
from ecs_feature.logs.followed import Followed
from tests.jumping_clock import now, on_the_clock


def test_lines_come_while_the_container_runs_and_the_rest_at_its_end() -> None:
    async def main() -> None:
        logs = Logs(late=1.0)
        follower = logs.follower()
        reader = Reader(follower, 1)
        writer = asyncio.create_task(writing(logs, 1, 100, 0.3))
        following = asyncio.create_task(reader.follow(31.5))
        await asyncio.sleep(10)
        assert 15 <= len(reader.lines) <= 31
        await following
        await writer
        assert reader.lines == [f"1: {line}" for line in range(100)]
        assert reader.drained is True
        assert reader.context == {1}
        assert reader.took < 1.0
        assert len(logs.calls) <= 31.5 / 3 + 2
        assert logs.definitions == 1
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    on_the_clock(main)


@pytest.mark.parametrize(("shards", "calls_a_round"), [(1, 1), (100, 1), (150, 2), (1000, 10)])
def test_calls_are_one_for_a_hundred_streams_and_never_more_than_one_a_second(shards: int, calls_a_round: int) -> None:
    async def main() -> None:
        logs = Logs()
        follower = logs.follower()
        readers = [Reader(follower, number) for number in range(shards)]
        for number in range(shards):
            logs.write(number, "hello")
        await asyncio.gather(*(reader.follow(60) for reader in readers))
        assert all(reader.lines == ["hello"] for reader in readers)
        live = [at for at, _ in logs.calls if at < 60]
        assert len(live) <= min(60 / 3 * calls_a_round, 60) + calls_a_round + 1
        assert min(later - earlier for earlier, later in pairwise(live)) > 0.999
        assert len(logs.calls) - len(live) <= calls_a_round + 1
        assert Counter(name for _, names in logs.calls for name in names).most_common()[-1][1] >= 3

    on_the_clock(main)


def test_a_task_that_has_not_started_costs_no_call_until_it_has() -> None:
    async def main() -> None:
        logs = Logs()
        follower = logs.follower()
        reader = Reader(follower, 1, started=False)
        following = asyncio.create_task(reader.follow(60))
        await asyncio.sleep(40)
        assert logs.calls == []
        logs.write(1, "before it was known to run", at=now() - 5)
        follower.note(task(1))
        await asyncio.sleep(1)
        assert reader.lines == ["before it was known to run"]
        await following

    on_the_clock(main)


def test_a_stream_that_is_not_there_yet_is_normal_and_does_not_cost_the_others_theirs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        logs = Logs()
        follower = logs.follower()
        readers = [Reader(follower, number) for number in range(16)]
        for number in range(15):
            logs.write(number, "hello")
        following = [asyncio.create_task(reader.follow(40)) for reader in readers]
        await asyncio.sleep(20)
        assert [reader.lines for reader in readers] == [["hello"]] * 15 + [[]]
        logs.write(15, "late")
        await asyncio.gather(*following)
        assert readers[15].lines == ["late"]
        assert len(logs.calls) < 40 / 3 + 2 * 5 + 40 / 10 + 4

    on_the_clock(main)
    assert caplog.records == []


def test_a_stream_that_never_was_ends_at_once_without_lines() -> None:
    async def main() -> None:
        reader = Reader(Logs().follower(), 1)
        assert await reader.follow(10) == []
        assert (reader.drained, reader.took < 1) == (True, True)

    on_the_clock(main)


def test_a_container_that_says_more_than_can_be_shown_shows_the_newest_and_counts_the_rest() -> None:
    async def main() -> None:
        logs = Logs()
        reader = Reader(logs.follower(), 1)
        for line in range(1434):
            logs.write(1, str(line), at=line / 1000 - 2)
        await reader.follow(5)
        assert reader.lines == ["... 1234 lines left out; see the log link", *map(str, range(1234, 1434))]

    on_the_clock(main)


def test_a_reader_that_cannot_keep_up_says_so_and_leaves_the_end_to_the_last_lines() -> None:
    async def main() -> None:
        logs = Logs(page=100)
        reader = Reader(logs.follower(), 1)
        for line in range(40_000):
            logs.write(1, str(line), at=line / 500)
        await reader.follow(100)
        assert "... more lines than can be read live are left out; see the log link" in reader.lines
        assert reader.drained is False
        assert len(logs.calls) <= 100

    on_the_clock(main)


def test_a_caller_that_wants_every_line_gets_it() -> None:
    async def main() -> None:
        logs = Logs()
        reader = Reader(logs.follower(), 1, min_lines_per_read=None)
        for line in range(1434):
            logs.write(1, str(line), at=line / 1000)
        assert await reader.follow(5) == [str(line) for line in range(1434)]

    on_the_clock(main)


def test_a_line_that_is_written_while_the_end_is_awaited_is_shown() -> None:
    """A read that was under way when the task ended is not the last one."""

    async def main() -> None:
        logs = Logs()
        follower = logs.follower()
        logs.write(1, "first")
        slow = logs.filter_log_events

        async def filter_log_events(**request: Any) -> Any:
            answer = await slow(**request)
            await asyncio.sleep(2)
            return answer

        logs.filter_log_events = filter_log_events  # type: ignore[method-assign]
        reader = Reader(follower, 1)
        following = asyncio.create_task(reader.follow(1.0))
        await asyncio.sleep(0.5)
        logs.write(1, "last")
        await following
        assert reader.lines == ["first", "last"]

    on_the_clock(main)


def answer(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "FilterLogEvents")


def named(error: BaseException) -> str:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


# error, when it is told first, how often in ten minutes, whether clients are renewed
BLIND = [
    (answer("ExpiredTokenException"), 0, 10, True),
    (answer("UnrecognizedClientException"), 0, 10, True),
    (answer("AccessDeniedException"), 0, 1, False),
    (answer("ThrottlingException"), 60, 9, False),
    (answer("ServiceUnavailableException"), 60, 9, True),
    (answer("LimitExceededException"), 0, 10, True),
    (answer("NobodyKnowsIt"), 0, 10, True),
    (BotoSslError(endpoint_url="e", error="handshake"), 0, 10, True),
    (ProxyConnectionError(proxy_url="p"), 0, 10, True),
    (EndpointConnectionError(endpoint_url="e"), 60, 9, True),
    (CredentialRetrievalError(provider="p", error_msg="m"), 0, 10, True),
    (CredentialsError("no credentials."), 0, 10, True),
    (OSError("no route"), 0, 10, True),
    (TimeoutError(), 60, 9, True),
    (KeyError("events"), 0, 10, True),
    (asyncio.CancelledError(), 0, 10, True),
]


@pytest.mark.parametrize("where", ["call", "client"])
@pytest.mark.parametrize(("error", "first", "times", "renews"), BLIND, ids=[named(row[0]) for row in BLIND])
def test_a_log_that_cannot_be_read_for_a_while_is_told_once_a_minute_and_loses_nothing(
    error: BaseException, first: float, times: int, renews: bool, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[float, str]] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append((now() - 5, record.getMessage()))

    async def main() -> None:
        logs = Logs()
        reader = Reader(logs.follower(), 1, min_lines_per_read=None)
        writer = asyncio.create_task(writing(logs, 1, 640, 1.0))

        async def no_client(region: str) -> Any:
            raise error

        async def blind(_: Followed) -> None:
            await asyncio.sleep(5)
            if where == "call":
                logs.fault = error
            else:
                reader.follower.client = no_client
            await asyncio.sleep(600)
            logs.fault, reader.follower.client = None, logs.client

        assert await reader.follow(40, also=blind) == [f"1: {line}" for line in range(640)]
        assert reader.drained is True
        await writer
        assert bool(logs.renewed) == renews
        assert len(logs.calls) < 645 / 3

    log, heard = logging.getLogger("ecs_feature.logs.followed"), Heard()
    log.addHandler(heard)
    try:
        on_the_clock(main)
    finally:
        log.removeHandler(heard)
    *failures, (_, last) = told
    assert all(said.startswith("The log of task 1 cannot be followed: ") for _, said in failures)
    assert failures[0][0] == pytest.approx(first, abs=40)
    assert abs(len(failures) - times) <= (times > 1)
    assert last.startswith("The log of task 1 is read again after 6")
    assert sum(record.exc_info is not None for record in caplog.records) == isinstance(
        error, KeyError | asyncio.CancelledError
    )


def test_an_end_without_sight_holds_no_shard() -> None:
    async def main() -> None:
        logs = Logs()
        reader = Reader(logs.follower(), 1)

        async def blind(_: Followed) -> None:
            await asyncio.sleep(5)
            logs.fault = answer("ExpiredTokenException")

        await reader.follow(100, also=blind)
        assert (reader.drained, reader.took) == (False, 0.0)

    on_the_clock(main)


def test_a_group_that_may_not_be_read_costs_the_others_nothing() -> None:
    async def main() -> None:
        logs, read = Logs(), Logs()
        follower = logs.follower()

        async def definition(arn: str) -> dict[str, Any]:
            given = await logs.definition(arn)
            if arn == "denied":
                options = given["containerDefinitions"][0]["logConfiguration"]["options"]
                given["containerDefinitions"][0]["logConfiguration"]["options"] = {**options, "awslogs-group": "/no"}
            return given

        async def filter_log_events(**request: Any) -> Any:
            if request["logGroupName"] == "/no":
                denied.append(now())
                raise answer("AccessDeniedException")
            return await read.filter_log_events(
                **{k: v for k, v in request.items() if k != "logGroupName"}, logGroupName=""
            )

        denied: list[float] = []
        logs.filter_log_events = filter_log_events  # type: ignore[method-assign]
        follower.task_definition = definition
        one, two = Reader(follower, 1), Reader(follower, 2)
        two.task = replace(two.task, task_definition_arn="denied")
        writer = asyncio.create_task(writing(read, 1, 300, 1.0))
        lines, _ = await asyncio.gather(one.follow(300), two.follow(300))
        await writer
        assert lines == [f"1: {line}" for line in range(300)]
        assert 10 <= len(denied) <= 16  # about every half minute
        assert len(read.calls) >= 90

    on_the_clock(main)


@pytest.mark.parametrize("trouble", ["ThrottlingException", "no answer"])
def test_a_log_that_cannot_be_read_costs_a_warning_a_minute_and_no_time(
    trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        logs = Logs()
        if trouble == "no answer":
            logs.hang = True
        else:
            logs.refusal = trouble
        reader = Reader(logs.follower(), 1)
        assert await reader.follow(300) == []
        assert reader.drained is False
        assert reader.took == 0.0
        assert len(logs.calls) < 20
        await reader.follower.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    on_the_clock(main)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert 3 <= len(warnings) <= 4
    assert all(warning.startswith("The log of task 1 cannot be followed: ") for warning in warnings)


@pytest.mark.parametrize("trouble", ["ThrottlingException", "no answer"])
def test_a_log_that_fails_just_at_the_end_holds_the_shard_for_ten_seconds(
    trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        logs = Logs()
        reader = Reader(logs.follower(), 1)
        logs.write(1, "first")

        async def fail_soon(_: Followed) -> None:
            await asyncio.sleep(4)
            logs.hang, logs.refusal = trouble == "no answer", "ThrottlingException"

        assert await reader.follow(1, also=fail_soon) == ["first"]
        assert (reader.drained, round(reader.took)) == (False, 10)
        await reader.follower.close()

    on_the_clock(main)
    assert [record.getMessage() for record in caplog.records] == [
        "The log of task 1 cannot be followed: no answer within 10 s"
    ]


def test_throttling_that_passes_is_not_told_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        logs = Logs()
        reader = Reader(logs.follower(), 1)
        writer = asyncio.create_task(writing(logs, 1, 60, 1.0))

        async def throttle(_: Followed) -> None:
            await asyncio.sleep(5)
            logs.refusal = "ThrottlingException"
            await asyncio.sleep(15)
            logs.refusal = None

        assert await reader.follow(50, also=throttle) == [f"1: {line}" for line in range(60)]
        await writer

    on_the_clock(main)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("fault", "driver", "why"),
    [
        (answer("InvalidParameterException"), "awslogs", "FilterLogEvents failed: no (InvalidParameterException)."),
        (
            ParamValidationError(report="limit"),
            "awslogs",
            "AWS could not be asked: Parameter validation failed: limit.",
        ),
        (None, "awsfirelens", "its log goes to awsfirelens, so there are no lines here"),
    ],
)
def test_what_does_not_pass_is_told_once_and_not_tried_again(
    fault: Exception | None, driver: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        logs = Logs()
        logs.fault, logs.driver = fault, driver
        readers = [Reader(logs.follower(), 1)]
        await readers[0].follow(60)
        assert (readers[0].drained, readers[0].took) == (False, 0.0)
        assert len(logs.calls) == (fault is not None)

    on_the_clock(main)
    (record,) = caplog.records
    assert record.getMessage() == f"The log of task 1 cannot be followed: {why}"


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (CredentialsError("no credentials."), 30),
        (TimeoutError(), 30),
        (AccessDeniedError("DescribeTaskDefinition was denied."), 0),
        (AwsError("no such definition.", "ClientException"), 0),
    ],
)
def test_a_task_definition_that_cannot_be_read_is_asked_for_again_unless_it_may_not_be(
    error: Exception, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        logs = Logs()
        follower, asked = logs.follower(), []

        async def definition(arn: str) -> dict[str, Any]:
            asked.append(arn)
            if now() < 100 and arn == "unknown":
                raise error
            return await logs.definition(arn)

        follower.task_definition = definition
        unknown, known = Reader(follower, 1), Reader(follower, 2)
        unknown.task = replace(unknown.task, task_definition_arn="unknown")
        logs.write(2, "hello")
        writer = asyncio.create_task(writing(logs, 1, 30, 1.0))
        found, others = await asyncio.gather(unknown.follow(150), known.follow(150))
        await writer
        assert len([line for line in found if line.startswith("1: ")]) == lines
        assert others == ["hello"]
        assert len(asked) < 20

    on_the_clock(main)
    told = [record.getMessage() for record in caplog.records]
    assert all(said.startswith("The log of task 1 ") for said in told)
    assert told[0].startswith("The log of task 1 cannot be followed: ")
    assert (len(told), told[-1].startswith("The log of task 1 is read again")) in ((1, False), (2, True), (3, True))


def test_an_answer_without_sense_is_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        logs = Logs()
        logs.write(1, "x")
        nonsense = [{"events": [{}]}, {"events": None}, [], None]
        sensible = logs.filter_log_events

        async def filter_log_events(**request: Any) -> Any:
            return nonsense.pop() if nonsense else await sensible(**request)

        logs.filter_log_events = filter_log_events  # type: ignore[method-assign]
        reader = Reader(logs.follower(), 1)
        assert await reader.follow(60) == ["x"]
        assert reader.drained is True

    on_the_clock(main)


def test_a_shard_whose_lines_cannot_be_written_keeps_no_other_from_its_own(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        logs = Logs()
        follower = logs.follower()
        broken, whole = Reader(follower, 1), Reader(follower, 2)
        logs.write(1, "x")
        logs.write(2, "y")

        def show(fresh: Any) -> None:
            raise OSError("the log is full")

        broken.show = show  # type: ignore[method-assign]
        _, lines = await asyncio.gather(broken.follow(10), whole.follow(10))
        assert (lines, whole.drained, broken.drained) == (["y"], True, True)

    on_the_clock(main)
    assert "The task log of the shard of task 1 cannot be written." in caplog.text


def test_a_fault_of_the_follower_fails_no_shard(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        logs = Logs()
        logs.write(1, "x")
        reader = Reader(logs.follower(), 1)
        reader.follower._company = None  # type: ignore[assignment,method-assign]
        assert await reader.follow(60) == []
        assert reader.drained is False

    on_the_clock(main)
    assert "Live lines end because of a fault in the follower." in caplog.text


def test_a_cancelled_shard_and_a_closed_fleet_leave_nothing_behind() -> None:
    async def main() -> None:
        logs = Logs()
        follower = logs.follower()
        logs.write(1, "x")
        logs.write(2, "x")
        one, two = (asyncio.create_task(Reader(follower, number).follow(600)) for number in (1, 2))
        await asyncio.sleep(5)
        one.cancel()
        await asyncio.gather(one, return_exceptions=True)
        assert list(follower._followed) == [task(2).arn]
        two.cancel()
        await asyncio.gather(two, return_exceptions=True)
        await asyncio.sleep(0.1)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        before = len(logs.calls)
        three = asyncio.create_task(Reader(follower, 1).follow(600))
        await asyncio.sleep(5)
        assert len(logs.calls) > before
        await follower.close()
        three.cancel()
        await asyncio.gather(three, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    on_the_clock(main)


def test_after_an_earlier_triggerer_only_the_last_minutes_are_shown_again() -> None:
    async def main() -> None:
        logs = Logs()
        await asyncio.sleep(3600)
        for minute in range(60):
            logs.write(1, f"minute {minute}", at=minute * 60 + 1)
        reader = Reader(logs.follower(), 1)
        reader.task = replace(reader.task, created_at=EPOCH, started_at=EPOCH)
        assert await reader.follow(10) == ["minute 58", "minute 59"]

    on_the_clock(main)
