"""PipelineSpec: a batch feature pipeline, declared. It knows nothing of Airflow's tasks and operators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, Self

from ecs_feature.environment import CONTRACT_VARIABLES, load_environment, substitute
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.partitions.grains import keyed
from ecs_feature.partitions.runs import Partitioning
from ecs_feature.pipeline.alerts import Callbacks, check_callbacks, check_deadline
from ecs_feature.pipeline.dispatch import FARGATE, WORKERS, check_dispatch, dispatched
from ecs_feature.pipeline.results import Publish, check_output, check_result
from ecs_feature.pipeline.schedules import check_partition
from ecs_feature.pipeline.settings import (
    Capacity,
    Logs,
    Retries,
    Storage,
    Timeouts,
    check_names,
    check_shards,
    check_value,
)
from ecs_feature.pipeline.variants import (
    ScaledService,
    Variant,
    WorkerService,
    check_command,
    check_environment,
    check_services,
)
from ecs_feature.shards.selection import RUN_PARAMS, params_prefix
from ecs_feature.shards.sources import check_listing, is_listing
from ecs_feature.tasks.capacity import ON_DEMAND, Fallback, Strategy, may_be_instances
from ecs_feature.tasks.launch import Network
from ecs_feature.tasks.volumes import EbsVolume, check_volumes

DEFAULT_FALLBACK: Final = Fallback()
_PLAIN: Final = (
    "cluster",
    "container",
    "task_definition",
    "input_uri",
    "output_uri",
    "output_suffix",
    "variants",
    "max_active_runs",
    "poll_seconds",
    "volumes",
)
"""The fields that have a rule and are in no group."""
_FILLED: Final = (
    "cluster",
    "container",
    "environment",
    "command",
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
class PipelineSpec:
    """A batch feature pipeline on ECS/Fargate. ``${NAME}`` in its strings is the environment file's value::

        import pendulum
        from ecs_feature.pipeline import FeaturePipeline

        dag = FeaturePipeline(
            dag_id="tenant_features",
            schedule="@daily",
            start_date=pendulum.datetime(2026, 1, 1),
            shards=("acme", "globex"),
            task_definition="tenant-features",
            output_uri="s3://${BUCKET}/features/tenants",
        ).dag()

    or, as a part of a DAG of one's own::

        import pendulum
        from airflow.providers.standard.operators.empty import EmptyOperator
        from airflow.sdk import DAG
        from ecs_feature.pipeline import FeaturePipeline

        with DAG("tenants", schedule="@daily", start_date=pendulum.datetime(2026, 1, 1)):
            features = FeaturePipeline(
                shards=("acme", "globex"),
                task_definition="tenant-features",
                output_uri="s3://${BUCKET}/features/tenants",
            ).task_group("features")
            EmptyOperator(task_id="raw_data_is_there") >> features
            features.published >> EmptyOperator(task_id="train")

    :param dag_id: of the DAG; this and what else is the DAG's (``schedule``, ``start_date``, ``end_date``, ``catchup``,
        ``max_active_runs``, ``tags``, ``params``, ``on_success``, ``on_failure``, ``deadline``) is only for ``dag()``.
    :param schedule: as in ``DAG``; one run is one partition. With a cron text like ``@daily`` that is the day that
        begins when the run starts; with ``airflow.sdk``'s ``CronDataIntervalTimetable("@daily", timezone="UTC")`` it is
        the day that has ended.
    :param start_date: as in ``DAG``: nothing is computed before it.
    :param end_date: as in ``DAG``: nothing is computed after it.
    :param cluster: the ECS cluster's name.
    :param shards: names in any script, up to 200 characters (docs/own-dag.md); each becomes a named task, so the Grid
        is a shard by date matrix. Or what finds them at run time, after ``ingest``, for mapped tasks (up to 5,000;
        [core] max_map_length must allow it): a callable,
        called as ``ingest`` is, or a listing of folders in S3, ``s3://bucket/raw/ds={{ ds }}/carrier=*/``.
    :param task_definition: name of a file in the ``taskdefs`` folder, without ``.json``, for a pipeline without
        variants.
    :param services: what the shards of a pipeline without variants call, a list of :class:`ScaledService`.
    :param variants: instead of ``task_definition`` and ``services``: arms with compute of their own; names must differ.
    :param container: of the task definitions; its exit code decides. Default: their only essential container.
    :param command: of the container, a list of words; templates, in which ``{shard}`` is the shard's name and
        ``{input_uri}``, ``{output_uri}`` and ``{result_uri}`` are the values of these variables. Default: the task
        definition's.
    :param environment: more environment for the container, as templates like ``command``.
    :param result: ``file``: the container writes a result file, docs/job-contract.md; ``exit_code``: nothing but its
        exit code says that the shard is done, and what lies at its output is published.
    :param input_uri: given to the containers as INPUT_URI; a template. Default: there is no INPUT_URI.
    :param output_uri: prefix of everything that is published; a template. May be left out with
        ``result="exit_code"``: nothing is published then.
    :param output_suffix: what OUTPUT_URI ends in.
    :param publish: ``all``: publish when no shard has failed; ``partial``: publish the shards that succeeded, with the
        others as ``missing``; or :class:`Partial`, which says how much must be there.
    :param ingest: a callable that brings the raw data of ``day`` (YYYY-MM-DD) to ``input_uri`` before any shard;
        called as ``ingest(day=..., input_uri=..., aws_conn_id=..., region_name=...)`` on a worker, with ``partition=``
        when its signature names that.
    :param taskdefs: the folder with the task definitions; default: ``include/taskdefs`` beside the DAGs folder.
    :param subnets: comma-separated or a list, 1 to 16. Where ``capacity`` is EC2 and the task definition's network mode
        is not awsvpc, they and the security groups are not used and may be empty.
    :param security_groups: comma-separated or a list, 0 to 5.
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
    :param ephemeral_storage_gib: of a shard's task on Fargate, 21 to 200; None: the task definition's, or 20.
    :param max_ephemeral_storage_gib: up to how much a shard that filled it is launched again, twice as much each time;
        None: four times what it had first, 0: never. See docs/launch-options.md.
    :param volumes: :class:`EbsVolume`, at most one: the volume that the task definitions leave to be configured at
        launch.
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
    :param catchup: as in ``DAG``: whether the runs between ``start_date`` and now are made.
    :param tags: of the DAG, beside ``ecs_feature``.
    :param aws_conn_id: the Airflow connection, as in the amazon provider; None: boto3's own credentials.
    :param region_name: the AWS region; default: the connection's.
    :param params: more DAG params; ``shards``, ``variants``, ``live_log_shards`` and ``debug_shards`` are taken.
    :param placeholders: the placeholders' values, also in the task definitions; default: the environment file, which
        is read for the DAG when it is parsed, and for a task definition when it is registered.
    :param partition: what one run computes: ``hour``, ``day``, ``week`` or ``month`` in the schedule's time zone, or a
        template of its key, docs/partitions.md; ``{partition}`` in the URIs, the command and the environment is it.
    :param shared_partition: several runs may compute one partition; the newest file of each shard wins.
    :param asset_partitions: what the events of a publish have as partition key: the ``partition``; or, one event for
        each ``shard``, ``PARTITION|SHARD``.
    :param on_success: called with Airflow's context when a run has succeeded: a :class:`PipelineNotifier`, another
        notifier or a function, or a list of them; docs/notify.md.
    :param on_failure: likewise when a run has failed.
    :param deadline: ``airflow.sdk``'s DeadlineAlert, or a list of them: who is told that a run is late.
    :param dispatch: ``fargate``: each shard is an ECS task of its own; ``workers``: an Airflow task on a Celery worker
        of ``workers``, see docs/workers.md.
    :param workers: the service of these workers, of a pipeline without variants; not used with ``fargate``.
    :param work: what a worker does for a shard instead of its task definition's command: a function, which is given
        what its signature names of ``shard``, ``day``, ``partition``, ``input_uri``, ``output_uri``, ``result_uri``,
        ``environment``, or one that returns an operator.
    :param group_id: of the task group that the tasks are in, set by ``task_group()``.
    :raises ConfigurationError: at parse time; the sentence names the field, the value and the limit.
    """

    dag_id: str = ""
    schedule: Any = None
    start_date: datetime | None = None
    cluster: str = "${CLUSTER}"
    shards: Sequence[str] | Callable[..., Iterable[str]] | str = ()
    variants: Sequence[Variant] = ()
    container: str = ""
    input_uri: str = ""
    output_uri: str = ""
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
    ephemeral_storage_gib: int | None = None
    max_ephemeral_storage_gib: int | None = None
    volumes: Sequence[EbsVolume] = ()
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
    task_definition: str = ""
    services: Sequence[ScaledService] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    result: Literal["file", "exit_code"] = "file"
    output_suffix: str = ".parquet"
    publish: Publish = "all"
    placeholders: Mapping[str, str] | None = None
    partition: str = "day"
    shared_partition: bool = False
    asset_partitions: Literal["partition", "shard"] = "partition"
    on_success: Callbacks = None
    on_failure: Callbacks = None
    deadline: Any = None
    dispatch: Literal["fargate", "workers"] = FARGATE
    workers: WorkerService | None = None
    work: Callable[..., Any] | None = None
    group_id: str = field(default="", repr=False)
    partitioning: Partitioning | None = field(default=None, repr=False)

    def resolved(self) -> Self:
        """The pipeline with its placeholders replaced, and checked.

        :raises ConfigurationError: for the first value that is wrong.
        """
        for name in _PLAIN:
            check_value(name, getattr(self, name))
        check_dispatch(self.dispatch, self.work)
        for variant in self.variants:
            if not isinstance(variant, Variant):
                raise ConfigurationError(
                    f"variants: {variant!r:.80} is of type {type(variant).__name__}; give a Variant."
                )
        values = load_environment() if self.placeholders is None else self.placeholders
        filled = {
            name: keyed(
                substitute(
                    getattr(self, name), values, where=name, keep=CONTRACT_VARIABLES if name == "command" else ()
                )
            )
            for name in _FILLED
        }
        variants = tuple(
            replace(variant, environment=keyed(variant.environment), command=keyed(variant.command))
            for variant in (arm.resolved(values) for arm in self._arms())
        )
        variants = dispatched(variants, self.dispatch)
        shards = self.shards if callable(self.shards) else substitute(self.shards, values, where="shards")
        if is_listing(shards):
            shards = keyed(shards)
        check_volumes(self.volumes)
        filled["volumes"] = tuple(volume.resolved(values) for volume in self.volumes)
        pipeline = replace(
            self, variants=variants, task_definition="", services=(), workers=None, shards=shards, **filled
        )
        pipeline.check()
        return pipeline

    def _arms(self) -> Sequence[Variant]:
        """The variants; a pipeline without any has one that has no name.

        :raises ConfigurationError: when both or neither are given, or the names are no names.
        """
        if not self.variants:
            if not self.task_definition and not self.does_work:
                raise ConfigurationError(
                    "task_definition: none is given; give the name of a file in the taskdefs folder, or variants."
                )
            return (Variant("", self.task_definition, self.services, workers=self.workers),)
        given = [name for name in ("task_definition", "services", "workers") if getattr(self, name)]
        if given:
            field_ = given[0]
            raise ConfigurationError(
                f"{field_}: each of the variants has its own; leave it out, or leave out variants."
            )
        check_names([variant.name for variant in self.variants], "variants")
        if lacks := [variant.name for variant in self.variants if not variant.task_definition and not self.does_work]:
            raise ConfigurationError(
                f"task_definition: variant {lacks[0]} has none; give the name of a file in the taskdefs folder."
            )
        return self.variants

    @property
    def does_work(self) -> bool:
        """Whether workers call ``work`` for the shards, so that a task definition is not needed."""
        return self.dispatch == WORKERS and self.work is not None

    def check(self) -> None:
        """:raises ConfigurationError: for the first value that is wrong."""
        self._check_shards()
        check_result(self.result, self.publish, self.named_shards())
        check_services(self.variants)
        for group in (Capacity, Retries, Logs, Timeouts, Storage):
            group.of(self)
        check_partition(self.partition)
        self.network()
        check_environment(self.environment)
        check_command(self.command)
        check_output(self.result, self.output_uri, self.input_uri, self.asset_partitions)
        check_callbacks("on_success", self.on_success)
        check_callbacks("on_failure", self.on_failure)
        check_deadline(self.deadline)
        taken = set(RUN_PARAMS) & set(self.params)
        if taken:
            raise ConfigurationError(f"params: {', '.join(sorted(taken))} belong to the pipeline; rename yours.")

    def _check_shards(self) -> None:
        if is_listing(self.shards):
            check_listing(str(self.shards))
        elif not callable(self.shards):
            check_shards(self.shards)

    def named_shards(self) -> tuple[str, ...]:
        """The shards' names; empty when they are found at run time."""
        return () if callable(self.shards) or is_listing(self.shards) else tuple(self.shards)

    def variant_names(self) -> tuple[str, ...]:
        """Empty for a pipeline without variants."""
        return tuple(variant.name for variant in self.variants if variant.name)

    def lane(self, variant: Variant) -> str:
        """What the ids of the variant's tasks begin with: group and variant, as far as there are any."""
        return ".".join(part for part in (self.group_id, variant.name) if part)

    def param(self, name: str) -> str:
        """The name of a run's param in the DAG: in a task group it begins with the group's id."""
        return f"{params_prefix(self.group_id)}{name}"

    def folder(self) -> str:
        """The folder of a partition below the output, a template: ``ds={{ ds }}`` for days."""
        return (self.partitioning or Partitioning(self.partition)).folder

    def partition_dict(self) -> dict[str, Any]:
        """How the runs' partitions are named, for operators and triggers."""
        return (self.partitioning or Partitioning(self.partition)).to_dict()

    def aws(self) -> dict[str, Any]:
        """The arguments of whatever calls AWS."""
        return {"aws_conn_id": self.aws_conn_id, "region_name": self.region_name}

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
