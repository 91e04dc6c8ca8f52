"""The commands ``airflow ecs-feature ...``: what they are called and take. Airflow imports this for every command it
runs, so nothing else is imported here.
"""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from typing import Any


def get_ecs_feature_cli_commands() -> list[Any]:
    """The command groups of this provider."""
    from airflow.cli.cli_config import ActionCommand, GroupCommand, lazy_load_command

    return [
        GroupCommand(
            name="ecs-feature",
            help="Start, check, rerun and estimate pipelines on Amazon ECS; their logs, and what they published",
            subcommands=(
                ActionCommand(
                    name="init",
                    help="Write a new pipeline: DAG file, task definition, image and test",
                    description=(
                        "Writes a pipeline that runs at once: its DAG file, task definition, image (Dockerfile and\n"
                        "job) and test, into the Airflow project that the current folder is in. Overwrites nothing."
                    ),
                    func=lazy_load_command("ecs_feature.cli.project_commands.init"),
                    args=_init_arguments(),
                ),
                ActionCommand(
                    name="lint",
                    help="Check DAG files, task definitions and the environment file, without a database and AWS",
                    description=(
                        "Checks DAG files, the task definitions and the environment file as Airflow and ECS will,\n"
                        "without Airflow's database and without AWS. One sentence a finding; then it exits with 1."
                    ),
                    func=lazy_load_command("ecs_feature.cli.project_commands.lint"),
                    args=_lint_arguments(),
                ),
                ActionCommand(
                    name="rerun",
                    help="Clear chosen shards of a finished run, with what follows them, so that they run again",
                    description=(
                        "Clears exactly the named shards of one run, what follows them (publish, scale-down,\n"
                        "receipt) and the setup tasks that they need, and says before which. With --fresh-input,\n"
                        "the task that brings the raw data runs again, too."
                    ),
                    func=lazy_load_command("ecs_feature.cli.rerun_command.rerun"),
                    args=_rerun_arguments(),
                ),
                ActionCommand(
                    name="estimate",
                    help="How long a run or a backfill of a FeaturePipeline will take, and what it will cost",
                    description=(
                        "Says, before it is started, how long a run or a backfill of a FeaturePipeline will take and\n"
                        "what it will cost: from what past runs took (or durations that you give), AWS's quotas and\n"
                        "prices. Without --from and --to: one run."
                    ),
                    func=lazy_load_command("ecs_feature.cli.estimate_command.estimate"),
                    args=_estimate_arguments(),
                ),
                ActionCommand(
                    name="logs",
                    help="What the containers of a run's shards say, from CloudWatch Logs",
                    description=(
                        "Prints the last lines of the containers of a run's shards, in order of time, each with its\n"
                        "shard's name. With --follow it goes on until all of them have ended."
                    ),
                    func=lazy_load_command("ecs_feature.cli.logs_command.logs"),
                    args=_logs_arguments(),
                ),
                ActionCommand(
                    name="manifest",
                    help="What has been published: show it, compare versions, go back to an earlier one",
                    description=(
                        "Shows a version of a manifest with what it was made from, says what changed since the\n"
                        "version before, or moves the pointer back to it. Rolling back deletes nothing; the next\n"
                        "publish goes on from the version that is current then."
                    ),
                    func=lazy_load_command("ecs_feature.cli.manifest_command.manifest"),
                    args=_manifest_arguments(),
                ),
            ),
        )
    ]


def _init_arguments() -> tuple[Any, ...]:
    from airflow.cli.cli_config import ARG_VERBOSE, Arg

    return (
        Arg(("name",), metavar="NAME", help="Of the pipeline, e.g. state_features"),
        Arg(("--into",), metavar="DIR", help="The project's folder; default: the one that the current folder is in"),
        ARG_VERBOSE,
    )


def _lint_arguments() -> tuple[Any, ...]:
    from airflow.cli.cli_config import ARG_VERBOSE, Arg

    return (
        Arg(
            ("paths",),
            metavar="PATH",
            nargs="*",
            help="A project's folder, a DAGs folder, DAG files or task definitions; default: the project that the "
            "current folder is in",
        ),
        Arg(
            ("--environment-file",),
            metavar="FILE",
            help="With the values of ${NAME} placeholders; default: [ecs_feature] environment_file",
        ),
        ARG_VERBOSE,
    )


def _rerun_arguments() -> tuple[Any, ...]:
    from airflow.cli.cli_config import ARG_VERBOSE, ARG_YES, Arg

    return (
        Arg(("dag_id",), help="The id of the DAG"),
        Arg(("--run",), dest="run_id", metavar="RUN", help="The id of the run"),
        Arg(("--date",), metavar="DATE", help="Instead of --run: the day that the run computed, YYYY-MM-DD"),
        Arg(
            ("--shards",),
            metavar="NAME",
            nargs="+",
            help="These shards, separated by commas or blanks; control/UA is the one of a variant. Default: all",
        ),
        Arg(("--variants",), metavar="NAME", nargs="+", help="Only in these variants"),
        Arg(
            ("--fresh-input",),
            action="store_true",
            help="Also run ingest again (and find_shards, when all shards are rerun)",
        ),
        Arg(("--dry-run",), action="store_true", help="Only say what would be cleared"),
        ARG_YES,
        ARG_VERBOSE,
    )


