"""What was seen of a scenario: executions (the ledger), ECS tasks (the side door), Airflow's task instances."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

End = Literal["done", "failed", "terminated", ""]


@dataclass(frozen=True)
class Execution:
    """One execution of a shard's container, as the container itself told it.

    :param task: the ECS task's id.
    :param started_at: seconds since the epoch; likewise ``ended_at``, None for one that could not tell its end.
    :param end: ``done``: the result is written; ``failed``: its own code failed; ``terminated``: it got a SIGTERM.
    """

    run: str
    shard: str
    try_number: int
    task: str
    started_at: float
    ended_at: float | None = None
    end: End = ""


@dataclass(frozen=True)
class Launched:
    """One ECS task of a shard, as the local Fargate knows it; times in seconds since the epoch."""

    task: str
    run: str
    shard: str
    try_number: int
    created_at: float
    started_at: float | None
    stopped_at: float | None
    ending: str

    @classmethod
    def from_side_door(cls, task: Mapping[str, Any]) -> Launched:
        """:param task: an entry of ``GET /_fargate_local/tasks``."""
        environment = task["environment"]
        return cls(
            task=str(task["arn"]).rpartition("/")[2],
            run=environment["RUN_ID"],
            shard=environment["SHARD"],
            try_number=int(environment["ATTEMPT"]),
            created_at=float(task["created_at"]),
            started_at=task["started_at"],
            stopped_at=task["stopped_at"],
            ending=_ending(task),
        )


@dataclass(frozen=True)
class Instance:
    """A shard's Airflow task instance at the end of the scenario.

    :param state: of Airflow; ``""`` for none yet.
    """

    run: str
    shard: str
    state: str
    try_number: int


@dataclass(frozen=True)
class Run:
    """A DAG run at the end of the scenario; ``ended_at`` is None when it has not ended."""

    run: str
    state: str
    ended_at: float | None


@dataclass(frozen=True)
class Serving:
    """A task of a service: from when to when it ran, in seconds since the epoch; one that is being stopped does not.

    :param ended_at: None: it still runs.
    """

    started_at: float
    ended_at: float | None


@dataclass(frozen=True)
class Receipt:
    """What the receipt of a run says of its one variant.

    :param after: service tasks that it left running; None: it does not know.
    """

    run: str
    state: str
    succeeded: int
    launches: int
    after: int | None


@dataclass(frozen=True)
class Evidence:
    """Everything that was seen of one scenario on one side.

    :param services_up: services that are not back at 0, or are still leased; None: the side scales none.
    :param recorded: the ECS tasks that the shards' XComs name; None: the side records none.
    :param serving: the tasks of its service; None: the side scales none.
    :param needed: how many of them each run needs; ``baseline``: how many are always there.
    :param receipts: of its runs; None: the side writes none.
    """

    runs: tuple[Run, ...]
    instances: tuple[Instance, ...]
    launched: tuple[Launched, ...]
    executions: tuple[Execution, ...]
    services_up: tuple[str, ...] | None
    recorded: frozenset[str] | None = None
    serving: tuple[Serving, ...] | None = None
    needed: int = 0
    baseline: int = 0
    receipts: tuple[Receipt, ...] | None = None


def executions(ledger: Path, dag_id: str) -> tuple[Execution, ...]:
    """The executions of one DAG's shards in the ledger, in the order in which they began."""
    if not ledger.exists():
        return ()
    found: dict[str, Execution] = {}
    for line in ledger.read_text().splitlines():
        entry = json.loads(line)
        if entry["dag"] != dag_id:
            continue
        if entry["event"] == "started":
            found[entry["task"]] = Execution(entry["run"], entry["shard"], entry["attempt"], entry["task"], entry["at"])
        else:
            begun = found[entry["task"]]
            found[entry["task"]] = Execution(
                begun.run, begun.shard, begun.try_number, begun.task, begun.started_at, entry["at"], entry["event"]
            )
    return tuple(found.values())


def launched(tasks: Iterable[Mapping[str, Any]], cluster: str, family: str) -> tuple[Launched, ...]:
    """The shards' tasks in one cluster, oldest first; its services' tasks are left out."""
    return tuple(
        Launched.from_side_door(task) for task in tasks if task["cluster"] == cluster and task["family"] == family
    )


def serving(tasks: Iterable[Mapping[str, Any]], cluster: str, family: str) -> tuple[Serving, ...]:
    """The tasks of the services in one cluster that have ever run."""
    return tuple(
        Serving(float(task["started_at"]), task["stopping_at"] or task["stopped_at"])
        for task in tasks
        if task["cluster"] == cluster and task["family"] == family and task["started_at"] is not None
    )


def receipts(left: Mapping[str, Any]) -> tuple[Receipt, ...]:
    """The receipts that runs have left as XComs, by run."""
    found = []
    for run, value in left.items():
        receipt = _decoded(value)
        for variant in receipt["variants"].values() if isinstance(receipt, dict) else ():
            after = [service["after"] for service in variant["services"]]
            found.append(
                Receipt(
                    run,
                    receipt["state"],
                    variant["shards"]["succeeded"],
                    len(variant["launches"]),
                    sum(after) if None not in after else None,
                )
            )
    return tuple(found)


def instances(entries: Iterable[Mapping[str, Any]], shards: Iterable[str]) -> tuple[Instance, ...]:
    """The shards among Airflow's task instances; a shard's task id ends with its name."""
    names = frozenset(shards)
    return tuple(
        Instance(entry["dag_run_id"], shard, str(entry["state"] or ""), int(entry["try_number"]))
        for entry in entries
        if (shard := str(entry["task_id"]).rpartition(".")[2]) in names
    )


def recorded(records: Iterable[Any]) -> frozenset[str]:
    """The ids of the ECS tasks that the shards' records (XComs) list as their launches."""
    return frozenset(
        str(launch["task_arn"]).rpartition("/")[2]
        for record in map(_decoded, records)
        if isinstance(record, dict)
        for launch in record.get("launches", ())
        if launch["task_arn"]
    )


def _decoded(value: Any) -> Any:
    """A record as an object; Airflow encodes what comes with a trigger's event once too often."""
    while isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value


def run_of(entry: Mapping[str, Any]) -> Run:
    """A DAG run as the REST API shows it."""
    end = entry["end_date"]
    ended_at = datetime.fromisoformat(str(end).replace("Z", "+00:00")).timestamp() if end else None
    return Run(entry["dag_run_id"], str(entry["state"]), ended_at)


def _ending(task: Mapping[str, Any]) -> str:
    if task["stopped_at"] is None:
        return f"still {task['last_status']}"
    codes = ", ".join("none" if code is None else str(code) for code in task["exit_codes"].values())
    code = task["stop_code"] or "no stop code"
    return f"{code} (exit {codes})" if code == "EssentialContainerExited" else str(code)
