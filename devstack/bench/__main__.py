"""``python -m devstack.bench``, which ``make bench`` runs; its options are variables, see docs/benchmarks."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from devstack import interrupts

FOLDER = Path("build/bench")
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run the benchmark, or with ``plots`` draw docs/benchmarks; the exit code is 0, 1 (failed) or 2 (refused)."""
    interrupts.install()
    try:
        from devstack.errors import StackError
        from devstack.processes import ROOT
        from devstack.stack import lock

        folder = ROOT / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        if arguments == ["plots"]:
            return _draw(folder, ROOT / "docs" / "benchmarks")
        try:
            with lock(folder):
                _run(folder)
            return _draw(folder, folder)
        except StackError as error:
            sys.stderr.write(f"{error}\n")
            return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Stopped; nothing is left running.\n")
        return INTERRUPTED


def _run(folder: Path) -> None:
    from devstack.bench import options, report, suite

    asked = options.parse(os.environ)
    results, began = suite.Results(), time.monotonic()

    def tell(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {line}\n")
        sys.stdout.flush()

    try:
        suite.run(asked, folder, results, tell)
    finally:
        if results.measured or results.predictions or results.boards:
            report.write(folder / report.name(asked), report.report(asked, results))
    for bar in results.bars:
        sys.stdout.write(f"{bar.line()}\n")
    sys.stdout.write(f"Report: {FOLDER}/{report.name(asked)}\n")


def _draw(folder: Path, target: Path) -> int:
    """Tabulate the fan-outs of all reports, and draw those without patches; of one that is in several, the newest."""
    from devstack.bench import board_page, plots, tables

    reports: list[dict[str, Any]] = [json.loads(path.read_text()) for path in folder.glob("report*.json")]
    reports.sort(key=lambda each: str(each["machine"]["at"]))
    fan_outs = {
        name: fan_out
        for each in reports
        if not each["options"].get("patch")
        for name, fan_out in each["fan_outs"].items()
    }
    drawn = [path for each in reports[::-1] if each.get("boards") for path in board_page.write(each, target)][:2]
    if others := [each for each in reports if each["fan_outs"] or each.get("estimate")]:
        drawn += plots.draw(fan_outs, target)
        (target / "results.md").write_text(tables.results(others))
        drawn.append(target / "results.md")
    sys.stdout.write(f"{', '.join(path.name for path in drawn)} in {target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
