"""FeaturePipeline: what a batch feature pipeline is, declared; :mod:`ecs_feature.pipeline.dag` makes its DAG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal

from ecs_feature.aws.limits import FARGATE_SIZES, FARGATE_SIZES_PAGE
from ecs_feature.environment import load_environment, substitute
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.services.leases import SharingPolicy, check_count
from ecs_feature.shards.policy import check_live_lines
from ecs_feature.shards.selection import LIVE_LOG_SHARDS
from ecs_feature.shards.sources import NAME, check_listing, is_listing
from ecs_feature.tasks.capacity import ON_DEMAND, Fallback, Strategy, check_capacity, may_be_instances
from ecs_feature.tasks.launch import Network

if TYPE_CHECKING:
    from airflow.sdk import DAG

MOST_EXIT_CODE: Final = 255
MOST_FOUND_SHARDS: Final = 5000
DEFAULT_FALLBACK: Final = Fallback()
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    **dict.fromkeys(("retries", "max_relaunches", "log_lines", "max_active_runs"), ((int,), "a whole number")),
    **dict.fromkeys(("parallelism", "max_memory_mib"), ((int, NoneType), "a whole number or None")),
    "max_vcpus": ((int, float, NoneType), "a number or None"),
    "poll_seconds": ((int, float), "a number of seconds"),
    **dict.fromkeys(
        ("retry_delay", "shard_timeout", "start_timeout", "capacity_timeout", "steady_timeout"),
        ((timedelta,), "a timedelta, e.g. timedelta(minutes=5)"),
    ),
    **dict.fromkeys(("cluster", "container", "input_uri", "output_uri"), ((str,), "text")),
    "variants": ((list, tuple), "a list of Variant"),
}
"""What a field must be, and how a sentence says it."""
_FILLED: Final = (
    "cluster",
    "container",
    "input_uri",
    "output_uri",
    "taskdefs",
    "subnets",
    "security_groups",
    "capacity",
    "task_events_queue_url",
    "aws_conn_id",
    "region_name",
)
"""The fields whose strings may have placeholders, beside shards and what variants have."""


@dataclass(frozen=True)
class ScaledService:
    """An ECS service that a variant's shards call while they run.

    :param name: of a service in the pipeline's cluster.
    :param count: how many of its tasks one run needs; 1 to the service quota.
    :param baseline: tasks that always run; the service returns to it, 0 by default.
    :param cap: never more than this, however many runs hold it; None: the service quota.
    :param sharing: ``sum``: runs at once add up; ``max``: they share.
    """

    name: str
    count: int = 1
    baseline: int = 0
    cap: int | None = None
    sharing: Literal["sum", "max"] = "sum"

    def __post_init__(self) -> None:
        _check_name(self.name, "services: name")
        check_count(self.count, f"services[{self.name!r}].count")
        if self.cap is not None and self.count > self.cap:
            raise ConfigurationError(
                f"services[{self.name!r}].count: {self.count} is more than its cap of {self.cap}; lower one of them."
            )
        self.policy()

    def policy(self) -> SharingPolicy:
        if self.cap is None:
            return SharingPolicy(self.baseline, sharing=self.sharing)
        return SharingPolicy(self.baseline, self.cap, self.sharing)


@dataclass(frozen=True)
class Variant:
    """One arm of a pipeline, with compute of its own: its services and its task definition.

    :param name: e.g. ``control``; a task group in the Grid, and a partition of the output.
    :param task_definition: name of a file in the pipeline's ``taskdefs`` folder, without ``.json``.
    :param services: what its shards call.
    :param environment: more environment for its containers; values may have placeholders and templates.
    """

    name: str
    task_definition: str
    services: Sequence[ScaledService] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_name(self.name, "variants: name")
        for service in self.services:
            if not isinstance(service, ScaledService):
                raise ConfigurationError(
                    f"services: {service!r:.80} of variant {self.name} is of type {type(service).__name__}; give a "
                    "ScaledService."
                )
        for key, value in self.environment.items():
            if not isinstance(value, str):
                raise ConfigurationError(
                    f"environment: {key} of variant {self.name} is {value!r:.80}; ECS takes text, {str(value)!r:.80}."
                )


@dataclass(frozen=True)
class FeaturePipeline:
    """A batch feature pipeline on ECS/Fargate. ``${NAME}`` in its strings is the environment file's value::

        pipeline = FeaturePipeline(
            dag_id="flight_delay_features",
            schedule="@daily",
            start_date=pendulum.datetime(2013, 1, 1),
            cluster="${CLUSTER}",
            shards=("AA", "UA"),
            container="features",
            input_uri="s3://${BUCKET}/raw/",
            output_uri="s3://${BUCKET}/features/flight_delay",
            variants=[Variant("control", "flight-features-control", [ScaledService("encoder-control", 2)])],
        )
        dag = pipeline.dag()

    :param dag_id: of the DAG.
    :param schedule: as in ``DAG``; one run is one logical date. With a cron text like ``@daily`` that is the day that
        begins when the run starts; with ``airflow.sdk``'s ``CronDataIntervalTimetable("@daily", timezone="UTC")`` it is
        the day that has ended. Runs of one day share a manifest, so once a day is as often as it makes sense.
    :param shards: names; each becomes a named task, so the Grid is a shard by date matrix. Or what finds them at
        run time, after ``ingest``, for mapped tasks (up to 5,000; [core] max_map_length must allow it): a callable,
        called as ``ingest`` is, or a listing of folders in S3, ``s3://bucket/raw/ds={{ ds }}/carrier=*/``.
    :param variants: at least one; names must differ.
    :param container: of the task definitions; its exit code decides.
    :param input_uri: given to the containers as INPUT_URI; a template.
    :param output_uri: prefix of everything that is published; a template.
    :param ingest: a callable that brings the raw data of ``day`` (YYYY-MM-DD) to ``input_uri`` before any shard;
        called as ``ingest(day=..., input_uri=..., aws_conn_id=..., region_name=...)`` on a worker.
    :param taskdefs: the folder with the task definitions; default: ``include/taskdefs`` beside the DAGs folder.
    :param subnets: comma-separated or a list, 1 to 16; likewise ``security_groups``, 0 to 5. Where ``capacity`` is EC2
        and the task definition's network mode is not awsvpc, they are not used and may be empty.
    :param assign_public_ip: needed in a public subnet without NAT.
    :param capacity: ``on_demand``, ``spot``, ``spot_with_fallback``, ``ec2``, ``cluster_default``, or a capacity
        provider strategy as RunTask takes it, e.g. ``[{"capacityProvider": "FARGATE_SPOT", "weight": 3}, ...]``.
    :param fallback: with ``spot_with_fallback``: when a try goes on on demand.
    :param retries: of a shard, for application failures; infrastructure's are relaunched without touching them.
    :param retry_delay: between them.
    :param non_retryable_exit_codes: of the container; the shard fails at once.
    :param skip_exit_codes: of the container; the shard is skipped, and keeps what it had published.
    :param shard_timeout: a shard's ECS task is stopped when it is older.
    :param start_timeout: a shard's ECS task that has not started so long after its launch is replaced.
    :param max_relaunches: how many infrastructure failures a try of a shard survives.
    :param capacity_timeout: how long a try of a shard waits for capacity; not counted as failures.
    :param max_memory_mib: up to how much memory a shard that ran out of it is launched again, size by size (on EC2 it
        doubles); None: four times its task definition's, 0: never.
    :param parallelism: how many shards of one variant run at once per triggerer; None: no bound.
    :param max_vcpus: how many vCPUs they have at once per triggerer; None: the account's Fargate quota, less what
        runs already.
    :param steady_timeout: how long services may take to be steady, and to be down again.
    :param poll_seconds: how often running shards are asked for at most; one call serves 100. More than 100 at once are
        asked for once a second at most, and each after 5 % of its age.
    :param task_events_queue_url: of an SQS queue that gets ECS's task state changes: shards are polled for rarely
        then, see docs/task-events.md.
    :param log_lines: last lines of each container's log that are copied to the task log.
    :param live_lines: whose log is copied line by line while the container runs: ``retries``: of a shard that runs
        again because its code failed or ran out of memory; ``always``; ``never``. See docs/logs.md.
    :param max_active_runs: runs at once.
    :param params: more DAG params; ``shards``, ``variants`` and ``live_log_shards`` are taken.
    :param environment: the placeholders' values, also in the task definitions; default: the environment file, which is
        read for the DAG when it is parsed, and for a task definition when it is registered.
    :raises ConfigurationError: at parse time; the sentence names the field, the value and the limit.
    """

    dag_id: str
    schedule: Any
    start_date: datetime
    cluster: str
    shards: Sequence[str] | Callable[..., Iterable[str]] | str
    variants: Sequence[Variant]
    container: str
    input_uri: str
    output_uri: str
    end_date: datetime | None = None
    ingest: Callable[..., Any] | None = None
    taskdefs: str | Path | None = None
    subnets: str | Sequence[str] = "${SUBNETS}"
    security_groups: str | Sequence[str] = "${SECURITY_GROUPS}"
    assign_public_ip: bool = False
    capacity: str | Strategy = ON_DEMAND
    fallback: Fallback = DEFAULT_FALLBACK
    retries: int = 2
    retry_delay: timedelta = timedelta(seconds=30)
    non_retryable_exit_codes: Sequence[int] = ()
    skip_exit_codes: Sequence[int] = ()
    shard_timeout: timedelta = timedelta(hours=1)
    start_timeout: timedelta = timedelta(minutes=10)
    max_relaunches: int = 5
    capacity_timeout: timedelta = timedelta(hours=1)
    max_memory_mib: int | None = None
    parallelism: int | None = None
    max_vcpus: float | None = None
    steady_timeout: timedelta = timedelta(minutes=15)
    poll_seconds: float = 0.5
    log_lines: int = 20
    live_lines: Literal["never", "retries", "always"] = "retries"
    task_events_queue_url: str = ""
    max_active_runs: int = 4
    catchup: bool = False
    tags: Sequence[str] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    aws_conn_id: str | None = "aws_default"
    region_name: str | None = None
    environment: Mapping[str, str] | None = None

    def dag(self) -> DAG:
        """The pipeline's DAG; assign it to a name at module level so that Airflow finds it."""
        from ecs_feature.pipeline.dag import build_dag

        return build_dag(self.resolved())

    def resolved(self) -> FeaturePipeline:
        """The pipeline with its placeholders replaced, and checked.

        :raises ConfigurationError: for the first value that is wrong.
        """
        self._check_types()
        values = load_environment() if self.environment is None else self.environment
        filled = {name: substitute(getattr(self, name), values, where=name) for name in _FILLED}
        variants = tuple(
            replace(
                variant,
                task_definition=substitute(variant.task_definition, values, where="variants: task_definition"),
                services=tuple(
                    replace(service, name=substitute(service.name, values, where="services: name"))
                    for service in variant.services
                ),
                environment=substitute(variant.environment, values, where=f"variants[{variant.name!r}].environment"),
            )
            for variant in self.variants
        )
        shards = self.shards if callable(self.shards) else substitute(self.shards, values, where="shards")
        pipeline = replace(self, variants=variants, shards=shards, **filled)
        pipeline.check()
        return pipeline

    def _check_types(self) -> None:
        for name, (types, wanted) in _TYPES.items():
            value = getattr(self, name)
            if not isinstance(value, types) or isinstance(value, bool):
                raise ConfigurationError(f"{name}: {value!r:.80} is of type {type(value).__name__}; give {wanted}.")
        for variant in self.variants:
            if not isinstance(variant, Variant):
                raise ConfigurationError(
                    f"variants: {variant!r:.80} is of type {type(variant).__name__}; give a Variant."
                )

    def check(self) -> None:
        """:raises ConfigurationError: for the first value that is wrong."""
        self._check_shards()
        _check_names([variant.name for variant in self.variants], "variants")
        check_capacity(self.capacity)
        self._check_services()
        self._check_exit_codes()
        check_live_lines(self.live_lines)
        self._check_times()
        for name, least in (("retries", 0), ("max_relaunches", 0), ("log_lines", 0), ("max_active_runs", 1)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{name}: {getattr(self, name)} is too small; give {least} or more.")
        if self.parallelism is not None and self.parallelism < 1:
            raise ConfigurationError(f"parallelism: {self.parallelism} is too small; give 1 or more, or None.")
        if self.max_vcpus is not None and self.max_vcpus <= 0:
            raise ConfigurationError(f"max_vcpus: {self.max_vcpus} is too small; give more than 0, or None.")
        self._check_memory()
        if self.poll_seconds <= 0:
            raise ConfigurationError(f"poll_seconds: {self.poll_seconds} is not a pause; give more than 0.")
        for uri in ("input_uri", "output_uri"):
            if not getattr(self, uri).startswith("s3://"):
                raise ConfigurationError(f"{uri}: {getattr(self, uri)!r} is not an S3 URI; write s3://bucket/prefix.")
        taken = {"shards", "variants", LIVE_LOG_SHARDS} & set(self.params)
        if taken:
            raise ConfigurationError(f"params: {', '.join(sorted(taken))} belong to the pipeline; rename yours.")
        self.network()

    def _check_services(self) -> None:
        policies: dict[str, SharingPolicy] = {}
        for variant in self.variants:
            names = [service.name for service in variant.services]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ConfigurationError(
                    f"services: variant {variant.name} has {', '.join(twice)} more than once; add their counts up."
                )
            for service in variant.services:
                if policies.setdefault(service.name, service.policy()) != service.policy():
                    raise ConfigurationError(
                        f"services: the variants give {service.name} different baselines, caps or ways of sharing; "
                        "give it the same ones."
                    )

    def _check_memory(self) -> None:
        most = FARGATE_SIZES[max(FARGATE_SIZES)][-1]
        if self.max_memory_mib is not None and self.max_memory_mib < 0:
            raise ConfigurationError(f"max_memory_mib: {self.max_memory_mib} is too small; give 0 or more, or None.")
        if self.max_memory_mib is not None and self.max_memory_mib > most and not may_be_instances(self.capacity):
            raise ConfigurationError(
                f"max_memory_mib: {self.max_memory_mib} is no size of a Fargate task; give 0 to {most}, or None "
                f"({FARGATE_SIZES_PAGE})."
            )

    def _check_exit_codes(self) -> None:
        for name in ("non_retryable_exit_codes", "skip_exit_codes"):
            wrong = [code for code in getattr(self, name) if not 1 <= code <= MOST_EXIT_CODE]
            if wrong:
                raise ConfigurationError(f"{name}: {wrong[0]} is no failing exit code; give 1 to {MOST_EXIT_CODE}.")
        both = sorted(set(self.non_retryable_exit_codes) & set(self.skip_exit_codes))
        if both:
            raise ConfigurationError(
                f"skip_exit_codes: {both[0]} stands in non_retryable_exit_codes, too; leave it in one of them."
            )

    def _check_times(self) -> None:
        for name in ("shard_timeout", "start_timeout", "capacity_timeout", "steady_timeout"):
            if getattr(self, name) <= timedelta(0):
                raise ConfigurationError(f"{name}: {getattr(self, name)} is not a time to wait; give more than 0.")
        if self.retry_delay < timedelta(0):
            raise ConfigurationError(f"retry_delay: {self.retry_delay} is not a pause; give 0 or more.")

    def _check_shards(self) -> None:
        if is_listing(self.shards):
            check_listing(str(self.shards))
        elif isinstance(self.shards, str):
            raise ConfigurationError(
                f"shards: {self.shards!r} is one text; give a list of names, [{self.shards!r}], a callable, or a "
                "listing in S3."
            )
        elif not callable(self.shards):
            _check_names(self.named_shards(), "shards")

    def named_shards(self) -> tuple[str, ...]:
        """The shards' names; empty when they are found at run time."""
        return () if callable(self.shards) or is_listing(self.shards) else tuple(self.shards)

    def waves(self) -> int:
        """How often ``parallelism`` makes a shard wait for others: 1 without it."""
        if self.parallelism is None:
            return 1
        return math.ceil((len(self.named_shards()) or MOST_FOUND_SHARDS) / self.parallelism)

    def network(self) -> Network | None:
        """None when no subnets are given for tasks on EC2: their task definition must not need any."""
        if may_be_instances(self.capacity) and not _names(self.subnets) and not _names(self.security_groups):
            return None
        return Network(_names(self.subnets), _names(self.security_groups), self.assign_public_ip)

    def taskdef_path(self, variant: Variant) -> Path:
        """The variant's task definition file."""
        if self.taskdefs is not None:
            return Path(self.taskdefs) / f"{variant.task_definition}.json"
        from airflow.providers.common.compat.sdk import conf

        folder = Path(conf.get("core", "dags_folder")).parent / "include" / "taskdefs"
        return folder / f"{variant.task_definition}.json"


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(part.strip() for part in parts if part.strip())


def _check_name(name: str, field: str) -> None:
    if not NAME.fullmatch(name) and "${" not in name:
        raise ConfigurationError(
            f"{field}: {name!r} is not a name; use 1 to 100 letters, digits, hyphens or underscores."
        )


def _check_names(names: Sequence[str], field: str) -> None:
    if not names:
        raise ConfigurationError(f"{field}: none are given; give at least one.")
    for name in names:
        _check_name(name, field)
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ConfigurationError(f"{field}: {', '.join(twice)} stands there more than once; remove the copies.")
