"""The events of a group of shards, reported when its last shard ends."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ecs_feature.airflow_patches.patch import TRIGGERER
from ecs_feature.detached import spawn_detached

TARGETS: Final = {
    TRIGGERER: {
        "TriggerRunner.run_trigger": "d5f1a6f8218f79a8270327e8cba17c359673576ae00110204809c3584534b84b",
        "TriggerRunner.sync_state_to_supervisor": "e921cccc539d2be5da4ebe4ac7899e780ab4464cb51599708ef6bfc728eac359",
        "TriggerRunner.create_triggers": "194887f519ad95512238a43762170b55da75c073b2b41debb897088fe0c4d387",
        "TriggerRunner.cancel_triggers": "5a49e79e1196353da9c912659cd4a37bdc347c8cd65da3a6ae72c9638a4fcc38",
        "TriggerRunnerSupervisor._handle_request": "76b620264138c7da7ff3a9d49598b502712e6f29b1bca18eba9ddbd95513233b",
        "messages.TriggerStateChanges": "acb93db3b3212280ec30bc98b31ff30c5ff6c2fe777cc3cb0059f2237b5e1514",
        "messages.TriggerStateSync": "f61fa3d899306ddfaa4d34ff86fd4301e70d4cf4c7983d16d3cf1fd730f881ce",
    },
}


def report_last_event_immediately(trigger: type) -> None:
    """Have a triggerer's runner report a group's events when its last shard ends, see :class:`LastEventReporter`.

    :param trigger: the shards' trigger.
    """
    from airflow.jobs.triggerer_job_runner import TriggerRunner

    run = TriggerRunner.run_trigger
    reporter = LastEventReporter(trigger, report_events)

    @functools.wraps(run)
    async def run_trigger(self: Any, trigger_id: int, trigger: Any, *more: Any, **named: Any) -> Any:
        reporter.started(trigger_id, trigger, self)
        return await run(self, trigger_id, trigger, *more, **named)

    TriggerRunner.run_trigger = run_trigger


async def report_events(runner: Any, events: list[Any]) -> None:
    """Send events to the supervisor in Airflow's own message, and keep what its reply asks for.

    A reply names each new trigger once: it is kept for the runner's next turn, which starts it. A trigger to cancel is
    in every reply until it has finished and is left to the turn's own reply: a trigger that is cancelled twice is
    interrupted in its ``on_kill``.
    """
    from airflow.jobs.triggerer_job_runner import messages

    reply = await runner.comms_decoder.asend(messages.TriggerStateChanges(events=events))
    runner.to_create.extend(reply.to_create)
    if reply.events_persisted:
        runner._shared_streams.confirm_persisted(reply.events_persisted)


@dataclass(eq=False)
class _Group:
    running: int = 0
    ended: set[int] = field(default_factory=set)


class LastEventReporter:
    """Reports the events of a group (DAG run and variant) as soon as none of its shards runs here any more.

    The task after a group of shards waits for the last one, and the runner reports events once a second. Each report
    costs the supervisor a round, so the other events wait for the runner's turn or for the group's last one. That the
    triggers have finished is reported by the runner's turn, after which the supervisor closes their logs.

    :param trigger: the shards' trigger; others belong to no group.
    :param report: sends a runner's events to its supervisor.
    """

    def __init__(self, trigger: type, report: Callable[[Any, list[Any]], Awaitable[None]]) -> None:
        self._trigger = trigger
        self._report = report
        self._groups: dict[tuple[str, str, str], _Group] = {}
        self._reporting: asyncio.Task[None] | None = None

    def started(self, trigger_id: int, trigger: Any, runner: Any) -> None:
        """The current task runs ``trigger`` for ``runner``."""
        if not isinstance(trigger, self._trigger):
            return
        ti, task = getattr(trigger, "task_instance", None), asyncio.current_task()
        if ti is not None and task is not None:
            group = (ti.dag_id, ti.run_id, ti.task_id.rpartition(".")[0])
            self._groups.setdefault(group, _Group()).running += 1
            task.add_done_callback(functools.partial(self._ended, group, trigger_id, runner))

    def _ended(self, key: tuple[str, str, str], trigger_id: int, runner: Any, task: asyncio.Task[Any]) -> None:
        group = self._groups[key]
        group.running -= 1
        group.ended.add(trigger_id)
        if group.running:
            return
        del self._groups[key]
        if not task.cancelled() and (self._reporting is None or self._reporting.done()):
            self._reporting = spawn_detached(self._report_group(runner, group.ended))

    async def _report_group(self, runner: Any, ended: set[int]) -> None:
        events = [entry for entry in runner.events if entry.trigger_id in ended]
        others = [entry for entry in runner.events if entry.trigger_id not in ended]
        if not events:
            return
        runner.events.clear()
        runner.events.extend(others)
        try:
            await self._report(runner, events)
        except Exception:  # the runner's turn reports them, and meets the error as well
            runner.events.extendleft(reversed(events))
