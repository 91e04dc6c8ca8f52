"""How long the Shards tab takes on large boards: the data, the wire, the picture, beside Airflow's public API."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg2

from devstack.bench.bars import Bar
from devstack.bench.board_drawn import drawn
from devstack.bench.trees import piece_of_work, usages
from devstack.errors import StackError
from devstack.ui import boards
from devstack.ui.browser import NoBrowserError
from devstack.ui.stack import UiStack

PAGE: Final = 100
PAGES_ASKED: Final = 8
"""Of the public API's pages; all would take an hour for the larger board, so the rest is reckoned."""
TIMES: Final = 5
BOARDS: Final = {
    "500 x 30": (boards.Size(shards=500, runs=30, named_runs=1), (1.0, 200e3, 1.5, 0.1)),
    "5,000 x 90": (boards.Size(shards=5000, runs=90, named_runs=1), (3.0, 1e6, None, None)),
}
"""Name -> size, and the most of: seconds of the data, bytes on the wire, seconds to the picture, longest task."""
_QUERY: Final = re.compile(r"duration: ([\d.]+) ms +(?:statement|execute [^:]*): (\w+)")
_NO_QUERIES: Final = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "SHOW", "SET"})


@dataclass(frozen=True)
class Board:
    """What one board took.

    :param seconds: until the data was there, the median of some calls; ``first_seconds``: of the first.
    :param cpu_seconds: of the API server for one of these calls.
    :param queries: of one call; ``query_seconds``: the database's own time for them.
    :param wire_bytes: of the answer as it was sent; ``json_bytes``: unpacked.
    :param since_seconds: of a call that asks for what has changed.
    :param public_seconds: of the same cells by pages of the public API; ``public_calls``: how many those are;
        ``public_bytes`` on the wire. All but some pages are reckoned.
    :param painted_seconds: from the tab's mount to cells on the screen; None: no browser.
    :param longest_task_seconds: of the page's main thread while it was scrolled, with all runs;
        ``longest_task_cpu_seconds``: of that which took the most CPU.
    :param widened_seconds: from the choice of more runs than the tab shows at first to their cells on the screen; None:
        the board has no more, or no browser.
    :param machine_work_ms: CPU of a fixed piece of work, see :func:`devstack.bench.trees.piece_of_work`.
    :param load_average: of a minute, before and after.
    """

    shards: int
    runs: int
    cells: int
    seconds: float
    first_seconds: float
    cpu_seconds: float
    queries: int
    query_seconds: float
    wire_bytes: int
    json_bytes: int
    since_seconds: float
    public_seconds: float
    public_calls: int
    public_bytes: float
    machine_work_ms: float
    load_average: tuple[float, float]
    painted_seconds: float | None = None
    longest_task_seconds: float | None = None
    longest_task_cpu_seconds: float | None = None
    widened_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


def run(folder: Path, tell: Callable[[str], None]) -> dict[str, Board]:
    """Measure all boards, each on an Airflow and a PostgreSQL of its own.

    :raises StackError: a stack failed.
    """
    return {name: _measured(folder / name.replace(" ", ""), name, size, tell) for name, (size, _) in BOARDS.items()}


def bars(found: Mapping[str, Board]) -> list[Bar]:
    """What must hold."""
    held = []
    for name, board in found.items():
        seconds, wire, painted, task = BOARDS[name][1]
        held += [
            Bar(f"board {name}: seconds of the data", board.seconds, most=seconds),
            Bar(f"board {name}: bytes on the wire", board.wire_bytes, most=wire),
            Bar(f"board {name}: public API's time by ours", board.public_seconds / board.seconds, least=10),
        ]
        if painted is not None and board.painted_seconds is not None:
            held.append(Bar(f"board {name}: seconds from mount to painted", board.painted_seconds, most=painted))
        if task is not None and board.longest_task_seconds is not None:
            what = f"board {name}: longest task while scrolling, s"
            held.append(Bar(what, board.longest_task_seconds, most=task))
    return held


