"""A shard's work on a worker: a command, a callable, or an operator that a callable makes."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

from ecs_feature.exceptions import ConfigurationError

GRACE_SECONDS: Final = 10.0
"""From SIGTERM to SIGKILL, when the shard is cleared or too old."""


@dataclass(frozen=True)
class Command:
    """What a container would run.

    :param words: the program and its arguments.
    :param environment: over the worker's own.
    :param folder: where it runs; empty: where the worker does.
    :param defaults: environment where the worker has none of that name: it knows where its volumes are.
    """

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_container(
        cls, definition: Mapping[str, Any], container: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> Command:
        """A container's command with a launch's overrides, as ECS and the image's engine put it together.

        An entry point or command that only the image has is not known here.

        :param definition: the task definition, as DescribeTaskDefinition shows it.
        :raises ConfigurationError: it has no such container, or says no command.
        """
        found = next((each for each in definition["containerDefinitions"] if each["name"] == container), None)
        if found is None:
            raise ConfigurationError(f"container: {container!r} is not in the task definition; name one that is.")
        words = [*found.get("entryPoint", ()), *(command or found.get("command", ()))]
        if not words:
            raise ConfigurationError(
                f"command: neither the pipeline nor container {container!r} of the task definition has one, and a "
                "worker does not know its image's; give command= or work=."
            )
        own = {each["name"]: each["value"] for each in found.get("environment", ())}
        return cls(words, dict(environment), found.get("workingDirectory", ""), own)

    def run(self, tell: Callable[[str], None], started: Callable[[subprocess.Popen[str]], Any]) -> int:
        """Run it; its exit code, for a signal 128 and the signal's number.

        :param tell: is told each line that it prints.
        :param started: is given the process, to end it from elsewhere.
        :raises ConfigurationError: it cannot be started on this worker.
        """
        try:
            process = subprocess.Popen(
                list(self.words),
                env={**self.defaults, **os.environ, **self.environment},
                cwd=self.folder or None,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=0,  # a group to end, in the worker's own session
            )
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"command: {self.words[0]!r} cannot be started on this worker ({error}); is its image the one that has "
                "the shards' code?"
            ) from error
        assert process.stdout is not None
        started(process)
        # What it leaves behind may hold its output open, and ends with it, as in a container.
        watch = threading.Thread(target=_end_group_after, args=(process,), daemon=True)
        watch.start()
        try:
            with process.stdout as lines:
                for line in lines:
                    tell(line.rstrip("\n"))
        finally:
            end(process)
        watch.join()
        code = process.wait()
        return code if code >= 0 else 128 - code


def _end_group_after(process: subprocess.Popen[Any]) -> None:
    process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def end(process: subprocess.Popen[Any]) -> None:
    """End a process and its children, if it has not ended by itself."""
    if process.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
            return


def call(work: Callable[..., Any], arguments: Mapping[str, Any], context: Any) -> None:
    """Call the user's function with those of the arguments that it takes; run the operator that it returns.

    :raises ConfigurationError: the operator defers, which would give the worker away that the shard is to run on.
    """
    made = work(**taken(work, arguments))
    if not isinstance(made, BaseOperator):
        return
    made.render_template_fields(context)
    # Airflow wraps execute() to find out who calls it from another task's code; this is that task's work.
    execute = getattr(type(made).execute, "__wrapped__", type(made).execute)
    try:
        execute(made, context)
    except TaskDeferred as error:
        raise ConfigurationError(
            f"work: {type(made).__name__} defers; make it with deferrable=False, because it is to run on the shard's "
            "worker."
        ) from error


def taken(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments that a function takes by name."""
    parameters = inspect.signature(function).parameters.values()
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return dict(arguments)
    return {each.name: arguments[each.name] for each in parameters if each.name in arguments}
