"""What the evidence says: duplicates, losses, retries that infrastructure used up, what was left running. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from devstack.chaos.evidence import Evidence, Execution, Instance, Launched, Receipt, Run
from devstack.chaos.shortages import Shortage, shortages

ENDED: Final = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
LEFT_SECONDS: Final = 10.0
"""A shard's ECS task that is there so long after its run has ended was left running."""

MAX_SHORTAGE_SECONDS: Final = 60.0
"""How long a service may have fewer tasks than its runs hold while their shards run."""


@dataclass(frozen=True)
class Verdict:
    """The figures of one scenario on one side.

    :param launches: ECS tasks that were made for shards.
    :param duplicates: executions of a shard that began while another one of the same shard and run was still going on,
        or after one had already written its result.
    :param lost: shards that Airflow calls a success without a result, that have not ended by the deadline, or that
        have their result while Airflow does not call them a success.
    :param retries_consumed: tries of shards that failed although the shard's own code did not.
    :param shards_failed: shards whose last state is not success. No shard's code fails more often than it has retries.
    :param runs_failed: runs whose last state is not success.
    :param left_running: shards' ECS tasks that outlived their run.
    :param services_left_up: services that are not back at 0 or are still leased; None: not applicable.
    :param unrecorded: ECS tasks of shards that no shard's record names; None: not applicable.
    :param application_failures: executions that failed by the shard's own code; each costs one retry, rightly.
    :param endings: how the ECS tasks ended, and how many did so.
    :param problems: one sentence for each thing that is wrong.
    :param longest_shortage_seconds: how long the service had fewer tasks than its runs hold, while their shards ran;
        None: not applicable.
    """

    runs: int
    shards: int
    launches: int
    duplicates: int
    lost: int
    retries_consumed: int
    shards_failed: int
    runs_failed: int
    left_running: int
    services_left_up: int | None
    unrecorded: int | None
    application_failures: int
    endings: dict[str, int]
    problems: tuple[str, ...]
    longest_shortage_seconds: float | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing was doubled, lost, left or paid for by the wrong one."""
        return not self.problems


def judge(evidence: Evidence, *, undisturbed: bool = False) -> Verdict:
    """Weigh the evidence.

    :param undisturbed: whether nothing may touch the shards, see :class:`devstack.chaos.scenarios.Scenario`.
    """
    by_shard = _by_shard(evidence.executions)
    stops = {task.task: task.stopped_at for task in evidence.launched}
    duplicates = [words for each in by_shard.values() for words in _duplicates(each, stops)]
    done = {key for key, each in by_shard.items() if any(execution.end == "done" for execution in each)}
    lost = [words for instance in evidence.instances if (words := _loss(instance, done))]
    consumed = [
        (instance, count)
        for instance in evidence.instances
        if (count := _consumed(instance, by_shard.get((instance.run, instance.shard), ())))
    ]
    failed = [each for each in evidence.instances if each.state in ENDED - {"success"}]
    runs_failed = [run for run in evidence.runs if run.state != "success"]
    left = _left(evidence)
    up = evidence.services_up
    unrecorded = [task for task in evidence.launched if task.task not in (evidence.recorded or ())]
    short = None if evidence.serving is None else shortages(evidence.serving, evidence.launched, evidence.needed)
    problems = [
        *duplicates,
        *lost,
        *(f"{_where(each)}: infrastructure consumed {count} of its retries." for each, count in consumed),
        *(f"{_where(each)}: it ended as {each.state}." for each in failed),
        *(f"Run {run.run} ended as {run.state}." for run in runs_failed),
        *(f"ECS task {task.task} of shard {task.shard} outlived its run {task.run} ({task.ending})." for task in left),
        *(f"Service {name} was left up." for name in up or ()),
        *(_short(each) for each in short or () if each.seconds > MAX_SHORTAGE_SECONDS),
        *(_disturbances(evidence) if undisturbed else ()),
        *(_untruths(evidence) if undisturbed else ()),
    ]
    return Verdict(
        runs=len(evidence.runs),
        shards=len(evidence.instances),
        launches=len(evidence.launched),
        duplicates=len(duplicates),
        lost=len(lost),
        retries_consumed=sum(count for _, count in consumed),
        shards_failed=len(failed),
        runs_failed=len(runs_failed),
        left_running=len(left),
        services_left_up=None if up is None else len(up),
        unrecorded=None if evidence.recorded is None else len(unrecorded),
        application_failures=sum(execution.end == "failed" for execution in evidence.executions),
        endings=dict(Counter(task.ending for task in evidence.launched).most_common()),
        problems=tuple(problems),
        longest_shortage_seconds=None if short is None else max((each.seconds for each in short), default=0.0),
    )


def _short(shortage: Shortage) -> str:
    return f"For {shortage.seconds:.0f} s the service had down to {shortage.least} tasks, fewer than its runs hold."


def _disturbances(evidence: Evidence) -> list[str]:
    """One sentence for each shard that had more than one launch or try, and for each task that was stopped."""
    launches = Counter((task.run, task.shard) for task in evidence.launched)
    return [
        *(f"Shard {shard} of run {run}: it was launched {n} times." for (run, shard), n in launches.items() if n > 1),
        *(f"{_where(each)}: it had {each.try_number} tries." for each in evidence.instances if each.try_number > 1),
        *(
            f"ECS task {task.task} of shard {task.shard} was stopped in run {task.run} ({task.ending})."
            for task in evidence.launched
            if task.stopped_at is not None and not task.ending.startswith("EssentialContainerExited")
        ),
    ]


def _untruths(evidence: Evidence) -> list[str]:
    """One sentence for each thing that a receipt says otherwise than it was."""
    if evidence.receipts is None:
        return []
    written = {receipt.run: receipt for receipt in evidence.receipts}
    return [words for run in evidence.runs if run.ended_at for words in _untruth(evidence, run, written.get(run.run))]


def _untruth(evidence: Evidence, run: Run, receipt: Receipt | None) -> list[str]:
    if receipt is None:
        return [f"Run {run.run} has left no receipt."]
    succeeded = sum(each.run == run.run and each.state == "success" for each in evidence.instances)
    launches = sum(task.run == run.run for task in evidence.launched)
    at_most = evidence.baseline if evidence.serving is not None else 0
    found = [
        f"says {name} {said}, but it was {was}"
        for name, said, was in (
            ("state", receipt.state, run.state),
            ("shards succeeded", receipt.succeeded, succeeded),
            ("launches", receipt.launches, launches),
        )
        if said != was
    ]
    if receipt.after is None or receipt.after > at_most:
        found.append(f"leaves {receipt.after} service tasks, and the baseline is {at_most}")
    return [f"The receipt of run {run.run} {words}." for words in found]


def _by_shard(executions: Iterable[Execution]) -> dict[tuple[str, str], list[Execution]]:
    found: dict[tuple[str, str], list[Execution]] = defaultdict(list)
    for execution in sorted(executions, key=lambda each: each.started_at):
        found[(execution.run, execution.shard)].append(execution)
    return found


def _duplicates(executions: list[Execution], stops: dict[str, float | None]) -> list[str]:
    """One sentence for each execution that should not have begun; they are in the order of their beginning."""
    found = []
    for position, later in enumerate(executions):
        for earlier in executions[:position]:
            end = earlier.ended_at or stops.get(earlier.task)
            name = f"Shard {later.shard} of run {later.run}: ECS task {later.task} (try {later.try_number}) began"
            if end is None or end > later.started_at:
                found.append(f"{name} while {earlier.task} (try {earlier.try_number}) was still at work.")
                break
            if earlier.end == "done":
                found.append(f"{name} after {earlier.task} (try {earlier.try_number}) had written the result.")
                break
    return found


def _loss(instance: Instance, done: set[tuple[str, str]]) -> str:
    has_result = (instance.run, instance.shard) in done
    if instance.state not in ENDED:
        return f"{_where(instance)}: it is still {instance.state or 'without a state'} at the deadline."
    if instance.state == "success" and not has_result:
        return f"{_where(instance)}: Airflow calls it a success, but it has no result."
    if instance.state != "success" and has_result:
        return f"{_where(instance)}: its result is there, but Airflow calls it {instance.state}."
    return ""


def _consumed(instance: Instance, executions: Iterable[Execution]) -> int:
    """Failed tries that the shard's own code did not cause. A try may have several executions, but fails once."""
    failed_tries = instance.try_number - (0 if instance.state == "failed" else 1)
    own = {execution.try_number for execution in executions if execution.end == "failed"}
    return max(0, failed_tries - len(own)) if instance.state != "upstream_failed" else 0


def _left(evidence: Evidence) -> list[Launched]:
    ends = {run.run: run.ended_at for run in evidence.runs}
    return [task for task in evidence.launched if _outlived(task, ends.get(task.run))]


def _outlived(task: Launched, run_ended_at: float | None) -> bool:
    if task.stopped_at is None:
        return True
    return run_ended_at is not None and task.stopped_at > run_ended_at + LEFT_SECONDS


def _where(instance: Instance) -> str:
    return f"Shard {instance.shard} of run {instance.run}"
