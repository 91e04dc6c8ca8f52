"""When is a service ready for work? ECS knows when its tasks run; these checks ask whoever knows the rest."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ecs_feature.aws.resources import EcsService
from ecs_feature.environment import filled_keys
from ecs_feature.exceptions import ConfigurationError

DAG_FILE_MODULES: Final = "unusual_prefix_"
"""What the names of the modules begin with as which Airflow imports DAG files; no other process can import them."""


class ReadyCheck(ABC):
    """Something that a service needs to be ready, beside ECS's word that its tasks run and are healthy.

    A check of one's own is a frozen dataclass in a module that the triggerer can import, with fields of JSON's types.
    It is made anew for each look.
    """

    @abstractmethod
    async def missing(self, service: EcsService) -> str:
        """What is missing, as the end of a sentence; empty: the service is ready.

        Whatever it raises counts as missing, but for :class:`ConfigurationError`, which ends the wait.

        :param service: as ECS has just shown it; ``desired`` is how many tasks it shall have.
        """

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe, for a trigger's arguments."""
        return {"check": f"{type(self).__module__}:{type(self).__qualname__}", **asdict(self)}  # type: ignore[call-overload]


def check_from_dict(raw: Mapping[str, Any]) -> ReadyCheck:
    """The opposite of :meth:`ReadyCheck.to_dict`.

    :raises ConfigurationError: its module cannot be imported here.
    """
    arguments = dict(raw)
    kind = named(arguments.pop("check"))
    check = kind(**arguments)
    if not isinstance(check, ReadyCheck):
        raise ConfigurationError(f"ready: {raw['check']} is no ReadyCheck.")
    return check


@dataclass(frozen=True)
class CeleryWorkers(ReadyCheck):
    """As many Celery workers listen on a queue as the service shall have tasks.

    Workers answer over Airflow's broker, ``[celery] broker_url``. A queue belongs to one service: workers of others on
    it would be counted, too.

    :param queue: as in the tasks' ``queue=``.
    :param answer_seconds: how long a look waits for the workers' answers.
    """

    queue: str
    answer_seconds: float = 2.0

    async def missing(self, service: EcsService) -> str:
        there = await asyncio.to_thread(self.count, service.desired)
        if there >= service.desired:
            return ""
        return f"{there} of {service.desired} Celery workers listen on queue {self.queue}"

    def count(self, enough: int | None = None) -> int:
        """How many workers listen on the queue now.

        :param enough: no more answers than so many are waited for.
        :raises ConfigurationError: Celery is not installed.
        """
        try:
            from airflow.providers.celery.executors.celery_executor_utils import get_celery_configuration
            from celery import Celery
        except ImportError as error:
            raise ConfigurationError(
                f"ready: CeleryWorkers({self.queue!r}) needs Celery, and it cannot be imported ({error}); install "
                "apache-airflow-providers-celery where the triggerer runs."
            ) from error
        app = Celery("ecs_feature", set_as_current=False, config_source=get_celery_configuration())
        try:
            # Each answer by itself: workers may have one name, where their hosts have.
            answers = app.control.broadcast(
                "active_queues", reply=True, timeout=self.answer_seconds, limit=enough or None
            )
        finally:
            app.close()
        listening = (queues for answer in answers or () for queues in answer.values() if isinstance(queues, list))
        return sum(any(each.get("name") == self.queue for each in queues) for queues in listening)


@dataclass(frozen=True)
class HttpHealth(ReadyCheck):
    """A URL answers with a status.

    :param url: of the service's load balancer, say; http or https.
    :param status: that means ready.
    :param answer_seconds: how long a look waits for the answer.
    """

    url: str
    status: int = 200
    answer_seconds: float = 5.0

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ConfigurationError(f"ready: {self.url!r} is no URL to ask; write http://host/path.")

    async def missing(self, service: EcsService) -> str:
        answer = await asyncio.to_thread(self._ask)
        return "" if answer == str(self.status) else f"{self.url} answers {answer}, not {self.status}"

    def _ask(self) -> str:
        try:
            with urllib.request.urlopen(self.url, timeout=self.answer_seconds) as answer:
                return str(answer.status)
        except urllib.error.HTTPError as error:
            return str(error.code)
        except (OSError, ValueError) as error:
            return f"nothing ({getattr(error, 'reason', error)})"


@dataclass(frozen=True)
class Calls(ReadyCheck):
    """A function says so: it returns True or nothing missing, or a sentence that says what is.

    It is called as ``function(service=NAME, desired=COUNT)``, in a thread, or awaited when it is ``async``.

    :param function: ``package.module:function``, importable in the triggerer.
    """

    function: str

    async def missing(self, service: EcsService) -> str:
        function = named(self.function)
        arguments = {"service": service.name, "desired": service.desired}
        if inspect.iscoroutinefunction(function):
            said = await function(**arguments)
        else:
            said = await asyncio.to_thread(function, **arguments)
        if said in (True, None, ""):
            return ""
        return f"{self.function} says that it is not ready" if said is False else str(said)


def checks_of(ready: Any) -> tuple[ReadyCheck, ...]:
    """What a user gave as ``ready=``: a check, a function, or a list of them.

    :raises ConfigurationError: for anything else, and for a function that no other process can import.
    """
    given = ready if isinstance(ready, Sequence) and not isinstance(ready, str) else (ready,)
    return tuple(each if isinstance(each, ReadyCheck) else Calls(_path(each)) for each in given)


def ready_of(ready: Mapping[str, Any], services: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """``ready`` as the trigger takes it.

    :raises ConfigurationError: it is of another service, or is no check.
    """
    checks = {
        name: [check.to_dict() for check in checks_of(each)] for name, each in filled_keys(ready, where="ready").items()
    }
    if unknown := sorted(set(checks) - set(services)):
        raise ConfigurationError(f"ready: {unknown[0]!r} is not among services; name one of {', '.join(services)}.")
    return {name: each for name, each in checks.items() if each}


def named(path: str) -> Any:
    """What ``package.module:name`` means.

    :raises ConfigurationError: it cannot be imported.
    """
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"ready: {path} cannot be imported where the triggerer runs ({error}); put it into a module on its "
            "PYTHONPATH."
        ) from error
    return found


def _path(function: Callable[..., Any] | Any) -> str:
    if isinstance(function, str) and ":" in function:
        return function
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if not callable(function) or not name:
        raise ConfigurationError(
            f"ready: {function!r:.80} is no check; give CeleryWorkers, HttpHealth, a function, or a list of them."
        )
    if "<" in name or not module or module == "__main__" or module.startswith(DAG_FILE_MODULES):
        raise ConfigurationError(
            f"ready: {name} is defined in the DAG file or inside a function, where the triggerer cannot find it; put "
            "it into a module on its PYTHONPATH, as a function with a name."
        )
    return f"{module}:{name}"
