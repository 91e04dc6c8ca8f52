"""``airflow ecs-feature init`` and ``lint``: a new pipeline in a project, and what is wrong with one."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.project.check import check
from ecs_feature.project.layout import Layout, find_project
from ecs_feature.project.scaffold import Scaffold


def init(args: Namespace) -> None:
    """Write the files; exit with one sentence when that cannot be."""
    try:
        layout = Layout.of(Path(args.into).resolve()) if args.into else find_project(Path.cwd())
        written = Scaffold(args.name, layout).write()
    except EcsFeatureError as error:
        raise SystemExit(str(error)) from None
    print("\n".join(_shown(path) for path in written))  # noqa: T201
    print(  # noqa: T201
        f"\nNext: airflow dags unpause --yes {args.name}\n"
        f"      airflow dags trigger {args.name} --logical-date 2026-01-01\n"
        f"Your own work goes into {_shown(layout.images / args.name.replace('-', '_') / 'job.py')}; "
        "airflow ecs-feature lint checks the files."
    )


@suppress_logs_and_warning
@providers_configuration_loaded
def lint(args: Namespace) -> None:
    """Print one line a finding; exit with 1 when there is one, and with a sentence when nothing can be checked."""
    try:
        paths = [Path(path) for path in args.paths] or [find_project(Path.cwd()).root]
        found = check(paths, Path(args.environment_file) if args.environment_file else None)
    except EcsFeatureError as error:
        raise SystemExit(str(error)) from None
    for finding in found:
        print(finding)  # noqa: T201
    if found:
        raise SystemExit(1)
    print("Nothing found.")  # noqa: T201


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
