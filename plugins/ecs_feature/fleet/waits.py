"""What a shard waits for before its container runs: told once a minute, and not at all in the first one."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ecs_feature.aws.outages import TELL_SECONDS, Tell
from ecs_feature.aws.resources import EcsTask

log = logging.getLogger(__name__)

TOGETHER_SECONDS: Final = 15.0
"""Shards that wait are told at multiples of this: their records cost Airflow's supervisor less when they come together
(docs/decisions/0024-fewer-and-shorter-log-records.md)."""


@contextmanager
def telling(tell: Tell, what: Callable[[], str]) -> Iterator[None]:
    """Context manager: while it lasts, tell once a minute what is waited for. The first minute costs one timer.

    :param what: the rest of the sentence, e.g. "for a slot."; called in the contextvars context of the caller.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    first = math.ceil((began + TELL_SECONDS) / TOGETHER_SECONDS) * TOGETHER_SECONDS
    timer = loop.call_at(first, lambda: say())

    def say() -> None:
        nonlocal timer
        timer = loop.call_at(timer.when() + TELL_SECONDS, say)
        try:
            tell(f"It has waited {loop.time() - began:.0f} s {what()}")
        except Exception:
            log.exception("A shard cannot be told what it waits for.")

    try:
        yield
    finally:
        timer.cancel()


def start_wait(task: EcsTask) -> str:
    """What a task that has not started waits for, as far as its status says: AmazonECS developerguide,
    task-lifecycle-explanation. Pure."""
    if task.unplaced:
        return f"for room on the container instances of {task.capacity or 'its cluster'}"
    if task.last_status == "PROVISIONING":
        return f"for {task.capacity or 'ECS'} to prepare its network interface and its place"
    if task.last_status == "ACTIVATING":
        return "for ECS to register it, e.g. with a load balancer"
    if task.pull_started_at is None:
        return "for the agent to begin with it"
    if task.pull_stopped_at is None:
        return "for its images, which are pulled"
    return "for its containers to start, e.g. for what their dependsOn names"
