"""The runs that are to be seeded, and what befalls them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from devstack.ui import boards
from devstack.ui.history import Fate


@dataclass(frozen=True)
class Plan:
    """One run that is to be seeded.

    :param date: its logical date; ``start``: when it began.
    :param chosen: the shards that it was restricted to; empty: all.
    :param active: whether it goes on.
    :param broken: lanes whose services could not be raised; ``unpublished``: lanes whose publish failed.
    :param fate: how likely what is.
    :param version: of what it publishes.
    """

    date: datetime
    start: datetime
    run_type: str = "scheduled"
    chosen: Sequence[str] = ()
    active: bool = False
    broken: Sequence[str] = ()
    unpublished: Sequence[str] = ()
    fate: Fate = field(default_factory=Fate)
    version: int = 1

    @property
    def run_id(self) -> str:
        return f"{self.run_type}__{self.date.isoformat()}"


def plans(count: int, now: datetime, shards: Sequence[str], *, eventful: bool) -> list[Plan]:
    """The runs of a daily pipeline, oldest first; the newest goes on.

    :param eventful: whether something has gone wrong beyond single shards.
    """
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    made: list[Plan] = []
    for ago in range(count - 1, 0, -1):
        date = today - timedelta(days=ago)
        start = min(date + timedelta(hours=2, seconds=11), now - timedelta(hours=3))
        more: dict[str, Any] = {}
        if eventful and ago == 17:
            more["broken"] = (boards.TREATMENT,)
        if eventful and ago == 9:
            more["unpublished"] = (boards.CONTROL, "")
        if eventful and ago == 13:
            more["fate"] = Fate(failed=0.2, relaunched=0.12)
        if eventful and ago == 22:
            more["fate"] = Fate(relaunched=0.35)
        made.append(Plan(date, start, **more))
        if eventful and ago in (4, 12):
            again = date + timedelta(hours=9)
            some = list(shards[3::7][:6])
            made.append(
                Plan(again, min(again, now - timedelta(hours=2)), "manual", some, fate=Fate(0, 0, 0, 0, 0), version=2)
            )
    made.append(Plan(today, now - timedelta(minutes=7), active=True))
    return made
