"""``airflow ecs-feature estimate``: gathers facts, asks :mod:`ecs_feature.estimates.estimate`, prints the answer."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded
from airflow.utils.session import create_session

from ecs_feature.cli.report import render
from ecs_feature.estimates.estimate import estimate as estimated
from ecs_feature.estimates.facts import PipelineFacts, count_runs, dag_of, window
from ecs_feature.estimates.history import existing_runs, past_runs
from ecs_feature.estimates.past_runs import EstimateRequest, PastRun, calibrated, given
from ecs_feature.estimates.pricing import Pricing
from ecs_feature.estimates.quotas import vcpu_quota
from ecs_feature.estimates.simulation import Bounds
from ecs_feature.estimates.task_sizes import sizes
from ecs_feature.estimates.workload import Services
from ecs_feature.exceptions import ConfigurationError, EcsFeatureError, SelectionError
from ecs_feature.tasks import prices
from ecs_feature.tasks.cost import NOTHING

BACKFILL_RUNS_AT_ONCE: Final = 10
"""``airflow backfill create`` without ``--max-active-runs``."""


@suppress_logs_and_warning
@providers_configuration_loaded
def estimate(args: Namespace) -> None:
    """Print the estimate; exit with one sentence when it cannot be made."""
    try:
        answer = answer_of(args)
    except EcsFeatureError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps(answer, indent=2) if args.output == "json" else render(answer))  # noqa: T201


def answer_of(args: Namespace) -> dict[str, Any]:
    """The estimate as JSON-safe values, see docs/estimate.md.

    :raises EcsFeatureError: one sentence: an unknown DAG, shard or variant, dates without runs, nothing to learn from.
    """
    with create_session() as session:
        dag = dag_of(args.dag_id)
        facts = PipelineFacts.of(dag)
        runs, at_once = _runs(dag, args)
        request = EstimateRequest(
            runs=runs,
            variants=facts.choose(args.variants, "variants"),
            shards=facts.choose(args.shards, "shards"),
            shard_count=args.shard_count,
        )
        pricing = Pricing(prices.load(), facts, args.vcpu_hour_usd, args.gb_hour_usd)
        is_given = args.shard_seconds is not None or args.durations is not None
        past, notes = (
            _given(facts, request, args, pricing)
            if is_given
            else (past_runs(facts, last=args.last, session=session, price=pricing.of_record), [])
        )
        there = existing_runs(facts, *window(dag, args.from_date, args.to_date), session) if args.from_date else 0
    if there:
        notes.append(
            f"{there} of these runs are there already; a backfill does them again only as --reprocess-behavior says."
        )
    if not past:
        raise SelectionError(
            f"DAG {facts.dag_id!r} has no finished run to learn from; give --shard-seconds or --durations."
        )
    quota_now, note = vcpu_quota(facts.bucket, facts.aws)
    quota, note = (args.max_vcpus, "") if args.max_vcpus is not None else (quota_now, note)
    bounds = _bounds(facts, args, quota, at_once)
    past = calibrated(past, dataclasses.replace(bounds, max_vcpus=quota_now))
    held = any(work.services != Services() for run in past for work in run.variants.values())
    service_price = pricing.of_services() if held else NOTHING
    answer = estimated(request, past, bounds, service_price=service_price, seed=args.seed).to_dict()
    answer["notes"] = [*notes, *filter(None, [note]), *answer["notes"], *pricing.notes()]
    return {
        "dag_id": facts.dag_id,
        "from": args.from_date.date().isoformat() if args.from_date else None,
        "to": args.to_date.date().isoformat() if args.to_date else None,
        "variants": list(request.variants),
        "capacity": facts.bucket or "EC2",
        "past_runs": 0 if is_given else len(past),
        "max_active_runs": at_once,
        "max_vcpus": quota,
        "parallelism": bounds.parallelism,
        **answer,
    }


def _runs(dag: Any, args: Namespace) -> tuple[int, int]:
    """How many runs, and how many of them at once."""
    if (args.from_date is None) != (args.to_date is None):
        raise SelectionError("--from and --to belong together; give both, or neither for one run.")
    runs = 1 if args.from_date is None else count_runs(dag, args.from_date, args.to_date)
    return runs, min(runs, args.max_active_runs or BACKFILL_RUNS_AT_ONCE)


def _bounds(facts: PipelineFacts, args: Namespace, quota: float | None, at_once: int) -> Bounds:
    from airflow.configuration import conf

    def of_all(per_triggerer: Any) -> Any:
        return None if per_triggerer is None else per_triggerer * args.triggerers

    return Bounds(
        max_vcpus=quota,
        services_share_quota=facts.bucket == "FARGATE",
        variant_vcpus=of_all(facts.max_vcpus),
        parallelism=of_all(facts.parallelism),
        max_shards=of_all(conf.getint("triggerer", "capacity", fallback=1000)),
        max_active_runs=at_once,
    )


def _given(
    facts: PipelineFacts, request: EstimateRequest, args: Namespace, pricing: Pricing
) -> tuple[list[PastRun], list[str]]:
    if not request.shards and request.shard_count is None and args.durations is None:
        raise SelectionError(
            f"--shard-seconds: DAG {facts.dag_id!r} finds its shards at run time; say how many with --shard-count."
        )
    seconds = {"*": [args.shard_seconds]} if args.durations is None else _durations(args.durations)
    known = facts.shards
    if unknown := sorted(seconds.keys() - {"*", *known}) if known else []:
        raise SelectionError(
            f"--durations: {', '.join(map(repr, unknown))} {'is' if len(unknown) == 1 else 'are'} not among the shards "
            f"{', '.join(known[:20])}{' ...' if len(known) > 20 else ''}; '*' stands for all others."
        )
    of_variants, pricing.platforms, notes = sizes(facts)
    past = given(
        seconds,
        {name: of_variants[name] for name in request.variants},
        start_seconds=args.start_seconds,
        before_seconds=args.before_seconds,
        after_seconds=args.after_seconds,
        detection_lag_seconds=facts.poll_seconds / 2,
        priced=pricing.of_variant,
    )
    assumed = (
        f"Assumed: {args.start_seconds:g} s from launch to start, {args.before_seconds:g} s before the shards, "
        f"{args.after_seconds:g} s after them."
    )
    return past, [assumed, *notes]


def _durations(path: str) -> Mapping[str, Sequence[float]]:
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
        values = {
            str(shard): list(map(float, each if isinstance(each, list) else [each])) for shard, each in raw.items()
        }
    except OSError as error:
        raise ConfigurationError(f"--durations: cannot read {path} ({error.strerror}).") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f'--durations: {path} is not a JSON object of seconds by shard, like {{"AA": 12.5, "UA": [60, 75]}}.'
        ) from error
    if not values or not all(values.values()) or min(map(min, values.values())) < 0:
        raise ConfigurationError(f"--durations: {path} has a shard without seconds, or with less than 0, or no shard.")
    return values
