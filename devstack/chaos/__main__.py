"""``python -m devstack.chaos``; options come as arguments or, as make gives them, as variables of the environment."""

from __future__ import annotations

import argparse
import os
import sys

from devstack import interrupts

INTERRUPTED = 130
"""The exit code that shells give a command ended by Ctrl-C."""


def main(arguments: list[str]) -> int:
    """Run the campaign; the exit code is 0, 1 (a scenario was not passed, or the stack failed), 2 (refused) or 130."""
    interrupts.install()
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped; nothing is left running.\n")
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    from rich.console import Console  # the heavy imports, where Ctrl-C already leaves no traceback

    from devstack.chaos import command
    from devstack.errors import StackError

    options = parser().parse_args(arguments)
    try:
        seed = command.number(options.seed, "SEED", command.MAX_SEED, command.any_seed())
        runs = command.number(options.runs, "RUNS", command.MAX_RUNS, 0)
        scenarios, sides = command.chosen(options.only), command.chosen_sides(options.sides)
        return 0 if command.chaos(scenarios, sides, seed, runs, Console()) else 1
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def parser() -> argparse.ArgumentParser:
    """Of ``python -m devstack.chaos``."""
    main = argparse.ArgumentParser(prog="devstack.chaos", description="DAG runs under seeded faults and kills.")
    for name, words in (
        ("seed", "of all chance; a random one by default"),
        ("runs", "DAG runs per scenario and side"),
        ("only", "scenarios by name, separated by commas; all by default"),
        ("sides", "ours, stock, or both with a comma between"),
    ):
        main.add_argument(
            f"--{name}", default=os.environ.get(name.upper(), ""), help=f"{words} (or {name.upper()}=...)"
        )
    return main


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
