"""A shard whose calls fail while its task runs, on a local Fargate: nothing is stopped, launched again or retried."""

from __future__ import annotations

import asyncio
import json
import socket
from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import pytest
from shard_tries import all_tasks, launches, shard, told, until

from ecs_feature.cli import logs_command
from ecs_feature.cli.logs_command import LogReader
from ecs_feature.exceptions import EndpointUnreachableError
from ecs_feature.fleet.fleet import FleetKey
from ecs_feature.hooks import ecs as hooks
from ecs_feature.runs.run_shards import RunShard
from ecs_feature.shards.run import ShardRun
from ecs_feature.tasks.launch import started_by
from ecs_feature.tasks.outcomes import Kind
from fargate_local import LocalFargate


@pytest.fixture
def aws(simulated: LocalFargate) -> LocalFargate:
    return simulated


class Lines(list[str]):
    """A task log."""

    def info(self, message: str, *arguments: Any) -> None:
        self.append(message % arguments)

    warning = error = info

    def info_within(self, seconds: float, message: str, *arguments: Any) -> None:
        self.info(message, *arguments)

    def about(self, words: str) -> int:
        return sum(words in line for line in self)


async def assert_succeeds_undisturbed(aws: LocalFargate, run: ShardRun) -> None:
    async with asyncio.timeout(60):
        assert (await run.run()).kind is Kind.SUCCEEDED
    assert told(run) == [("succeeded", "FARGATE", 512)]
    assert aws.calls("StopTask") == []
    assert len(all_tasks(aws)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        # case 03, as it is filed
        {
            "error": "ExpiredTokenException",
            "message": "The security token included in the request is expired",
            "times": 1,
        },
        {"error": "ExpiredTokenException", "times": 3},
        {"error": "AccessDeniedException", "times": 3},
        {"error": "ClusterNotFoundException", "times": 3},
        {"error": "ServerException", "status": 500, "times": 3},
        {"drop_answer": True, "times": 3},
    ],
    ids=["case 03", "expired", "denied", "no cluster", "fault", "lost answers"],
)
async def test_a_shard_whose_task_cannot_be_seen_for_a_while_succeeds(aws: LocalFargate, fault: dict[str, Any]) -> None:
    aws.add_fault({"match": {"operation": "DescribeTasks"}, **fault})
    async with shard(seconds=2, timeout_seconds=60) as run:
        run.log = lines = Lines()
        await assert_succeeds_undisturbed(aws, run)
    assert len(launches(aws)) == 1
    passes_by_itself = fault.get("error", "ServerException") == "ServerException"
    assert lines.about("cannot be seen and is left running: ") == lines.about("is seen again") == (not passes_by_itself)


async def test_answers_without_sense_are_no_answers(aws: LocalFargate) -> None:
    """As from a proxy: JSON that is not ECS's, tasks left out, an HTML page."""
    bodies = [b"{}", b'{"tasks": null}', b'{"tasks": [], "failures": []}', b'{"tasks": [{}]}', b"<html>", b"[]"]

    def garble(*, response_dict: dict[str, Any], **_: Any) -> None:
        if bodies:
            response_dict["body"] = bodies.pop()

    async with shard(seconds=2, timeout_seconds=120) as run:
        run.fleet._clients.renew = _renew_nothing  # type: ignore[method-assign]
        run.fleet._watcher.renew = lambda: None
        client = await run.fleet._clients.get("ecs", direct=True)
        client.meta.events.register_first("before-parse.ecs.DescribeTasks", garble)
        await assert_succeeds_undisturbed(aws, run)
    assert bodies == []


async def _renew_nothing() -> None:
    """The garbled client stays."""


async def test_a_launch_waits_for_credentials_and_starts_one_task(aws: LocalFargate) -> None:
    aws.add_fault({"match": {"operation": "RunTask"}, "error": "ExpiredTokenException", "times": 2})
    async with shard() as run:
        run.log = lines = Lines()
        await assert_succeeds_undisturbed(aws, run)
    assert lines.about("Asking again, for at most 300 s.") == 1


async def test_credentials_that_stay_away_fail_a_launch_with_a_failure_that_retries_may_repeat(
    aws: LocalFargate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ECS_FEATURE__CREDENTIALS_TIMEOUT_SECONDS", "2")
    aws.add_fault({"match": {"operation": "RunTask"}, "error": "ExpiredTokenException", "message": "It has expired."})
    async with shard() as run:
        outcome = await run.run()
    assert outcome.kind is Kind.NO_ACCESS
    assert outcome.sentence("UA") == (
        "Shard UA: AWS did not let it be launched in time (AWS rejected the credentials (ExpiredTokenException: It has "
        "expired); check the aws connection's key, token and role)."
    )


async def test_keys_that_are_rotated_while_a_task_runs_are_read_again_from_the_connection(
    aws: LocalFargate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local Fargate knows only its own key; the clients get a wrong one while the task runs."""
    good = {"login": aws.environ["AWS_ACCESS_KEY_ID"], "password": aws.environ["AWS_SECRET_ACCESS_KEY"]}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_ROTATED", json.dumps({"conn_type": "aws", **good}))
    async with shard(seconds=3, timeout_seconds=60, aws_conn_id="aws_rotated") as run:
        client = await run.fleet._clients.get("ecs", direct=True)
        working = asyncio.create_task(assert_succeeds_undisturbed(aws, run))
        await until(lambda: run.task is not None)
        client._request_signer._credentials.access_key = "AKIAWRONG"
        await working
        assert await run.fleet._clients.get("ecs", direct=True) is not client
    assert any(call.status == 400 for call in aws.calls("DescribeTasks"))


@pytest.mark.parametrize("answers", [False, True], ids=["nobody listens", "nobody answers"])
async def test_the_logs_of_a_run_are_not_waited_for_when_nobody_answers(
    answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_command, "ANSWER_SECONDS", 2.0)
    # botocore's own pauses add up to 15 s.
    monkeypatch.setattr(hooks, "CLIENT_CONFIG", hooks.CLIENT_CONFIG.merge(hooks.DIRECT_CONFIG))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if answers else 1
        for name, value in (
            ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}"),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            monkeypatch.setenv(name, value)
        one = RunShard("UA", "", "UA", "running", started_by("d/t"), "features", "job", "job")
        args = Namespace(follow=False, lines=10, shard=None, failed=False)
        reader = LogReader(SimpleNamespace(), args, FleetKey(aws_conn_id=None))  # type: ignore[arg-type]
        async with asyncio.timeout(30):
            with pytest.raises(EndpointUnreachableError) as error:
                await reader.read([one])
    assert str(error.value).startswith("AWS gave no answer in time;" if answers else "http://127.0.0.1:1/ cannot be")