def _estimate_arguments() -> tuple[Any, ...]:
    from airflow.cli.cli_config import ARG_VERBOSE, Arg, parsedate, positive_int

    count = positive_int(allow_zero=False)
    return (
        Arg(("dag_id",), help="The id of the DAG"),
        Arg(("--from",), dest="from_date", metavar="DATE", type=parsedate, help="The backfill's first date"),
        Arg(("--to",), dest="to_date", metavar="DATE", type=parsedate, help="The backfill's last date"),
        Arg(
            ("--max-active-runs",),
            metavar="N",
            type=count,
            help="Runs at once; default: 10, as for airflow backfill create, whatever the DAG's own max_active_runs",
        ),
        Arg(("--shards",), metavar="NAME", nargs="+", help="Only these shards"),
        Arg(("--variants",), metavar="NAME", nargs="+", help="Only these variants"),
        Arg(("--shard-count",), metavar="N", type=count, help="So many shards a variant, drawn from all past ones"),
        Arg(
            ("--last",), metavar="N", type=count, default=20, help="Learn from so many past runs at most (default: 20)"
        ),
        Arg(
            ("--shard-seconds",),
            metavar="S",
            type=_not_negative,
            help="Learn from no past runs: the container of every shard runs so long",
        ),
        Arg(
            ("--durations",),
            metavar="FILE",
            help='Learn from no past runs but from a JSON file: {"AA": 12.5, "UA": [60, 75], "*": 20}, * for any other',
        ),
        Arg(
            ("--start-seconds",), metavar="S", type=_not_negative, default=30.0, help=_given("from launch to start", 30)
        ),
        Arg(
            ("--before-seconds",),
            metavar="S",
            type=_not_negative,
            default=60.0,
            help=_given("what precedes the shards", 60),
        ),
        Arg(("--after-seconds",), metavar="S", type=_not_negative, default=30.0, help=_given("what follows them", 30)),
        Arg(
            ("--max-vcpus",),
            metavar="N",
            type=_not_negative,
            help="The account's Fargate vCPU quota; default: asked of Service Quotas, no bound where that fails",
        ),
        Arg(
            ("--triggerers",),
            metavar="N",
            type=count,
            default=1,
            help="Triggerers; parallelism and max_vcpus of a pipeline are per triggerer (default: 1)",
        ),
        Arg(
            ("--vcpu-hour-usd",),
            metavar="USD",
            type=_not_negative,
            help="On-demand price of a vCPU-hour; default: that of the region and platform (docs/launch-options.md)",
        ),
        Arg(
            ("--gb-hour-usd",),
            metavar="USD",
            type=_not_negative,
            help="On-demand price of a GB-hour; default: that of the region and platform (docs/launch-options.md)",
        ),
        Arg(("--seed",), metavar="N", type=int, default=0, help="Of the draws from the past (default: 0)"),
        Arg(
            ("-o", "--output"),
            choices=("table", "json"),
            default="table",
            metavar="(table, json)",
            help="Output format (default: table)",
        ),
        ARG_VERBOSE,
    )


def _logs_arguments() -> tuple[Any, ...]:
    from airflow.cli.cli_config import ARG_VERBOSE, Arg, positive_int

    return (
        Arg(("dag_id",), help="The id of the DAG"),
        Arg(("run_id",), help="The id of the run"),
        Arg(("--shard",), metavar="NAME", nargs="+", help="Only these shards; control/UA is the one of a variant"),
        Arg(("--failed",), action="store_true", help="Only shards whose last ended try failed"),
        Arg(
            ("--lines",),
            metavar="N",
            type=positive_int(allow_zero=True),
            default=20,
            help="So many last lines of each shard (default: 20)",
        ),
        Arg(("-f", "--follow"), action="store_true", help="Go on until all of these shards have ended"),
        ARG_VERBOSE,
    )


def _manifest_arguments() -> tuple[Any, ...]:
    from airflow.cli.cli_config import ARG_VERBOSE, Arg, positive_int

    number = positive_int(allow_zero=False)
    return (
        Arg(("action",), choices=("show", "diff", "rollback"), help="What to do"),
        Arg(("target",), help="The prefix of a partition, s3://bucket/features/ds=2026-03-28, or the id of a DAG"),
        Arg(("--partition",), metavar="KEY", help="With a DAG: which one, e.g. 2026-03-28"),
        Arg(("--variant",), metavar="NAME", help="With a DAG of several: control, or GROUP.control in a group"),
        Arg(
            ("--version",),
            metavar="N",
            type=number,
            help="This one; default: the current one; rollback: the one before",
        ),
        Arg(("--against",), metavar="N", type=number, help="Compare with this version; default: the one before"),
        Arg(
            ("--aws-conn-id",),
            metavar="ID",
            default="aws_default",
            help="With a prefix (default: aws_default)",
        ),
        Arg(("--region",), metavar="NAME", help="With a prefix: default: the connection's"),
        Arg(
            ("-o", "--output"),
            choices=("table", "json"),
            default="table",
            metavar="(table, json)",
            help="Output format (default: table)",
        ),
        ARG_VERBOSE,
    )


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise ArgumentTypeError(f"{text} is less than 0, or no number")
    return value


def _given(what: str, default: int) -> str:
    return f"With --shard-seconds or --durations: {what} (default: {default})"
