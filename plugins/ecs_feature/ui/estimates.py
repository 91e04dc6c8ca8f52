"""What a rerun of chosen cells will take and cost, from past runs: it reads, and it asks no AWS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from airflow.configuration import conf

from ecs_feature.estimates.estimate import Estimate, estimate
from ecs_feature.estimates.facts import PipelineFacts, dag_of
from ecs_feature.estimates.history import past_runs
from ecs_feature.estimates.past_runs import EstimateRequest, PastRun, calibrated
from ecs_feature.estimates.pricing import Pricing
from ecs_feature.estimates.simulation import Bounds
from ecs_feature.estimates.workload import Services
from ecs_feature.exceptions import EcsFeatureError, SelectionError
from ecs_feature.services.leases import SharingPolicy
from ecs_feature.services.snapshot import newest
from ecs_feature.shards.records import shard_record
from ecs_feature.tasks.cost import NOTHING
from ecs_feature.ui import queries
from ecs_feature.ui.holders import is_of_run
from ecs_feature.ui.pipelines import Lane, Pipelines, lane_name, names_of, pipelines_of
from ecs_feature.ui.price_table import prices

SEEN_RECENTLY: Final = timedelta(minutes=30)
"""What was seen of a service longer ago says nothing of who holds it now."""
LEARNT_FROM: Final = 10
"""How many past runs are read; each more costs the one who waits for the answer."""
MOST_RECORDS: Final = 10_000
MOST_RUNS: Final = 100
MOST_CELLS: Final = 20_000
_QUOTAS: Final = frozenset({"launch rate", "vCPU quota", "parallelism", "triggerer capacity"})
"""The bounds that are limits; the others say where the time goes."""


def estimates(session: Any, dag_id: str, asked: Any) -> dict[str, Any]:
    """The estimate of each run, see docs/shards-tab.md.

    :param asked: ``[{"run_id", "cells": [[task id, map index], ...]}]``.
    :raises SelectionError: when it has another shape, or the DAG is not a pipeline's.
    """
    wanted = _checked(asked)
    pipelines, dag = pipelines_of(dag_id, session), dag_of(dag_id)
    facts = PipelineFacts.of(dag)
    pricing = Pricing(prices(), facts)
    past, notes = _past(facts, pricing, session), []
    if not past:
        notes.append("No run has finished yet, so there is nothing to estimate from.")
    quota = _quota(session, dag_id, pipelines)
    bounds = Bounds(
        max_vcpus=quota,
        services_share_quota=facts.bucket == "FARGATE",
        variant_vcpus=facts.max_vcpus,
        parallelism=facts.parallelism,
        max_shards=conf.getint("triggerer", "capacity", fallback=1000),
    )
    if past:
        past = calibrated(past, bounds)
    seen = {row["name"]: row for row in _seen(session, dag_id, pipelines)}
    names = _names(session, dag_id, pipelines, wanted)
    held = any(work.services != Services() for run in past for work in run.variants.values())
    service_price = pricing.of_services() if held else NOTHING
    answers: dict[tuple[Any, ...], Estimate | None] = {}
    rows = []
    for run_id, cells in wanted:
        lanes = _by_lane(pipelines, cells)
        key = tuple(
            sorted((lane.name, tuple(sorted(names.get((run_id, *each), "") for each in mine))) for lane, mine in lanes)
        )
        if past and key and key not in answers:
            request = EstimateRequest(1, [lane for lane, _ in key], chosen=dict(key))
            try:
                answers[key] = estimate(request, past, bounds, service_price=service_price)
            except EcsFeatureError as error:
                answers[key] = None
                notes.append(str(error))
        rows.append(_row(run_id, answers.get(key), lanes, seen, partial(_is_of_run, pipelines, run_id)))
    for answer in filter(None, answers.values()):
        notes += [note for note in answer.notes if note not in notes]
    return {"dag_id": dag_id, "runs": rows, "notes": [*notes, *pricing.notes()]}


def _checked(asked: Any) -> list[tuple[str, list[tuple[str, int]]]]:
    wanted = []
    try:
        for each in asked:
            cells = dict.fromkeys((str(task_id), int(map_index)) for task_id, map_index in each["cells"])
            wanted.append((str(each["run_id"]), list(cells)))
    except (TypeError, KeyError, ValueError):
        raise SelectionError('runs: give [{"run_id": "...", "cells": [["task id", map index], ...]}, ...].') from None
    if len(wanted) > MOST_RUNS or sum(len(cells) for _, cells in wanted) > MOST_CELLS:
        raise SelectionError(f"runs: at most {MOST_RUNS} runs and {MOST_CELLS} cells at once; choose fewer.")
    return wanted


def _past(facts: PipelineFacts, pricing: Pricing, session: Any) -> list[PastRun]:
    shards = max(1, len(facts.shards)) * len(facts.variants)
    last = max(2, min(LEARNT_FROM, MOST_RECORDS // shards))
    return past_runs(facts, last=last, session=session, price=pricing.of_record)


def _quota(session: Any, dag_id: str, pipelines: Pipelines) -> float | None:
    """The account's vCPU quota as some shard of the last runs has seen it; None: not known."""
    runs = queries.newest_runs(session, dag_id, 2)
    tasks = [
        task_id for lane in pipelines.lanes for task_id in [lane.mapped, *list(lane.tasks.values())[:5]] if task_id
    ]
    for xcom in reversed(queries.xcoms(session, runs, task_ids=tasks)):
        if found := (shard_record(xcom.value) or {}).get("quota_vcpus"):
            return float(found)
    return None


