"""``python -m devstack.ui.pictures``, which ``make screenshots`` runs: docs/images of every view, light and dark."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from devstack import interrupts
from devstack.errors import StackError
from devstack.processes import ROOT
from devstack.ui import boards
from devstack.ui.boards import Size
from devstack.ui.browser import browser, page
from devstack.ui.stack import UiStack

FOLDER: Final = ROOT / "docs" / "images"
WIDTH, HEIGHT = 1280, 860
SETTLED_MS: Final = 1500
INTERRUPTED = 130
OURS: Final = ".ecsf-root"
CELL: Final = f"{OURS} [role=gridcell]"


def _board(opened: Any) -> None:
    """A cell that failed is chosen, so that the strip has something to say."""
    opened.locator(CELL).first.wait_for()
    failed = opened.locator(f"{CELL}[aria-label*=': control failed'], {CELL}[aria-label*='treatment failed']")
    (failed.last if failed.count() else opened.locator(CELL).last).click()


def _heat(opened: Any) -> None:
    opened.locator(CELL).first.wait_for()
    opened.get_by_role("button", name="Duration").first.click()


def _rerun(opened: Any) -> None:
    """The sheet, for shards of two days."""
    opened.locator(CELL).first.wait_for()
    for cell in opened.locator(f"{CELL}[aria-label*='failed']").all()[:3]:
        cell.click(modifiers=["Control"])
    opened.get_by_role("button", name="Rerun").first.click()
    opened.get_by_role("dialog").first.wait_for()
    opened.wait_for_timeout(SETTLED_MS)


def _run(opened: Any) -> None:
    opened.locator("dl.ecsf-head").wait_for()


def _run_below(opened: Any) -> None:
    """What is under the Gantt: reasons, the receipt, versions."""
    opened.get_by_role("heading", name="Failures by reason").wait_for()
    opened.get_by_role("heading", name="Receipt").scroll_into_view_if_needed()
    opened.get_by_role("heading", name="Failures by reason").evaluate("(it) => it.scrollIntoView({block: 'start'})")


def _overview(opened: Any) -> None:
    opened.locator(OURS).get_by_role("link", name=boards.NAMED).wait_for()


def views(stack: UiStack) -> dict[str, tuple[str, Callable[[Any], None]]]:
    """Name -> path below Airflow's URL, and what to do there."""
    runs = stack.json("/ecs_feature/api/board", dag_id=boards.NAMED)["runs"]
    bad = max(runs, key=lambda run: int(run["failed"]))["run_id"]
    running = stack.json("/ecs_feature/api/board", dag_id=boards.MAPPED)["runs"][-1]["run_id"]
    board = f"/dags/{boards.NAMED}/plugin/shards"
    run = f"/dags/{boards.NAMED}/runs/{bad}/plugin/shards-run"
    return {
        "board": (board, _board),
        "board-duration": (board, _heat),
        "board-mapped": (f"/dags/{boards.MAPPED}/plugin/shards", lambda opened: opened.locator(CELL).first.wait_for()),
        "rerun": (board, _rerun),
        "run": (run, _run),
        "run-receipt": (run, _run_below),
        "run-active": (f"/dags/{boards.MAPPED}/runs/{running}/plugin/shards-run", _run),
        "overview": ("/plugin/ecs-features", _overview),
    }


def take(folder: Path, only: list[str]) -> None:
    """Make the pictures.

    :param only: names of views; none: all.
    :raises StackError: there is no browser, or the stack fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium, UiStack(ROOT / "build" / "ui" / "pictures", Size()) as stack:
        token = stack.token("admin")
        for name, (path, act) in views(stack).items():
            if only and name not in only:
                continue
            for dark in (False, True):
                target = folder / f"{name}-{'dark' if dark else 'light'}.png"
                with page(chromium, stack.url, token, dark=dark, width=WIDTH, height=HEIGHT) as opened:
                    opened.goto(f"{stack.url}{path}", wait_until="domcontentloaded")
                    try:
                        act(opened)
                    except Exception as error:
                        print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)
                    opened.wait_for_timeout(SETTLED_MS)
                    opened.screenshot(path=target)
                print(target.relative_to(ROOT) if target.is_relative_to(ROOT) else target, flush=True)


def main(arguments: list[str]) -> int:
    """Make the pictures of the named views; the exit code is 0, 1 (failed) or 130 (interrupted)."""
    interrupts.install()
    try:
        take(FOLDER, arguments)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
