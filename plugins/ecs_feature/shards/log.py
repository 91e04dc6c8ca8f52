"""Copies the container's log of one launch of a shard into the shard's task log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ecs_feature.aws.resources import EcsTask
from ecs_feature.fleet.fleet import Fleet
from ecs_feature.logs.cursor import Fresh
from ecs_feature.logs.followed import Followed
from ecs_feature.tasks.outcomes import Outcome


@dataclass(eq=False)
class ShardLog:
    """Copies the log of one ECS task into the task log.

    :param container: the main container.
    :param log: the task log.
    :param lines: how many last lines are copied at most; 0: none.
    :param live: whether lines are copied while the container runs.
    :ivar texts: the last lines of the container that decided; only of one that failed.
    """

    fleet: Fleet
    shard: str
    task: EcsTask
    container: str
    log: Any
    lines: int
    live: bool
    texts: list[str] = field(default_factory=list, init=False)
    _followed: Followed | None = field(default=None, init=False)

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Context manager: with ``live``, lines are copied while the container runs."""
        if not self.live:
            yield
            return
        with self.fleet.live_log(
            self.task, self.container, self._show, min_lines_per_read=self.lines
        ) as self._followed:
            yield

    def _show(self, fresh: Fresh) -> None:
        for text in fresh.texts():
            self.log.info("[%s] %s", self.container, text)

    async def copy(self, ended: EcsTask, outcome: Outcome) -> Outcome:
        """Copy the last lines of the container that decided the outcome, without those that were copied live.

        :param ended: the stopped task.
        :returns: the outcome, with where the lines are if it says nothing else to do.
        """
        if ended.started_at is None and outcome.exit_code is None:
            return outcome
        container, followed = outcome.container or self.container, self._followed
        mine = followed if followed is not None and followed.container == container else None
        if followed is not None and await self._is_copied(followed, mine, outcome):
            return outcome
        if self.lines < 1:
            return outcome
        quiet = followed is not None and followed.warned
        last = await self.fleet.log_tail(ended, container, self.lines, failed=not outcome.succeeded, quiet=quiet)
        self.texts = [line.text for line in last.lines]
        for line in mine.shown.without(last.lines) if mine is not None else last.lines:
            self.log.info("[%s] %s", container, line.text)
        shown = bool(last.lines or (mine is not None and mine.shown))
        if last.missing and last.error is None and not quiet:
            self.log.info("Container %s of shard %s: %s.", container, self.shard, last.missing)
        elif not shown and not last.missing and not quiet:
            self.log.info("The container %s of shard %s left no log lines.", container, self.shard)
        return outcome.with_log(
            last.missing or ("the task log has its last lines" if shown else "it left no log lines")
        )

    async def _is_copied(self, followed: Followed, mine: Followed | None, outcome: Outcome) -> bool:
        """Copy the rest of a live log; return whether nothing more is to be copied.

        For a failed shard the exact last lines are read in any case. For one that succeeded, a log that could not be
        followed is not tried again: the warning is enough.
        """
        drained = await self.fleet.rest_of_log(followed)
        return outcome.succeeded and (followed.warned or (drained and mine is not None and bool(mine.shown)))
