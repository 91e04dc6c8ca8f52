"""``make chaos``: the whole campaign on a stack of its own, its report and its table."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console

from devstack.chaos import report
from devstack.chaos.campaign import AIRFLOW_OPTIONS, Campaign, phases
from devstack.chaos.front import Fronts, connections, opened_fronts
from devstack.chaos.scenarios import SCENARIOS, SIDES, Scenario, Side
from devstack.chaos.world import DAGS, IMAGES
from devstack.errors import UsageError
from devstack.postgres import Postgres
from devstack.processes import ROOT
from devstack.progress import plain
from devstack.stack import Stack, clear

FOLDER: Final = ROOT / "build" / "chaos"
GRACE_SECONDS: Final = 2.0
MAX_SEED: Final = 10_000
MAX_RUNS: Final = 10


def chaos(scenarios: Sequence[Scenario], sides: Sequence[Side], seed: int, runs: int, console: Console) -> bool:
    """Run the scenarios; write the report after each phase; return whether ours passed.

    :param runs: DAG runs per scenario and side; 0: as the scenario says.
    :raises StackError: the stack failed, not a scenario; the message tells where and where the logs are.
    """
    started = time.monotonic()

    def tell(words: str) -> None:
        console.print(plain(time.monotonic() - started, words), highlight=False, markup=False, soft_wrap=True)

    clear(FOLDER)
    command = again(scenarios, sides, seed, runs)
    tell(f"seed {seed}; again with: {command}")
    rows: list[dict[str, Any]] = []
    with (
        Postgres(FOLDER / "logs") as postgres,
        opened_fronts(scenarios, sides, seed, FOLDER / "fronts") as fronts,
        stack_of(postgres.url, tell, fronts) as stack,
    ):
        campaign = Campaign(stack, sides, seed, runs, tell, fronts)
        campaign.prepare(scenarios)
        for together in phases(scenarios):
            tell("; ".join(f"{scenario.name}: {scenario.about}" for scenario in together))
            for result in campaign.phase(together):
                rows.append(report.row(result))
                tell(f"{result.scenario.name} ({result.side}): {_summary(rows[-1])}")
            _write(report.report(rows, seed=seed, command=command, seconds=time.monotonic() - started))
        tell("stopping the stack")
    tell("everything is stopped")
    _show(rows, console)
    return report.passed(rows)


def stack_of(database_url: str, tell: Any, fronts: Fronts) -> Stack:
    """The stack of the scenarios: two triggerers, no DAGs but theirs."""
    return Stack(
        FOLDER,
        database_url=database_url,
        triggerers=2,
        options=AIRFLOW_OPTIONS,
        dags=False,
        extra_dags={"chaos": DAGS},
        fargate_arguments=("--images", str(IMAGES)),
        grace_seconds=GRACE_SECONDS,
        report=lambda phase: tell(_PHASES[phase]),
        connections=connections(fronts),
    )


_PHASES: Final = {"fargate": "local Fargate is ready", "airflow": "Airflow is healthy"}


def chosen(only: str) -> tuple[Scenario, ...]:
    """The scenarios of ``ONLY=name,name``; all when it is empty.

    :raises UsageError: there is no such scenario.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise UsageError(f"ONLY has {name!r}, but the scenarios are {', '.join(known)}.")
    return tuple(scenario for scenario in SCENARIOS if not names or scenario.name in names)


def chosen_sides(text: str) -> tuple[Side, ...]:
    """The sides of ``SIDES=ours,stock``; both when it is empty.

    :raises UsageError: there is no such side.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in SIDES:
            raise UsageError(f"SIDES has {name!r}, but the sides are {', '.join(SIDES)}.")
    return tuple(side for side in SIDES if not names or side in names)


def number(text: str, option: str, most: int, default: int) -> int:
    """The value of an option that is a whole number from 0; the default when it is empty.

    :raises UsageError: it is none, or too great.
    """
    if not text:
        return default
    if not text.isdecimal() or int(text) > most:
        raise UsageError(f"{option} is {text!r}, but must be a whole number from 0 to {most}.")
    return int(text)


def any_seed() -> int:
    """A seed for a campaign that was not given one."""
    return random.SystemRandom().randrange(1, MAX_SEED)


def again(scenarios: Sequence[Scenario], sides: Sequence[Side], seed: int, runs: int) -> str:
    """The command with which the same faults and kills come again."""
    words = ["make chaos", f"SEED={seed}"]
    if runs:
        words.append(f"RUNS={runs}")
    if len(scenarios) < len(SCENARIOS):
        words.append("ONLY=" + ",".join(scenario.name for scenario in scenarios))
    if len(sides) < len(SIDES):
        words.append("SIDES=" + ",".join(sides))
    return " ".join(words)


def _summary(row: dict[str, Any]) -> str:
    if row["passed"]:
        short = row["longest_shortage_seconds"]
        said = f", service short for {short:.0f} s at most" if short else ""
        return f"passed, {row['launches']} launches for {row['shards']} shards in {row['seconds']:.0f} s{said}"
    return f"not passed, {len(row['problems'])} problems; the first: {row['problems'][0]}"


def _write(content: dict[str, Any]) -> None:
    path = FOLDER / "report.json"
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(path)
    (FOLDER / "report.md").write_text(report.markdown(content))


def _show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    console.print(report.table(rows), soft_wrap=True)
    for row in rows:
        for problem in row["problems"] if row["side"] == "ours" else ():
            console.print(f"{row['name']}: {problem}", highlight=False, markup=False, soft_wrap=True)
    where = f"Report: {(FOLDER / 'report.json').relative_to(ROOT)}   Logs: {FOLDER.relative_to(ROOT)}/"
    console.print(where, highlight=False, markup=False, soft_wrap=True)
