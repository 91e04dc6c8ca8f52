"""``airflow ecs-feature rerun``: says what it will clear, asks, clears."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from airflow.utils.cli import action_cli, suppress_logs_and_warning
from airflow.utils.helpers import ask_yesno
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from ecs_feature.exceptions import EcsFeatureError, SelectionError
from ecs_feature.runs.rerun import Rerun, rerun_of, run_of_date


@action_cli
@suppress_logs_and_warning
@providers_configuration_loaded
def rerun(args: Namespace) -> None:
    """Clear the shards; exit with one sentence when that cannot be."""
    try:
        planned = _planned(args)
        print("\n".join(planned.lines()))  # noqa: T201
        if args.dry_run:
            print("Nothing was cleared.")  # noqa: T201
            return
        if not args.yes and not ask_yesno(f"Clear these {planned.count} tasks? [y/n]"):
            print("Cancelled, nothing was cleared.")  # noqa: T201
            return
        planned.clear()
    except EcsFeatureError as error:
        raise SystemExit(str(error)) from None
    print(f"{planned.count} tasks cleared.")  # noqa: T201


def _planned(args: Namespace) -> Rerun:
    if (args.run_id is None) == (args.date is None):
        raise SelectionError("Name the run with either --run or --date.")
    return rerun_of(
        args.dag_id,
        args.run_id or run_of_date(args.dag_id, args.date),
        shards=_names(args.shards),
        variants=_names(args.variants),
        fresh_input=args.fresh_input,
    )


def _names(given: Sequence[str] | None) -> list[str]:
    return [name.strip() for text in given or () for name in text.split(",") if name.strip()]