def _seen(session: Any, dag_id: str, pipelines: Pipelines) -> list[dict[str, Any]]:
    tasks = [lane.task(step) for lane in pipelines.lanes for step in ("scale_up", "services_steady", "scale_down")]
    runs = queries.newest_runs(session, dag_id, 3)
    return newest(xcom.value for xcom in queries.xcoms(session, runs, task_ids=tasks))


def _names(
    session: Any, dag_id: str, pipelines: Pipelines, wanted: Sequence[tuple[str, Sequence[tuple[str, int]]]]
) -> Mapping[tuple[str, str, int], str]:
    """(run id, task id, map index) -> shard."""
    named = names_of(pipelines.lanes)
    found_by = {lane.mapped: lane.found_by for lane in pipelines.lanes if lane.mapped}
    runs = [run for run_id, _ in wanted if (run := queries.one_run(session, dag_id, run_id)) is not None]
    lists = queries.by_task(queries.xcoms(session, runs if found_by else (), task_ids=sorted(set(found_by.values()))))
    names = {}
    for run_id, cells in wanted:
        for task_id, map_index in cells:
            name = named.get(task_id, "")
            if map_index >= 0 and (left := lists.get((run_id, found_by.get(task_id, "")))) is not None:
                found = queries.names_in_list(left.value)
                name = found[map_index] if map_index < len(found) else ""
            names[(run_id, task_id, map_index)] = name
    return names


def _by_lane(pipelines: Pipelines, cells: Sequence[tuple[str, int]]) -> list[tuple[Lane, list[tuple[str, int]]]]:
    """The lanes that these cells are of, with their cells; also those of tasks that the DAG does not have any more."""
    found: dict[str, tuple[Lane, list[tuple[str, int]]]] = {}
    lanes, by_task = {lane.name: lane for lane in pipelines.lanes}, pipelines.lane_by_task
    for cell in cells:
        if (lane := lanes.get(by_task.get(cell[0], lane_name(cell[0])))) is not None:
            found.setdefault(lane.name, (lane, []))[1].append(cell)
    return list(found.values())


def _is_of_run(pipelines: Pipelines, run_id: str, holder: str) -> bool:
    return is_of_run(holder, pipelines.dag_id, run_id, [lane.name for lane in pipelines.lanes])


def _row(
    run_id: str,
    answer: Estimate | None,
    lanes: Sequence[tuple[Lane, Sequence[Any]]],
    seen: Mapping[str, Mapping[str, Any]],
    is_own: Callable[[str], bool],
) -> dict[str, Any]:
    leases: dict[str, list[int]] = {}
    policies: dict[str, SharingPolicy] = {}
    for lane, _ in lanes:
        for name, count in lane.services.items():
            leases.setdefault(name, []).append(count)
            policies[name] = lane.policies.get(name, SharingPolicy())
    return {
        "run_id": run_id,
        "shards": sum(len(cells) for _, cells in lanes),
        "p50_seconds": None if answer is None else round(answer.run_seconds.p50, 1),
        "p90_seconds": None if answer is None else round(answer.run_seconds.p90, 1),
        "usd": None if answer is None else round(answer.run_usd.p50, 6),
        "quota": None if answer is None else next((name for name in answer.bounds if name in _QUOTAS), None),
        "services": [
            service_raised(name, mine, policies[name], seen.get(name, {}), is_own) for name, mine in leases.items()
        ],
    }


def service_raised(
    name: str, mine: Sequence[int], policy: SharingPolicy, seen: Mapping[str, Any], is_own: Callable[[str], bool]
) -> dict[str, Any]:
    """From how many tasks the rerun raises a service, and to how many.

    :param mine: the rerun's leases.
    :param seen: the service, as it was seen last.
    :param is_own: whether a holder is the run itself.
    """
    fresh = bool(seen) and datetime.now(UTC) - datetime.fromisoformat(seen["at"]) < SEEN_RECENTLY
    holders = (seen.get("holders") or ()) if fresh else ()
    others = [int(each["count"]) for each in holders if not is_own(each["holder"])]
    together = max([*mine, *others]) if policy.sharing == "max" else sum(mine) + sum(others)
    running = int(seen.get("running") or 0) if fresh else policy.baseline
    raised = min(policy.cap, max(policy.baseline, together))
    return {"name": name, "from": running, "to": max(raised, running) if policy.autoscaled else raised}
