"""The command line: options come as arguments or, as make gives them, as variables of the environment."""

from __future__ import annotations

import argparse
import os
import sys

from rich.console import Console

from devstack import backfill, compose, demo, ports, rt_live, runs, up
from devstack.errors import StackError


def run(arguments: list[str]) -> int:
    """Run one command; the exit code is 0, 1 (failed) or 2 (refused)."""
    options = parser().parse_args(arguments)
    console = Console()
    try:
        if options.command == "demo":
            demo.demo(runs.parse_day(options.date), console)
        elif options.command == "rt-live":
            rt_live.rt_live(rt_live.parse(options.date, options.dispatch, options.workers), console)
        elif options.command == "compose-demo":
            compose.demo(runs.parse_day(options.date), console)
        elif options.command == "compose-down":
            compose.down(console)
        elif options.command == "backfill-demo":
            backfill.backfill(backfill.parse(options.first, options.last, options.runs), console)
        else:
            up.up(ports.parse(options.port), console)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def parser() -> argparse.ArgumentParser:
    """Of ``python -m devstack``."""
    main = argparse.ArgumentParser(prog="devstack", description="A local Airflow and a local Fargate.")
    commands = main.add_subparsers(dest="command", required=True)
    day = commands.add_parser("demo", help="run one day of the pipeline, print its receipt, stop everything")
    day.add_argument("--date", default=os.environ.get("DATE") or "2013-01-01", help="a day of 2013 (or DATE=...)")
    states = commands.add_parser("rt-live", help="run one day of rt_live, print receipt and table, keep the picture")
    states.add_argument(
        "--date", default=os.environ.get("DATE") or "2020-06-15", help="2020-01-22 to 2020-07-03 (or DATE=...)"
    )
    states.add_argument(
        "--dispatch", default=os.environ.get("DISPATCH") or rt_live.DISPATCHES[0], help="fargate (or DISPATCH=...)"
    )
    states.add_argument("--workers", default=os.environ.get("WORKERS") or "", help="how many (or WORKERS=...)")
    days = commands.add_parser("backfill-demo", help="backfill some days, print their receipts, stop everything")
    days.add_argument(
        "--from", dest="first", default=os.environ.get("FROM") or "2013-01-01", help="a day of 2013 (or FROM=...)"
    )
    days.add_argument(
        "--to", dest="last", default=os.environ.get("TO") or "", help="included; a week by default (or TO=...)"
    )
    days.add_argument("--runs", default=os.environ.get("RUNS") or "3", help="days at a time (or RUNS=...)")
    contained = commands.add_parser("compose-demo", help="the same days in containers, with Celery and Postgres")
    contained.add_argument("--date", default=os.environ.get("DATE") or "2013-01-01", help="a day of 2013 (or DATE=...)")
    commands.add_parser("compose-down", help="remove the containers, volumes and networks")
    kept = commands.add_parser("up", help="keep the stack running until Ctrl-C")
    kept.add_argument("--port", default=os.environ.get("PORT") or "8080", help="of Airflow's UI (or PORT=...)")
    return main
