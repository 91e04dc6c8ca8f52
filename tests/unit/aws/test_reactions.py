"""Every error that a call can end in has one reaction: wait, refuse or launch again."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import ssl
from collections.abc import Iterator
from types import ModuleType

import aiobotocore
import aiohttp
import botocore.exceptions
import botocore.loaders
import httpx
import pytest
from botocore.exceptions import ClientError
from reaction_tables import CLASSES, CODES

from ecs_feature import exceptions as ours
from ecs_feature.aws.errors import (
    Reaction,
    is_no_such_task,
    is_throttling,
    is_transient,
    may_have_launched,
    reaction_to,
    translate,
)

SERVICES = ("ecs", "logs", "s3", "sqs")


def classes_of(module: ModuleType) -> Iterator[type[Exception]]:
    """The exceptions that a module defines."""
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == module.__name__:
            yield value


def all_classes() -> dict[str, type[Exception]]:
    modules = [botocore.exceptions]
    for found in pkgutil.walk_packages(aiobotocore.__path__, "aiobotocore."):
        modules.append(importlib.import_module(found.name))
    return {f"{cls.__module__}.{cls.__name__}": cls for module in modules for cls in classes_of(module)}


def all_codes() -> dict[str, set[str]]:
    """The error codes that each service's model lists."""
    codes = {}
    for service in SERVICES:
        shapes = botocore.loaders.Loader().load_service_model(service, "service-2")["shapes"]
        listed = {name: shape for name, shape in shapes.items() if shape.get("exception")}
        codes[service] = {shape.get("error", {}).get("code", name) for name, shape in listed.items()}
    return codes


def made(cls: type[BaseException]) -> BaseException:
    """An instance, without what its constructor asks for."""
    error = cls.__new__(cls)
    if isinstance(error, ClientError):
        error.response, error.operation_name = {}, "RunTask"
    return error


def answer(code: str, message: str = "no", status: int = 400) -> ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "RunTask")  # type: ignore[arg-type]


def test_every_class_of_botocore_and_aiobotocore_is_in_the_table_and_no_other() -> None:
    assert set(all_classes()) == set(CLASSES)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_has_the_reaction_of_the_table(name: str) -> None:
    assert reaction_to(made(all_classes()[name])).value == CLASSES[name]


@pytest.mark.parametrize("service", SERVICES)
def test_every_code_that_a_service_lists_is_in_the_table_and_no_other(service: str) -> None:
    assert all_codes()[service] == set(CODES[service])


@pytest.mark.parametrize(
    ("code", "reaction"), sorted({(code, reaction) for codes in CODES.values() for code, reaction in codes.items()})
)
def test_a_code_has_the_reaction_of_the_table_as_botocores_error_and_as_ours(code: str, reaction: str) -> None:
    assert reaction_to(answer(code)).value == reaction
    assert reaction_to(translate(answer(code))).value == reaction


def test_no_code_has_two_reactions() -> None:
    pairs = {(code, reaction) for codes in CODES.values() for code, reaction in codes.items()}
    assert len(pairs) == len({code for code, _ in pairs})


@pytest.mark.parametrize(
    "code",
    [
        "ExpiredTokenException",
        "ExpiredToken",
        "InvalidClientTokenId",
        "AccessDenied",
        "403",
        "400",
        "NobodyKnowsIt",
        "",
    ],
)
def test_credentials_access_and_what_nobody_knows_are_waited_for(code: str) -> None:
    assert reaction_to(answer(code)) is Reaction.WAIT


@pytest.mark.parametrize(
    "cls",
    [
        *classes_of(ssl),
        *(cls for cls in vars(aiohttp).values() if isinstance(cls, type) and issubclass(cls, Exception)),
        *(cls for cls in vars(httpx).values() if isinstance(cls, type) and issubclass(cls, Exception)),
        *classes_of(asyncio.exceptions),
        *(OSError, ConnectionResetError, BrokenPipeError, TimeoutError, PermissionError, FileNotFoundError),
        *(KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError, AssertionError, MemoryError),
        *(UnicodeDecodeError, StopAsyncIteration, asyncio.CancelledError),
    ],
    ids=lambda cls: f"{cls.__module__}.{cls.__name__}",
)
def test_the_network_and_our_own_bugs_are_waited_for(cls: type[BaseException]) -> None:
    assert reaction_to(made(cls)) is Reaction.WAIT


@pytest.mark.parametrize(
    ("error", "reaction"),
    [
        (ours.ThrottledError("m", "ClientException"), Reaction.WAIT),
        (ours.EndpointUnreachableError("m"), Reaction.WAIT),
        (ours.CredentialsError("m"), Reaction.WAIT),
        (ours.AccessDeniedError("m", "AccessDeniedException"), Reaction.WAIT),
        (ours.ClusterNotFoundError("m", "ClusterNotFoundException"), Reaction.REFUSE),
        (ours.ConfigurationError("m"), Reaction.REFUSE),
        (ours.LaunchError("RESOURCE:CPU"), Reaction.RELAUNCH),
        (answer("InvalidParameterException", "Rate exceeded"), Reaction.WAIT),
        (answer("ValidationException", status=503), Reaction.WAIT),
    ],
    ids=lambda value: getattr(value, "name", type(value).__name__),
)
def test_our_own_errors_and_wrapped_ones(error: Exception, reaction: Reaction) -> None:
    assert reaction_to(error) is reaction


@pytest.mark.parametrize(
    ("code", "message", "missing"),
    [
        ("InvalidParameterException", "The referenced task was not found.", True),
        ("InvalidParameterException", "Container instance not found.", False),
        ("ClusterNotFoundException", "Cluster not found.", False),
        ("ClusterNotFoundException", "The referenced task was not found.", False),
    ],
)
def test_only_a_missing_task_is_no_error_of_a_stop(code: str, message: str, missing: bool) -> None:
    assert is_no_such_task(answer(code, message)) is missing


@pytest.mark.parametrize("response", [{}, {"Error": {}}, {"Error": {"Code": 7, "Message": None}}])
def test_an_error_answer_without_sense_is_waited_for(response: dict[str, object]) -> None:
    error = ClientError(response, "DescribeTasks")  # type: ignore[arg-type]
    assert reaction_to(error) is Reaction.WAIT
    assert not is_throttling(error)
    assert not is_transient(error)
    assert str(translate(error)).endswith(").")


@pytest.mark.parametrize(
    ("error", "doubt"),
    [
        (botocore.exceptions.ReadTimeoutError(endpoint_url="e"), True),
        (botocore.exceptions.ConnectionClosedError(endpoint_url="e"), True),
        (KeyError("tasks"), True),
        (answer("ServerException", status=500), True),
        (answer("ThrottlingException"), False),
        (answer("ExpiredTokenException"), False),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="e"), False),
        (botocore.exceptions.SSLError(endpoint_url="e", error="e"), False),
        (botocore.exceptions.ProxyConnectionError(proxy_url="e"), False),
        (botocore.exceptions.NoCredentialsError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_task_may_exist_only_when_the_request_was_sent(error: Exception, doubt: bool) -> None:
    assert may_have_launched(error) is doubt
