"""When a service had fewer tasks than its runs hold while their shards ran. Pure."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devstack.chaos.evidence import Launched, Serving


@dataclass(frozen=True)
class Shortage:
    """A time without interruption; ``at`` in seconds since the epoch.

    :param least: the fewest tasks that there were.
    """

    at: float
    seconds: float
    least: int


def shortages(serving: Iterable[Serving], launched: Iterable[Launched], needed: int) -> list[Shortage]:
    """The times in which fewer tasks of the service ran than the runs need whose shards ran.

    :param needed: how many tasks each run needs.
    """
    tasks = [(task.started_at, task.ended_at or math.inf) for task in serving]
    runs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for shard in launched:
        if shard.started_at is not None:
            runs[shard.run].append((shard.started_at, shard.stopped_at or math.inf))
    moments = sorted({at for spans in (tasks, *runs.values()) for span in spans for at in span if at < math.inf})
    found: list[Shortage] = []
    for at, until in itertools.pairwise(moments):
        running = _over(tasks, at)
        if running >= needed * sum(_over(spans, at) > 0 for spans in runs.values()):
            continue
        last = found[-1] if found else None
        if last is not None and math.isclose(last.at + last.seconds, at, abs_tol=1e-6):
            found[-1] = Shortage(last.at, until - last.at, min(last.least, running))
        else:
            found.append(Shortage(at, until - at, running))
    return found


def _over(spans: Sequence[tuple[float, float]], at: float) -> int:
    """How many of the spans have that moment in them."""
    return sum(start <= at < end for start, end in spans)
