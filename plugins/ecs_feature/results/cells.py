"""The cells of the board: what became of each shard of one variant in one run, as columns. Pure.

The receipt leaves them in an XCom, so that a board of thousands of shards and many runs need not read each record; the
web server makes the same columns for the runs that have not left any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

from ecs_feature.tasks.cost import Usage
from ecs_feature.tasks.prices import PriceTable

BOARD_KEY: Final = "board"
"""Key of the receipt's XCom with the cells of its run, see :func:`summary`."""
FORMAT: Final = 1

PUBLISHED, RAN, STALE, MISSING = "P", "R", "S", "M"
FAILED, RUNNING, WAITING, NOTHING, LEFT_OUT, ABSENT = "F", "r", "w", "n", "-", " "
_SUCCEEDED, _SKIPPED = "succeeded", "skipped"
_CODES: Final[Mapping[str, str]] = {
    "failed": FAILED,
    "upstream_failed": FAILED,
    "running": RUNNING,
    "restarting": RUNNING,
    "deferred": RUNNING,
    "queued": WAITING,
    "scheduled": WAITING,
    "up_for_retry": WAITING,
    "up_for_reschedule": WAITING,
    "removed": ABSENT,
}


def code_of(
    state: str | None, outcome: str = "", *, published: bool = False, waits: bool = False, active: bool = False
) -> str:
    """The code of a cell.

    :param state: of the shard's Airflow task.
    :param outcome: in its record; empty: it has left none.
    :param published: whether this run has published it.
    :param waits: whether it is known to wait before its container.
    :param active: whether the run goes on.
    """
    if state == "success":
        return PUBLISHED if published else RAN if outcome == _SUCCEEDED else MISSING
    if state == "skipped":
        return NOTHING if outcome == _SKIPPED else LEFT_OUT
    if state == "deferred" and waits:
        return WAITING
    if not state:
        return WAITING if active else MISSING
    return _CODES.get(state, WAITING)


@dataclass(frozen=True)
class Launched:
    """What a record says of a shard's launches.

    :param seconds: of the last try: from its first launch to its last stop; None: nothing ran.
    :param micro_usd: cost of all launches in millionths of a dollar; None: not known.
    :param relaunched: whether infrastructure had it launched again within a try.
    :param attempt: the last try that launched; 0: none.
    :param stopped_at: ISO 8601; empty: nothing ran.
    """

    seconds: float | None = None
    micro_usd: int | None = None
    relaunched: bool = False
    attempt: int = 0
    stopped_at: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any] | None, prices: PriceTable) -> Self:
        """Nothing of a record that is not as this package writes them: one odd XCom must not take down a board."""
        try:
            return cls._of(record, prices)
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls()

    @classmethod
    def _of(cls, record: Mapping[str, Any] | None, prices: PriceTable) -> Self:
        launches = list((record or {}).get("launches") or ())
        if not launches:
            return cls()
        tries = [int(launch.get("attempt") or 1) for launch in launches]
        last = [launch for launch, each in zip(launches, tries, strict=True) if each == tries[-1]]
        starts = [str(launch["created_at"]) for launch in last if launch.get("created_at")]
        stops = [str(launch["stopped_at"]) for launch in last if launch.get("stopped_at")]
        return cls(
            seconds=_between(min(starts), max(stops)) if starts and stops else None,
            micro_usd=_micro_usd(launches, prices),
            relaunched=len(set(tries)) < len(tries),
            attempt=tries[-1],
            stopped_at=max((str(launch.get("stopped_at") or "") for launch in launches), default=""),
        )


_NOT_LAUNCHED: Final = Launched()


