"""One container's log while it is followed; :mod:`ecs_feature.logs.follower` reads it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ecs_feature.aws.errors import translate
from ecs_feature.aws.outages import Outage
from ecs_feature.aws.resources import EcsTask
from ecs_feature.exceptions import AccessDeniedError
from ecs_feature.logs.cursor import Cursor, Fresh, Shown
from ecs_feature.logs.tail import LogPlace

log = logging.getLogger(__name__)

MAX_PAUSE_SECONDS: Final = 30.0
"""The longest time between two reads of a log that cannot be read."""
ENDING_PAUSE_SECONDS: Final = 1.0
"""The same when its task has ended."""


@dataclass(eq=False)
class Followed:
    """One container's log while it is followed.

    :param show: called with new lines, in the contextvars context of the shard.
    :param min_lines_per_read: how many new lines one read may show, however many streams are followed; None: all.
    :param due: when it is read next, on the follower's clock; infinity until its task has started.
    :param stream_exists: whether its stream has been read.
    :param warned: whether its shard was told that it cannot be read, and it was not read since.
    :param outage: the reads that failed since it was last read; None: the last one did not.
    :param skipped: whether lines were not read and the log does not yet say so.
    :param may_have_missed_newest: whether those lines may be the newest.
    :param drained: set while the log ends: True once all lines were shown, False when that cannot be known.
    """

    task: EcsTask
    container: str
    show: Callable[[Fresh], None]
    min_lines_per_read: int | None
    cursor: Cursor
    shown: Shown
    due: float
    stream_exists: bool = False
    warned: bool = False
    outage: Outage | None = None
    given_up: bool = False
    skipped: bool = False
    may_have_missed_newest: bool = False
    place: LogPlace | None = None
    drained: asyncio.Future[bool] | None = None
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    @property
    def stream(self) -> str:
        assert self.place is not None
        return self.place.stream(self.container, self.task.task_id)

    def say(self, fresh: Fresh) -> None:
        """Show new lines."""
        if fresh:
            self.shown.add(fresh.lines)
            self._in_context(self.show, fresh)

    def lost(self, error: Exception, now: float, least_seconds: float) -> bool:
        """It could not be read: it is read again later. Return whether new clients may help.

        Denied access is told once: for many it is the rule.
        """
        self.outage = self.outage or Outage(now)
        sentence = translate(error)
        denied = isinstance(sentence, AccessDeniedError)
        if self.outage.note(error, now) and not (denied and self.warned):
            self._warn(f"{sentence} It is read again.")
        pause = max(least_seconds, self.outage.longest_pause(MAX_PAUSE_SECONDS))
        self.due = now + (ENDING_PAUSE_SECONDS if self.ending else pause)
        return not denied and self.outage.wants_renewal(error, now)

    def read(self, now: float) -> None:
        """It was read."""
        outage, self.outage = self.outage, None
        if outage is not None and self.warned:
            self.warned = False
            self._in_context(
                log.warning, "The log of task %s is read again after %.0f s.", self.task.task_id, now - outage.began
            )

    def warn(self, why: str) -> None:
        """Say that it cannot be followed, unless that was said."""
        if not self.warned:
            self._warn(why)

    def give_up(self, why: str) -> None:
        """It is not read any more."""
        self.given_up = True
        self.warn(why)
        self.settle(False)

    def settle(self, drained: bool) -> None:
        """It has ended."""
        if self.drained is not None and not self.drained.done():
            self.drained.set_result(drained)

    @property
    def ending(self) -> bool:
        return self.drained is not None and not self.drained.done()

    def _warn(self, why: str) -> None:
        self.warned = True
        self._in_context(log.warning, "The log of task %s cannot be followed: %s", self.task.task_id, why)

    def _in_context(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            self.context.run(call, *arguments)
        except Exception:
            log.exception("The task log of the shard of task %s cannot be written.", self.task.task_id)
