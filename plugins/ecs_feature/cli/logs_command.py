"""``airflow ecs-feature logs``: the containers' lines of a run's shards, while it goes on or later.

The same batches and rates as in the triggerer: one FilterLogEvents for a hundred shards, DescribeTasks for a hundred
tasks. It only reads.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from ecs_feature.aws.resources import EcsTask
from ecs_feature.exceptions import AwsError, EcsFeatureError, SelectionError
from ecs_feature.fleet.fleet import Fleet, FleetKey
from ecs_feature.fleet.registry import joined
from ecs_feature.logs.cursor import Fresh, LogLine
from ecs_feature.runs.run_shards import Run, RunShard, chosen

INTERRUPTED: Final = 130
LOOK_SECONDS: Final = 5.0
MANY_LOOK_SECONDS: Final = 15.0
"""So often Airflow's database, and ECS, are asked for shards that have started or ended meanwhile."""
POLL_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 20.0
"""After so long without an answer of AWS the command ends with a sentence; only --follow waits on for running tasks."""
PRINT_SECONDS: Final = 0.5
FEW: Final = 10
"""So many shards are looked for one by one; for more, all running tasks of the cluster are listed."""


@suppress_logs_and_warning
@providers_configuration_loaded
def logs(args: Namespace) -> None:
    """Print the lines; exit with one sentence when there is nothing to print, and with 130 at Ctrl-C."""
    try:
        with _own_warnings(args.verbose):
            run = Run(args.dag_id, args.run_id)
            shards = _wanted(run, args)
            asyncio.run(LogReader(run, args, _key(run.aws)).read(shards))
    except EcsFeatureError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read has seen enough, as head does; nothing is to be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _wanted(run: Run, args: Namespace) -> list[RunShard]:
    shards = chosen(run.shards(), args.shard, run=str(run))
    if args.failed:
        shards = [shard for shard in shards if shard.failed]
        if not shards:
            raise SelectionError(f"--failed: no such shard of {run} has failed.")
    return shards


def _key(aws: Mapping[str, Any]) -> FleetKey:
    """The shards' connection and region, but not their queue of task events: the triggerers read that."""
    return replace(FleetKey(**aws), events_queue_url="")