@dataclass
class Cells:
    """Columns; an item for each shard.

    :ivar codes: one character a shard.
    :ivar changed: seconds since the run's start of the last change; None: not known.
    :ivar relaunched: indexes in these columns; ``tries``: index -> Airflow's tries, where more than one.
    :ivar map: map indexes of a mapped task; None: the shards are named tasks.
    """

    shards: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    seconds: list[float | None] = field(default_factory=list)
    micro_usd: list[int | None] = field(default_factory=list)
    changed: list[int | None] = field(default_factory=list)
    relaunched: list[int] = field(default_factory=list)
    tries: dict[int, int] = field(default_factory=dict)
    map: list[int] | None = None

    def add(self, shard: str, code: str, launched: Launched, *, changed: int | None, tries: int, index: int) -> None:
        """Add a shard. What an earlier pass of the run launched is no part of one that leaves the shard out.

        :param index: of the mapped task; -1 for a named one.
        """
        at = len(self.shards)
        if code in (LEFT_OUT, ABSENT):
            launched = _NOT_LAUNCHED
        self.shards.append(shard)
        self.codes.append(code)
        self.seconds.append(launched.seconds)
        self.micro_usd.append(launched.micro_usd)
        self.changed.append(changed)
        if launched.relaunched:
            self.relaunched.append(at)
        if tries > 1:
            self.tries[at] = tries
        if index >= 0 and self.map is None:
            self.map = [-1] * at
        if self.map is not None:
            self.map.append(index)

    def put(self, at: int | None, other: Cells, index: int) -> None:
        """Take a shard from other columns.

        :param at: its place here; None: it has none yet.
        """
        if at is None:
            at = len(self.shards)
            for column in (self.shards, self.codes, self.seconds, self.micro_usd, self.changed, self.map):
                if column is not None:
                    column.append(None)  # type: ignore[arg-type]
        self.shards[at], self.codes[at] = other.shards[index], other.codes[index]
        self.seconds[at], self.micro_usd[at] = other.seconds[index], other.micro_usd[index]
        self.changed[at] = other.changed[index]
        if self.map is not None and other.map is not None:
            self.map[at] = other.map[index]
        self.relaunched = sorted({*self.relaunched, at} if index in other.relaunched else {*self.relaunched} - {at})
        self.tries.pop(at, None)
        if index in other.tries:
            self.tries[at] = other.tries[index]

    def sort(self, order: Sequence[int]) -> None:
        """Sort the columns.

        :param order: the present indexes, in the new order.
        """
        if list(order) == list(range(len(self.shards))):
            return
        for name in ("shards", "codes", "seconds", "micro_usd", "changed", *(() if self.map is None else ("map",))):
            column = getattr(self, name)
            setattr(self, name, [column[at] for at in order])
        now = {before: at for at, before in enumerate(order)}
        self.relaunched = sorted(now[at] for at in self.relaunched)
        self.tries = {now[at]: tries for at, tries in self.tries.items()}

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return {
            "shards": self.shards,
            "states": "".join(self.codes),
            "seconds": self.seconds,
            "micro_usd": self.micro_usd,
            "changed": self.changed,
            "relaunched": self.relaunched,
            "tries": {str(at): tries for at, tries in self.tries.items()},
            **({} if self.map is None else {"map": None if self.map == list(range(len(self.map))) else self.map}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """:raises KeyError, TypeError, ValueError: when it is not what :meth:`to_dict` has made."""
        read = cls(
            list(values["shards"]),
            list(values["states"]),
            list(values["seconds"]),
            list(values["micro_usd"]),
            list(values["changed"]),
            list(values["relaunched"]),
            {int(at): int(tries) for at, tries in values["tries"].items()},
            _map(values),
        )
        columns = (read.codes, read.seconds, read.micro_usd, read.changed, *(() if read.map is None else (read.map,)))
        if any(len(column) != len(read.shards) for column in columns):
            raise ValueError("columns of different lengths")
        return read


def _map(values: Mapping[str, Any]) -> list[int] | None:
    """None in the summary stands for 0, 1, 2 ..."""
    if "map" not in values:
        return None
    return list(range(len(values["shards"]))) if values["map"] is None else list(values["map"])


def summary(lanes: Mapping[str, Any], receipt: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """The XCom with the cells of a run; JSON-safe.

    :param lanes: :func:`lane_summary` of each.
    :param at: when the states were asked for: what changed later is read from Airflow.
    """
    costs = [variant["cost_usd"] for variant in receipt["variants"].values()]
    return {
        "format": FORMAT,
        "at": at.isoformat(),
        "partition": receipt["partition"],
        "usd": round(sum(costs), 6) if costs and all(cost is not None for cost in costs) else None,
        "lanes": dict(lanes),
    }


def lane_summary(
    shards: Iterable[tuple[str, int, str | None]],
    records: Mapping[str, Mapping[str, Any]],
    published: Mapping[str, Any] | None,
    prices: PriceTable,
    start: datetime,
) -> dict[str, Any]:
    """The columns of one variant, as its receipt leaves them; JSON-safe.

    :param shards: name, map index (-1: a named task) and state of the Airflow task of each.
    :param records: by name.
    :param published: XCom of the publish.
    :param start: of the run.
    """
    done = frozenset((published or {}).get("shards") or ())
    cells = Cells()
    for name, index, state in shards:
        record = records.get(name)
        launched = Launched.of(record, prices)
        changed = (datetime.fromisoformat(launched.stopped_at) - start).total_seconds() if launched.stopped_at else None
        cells.add(
            name,
            code_of(state, str((record or {}).get("outcome") or ""), published=name in done),
            launched,
            changed=None if changed is None else round(changed),
            tries=launched.attempt,
            index=index,
        )
    return {
        **cells.to_dict(),
        "version": int((published or {}).get("version") or 0),
        "previous": previous_of(published or {}),
        "prefix": str((published or {}).get("manifest_uri") or "").rpartition("/manifest/")[0],
    }


def previous_of(published: Mapping[str, Any]) -> int | None:
    """The version that a publish went on from, by its XCom; 0: it was the first, None: it does not say."""
    return int(published["previous"] or 0) if "previous" in published else None


def _between(start: str, stop: str) -> float:
    seconds = (datetime.fromisoformat(stop) - datetime.fromisoformat(start)).total_seconds()
    return max(0, rounded(seconds))


def rounded(seconds: float) -> float:
    """To tenths, and whole from ten seconds on."""
    return round(seconds) if seconds >= 10 else round(seconds, 1)


def _micro_usd(launches: Iterable[Mapping[str, Any]], prices: PriceTable) -> int | None:
    """None where the price of a launch is not known."""
    usd = 0.0
    for launch in launches:
        used, price = Usage.from_dict(launch), prices.of_row(launch)
        if price.unknown(used):
            return None
        usd += price.of(used)
    return round(usd * 1e6)
