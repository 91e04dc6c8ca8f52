"""What a service is asked for, beside ECS, before it is called ready."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from ecs_feature.aws.resources import EcsService
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.services.readiness import (
    Calls,
    CeleryWorkers,
    HttpHealth,
    ReadyCheck,
    check_from_dict,
    checks_of,
    ready_of,
)

COUNTS = {"desiredCount": 3, "runningCount": 3, "pendingCount": 0}
SERVICE = EcsService.from_aws({"serviceName": "s", "serviceArn": "a", "status": "ACTIVE", "deployments": [], **COUNTS})


def is_ready(service: str, desired: int) -> Any:
    """A check of a user's own; the tests say what it returns."""
    return ANSWERS[0](service, desired)


async def is_ready_soon(service: str, desired: int) -> Any:
    return is_ready(service, desired)


ANSWERS: list[Any] = [lambda service, desired: True]


@dataclass(frozen=True)
class Own(ReadyCheck):
    least: int

    async def missing(self, service: EcsService) -> str:
        return "" if service.desired >= self.least else f"fewer than {self.least}"


@pytest.fixture
def url() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if self.path == "/starting" else 200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def missing(check: ReadyCheck) -> str:
    """Through the trigger's arguments, as it is asked for."""
    return await check_from_dict(check.to_dict()).missing(SERVICE)


async def test_http(url: str):
    assert await missing(HttpHealth(f"{url}/health")) == ""
    assert await missing(HttpHealth(f"{url}/starting", status=503)) == ""
    assert await missing(HttpHealth(f"{url}/starting")) == f"{url}/starting answers 503, not 200"
    assert "answers nothing" in await missing(HttpHealth("http://127.0.0.1:9/", answer_seconds=1))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (True, ""),
        (None, ""),
        ("", ""),
        (False, "test_readiness:is_ready says that it is not ready"),
        ("2 of 3 partitions are assigned", "2 of 3 partitions are assigned"),
    ],
)
async def test_a_function_says_it(answer: Any, said: str):
    asked = []

    def answers(service: str, desired: int) -> Any:
        asked.append((service, desired))
        return answer

    ANSWERS[0] = answers
    (check,) = checks_of(is_ready)
    assert (await missing(check)).endswith(said)
    (check,) = checks_of([is_ready_soon])
    assert (await missing(check)).endswith(said.replace("is_ready says", "is_ready_soon says"))
    assert asked == [("s", 3), ("s", 3)]


async def test_a_check_of_ones_own():
    assert await missing(Own(3)) == ""
    assert await missing(Own(4)) == "fewer than 4"


async def test_celery_counts_each_worker_that_answers(monkeypatch: pytest.MonkeyPatch):
    import celery

    importlib.import_module("airflow.providers.celery.executors.celery_executor_utils")  # makes an app of its own

    class Control:
        def broadcast(self, command: str, **options: Any) -> Any:
            assert (command, options["reply"], options["limit"]) == ("active_queues", True, 3)
            return [
                {"celery@a": [{"name": "features"}]},
                {"celery@a": [{"name": "features"}, {"name": "other"}]},  # of the same name, on the same host
                {"celery@b": [{"name": "other"}]},
                {"celery@c": {"error": "busy"}},
            ]

    class App:
        control = Control()

        def __init__(self, *arguments: Any, **options: Any) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr(celery, "Celery", App)
    assert await missing(CeleryWorkers("features")) == "2 of 3 Celery workers listen on queue features"
    assert await missing(CeleryWorkers("other")) == "2 of 3 Celery workers listen on queue other"


REFUSED = [
    (lambda: HttpHealth("ftp://x"), "'ftp://x' is no URL to ask; write http://host/path."),
    (lambda: checks_of(lambda service, desired: True), "defined in the DAG file or inside a function"),
    (lambda: checks_of(7), "7 is no check; give CeleryWorkers, HttpHealth, a function, or a list of them."),
    (lambda: ready_of({"other": HttpHealth("http://x")}, ["s"]), "'other' is not among services; name one of s."),
    (lambda: check_from_dict({"check": "no.such:thing"}), "no.such:thing cannot be imported where the triggerer runs"),
    (lambda: check_from_dict({"check": "builtins:dict"}), "builtins:dict is no ReadyCheck"),
]


@pytest.mark.parametrize(("make", "said"), REFUSED)
def test_what_is_no_check_is_refused_in_one_sentence(make: Any, said: str):
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert said in str(refused.value)
    assert str(refused.value).startswith("ready: ")


def test_a_function_of_a_dag_file_is_refused():
    def check(service: str, desired: int) -> bool:
        return True

    check.__qualname__, check.__module__ = "check", "unusual_prefix_0a1b_dag"
    with pytest.raises(ConfigurationError, match="put it into a module"):
        checks_of(check)


def test_a_path_may_be_given_and_nothing_is_nothing():
    assert checks_of("my.module:check") == (Calls("my.module:check"),)
    assert checks_of(()) == ()
    assert ready_of({"s": ()}, ["s"]) == {}
