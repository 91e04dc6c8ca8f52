"""How long a call is repeated, what is told meanwhile, and what an answer of DescribeTasks says. A clock of its own."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError, SSLError

from ecs_feature.exceptions import (
    AwsError,
    ConfigurationError,
    CredentialsError,
    EcsFeatureError,
    EndpointUnreachableError,
)
from ecs_feature.fleet.sight import PatientCalls, described, patience_seconds


def answer(code: str, status: int = 400) -> ClientError:
    response = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "RunTask")  # type: ignore[arg-type]


NETWORK = EndpointConnectionError(endpoint_url="http://here")
EXPIRED = answer("ExpiredTokenException")


@dataclass
class World:
    """AWS fails with ``errors`` in turn, each for some seconds; None: for ever."""

    script: list[tuple[Exception, float | None]]
    answer_seconds: float = math.inf
    now: float = 0.0
    renewed: list[float] = field(default_factory=list)
    told: list[tuple[float, str]] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        self.patient = PatientCalls(self.renew, 300.0, self.answer_seconds, clock=lambda: self.now, sleep=self.sleep)

    async def renew(self) -> None:
        self.renewed.append(self.now)

    async def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.1)

    async def aws(self) -> str:
        self.calls += 1
        self.now += 0.01
        passed = 0.0
        for error, seconds in self.script:
            passed += math.inf if seconds is None else seconds
            if self.now < passed:
                raise error
        return "answer"

    async def call(self, **given: Any) -> Any:
        return await self.patient.call(self.aws, tell=lambda told: self.told.append((self.now, told)), **given)


@pytest.mark.parametrize(
    "error",
    [NETWORK, answer("ThrottlingException"), answer("ServerException", 500), TimeoutError()],
    ids=["network", "throttling", "fault", "no answer"],
)
async def test_what_passes_by_itself_is_waited_for_without_end(error: Exception) -> None:
    world = World([(error, 7200.0)])
    assert await world.call() == "answer"
    assert 90 <= len(world.told) <= 121  # once a minute, at the next repetition


@pytest.mark.parametrize(
    "error",
    [EXPIRED, answer("AccessDeniedException"), answer("Unheard"), SSLError(endpoint_url="e", error="x"), KeyError("x")],
    ids=["credentials", "access", "unknown", "tls", "nonsense"],
)
async def test_what_may_pass_is_waited_for_five_minutes_with_renewed_clients(error: Exception) -> None:
    world = World([(error, 290.0)])
    assert await world.call() == "answer"
    assert world.renewed
    assert not world.patient.refused
    assert world.told[0][1].endswith("Asking again, for at most 300 s.")
    world = World([(error, None)])
    with pytest.raises(EcsFeatureError):
        await world.call()
    assert 300 <= world.now <= 321
    assert 5 <= len(world.told) <= 6
    assert world.patient.refused


@pytest.mark.parametrize(
    "error",
    [answer("InvalidParameterException"), answer("ClusterNotFoundException"), ParamValidationError(report="r")],
    ids=["parameter", "cluster", "model"],
)
async def test_what_cannot_pass_is_raised_at_once(error: Exception) -> None:
    world = World([(error, None)])
    with pytest.raises(AwsError):
        await world.call()
    assert (world.calls, world.told, world.renewed) == (1, [], [])


async def test_each_stretch_without_credentials_has_its_own_five_minutes() -> None:
    world = World([(EXPIRED, 200.0), (answer("ThrottlingException"), 600.0), (EXPIRED, 200.0)])
    assert await world.call() == "answer"


async def test_the_caller_may_have_more_patience_and_it_may_change() -> None:
    world = World([(EXPIRED, 900.0)])
    assert await world.call(patience=lambda: 3000.0) == "answer"


@pytest.mark.parametrize(("patience", "told"), [(5.0, []), (59.0, []), (60.0, [60]), (90.0, [90])])
async def test_what_is_waited_for_less_than_a_minute_is_raised_and_not_told(patience: float, told: list[int]) -> None:
    world = World([(EXPIRED, None)])
    with pytest.raises(CredentialsError):
        await world.call(patience=lambda: patience)
    assert [sentence.rpartition(" Asking again, ")[2] for _, sentence in world.told][:1] == [
        f"for at most {each} s." for each in told
    ]
    assert world.renewed


@pytest.mark.parametrize(("optional", "calls"), [(True, 1), (False, 2)])
async def test_denied_access_to_what_a_caller_can_do_without_is_raised_at_once_and_is_no_refusal(
    optional: bool, calls: int
) -> None:
    world = World([(answer("AccessDeniedException"), None)])
    with pytest.raises(AwsError):
        await world.call(optional=optional)
    assert (world.calls >= calls, world.calls == 1, world.patient.refused) == (True, optional, not optional)


async def test_a_bounded_call_ends_whatever_is_the_matter() -> None:
    world = World([(NETWORK, None)], answer_seconds=20.0)
    with pytest.raises(EndpointUnreachableError, match="http://here cannot be reached"):
        await world.call()
    assert 20 <= world.now <= 41


async def test_a_bounded_call_that_hangs_ends_with_a_sentence() -> None:
    async def renew() -> None:
        raise AssertionError

    patient = PatientCalls(renew, answer_seconds=0.05)
    with pytest.raises(EndpointUnreachableError, match="AWS gave no answer in time; check the endpoint"):
        await patient.call(asyncio.Event().wait)


async def test_a_bounded_call_that_failed_before_it_hung_says_why_it_failed() -> None:
    async def renew() -> None:
        raise AssertionError

    async def quick(seconds: float) -> None:
        await asyncio.sleep(0)

    calls = []

    async def aws() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise NETWORK
        await asyncio.Event().wait()

    with pytest.raises(EndpointUnreachableError, match="http://here cannot be reached"):
        await PatientCalls(renew, answer_seconds=0.05, sleep=quick).call(aws)
    assert len(calls) == 2


async def test_a_cancelled_call_is_cancelled() -> None:
    async def renew() -> None:
        raise AssertionError

    calling = asyncio.create_task(PatientCalls(renew).call(asyncio.Event().wait))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


@pytest.mark.parametrize(("given", "seconds"), [(None, 300.0), ("0", 0.0), ("900.5", 900.5)])
def test_the_time_for_credentials_is_a_setting(
    given: str | None, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given is not None:
        monkeypatch.setenv("AIRFLOW__ECS_FEATURE__CREDENTIALS_TIMEOUT_SECONDS", given)
    assert patience_seconds() == seconds


@pytest.mark.parametrize("given", ["five", "-1", "nan"])
def test_a_wrong_setting_is_refused_in_one_sentence(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ECS_FEATURE__CREDENTIALS_TIMEOUT_SECONDS", given)
    with pytest.raises(ConfigurationError) as error:
        patience_seconds()
    assert str(error.value) == (
        f"[ecs_feature] credentials_timeout_seconds: {given!r} is not a number of seconds; give 0 or more."
    )


ONE, TWO = (f"arn:aws:ecs:us-east-1:1:task/features/{number}" for number in (1, 2))


def shown(arn: str, **changed: Any) -> dict[str, Any]:
    return {"taskArn": arn, "lastStatus": "RUNNING", **changed}


@pytest.mark.parametrize(
    ("given", "seen", "missing"),
    [
        ({"tasks": [shown(ONE), shown(TWO)], "failures": []}, {ONE, TWO}, set()),
        ({"tasks": [shown(ONE)], "failures": [{"arn": TWO, "reason": "MISSING"}]}, {ONE}, {TWO}),
        (
            {"tasks": [], "failures": [{"arn": "arn:aws:ecs:us-east-1:1:task/2", "reason": "MISSING"}]},
            set(),
            {TWO},
        ),
        ({"tasks": [shown(ONE)], "failures": [{"arn": TWO, "reason": "ACCESS_DENIED"}]}, {ONE}, set()),
        ({"tasks": [shown(ONE)]}, {ONE}, set()),
        ({"tasks": [shown(ONE), {}], "failures": None}, {ONE}, set()),
        ({"tasks": [shown(ONE), None, 7, shown(TWO, lastStatus="")]}, {ONE}, set()),
        ({"tasks": [shown(ONE), shown(TWO, containers=7)]}, {ONE}, set()),
        ({"tasks": []}, set(), set()),
    ],
    ids=["both", "missing", "short ARN", "other failure", "unsaid", "empty", "nonsense", "containers", "nothing"],
)
def test_only_ecs_own_word_makes_a_task_missing(
    given: dict[str, Any], seen: set[str], missing: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    said = described(given, [ONE, TWO])
    assert {arn for arn, task in said.items() if task is not None and task.arn == arn} == seen
    assert {arn for arn, task in said.items() if task is None} == missing


@pytest.mark.parametrize("given", [{}, {"tasks": None}, {"tasks": 7}, [], "<html>"])
def test_an_answer_without_sense_is_an_error(given: Any) -> None:
    with pytest.raises((KeyError, TypeError)):
        described(given, [ONE])
