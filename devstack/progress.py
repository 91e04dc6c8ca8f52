"""What the user sees while the stack works: a live table on a terminal, plain lines where output is piped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from devstack.follow import RunView, Shards, changes
from devstack.stack import Stack, clear

REFRESH_PER_SECOND: Final = 4
BAR_WIDTH: Final = 30
GRACE_SECONDS: Final = 2.0
"""The runs have ended and the next stack starts from nothing: no part has anything to put away."""
_PHASES: Final = {
    "fargate": ("local Fargate is ready, services are at 0", "starting Airflow"),
    "airflow": ("Airflow is healthy", "waiting for the DAG"),
}


@contextmanager
def stack_shown(folder: Path, console: Console, **options: Any) -> Iterator[tuple[Stack, Progress]]:
    """A new stack for the ``with`` block, and the progress that has shown its start and shows its end.

    :param folder: of its files; cleared.
    :param options: further arguments of the stack.
    :raises StackError: the stack failed; the message tells where and where the logs are.
    """
    clear(folder)
    progress = Progress(console)
    try:
        progress.start("starting the local Fargate and making Airflow's database")
        told: dict[str, Any] = {
            "grace_seconds": GRACE_SECONDS,
            "report": lambda phase: progress.reached(*_PHASES[phase]),
        }
        with Stack(folder, **told, **options) as stack:
            yield stack, progress
        progress.reached("everything is stopped")
    finally:
        progress.stop()


class Progress:
    """Tells the user what has been reached, and when; seconds count from its making.

    :param console: where to; live only when it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._reached: list[tuple[float, str]] = []
        self._waiting = ""
        self._view: RunView | None = None
        self._live = (
            Live(get_renderable=self._render, console=console, refresh_per_second=REFRESH_PER_SECOND, transient=False)
            if console.is_terminal
            else None
        )

    @property
    def elapsed_seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def start(self, waiting: str) -> None:
        """Begin.

        :param waiting: what is being waited for, like "starting the local Fargate".
        """
        self._waiting = waiting
        if self._live is not None:
            self._live.start()
        else:
            self._line(waiting)

    def reached(self, words: str, waiting: str = "") -> None:
        """A phase has been reached; the next one is being waited for."""
        self._reached.append((self.elapsed_seconds, words))
        self._waiting = waiting
        if self._live is None:
            self._line(words)

    def update(self, view: RunView) -> None:
        """Another look at the run."""
        if self._live is None:
            for line in changes(self._view, view):
                self._line(line)
        self._view = view

    def stop(self) -> None:
        """Leave the last picture on the screen; safe to call more than once."""
        self._waiting = ""
        if self._live is not None:
            self._live.stop()

    def _line(self, words: str) -> None:
        self._console.print(plain(self.elapsed_seconds, words), highlight=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for seconds, words in self._reached:
            table.add_row(Text("✓", style="green"), words, Text(f"{seconds:.1f} s", style="dim"))
        if self._waiting:
            table.add_row(Spinner("dots"), self._waiting, Text(f"{self.elapsed_seconds:.0f} s", style="dim"))
        return Group(table, run_table(self._view)) if self._view else table


def plain(seconds: float, words: str) -> str:
    """One line of piped progress."""
    return f"[{seconds:6.1f} s] {words}"


def run_table(view: RunView) -> Table:
    """The shards of each variant as bars, and the services as running / desired."""
    table = Table(box=None, padding=(0, 2), show_header=False)
    for variant, shards in view.shards.items():
        bar = ProgressBar(total=max(shards.total, 1), completed=shards.done, width=BAR_WIDTH)
        table.add_row(variant, bar, _count(shards))
    for service in view.services:
        table.add_row(service.name, "", f"{service.running} of {service.desired} running")
    return table


def _count(shards: Shards) -> Text:
    text = Text(f"{shards.done} of {shards.total} shards")
    return text.append(f", {shards.failed} failed", style="red") if shards.failed else text
