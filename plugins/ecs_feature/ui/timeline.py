"""A run on one time axis: segments of shards and services, and how many shards ran at once. Pure.

Times are seconds since the run's start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

Segment = tuple[str, float, float]
"""Kind (``waited``, ``launching``, ``running``, ``relaunched``, ``backoff``), start, end."""
MOST_POINTS: Final = 500
"""Of a curve; a screen shows no more."""


class Axis:
    """Seconds since a run's start."""

    def __init__(self, start: datetime) -> None:
        self.start = start

    def at(self, moment: datetime | str | None) -> float | None:
        """None for no time, and for what is none."""
        if isinstance(moment, str):
            try:
                moment = datetime.fromisoformat(moment)
            except ValueError:
                return None
        return None if moment is None else round((moment - self.start).total_seconds(), 1)


def segments(launches: Sequence[Mapping[str, Any]], axis: Axis, since: float | None) -> list[Segment]:
    """What a shard did.

    :param launches: of its record, oldest first.
    :param since: when it could have been launched; None: not known.
    """
    made: list[Segment] = []
    before = since
    for number, launch in enumerate(launches):
        created, started, stopped = (axis.at(launch.get(name)) for name in ("created_at", "started_at", "stopped_at"))
        if created is None or stopped is None:
            continue
        if before is not None and created > before:
            made.append(("backoff" if made else "waited", before, created))
        again = number + 1 < len(launches)
        begun = stopped if started is None else min(max(started, created), stopped)
        if begun > created:
            made.append(("launching", created, begun))
        if stopped > begun:
            made.append(("relaunched" if again else "running", begun, stopped))
        before = stopped
    return made


def parallelism(shards: Iterable[Sequence[Segment]]) -> list[tuple[float, int]]:
    """How many ECS tasks of shards there were: points at which that changes, at most :data:`MOST_POINTS`."""
    steps: dict[float, int] = {}
    for each in shards:
        for kind, start, end in each:
            if kind in ("launching", "running", "relaunched"):
                steps[start] = steps.get(start, 0) + 1
                steps[end] = steps.get(end, 0) - 1
    points, count = [], 0
    for moment in sorted(steps):
        if steps[moment]:
            count += steps[moment]
            points.append((moment, count))
    return thinned(points)


def thinned(points: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """The highest point of each of so many equal parts, and the last one."""
    if len(points) <= MOST_POINTS:
        return points
    first, last = points[0][0], points[-1][0]
    width = (last - first) / (MOST_POINTS - 1) or 1.0
    kept: dict[int, tuple[float, int]] = {}
    for point in points[:-1]:
        part = int((point[0] - first) / width)
        if part not in kept or kept[part][1] < point[1]:
            kept[part] = point
    return [*kept.values(), points[-1]]