def _measured(folder: Path, name: str, size: boards.Size, tell: Callable[[str], None]) -> Board:
    tell(f"board {name}: seeding")
    with UiStack(folder, size, postgres=True) as stack:
        tell(f"board {name}: seeded in {stack.seeded_seconds:.0f} s")
        _analyze(stack)
        load, work = os.getloadavg()[0], [piece_of_work() for _ in range(TIMES)]
        client = httpx.Client(
            base_url=stack.url,
            trust_env=False,
            timeout=120,
            headers={"Authorization": f"Bearer {stack.token('admin')}"},
        )
        with client:
            figures = _asked(client, stack, folder / "logs" / "postgres.log", size)
        tell(
            f"    data {figures['seconds']:.2f} s (CPU {figures['cpu_seconds']:.2f}) in {figures['queries']} queries "
            f"({figures['query_seconds']:.2f} s), {figures['wire_bytes'] / 1e3:.0f} KB; public API "
            f"{figures['public_seconds']:.1f} s in {figures['public_calls']} calls"
        )
        try:
            figures |= drawn(stack, size.runs)
        except NoBrowserError as error:
            tell(f"    {error}")
        else:
            widened = figures["widened_seconds"]
            tell(
                f"    painted {figures['painted_seconds']:.2f} s after the mount"
                + ("" if widened is None else f", all runs {widened:.2f} s after their choice")
                + f"; longest task while scrolling {1000 * figures['longest_task_seconds']:.0f} ms"
                + f" (CPU {1000 * figures['longest_task_cpu_seconds']:.0f})"
            )
        work += [piece_of_work() for _ in range(TIMES)]
        loads = load, os.getloadavg()[0]
        milliseconds = 1000 * statistics.median(work)
        tell(f"    machine {milliseconds:.1f} ms, load average {loads[0]:.1f} to {loads[1]:.1f}")
        return Board(**figures, machine_work_ms=milliseconds, load_average=loads)


def _asked(client: httpx.Client, stack: UiStack, log: Path, size: boards.Size) -> dict[str, Any]:
    params = {"dag_id": boards.MAPPED, "runs": size.runs}
    first, answer = _timed(client, "/ecs_feature/api/board", params)
    board = answer.json()
    with _logged(stack, log) as queries:
        _timed(client, "/ecs_feature/api/board", params)
    used = _cpu_seconds(stack)
    calls = [_timed(client, "/ecs_feature/api/board", params) for _ in range(TIMES)]
    used = _cpu_seconds(stack) - used
    since, _ = _timed(client, "/ecs_feature/api/board", {**params, "since": board["at"]})
    cells = sum(len(states["states"].strip()) for lane in board["cells"].values() for states in lane if states)
    pages = -(-cells // PAGE)
    asked = [pages * number // PAGES_ASKED for number in range(min(PAGES_ASKED, pages))]
    public = [
        _timed(
            client,
            f"/api/v2/dags/{boards.MAPPED}/dagRuns/~/taskInstances",
            {"limit": PAGE, "offset": PAGE * number},
        )
        for number in asked
    ]
    return {
        "shards": size.shards,
        "runs": size.runs,
        "cells": cells,
        "seconds": statistics.median(seconds for seconds, _ in calls),
        "first_seconds": first,
        "cpu_seconds": used / TIMES,
        "queries": len(queries),
        "query_seconds": sum(queries),
        "wire_bytes": calls[-1][1].num_bytes_downloaded,
        "json_bytes": len(calls[-1][1].content),
        "since_seconds": since,
        "public_seconds": statistics.mean(seconds for seconds, _ in public) * pages,
        "public_calls": pages,
        "public_bytes": statistics.mean(answer.num_bytes_downloaded for _, answer in public) * pages,
    }


def _cpu_seconds(stack: UiStack) -> float:
    assert stack.processes is not None
    return usages({"api": stack.processes.pid("api-server")})["api"].cpu_seconds


def _timed(client: httpx.Client, path: str, params: Mapping[str, Any]) -> tuple[float, httpx.Response]:
    began = time.perf_counter()
    answer = client.get(path, params=dict(params))
    seconds = time.perf_counter() - began
    if answer.is_error:
        raise StackError(f"{path} answered {answer.status_code}: {answer.text[:300]}")
    return seconds, answer


def _connect(stack: UiStack) -> Any:
    connection = psycopg2.connect(stack.database_url.replace("postgresql+psycopg2", "postgresql"))
    connection.autocommit = True
    return connection


def _analyze(stack: UiStack) -> None:
    """A database that runs on has its statistics."""
    with _connect(stack).cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


@contextmanager
def _logged(stack: UiStack, log: Path) -> Iterator[list[float]]:
    """The seconds of each query of the ``with`` block, as the server has logged them."""
    found: list[float] = []
    with _connect(stack).cursor() as cursor:

        def log_above(milliseconds: int) -> None:
            cursor.execute(f"ALTER SYSTEM SET log_min_duration_statement = {milliseconds}")
            cursor.execute("SELECT pg_reload_conf()")
            time.sleep(0.5)

        log_above(0)
        begun = log.stat().st_size
        yield found
        time.sleep(0.5)
        text = log.read_bytes()[begun:].decode(errors="replace")
        log_above(-1)
    found += [float(match[1]) / 1000 for match in _QUERY.finditer(text) if match[2].upper() not in _NO_QUERIES]
