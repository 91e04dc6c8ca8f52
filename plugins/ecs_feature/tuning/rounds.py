"""The rounds in which a triggerer works, a second each: what its two processes do sooner, or more of at once.

Its supervisor looks for new triggers in the database and writes ends there; its runner, a process with one event loop
for all triggers, tells the supervisor of ends once a second and is told what is new.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

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
    supervisor, asks = module.TriggerRunnerSupervisor, module.messages.TriggerStateChanges
    answer = supervisor._handle_request

    @functools.wraps(answer)
    def look_and_answer(self: Any, message: Any, *more: Any, **named: Any) -> Any:
        if isinstance(message, asks) and not self.should_stop():
            with contextlib.suppress(Exception):  # its own look, which comes next, meets it as well
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
    last = LastOfGroup(trigger)
    run = module.TriggerRunner.run_trigger

    @functools.wraps(run)
    async def run_trigger(self: Any, trigger_id: int, trigger: Any, *more: Any, **named: Any) -> Any:
        last.begins(trigger, self)
        return await run(self, trigger_id, trigger, *more, **named)

    module.TriggerRunner.run_trigger = run_trigger


class LastOfGroup:
    """Has the runner tell its supervisor when the last shard of a group that it has ends.

    What comes after a group of shards waits for its last one, and the runner tells of ends once a second. Each time
    it tells costs the supervisor a round, so others wait.

    :param trigger: the shards' trigger; others are nobody's last.
    """

    def __init__(self, trigger: type) -> None:
        self._trigger = trigger
        self._going: Counter[tuple[str, str, str]] = Counter()
        self._telling: asyncio.Task[None] | None = None

    def begins(self, trigger: Any, runner: Any) -> None:
        """The task of the moment runs ``trigger`` for ``runner``."""
        ti, task = getattr(trigger, "task_instance", None), asyncio.current_task()
        if isinstance(trigger, self._trigger) and ti is not None and task is not None:
            group = (ti.dag_id, ti.run_id, ti.task_id.rpartition(".")[0])
            self._going[group] += 1
            task.add_done_callback(functools.partial(self._ended, group, runner.sync_state_to_supervisor))

    def _ended(
        self,
        group: tuple[str, str, str],
        tell: Callable[[list[int]], Coroutine[Any, Any, None]],
        task: asyncio.Task[Any],
    ) -> None:
        self._going[group] -= 1
        if self._going[group]:
            return
        del self._going[group]
        if not task.cancelled() and (self._telling is None or self._telling.done()):
            self._telling = task.get_loop().create_task(_quietly(tell([])), context=contextvars.Context())


async def _quietly(tell: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(Exception):  # its own turn, within a second, meets it as well
        await tell
