"""The rounds in which a triggerer works: what its two processes do sooner, or more of at once.

Its supervisor looks for new triggers in the database and writes ends there, a second or less a round; its runner, a
process with one event loop for all triggers, tells the supervisor of ends once a second and is told what is new.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ecs_feature.detached import spawn_detached

TRIGGERER: Final = "airflow.jobs.triggerer_job_runner"
"""The module of both."""
READ_BYTES: Final = 64 << 10
"""How much a supervisor reads of its triggers' log records in one of its rounds; Airflow has 4 KiB."""
READER: Final = ("airflow.sdk.execution_time.supervisor", "make_buffered_socket_reader", "buffer_size")


def read_much_at_once() -> None:
    """Let a triggerer's supervisor read up to 64 KiB of log records in each of its rounds.

    In each round it also asks the database for all its triggers, 13 ms of CPU. A shard's five records are 2.3 KiB, so
    that 4 KiB a round meant 600 rounds for 1,000 shards, and hundreds that started at once filled the socket: the
    event loop of all shards stood still until the supervisor came to reading.

    It is the default of a parameter that Airflow's callers leave out; where there is none, nothing happens.
    """
    module, function, parameter = READER
    reader = getattr(sys.modules.get(module), function, None)
    defaults = getattr(reader, "__kwdefaults__", None) or {}
    if parameter in defaults:
        defaults[parameter] = READ_BYTES


def look_before_answering() -> None:
    """Have a triggerer's supervisor look for new triggers right before it tells its runner what is new.

    The runner asks once a second, and the supervisor looks right after it has answered: a new trigger starts one to two
    seconds after it is written. With a look before the answer as well, it starts within one.
    """
    module = sys.modules.get(TRIGGERER)
    if module is None:
        return
    supervisor, messages = module.TriggerRunnerSupervisor, module.messages
    answer = supervisor._handle_request

    @functools.wraps(answer)
    def look_and_answer(self: Any, message: Any, *more: Any, **named: Any) -> Any:
        if isinstance(message, messages.TriggerStateChanges):
            with contextlib.suppress(Exception):  # its own look, which comes next, meets it as well
                if not self.should_stop():
                    self.load_triggers()
        return answer(self, message, *more, **named)

    supervisor._handle_request = look_and_answer


def tell_of_the_last_at_once(trigger: type) -> None:
    """Have a triggerer's runner tell of the last end of a group of shards at once, see :class:`LastOfGroup`.

    :param trigger: the shards' trigger.
    """
    module = sys.modules.get(TRIGGERER)
    if module is None:
        return
    supervisor, runner, messages = module.TriggerRunnerSupervisor, module.TriggerRunner, module.messages
    answer, run = supervisor._handle_request, runner.run_trigger
    last = LastOfGroup(trigger, lambda events: messages.TriggerStateChanges(events=events, finished=[]))

    @functools.wraps(answer)
    def listen(self: Any, message: Any, log: Any, request_id: int) -> Any:
        if not (isinstance(message, messages.TriggerStateChanges) and is_aside(message)):
            return answer(self, message, log, request_id)
        self.events.extend(message.events)
        nothing = messages.TriggerStateSync(to_create=[], to_cancel=set())
        return self.send_msg(nothing, request_id=request_id, error=None)

    @functools.wraps(run)
    async def run_trigger(self: Any, trigger_id: int, trigger: Any, *more: Any, **named: Any) -> Any:
        last.begins(trigger_id, trigger, self)
        return await run(self, trigger_id, trigger, *more, **named)

    supervisor._handle_request, runner.run_trigger = listen, run_trigger


def is_aside(changes: Any) -> bool:
    """Whether a ``TriggerStateChanges`` tells of events between two of the runner's turns, which have None here.

    What is new is for its turns only: told to cancel a trigger twice in one, it breaks off the trigger's ``on_kill``.
    """
    return bool(changes.finished == [])


@dataclass(eq=False)
class _Group:
    going: int = 0
    ended: set[int] = field(default_factory=set)


class LastOfGroup:
    """Has the runner tell its supervisor when the last shard of a group that it has ends.

    What comes after a group of shards waits for its last one, and the runner tells of ends once a second. Each time
    that it tells costs the supervisor a round, so others wait. Told are the ends of the group; that their triggers are
    done is for the runner's turn to find, after which the supervisor closes their logs.

    :param trigger: the shards' trigger; others are nobody's last.
    :param changes: makes the message of some events.
    """

    def __init__(self, trigger: type, changes: Callable[[list[Any]], Any]) -> None:
        self._trigger = trigger
        self._changes = changes
        self._groups: dict[tuple[str, str, str], _Group] = {}
        self._telling: asyncio.Task[None] | None = None

    def begins(self, trigger_id: int, trigger: Any, runner: Any) -> None:
        """The task of the moment runs ``trigger`` for ``runner``."""
        if not isinstance(trigger, self._trigger):
            return
        ti, task = getattr(trigger, "task_instance", None), asyncio.current_task()
        if ti is not None and task is not None:
            group = (ti.dag_id, ti.run_id, ti.task_id.rpartition(".")[0])
            self._groups.setdefault(group, _Group()).going += 1
            task.add_done_callback(functools.partial(self._ended, group, trigger_id, runner))

    def _ended(self, key: tuple[str, str, str], trigger_id: int, runner: Any, task: asyncio.Task[Any]) -> None:
        group = self._groups[key]
        group.going -= 1
        group.ended.add(trigger_id)
        if group.going:
            return
        del self._groups[key]
        if not task.cancelled() and (self._telling is None or self._telling.done()):
            self._telling = spawn_detached(self._tell(runner, group.ended))

    async def _tell(self, runner: Any, ended: set[int]) -> None:
        told = [entry for entry in runner.events if entry.trigger_id in ended]
        others = [entry for entry in runner.events if entry.trigger_id not in ended]
        if not told:
            return
        runner.events.clear()
        runner.events.extend(others)
        try:
            await runner.comms_decoder.asend(self._changes(told))
        except Exception:  # its own turn tells them, and meets what was wrong as well
            runner.events.extendleft(reversed(told))
