"""The board as a screen reader has it, and what Airflow's own API says it should be."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

LABEL = re.compile(r"(?s)(?P<shard>.+), (?P<partition>\d{4}-\d\d-\d\d): (?P<words>.+)")
GOING_ON = "running or waiting"
COLLECT = """
async () => {
  const host = document.querySelector(".ecsf-root [role=grid]"), found = new Set();
  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  for (let top = 0; ; top += Math.max(100, host.clientHeight / 2)) {
    host.scrollTop = top;
    await frame();
    for (const row of host.querySelectorAll("[role=row]:not([hidden])")) {
      const name = row.querySelector("[role=rowheader] bdi")?.textContent;
      const cells = [...row.querySelectorAll("[role=gridcell]")].map((cell) => cell.getAttribute("aria-label"));
      if (cells.length) found.add(JSON.stringify([name, cells]));
    }
    if (top >= host.scrollHeight - host.clientHeight) break;
  }
  host.scrollTop = 0;
  return [...found].map((row) => JSON.parse(row));
}
"""


class Cell(NamedTuple):
    """One shard of one lane in one run."""

    lane: str
    run_id: str
    shard: str


def shown(page: Any, run_ids: list[str], lanes: list[str]) -> dict[Cell, str]:
    """The state of each cell in words, from the labels of all rows.

    :param run_ids: of the columns, from left to right; ``lanes``: that are shown.
    """
    found = {}
    for shard, labels in page.evaluate(COLLECT):
        assert len(labels) == len(run_ids), shard
        for run_id, label in zip(run_ids, labels, strict=True):
            words = label.removeprefix(f"{shard}, ").partition(": ")[2].split("; ")
            assert len(words) == len(lanes), label
            for lane, said in zip(lanes, words, strict=True):
                found[Cell(lane, run_id, shard)] = said.removeprefix(f"{lane} ").partition(",")[0]
                if said.removeprefix(f"{lane} ").startswith("ran, not published"):
                    found[Cell(lane, run_id, shard)] = "ran, not published"
    return found


def expected(ui: Any, dag_id: str, lanes: list[str], names: dict[str, str]) -> dict[Cell, str]:
    """The same from Airflow's public API: states, records and what has been published.

    :param names: task id -> shard, of named shards.
    """
    runs = ui.pages(f"/dags/{dag_id}/dagRuns", "dag_runs")
    published = _published(ui, dag_id, runs, lanes)
    newest: dict[tuple[str, str, str], tuple[int, str]] = {}
    for run in runs:
        for lane in lanes:
            version, shards = published[run["dag_run_id"], lane]
            for shard in shards:
                key = lane, run["logical_date"][:10], shard
                newest[key] = max(newest.get(key, (0, "")), (version, run["dag_run_id"]))
    days = {run["dag_run_id"]: run["logical_date"][:10] for run in runs}
    left = _with_record(ui, dag_id)
    mapped = {} if names else {run_id: _found(ui, dag_id, run_id) for run_id in days}
    found = {}
    for task in ui.pages(f"/dags/{dag_id}/dagRuns/~/taskInstances", "task_instances"):
        if task["operator"] != "EcsShardOperator":
            continue
        run_id, index = task["dag_run_id"], task["map_index"]
        lane = task["task_id"].partition(".")[0] if len(lanes) > 1 else lanes[0]
        name = names.get(task["task_id"], task["task_id"].rpartition(".")[2])
        shard = mapped[run_id][index] if index >= 0 else name
        by = newest.get((lane, days[run_id], shard))
        mine = shard in published[run_id, lane][1]
        there = (run_id, task["task_id"], index) in left
        found[Cell(lane, run_id, shard)] = _words(task["state"], there, mine, by is not None and by[1] != run_id)
    return found


def _found(ui: Any, dag_id: str, run_id: str) -> list[str]:
    """The shards of a mapped run."""
    path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/find_shards/xcomEntries/return_value"
    return list(ui.json(path)["value"])


def _words(state: str | None, left: bool, mine: bool, by_other: bool) -> str:
    if state == "success":
        if mine:
            return "earlier version" if by_other else "published"
        return "ran, not published" if left else "missing"
    if state == "skipped":
        return "nothing to do" if left else "not part of this run"
    if state in ("failed", "upstream_failed"):
        return "failed"
    return GOING_ON if state == "deferred" else "waiting"


def alike(shown_: dict[Cell, str], wanted: dict[Cell, str]) -> dict[Cell, str]:
    """What is shown, without cells of no shard; a deferred task may run or wait, which Airflow's API does not say."""
    found = {}
    for cell, words in shown_.items():
        if words != "no such shard":
            going_on = wanted.get(cell) == GOING_ON and words in ("running", "waiting")
            found[cell] = GOING_ON if going_on else words
    return found


def _published(ui: Any, dag_id: str, runs: Iterable[Any], lanes: list[str]) -> dict[tuple[str, str], tuple[int, Any]]:
    found: dict[tuple[str, str], tuple[int, Any]] = defaultdict(lambda: (0, ()))
    for run in runs:
        for lane in lanes:
            task_id = f"{lane}.publish" if lane else "publish"
            path = f"/api/v2/dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances/{task_id}/xcomEntries/return_value"
            answer = ui.ask("GET", path)
            if answer.status_code == 200:
                value = answer.json()["value"]
                found[run["dag_run_id"], lane] = value["version"], value["shards"]
    return found


def _with_record(ui: Any, dag_id: str) -> set[tuple[str, str, int]]:
    entries = ui.pages(f"/dags/{dag_id}/dagRuns/~/taskInstances/~/xcomEntries", "xcom_entries", xcom_key="return_value")
    return {(entry["run_id"], entry["task_id"], entry["map_index"]) for entry in entries}
