"""A task on a worker asks AWS again while what is in its way may pass."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError, SSLError

from ecs_feature.exceptions import (
    AccessDeniedError,
    AwsError,
    ConfigurationError,
    CredentialsError,
    EndpointUnreachableError,
    LeaseError,
    PublishError,
    ServiceNotFoundError,
    ThrottledError,
)
from ecs_feature.operators.patience import patiently


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0.0 <= seconds <= 20.0
        self.now += 5.0


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, message: str, *arguments: Any, exc_info: Any = None) -> None:
        self.lines.append(message % arguments)


def ask(*outcomes: Any, seconds: float = 300.0, log: Log | None = None) -> tuple[Any, int]:
    """The result, and how often AWS was asked; the last of the outcomes is repeated."""
    left, clock, asked = list(outcomes), Clock(), 0

    def act() -> Any:
        nonlocal asked
        asked += 1
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    try:
        return patiently(act, log or Log(), seconds=seconds, clock=clock, sleep=clock.sleep), asked
    except Exception as error:
        error.args = (*error.args, asked)
        raise


PASSES = [
    ThrottledError("Throttled.", "ThrottlingException"),
    EndpointUnreachableError("Not reached."),
    CredentialsError("Expired.", "ExpiredTokenException"),
    AccessDeniedError("Denied.", "AccessDeniedException"),
    AwsError("Fault.", "ServerException"),
    ClientError({"Error": {"Code": "ExpiredToken"}}, "GetObject"),
    SSLError(endpoint_url="https://ecs", error="handshake"),
    KeyError("services"),
    AttributeError("'str' object has no attribute 'get'"),
]
LASTS = [
    ConfigurationError("cap: wrong."),
    LeaseError("No room."),
    PublishError("Not whole."),
    ServiceNotFoundError("Not there.", "ServiceNotFoundException"),
    AwsError("Wrong.", "InvalidParameterException"),
    AirflowException("ours"),
    AirflowFailException("ours"),
]


@pytest.mark.parametrize("error", PASSES, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_asked_again(error: Exception) -> None:
    log = Log()
    assert ask(error, error, "done", log=log) == ("done", 3)
    assert len(log.lines) == 1
    assert log.lines[0].endswith(" Asking again, for at most 300 s.")


@pytest.mark.parametrize("error", LASTS, ids=lambda error: type(error).__name__)
def test_what_cannot_pass_is_raised_at_once(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        ask(error, "done")
    assert caught.value is error
    assert caught.value.args[-1] == 1


def test_the_last_error_is_raised_when_the_time_is_over_and_told_once_a_minute() -> None:
    log = Log()
    with pytest.raises(CredentialsError, match="Expired") as caught:
        ask(PASSES[2], seconds=130.0, log=log)
    assert caught.value.args[-1] > 10
    assert len(log.lines) == 3


def test_without_patience_it_is_asked_once() -> None:
    with pytest.raises(AwsError, match=r"^AWS could not be asked: KeyError: 'services'\."):
        ask(KeyError("services"), seconds=0.0)