@dataclass(eq=False)
class LogReader:
    """Prints what one run's shards say.

    Lines wait for half a second at most, so that those of several shards stand in order of time.
    """

    run: Run
    args: Namespace
    key: FleetKey
    _known: set[str] = field(default_factory=set)
    _active: set[str] = field(default_factory=set)
    _following: set[asyncio.Task[None]] = field(default_factory=set)
    _lines: list[tuple[int, str]] = field(default_factory=list)

    async def read(self, shards: Sequence[RunShard]) -> None:
        """Print the last lines of these shards and, with ``--follow``, the next ones until all have ended.

        :raises EcsFeatureError: AWS does not answer, or not a single shard's log can be read.
        """
        async with joined(self.key, answer_seconds=ANSWER_SECONDS) as fleet:
            try:
                found = await self._new_tasks(fleet, shards)
                tails = await self._print_tails(fleet, found)
                if self.args.follow:
                    await self._follow(fleet, shards, found, tails)
                elif not found:
                    _tell(f"No ECS task of {self.run} is known yet; --follow waits for them.")
            finally:
                for task in self._following:
                    task.cancel()
                await asyncio.gather(*self._following, return_exceptions=True)
                self._print()

    async def _follow(
        self,
        fleet: Fleet,
        shards: Sequence[RunShard],
        found: Sequence[tuple[RunShard, EcsTask]],
        tails: Sequence[Sequence[LogLine]],
    ) -> None:
        names = self.args.shard or [shard.label for shard in shards if self.args.failed]
        printing = asyncio.create_task(self._print_often())
        self._following.add(printing)
        while True:
            for (shard, task), tail in zip(found, tails, strict=True):
                if not task.stopped:
                    following = asyncio.create_task(self._follow_one(fleet, shard, task, tail))
                    self._following.add(following)
                    following.add_done_callback(self._following.discard)
            if len(self._following) == 1 and self.run.all_found and all(shard.ended for shard in shards):
                return
            await asyncio.sleep(LOOK_SECONDS if len(shards) <= FEW else MANY_LOOK_SECONDS)
            shards = chosen(await asyncio.to_thread(self.run.shards), names, run=str(self.run))
            found = await self._new_tasks(fleet, shards)
            tails = await self._print_tails(fleet, [(shard, task) for shard, task in found if task.stopped])
            done = iter(tails)
            tails = [next(done) if task.stopped else () for _, task in found]

    async def _follow_one(self, fleet: Fleet, shard: RunShard, task: EcsTask, tail: Sequence[LogLine]) -> None:
        def show(fresh: Fresh) -> None:
            self._lines += [(line.at, f"[{shard.label}] {line.text}") for line in fresh.lines]
            if fresh.skipped:
                _tell(f"[{shard.label}] ... says more than can be read live; some lines are left out")

        since = tail[-1].at if tail else None if self.args.lines else int(time.time() * 1000)
        known = [line for line in tail if line.at == since]
        self._active.add(shard.label)
        try:
            with fleet.live_log(
                task, shard.container, show, min_lines_per_read=None, since=since, known=known
            ) as followed:
                await fleet.ended(_cluster(shard, task), task, poll_seconds=POLL_SECONDS)
                await fleet.rest_of_log(followed)
        except EcsFeatureError as error:
            _tell(f"[{shard.label}] {error}")
        finally:
            self._active.discard(shard.label)

    async def _new_tasks(self, fleet: Fleet, shards: Sequence[RunShard]) -> list[tuple[RunShard, EcsTask]]:
        """The ECS tasks of the shards that were not seen before: those that run, and else the last that ended."""
        waiting = [shard for shard in shards if not shard.ended and shard.label not in self._active]
        found = await self._of_this_try(fleet, waiting)
        current = {shard.label for shard, _ in found} | self._active
        ended = [(shard, shard.last_task()) for shard in shards if shard.label not in current]
        found += await self._described(fleet, [(shard, task) for shard, task in ended if task is not None])
        new = [(shard, task) for shard, task in found if task.arn not in self._known]
        self._known |= {task.arn for _, task in new}
        return new

    async def _of_this_try(self, fleet: Fleet, shards: Sequence[RunShard]) -> list[tuple[RunShard, EcsTask]]:
        """The task of the current try that runs; of few shards also the newest that has ended, of which no record
        tells before the try has ended."""
        by_start = {shard.started_by: shard for shard in shards}
        tasks: list[EcsTask] = []
        if len(shards) <= FEW:
            for shard in shards:
                newest_first = await fleet.tasks_started_by(_cluster(shard), shard.started_by)
                tasks += sorted(newest_first, key=lambda task: task.stopped)[:1]
        else:
            for cluster in sorted({_cluster(shard) for shard in shards}):
                tasks += [task for task in await fleet.running_tasks(cluster) if not task.stopped]
        return [(by_start[task.started_by], task) for task in tasks if task.started_by in by_start]

    async def _described(
        self, fleet: Fleet, ended: Sequence[tuple[RunShard, EcsTask]]
    ) -> list[tuple[RunShard, EcsTask]]:
        """With the task definitions that they ran with, as long as ECS shows them: for an hour or more."""
        by_cluster: dict[str, list[str]] = {}
        for shard, task in ended:
            if task.arn not in self._known:
                by_cluster.setdefault(_cluster(shard, task), []).append(task.arn)
        definitions = {
            task.arn: task.task_definition_arn
            for cluster, arns in by_cluster.items()
            for task in await fleet.tasks(cluster, arns)
        }
        return [
            (shard, replace(task, task_definition_arn=definitions.get(task.arn, task.task_definition_arn)))
            for shard, task in ended
        ]

    async def _print_tails(self, fleet: Fleet, found: Sequence[tuple[RunShard, EcsTask]]) -> list[list[LogLine]]:
        now = datetime.now(UTC)
        unread: dict[str, list[str]] = {}

        async def tail(shard: RunShard, task: EcsTask) -> list[LogLine]:
            if not task.task_definition_arn:
                _tell(f"[{shard.label}] its task definition is not known any more, and so where its log is")
                return []
            until_now = task if task.stopped else replace(task, stopped_at=now)
            last = await fleet.log_tail(
                until_now, shard.container, self.args.lines, failed=len(found) <= FEW, quiet=True
            )
            if last.error is not None:
                unread.setdefault(str(last.error), []).append(shard.label)
            elif last.missing:
                _tell(f"[{shard.label}] {last.missing}")
            return list(last.lines)

        tails = await asyncio.gather(*(tail(shard, task) for shard, task in found))
        self._lines += [
            (line.at, f"[{shard.label}] {line.text}")
            for (shard, _), lines in zip(found, tails, strict=True)
            for line in lines
        ]
        self._print()
        for sentence, labels in unread.items():
            if len(labels) == len(found) and not self.args.follow:
                raise AwsError(sentence)
            _tell(f"[{', '.join(labels[:FEW])}{', ...' if len(labels) > FEW else ''}] {sentence}")
        return tails

    async def _print_often(self) -> None:
        while True:
            await asyncio.sleep(PRINT_SECONDS)
            self._print()

    def _print(self) -> None:
        lines, self._lines = sorted(self._lines, key=lambda line: line[0]), []
        for _, text in lines:
            print(text)  # noqa: T201
        sys.stdout.flush()


def _cluster(shard: RunShard, task: EcsTask | None = None) -> str:
    """:raises SelectionError: where the cluster is a template, and no task tells it."""
    known = task or shard.last_task()
    if known is not None and known.arn.count("/") > 1:
        return known.arn.split("/")[1]
    if "{{" in shard.cluster:
        raise SelectionError(
            f"Shard {shard.label!r}: its cluster is the template {shard.cluster!r}, so its task cannot be found before "
            "it has ended."
        )
    return shard.cluster


def _tell(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


@contextmanager
def _own_warnings(verbose: bool) -> Iterator[None]:
    """What this package warns of goes to standard error, although all other logging is suppressed.

    Airflow's commands disable all logging, which no logger is exempt from; and its own handlers raise at what they are
    given all the same. So logging is enabled, and these handlers are given nothing.
    """
    if verbose:
        yield
        return
    mine, handler = logging.getLogger("ecs_feature"), logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    mine.addHandler(handler)
    others = list(logging.root.handlers)
    for other in others:
        other.addFilter(_nothing)
    disabled, propagate = logging.root.manager.disable, mine.propagate
    mine.propagate = False
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(disabled)
        for other in others:
            other.removeFilter(_nothing)
        mine.propagate = propagate
        mine.removeHandler(handler)


def _nothing(record: logging.LogRecord) -> bool:
    """A filter that lets no record through."""
    return False
