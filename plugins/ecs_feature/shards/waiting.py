"""What a shard waits for between its launches, and until its container runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ecs_feature.aws.resources import EcsTask
from ecs_feature.fleet.waits import Wait, start_wait
from ecs_feature.tasks.outcomes import Kind
from ecs_feature.tasks.relaunches import Ended, capacity_waits


def pause_wait(history: Sequence[Ended], now: datetime) -> tuple[Wait, float]:
    """What the pause before the next launch waits for, and for how many seconds it has been waited for already.

    :param history: the ended launches of this try.
    """
    last = history[-1].outcome
    why = last.reason or str(last.kind)
    if last.kind is not Kind.CAPACITY_UNAVAILABLE:
        return Wait("relaunch", f"to be launched again, after {last.kind}: {why}"), 0.0
    first = capacity_waits(history)[0].at
    return Wait("capacity", f"for capacity: {why}"), max(0.0, (now - first).total_seconds())


@dataclass(eq=False)
class Start:
    """The start of a task, as ECS shows it.

    :param task: as it was launched, and then as it was shown last.
    :param more: called with the task each time that ECS shows it.
    """

    task: EcsTask
    more: Callable[[EcsTask], None] | None = None

    def __call__(self, task: EcsTask) -> None:
        self.task = task
        if self.more is not None:
            self.more(task)

    def wait(self) -> Wait | None:
        """What it waits for; None: it runs, or has ended."""
        return Wait("start", start_wait(self.task)) if self.task.starting else None
