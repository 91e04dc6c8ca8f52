"""Last lines by the hundred, within CloudWatch's rates, and never at a shard's expense."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError, ProxyConnectionError
from botocore.exceptions import SSLError as BotoSslError

from ecs_feature.aws.resources import EcsTask
from ecs_feature.exceptions import AccessDeniedError, CredentialsError
from ecs_feature.logs import tail as tail_module
from ecs_feature.logs.tail import LogTail
from tests.jumping_clock import jumping

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
TASK = EcsTask("", "", "job:1", "STOPPED", "STOPPED", started_at=START, stopped_at=START + timedelta(seconds=600))
OPTIONS = {"awslogs-group": "/ecs/features", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "job"}


def finished(number: int, **changed: Any) -> EcsTask:
    return replace(TASK, arn=f"arn:aws:ecs:us-east-1:1:task/features/{number}", **changed)


def refusal(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


class Tail(LogTail):
    """Gives texts; ``missing`` is what it said of the last log."""

    missing = ""

    async def last_lines(self, *arguments: Any, **options: Any) -> list[str]:  # type: ignore[override]
        found = await super().last_lines(*arguments, **options)
        self.missing = found.missing
        return [line.text for line in found.lines]


class NotFoundError(ClientError):
    pass


class Logs:
    """CloudWatch Logs as it is documented: pages of 100 events, and an unknown stream refuses the whole call."""

    PAGE = 100

    class exceptions:
        ResourceNotFoundException = NotFoundError

    def __init__(self) -> None:
        self.streams: dict[str, list[tuple[datetime, str]]] = {}
        self.calls: list[tuple[str, float]] = []
        self.refuse: dict[str, int] = {}
        self.hang = False
        self.fault: Exception | None = None
        self.renewed = 0
        self.missing = "The specified log stream does not exist."
        self.configuration: dict[str, Any] = {"logDriver": "awslogs", "options": OPTIONS}

    def write(self, number: int, lines: int, *, until: float = 599.0, every: float = 0.01) -> None:
        """``lines`` lines of a task, the last one ``until`` seconds after the start."""
        at = [START + timedelta(seconds=until - every * (lines - 1 - line)) for line in range(lines)]
        self.streams[f"job/features/{number}"] = [(moment, f"{number}: line {line}") for line, moment in enumerate(at)]

    async def _count(self, operation: str) -> None:
        self.calls.append((operation, asyncio.get_running_loop().time()))
        if self.hang:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        if self.refuse.get(operation, 0) > 0:
            self.refuse[operation] -= 1
            raise refusal("ThrottlingException", operation)

    def _stream(self, name: str, operation: str) -> list[tuple[datetime, str]]:
        if name not in self.streams:
            raise NotFoundError({"Error": {"Code": "ResourceNotFoundException", "Message": self.missing}}, operation)
        return self.streams[name]

    async def filter_log_events(
        self, logGroupName: str, logStreamNames: list[str], limit: int, startTime: int = 0, nextToken: str = "0"
    ) -> Any:
        assert len(logStreamNames) <= 100
        await self._count("FilterLogEvents")
        found = [
            {"timestamp": int(at.timestamp() * 1000), "message": text + "\n", "logStreamName": name}
            for name in logStreamNames
            for at, text in self._stream(name, "FilterLogEvents")
            if at.timestamp() * 1000 >= startTime
        ]
        found.sort(key=lambda event: str(event["timestamp"]))
        start = int(nextToken)
        more = {"nextToken": str(start + self.PAGE)} if start + self.PAGE < len(found) else {}
        return {"events": found[start : start + self.PAGE], **more}

    async def get_log_events(
        self, logGroupName: str, logStreamName: str, limit: int, startFromHead: bool, nextToken: str = ""
    ) -> Any:
        await self._count("GetLogEvents")
        lines = self._stream(logStreamName, "GetLogEvents")
        if not nextToken:
            return {"events": [], "nextBackwardToken": "b/1"}  # an empty page although there are lines
        events = [{"timestamp": int(at.timestamp() * 1000), "message": text} for at, text in lines[-limit:]]
        return {"events": events, "nextBackwardToken": "b/2"}

    async def client(self, region: str) -> Any:
        assert region == "us-east-1"
        return self

    async def definition(self, arn: str) -> dict[str, Any]:
        return {"containerDefinitions": [{"name": "features", "logConfiguration": self.configuration}]}

    def renew(self) -> None:
        """The connection has new credentials by now."""
        self.renewed += 1
        self.fault = None

    def tail(self, **options: Any) -> Tail:
        return Tail(self.client, self.definition, **{"collect_seconds": 0.05, "max_seconds": 5.0, **options})

    def made(self) -> Counter[str]:
        return Counter(operation for operation, _ in self.calls)


@pytest.fixture
def logs() -> Logs:
    return Logs()


@jumping
async def test_a_hundred_finished_tasks_cost_one_call(logs: Logs) -> None:
    logs.PAGE = 1000
    for number in range(100):
        logs.write(number, 3)
    tail = logs.tail()
    found = await asyncio.gather(*(tail.last_lines(finished(n), "features", 2) for n in range(100)))
    assert found == [[f"{n}: line 1", f"{n}: line 2"] for n in range(100)]
    assert logs.made() == {"FilterLogEvents": 1}


@jumping
async def test_what_comes_later_is_another_call(logs: Logs) -> None:
    logs.PAGE = 1000
    for number in range(250):
        logs.write(number, 1)
    tail = logs.tail()
    found = await asyncio.gather(*(tail.last_lines(finished(n), "features", 5) for n in range(250)))
    assert all(len(lines) == 1 for lines in found)
    assert logs.made()["FilterLogEvents"] == 3
    assert await tail.last_lines(finished(7), "features", 5) == ["7: line 0"]
    assert logs.made()["FilterLogEvents"] == 4


@jumping
async def test_a_chatty_groups_end_is_read_and_not_its_beginning(logs: Logs) -> None:
    logs.write(0, 50_000)
    logs.write(1, 2, until=1.0)
    tail = logs.tail(max_seconds=60.0)  # half a second's work, on a machine that nothing else uses
    chatty, quiet = await asyncio.gather(*(tail.last_lines(finished(n), "features", 3) for n in (0, 1)))
    assert chatty == ["0: line 49997", "0: line 49998", "0: line 49999"]
    assert quiet == ["1: line 0", "1: line 1"]
    assert logs.made()["FilterLogEvents"] <= 9


@jumping
async def test_a_stream_that_is_not_there_does_not_cost_the_others_theirs(logs: Logs) -> None:
    for number in range(16):
        if number != 5:
            logs.write(number, 1)
    tail = logs.tail()
    found = await asyncio.gather(*(tail.last_lines(finished(n), "features", 1) for n in range(16)))
    assert found == [[] if n == 5 else [f"{n}: line 0"] for n in range(16)]
    assert logs.made()["FilterLogEvents"] == 1 + 2 * 4


@jumping
async def test_a_task_that_never_ran_costs_no_call(logs: Logs) -> None:
    assert await logs.tail().last_lines(finished(1, started_at=None), "features", 5) == []
    assert logs.calls == []


@jumping
async def test_a_failed_tasks_very_last_lines_are_read_by_themselves(logs: Logs) -> None:
    logs.write(3, 1000)
    found = await logs.tail().last_lines(finished(3), "features", 2, failed=True)
    assert found == ["3: line 998", "3: line 999"]
    assert logs.made() == {"GetLogEvents": 2}
    assert await logs.tail().last_lines(finished(4), "features", 2, failed=True) == []


@jumping
async def test_while_very_many_fail_the_rest_is_read_together(logs: Logs) -> None:
    logs.PAGE = 1000
    for number in range(40):
        logs.write(number, 1)
    tail = logs.tail()
    found = await asyncio.gather(*(tail.last_lines(finished(n), "features", 5, failed=True) for n in range(40)))
    assert found == [[f"{n}: line 0"] for n in range(40)]
    made = logs.made()
    assert made["FilterLogEvents"] == 1
    assert made["GetLogEvents"] < 2 * 20


@jumping
async def test_throttling_is_waited_for(logs: Logs) -> None:
    logs.write(1, 1)
    logs.refuse = {"FilterLogEvents": 2}
    assert await logs.tail().last_lines(finished(1), "features", 5) == ["1: line 0"]
    assert logs.made()["FilterLogEvents"] == 3


EXPIRED = refusal("ExpiredTokenException", "FilterLogEvents")
TLS = BotoSslError(endpoint_url="e", error="handshake")
WAITED_FOR = [
    (
        EXPIRED,
        "AWS rejected the credentials (ExpiredTokenException: ExpiredTokenException); check the aws connection's",
    ),
    (refusal("NobodyKnowsIt", "FilterLogEvents"), "FilterLogEvents failed: NobodyKnowsIt (NobodyKnowsIt)."),
    (TLS, "e cannot be reached (SSLError)"),
    (ProxyConnectionError(proxy_url="p"), "the AWS endpoint cannot be reached (ProxyConnectionError)"),
    (CredentialRetrievalError(provider="p", error_msg="m"), "No AWS credentials were found"),
    (CredentialsError("The role cannot be assumed."), "The role cannot be assumed."),
    (KeyError("events"), "AWS could not be asked: KeyError: 'events'."),
]


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize(("error", "why"), WAITED_FOR, ids=[type(error).__name__ for error, _ in WAITED_FOR])
@jumping
async def test_what_new_clients_mend_costs_no_lines(
    logs: Logs, failed: bool, error: Exception, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "RETRY_SECONDS", 0.01)
    logs.write(1, 1)
    logs.fault = error
    tail = logs.tail(renew=logs.renew)
    assert await tail.last_lines(finished(1), "features", 5, failed=failed) == ["1: line 0"]
    assert logs.renewed == 1


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize(("error", "why"), WAITED_FOR, ids=[type(error).__name__ for error, _ in WAITED_FOR])
@jumping
async def test_what_does_not_pass_in_time_is_given_up_with_aws_own_words(
    logs: Logs, failed: bool, error: Exception, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    logs.write(1, 1)
    logs.fault = error
    tail = logs.tail(max_seconds=0.3)
    assert await tail.last_lines(finished(1), "features", 5, failed=failed) == []
    (record,) = caplog.records
    assert record.message.startswith(f"The log of task 1 cannot be read: {why}")
    await tail.close()


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (
            "throttled for ever",
            "GetLogEvents was throttled (ThrottlingException: ThrottlingException); try again later.",
        ),
        ("no answer", "CloudWatch Logs gave no answer within 0.3 s."),
        ("no definition", "ECS did not give its task definition within 0.3 s."),
    ],
)
@jumping
async def test_a_log_that_cannot_be_read_in_time_is_given_up_with_one_line(
    logs: Logs, failed: bool, trouble: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    logs.write(1, 1)
    logs.hang = trouble == "no answer"
    logs.refuse = {"FilterLogEvents": 999, "GetLogEvents": 999}
    tail = logs.tail(max_seconds=0.3)
    if trouble == "no definition":
        tail.task_definition = lambda arn: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    assert await tail.last_lines(finished(1), "features", 5, failed=failed) == []
    why = why if failed else why.replace("GetLogEvents", "FilterLogEvents")
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        f"The log of task 1 cannot be read: {why}"
    ]
    await tail.close()


NO_LINES = "so there are no lines here"
PLACES = [
    ({"logDriver": "awsfirelens", "options": {"Name": "cloudwatch"}}, f"its log goes to awsfirelens, {NO_LINES}"),
    ({"logDriver": "splunk"}, f"its log goes to splunk, {NO_LINES}"),
    ({"logDriver": "json-file"}, f"its log goes to json-file, {NO_LINES}"),
    ({"logDriver": "none"}, f"its log goes to none, {NO_LINES}"),
    ({}, f"it has no logConfiguration, {NO_LINES}"),
    (
        {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/features"}},
        f"its log goes to awslogs without an awslogs-stream-prefix, {NO_LINES}",
    ),
    (
        {"logDriver": "awslogs", "options": {"awslogs-stream-prefix": "job"}},
        f"its log goes to awslogs without an awslogs-stream-prefix, {NO_LINES}",
    ),
]


@pytest.mark.parametrize(("configuration", "missing"), PLACES)
@pytest.mark.parametrize("failed", [False, True])
@jumping
async def test_lines_that_are_elsewhere_cost_no_call_and_it_is_said_where(
    logs: Logs, configuration: dict[str, Any], missing: str, failed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    logs.configuration = configuration
    tail = logs.tail()
    assert await tail.last_lines(finished(1), "features", 5, failed=failed) == []
    assert tail.missing == missing
    assert logs.calls == []
    assert caplog.records == []


@jumping
async def test_a_container_that_the_task_definition_does_not_have_has_no_lines(logs: Logs) -> None:
    tail = logs.tail()
    assert await tail.last_lines(finished(1), "guard", 5) == []
    assert tail.missing == f"container guard is not in the task definition, {NO_LINES}"


@pytest.mark.parametrize("failed", [False, True])
@jumping
async def test_a_log_group_that_was_deleted_is_named_with_one_call(logs: Logs, failed: bool) -> None:
    logs.missing = "The specified log group does not exist."
    tail = logs.tail()
    both = await asyncio.gather(*(tail.last_lines(finished(n), "features", 5, failed=failed) for n in (1, 2)))
    assert both == [[], []]
    assert tail.missing == f"its log group /ecs/features does not exist, {NO_LINES}"
    assert len(logs.calls) == (2 if failed else 1)


@pytest.mark.parametrize("failed", [False, True])
@jumping
async def test_denied_access_is_waited_for_by_the_first_shards_only_and_told_once_a_shard(
    logs: Logs, failed: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tail_module, "RETRY_SECONDS", 0.05)
    logs.write(1, 1)
    logs.fault = refusal("AccessDeniedException", "GetLogEvents")
    tail = LogTail(logs.client, logs.definition, 0.01, 1.0, renew=logs.renew)
    for _ in range(2):
        before, began = len(logs.calls), asyncio.get_running_loop().time()
        found = await tail.last_lines(finished(1), "features", 5, failed=failed)
        assert (found.lines, found.missing) == ((), "its log cannot be read")
        assert isinstance(found.error, AccessDeniedError)
        took, calls = asyncio.get_running_loop().time() - began, len(logs.calls) - before
    assert (took < 0.5, calls) == (True, 1)
    assert logs.renewed == 0
    assert [record.message for record in caplog.records] == [
        "The log of task 1 cannot be read: GetLogEvents was denied (AccessDeniedException: AccessDeniedException); "
        "allow it in Airflow's role."
    ] * 2
    logs.fault = None
    assert (await tail.last_lines(finished(1), "features", 5, failed=failed)).lines
    logs.fault = refusal("AccessDeniedException", "GetLogEvents")
    reading = asyncio.create_task(tail.last_lines(finished(1), "features", 5, failed=failed))
    await asyncio.sleep(0.2)
    logs.fault = None
    assert (await reading).lines  # it was allowed in between, so it is waited for again
    await tail.close()


@pytest.mark.parametrize("failed", [False, True])
@jumping
async def test_a_wrong_request_is_not_repeated(logs: Logs, failed: bool) -> None:
    logs.fault = refusal("InvalidParameterException", "GetLogEvents")
    tail = logs.tail(renew=logs.renew)
    assert await tail.last_lines(finished(1), "features", 5, failed=failed) == []
    assert (len(logs.calls), logs.renewed) == (1, 0)


@jumping
async def test_a_log_that_is_known_not_to_be_readable_is_not_told_again(
    logs: Logs, caplog: pytest.LogCaptureFixture
) -> None:
    logs.fault = refusal("InvalidParameterException", "GetLogEvents")
    assert await logs.tail().last_lines(finished(1), "features", 5, failed=True, quiet=True) == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("failed", [False, True])
@jumping
async def test_a_container_that_wrote_nothing_is_not_missing_lines(logs: Logs, failed: bool) -> None:
    tail = logs.tail()
    assert await tail.last_lines(finished(1), "features", 5, failed=failed) == []
    assert tail.missing == ""


@jumping
async def test_calls_keep_to_the_published_rates(logs: Logs) -> None:
    for number in range(12):
        logs.write(number, 1)
    tail = logs.tail(max_seconds=15.0)
    await asyncio.gather(*(tail.last_lines(finished(n), "features", 5, failed=True) for n in range(12)))
    moments = [moment for _, moment in logs.calls]
    assert len(moments) / 10 <= moments[-1] - moments[0] + 0.1 + 1e-3
