"""What an estimate needs to know of a pipeline, from its serialized DAG: the DAG's file need not be there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ecs_feature.aws.connection import AwsConnection
from ecs_feature.exceptions import SelectionError
from ecs_feature.fleet.fleet import FleetKey
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.tasks.capacity import ON_DEMAND, bucket_of, providers_of
from ecs_feature.tasks.volumes import EbsVolume

ON_WORKER = "WorkerShardOperator"
_SHARDS = ("EcsShardOperator", ON_WORKER)
_PLAN = "FeaturePlanOperator"


@dataclass(frozen=True)
class PipelineFacts:
    """A pipeline as its DAG tells it.

    :param variants: name -> ids of its shards' tasks; one id when they are mapped.
    :param shards: names; none when they are found at run time.
    :param bucket: whose quotas the shards use: ``FARGATE``, ``FARGATE_SPOT``, or neither (empty).
    :param parallelism: shards of one variant at once per triggerer; likewise ``max_vcpus``.
    :param poll_seconds: how often running shards are asked for.
    :param cluster: where the shards run; ``providers``: the capacity providers that their launches name.
    :param ephemeral_gib: that their launches ask for; 0: the task definition's. Likewise ``volumes``.
    """

    dag_id: str
    variants: Mapping[str, Sequence[str]]
    shards: tuple[str, ...]
    bucket: str
    parallelism: int | None
    max_vcpus: float | None
    aws: AwsConnection
    poll_seconds: float = ShardPolicy.poll_seconds
    cluster: str = ""
    providers: tuple[str, ...] = ()
    ephemeral_gib: int = 0
    volumes: tuple[EbsVolume, ...] = ()

    @classmethod
    def of(cls, dag: Any) -> PipelineFacts:
        """:raises SelectionError: when it is not the DAG of a FeaturePipeline."""
        tasks = shard_tasks(dag)
        if not tasks or all(task.task_type != _PLAN for task in dag.task_dict.values()):
            raise SelectionError(f"DAG {dag.dag_id!r} is not a FeaturePipeline's, so there are no shards to estimate.")
        variants: dict[str, list[str]] = {}
        shards: dict[str, None] = {}
        for task, arguments in tasks:
            variants.setdefault(arguments["record"]["variant"], []).append(task.task_id)
            if not task.is_mapped:
                shards[arguments["shard"]] = None
        policy, launch = ShardPolicy.from_dict(arguments["policy"]), arguments["launch"]
        return cls(
            dag_id=dag.dag_id,
            variants=variants,
            shards=tuple(shards),
            bucket=bucket_of(launch.get("capacity", ON_DEMAND)),
            parallelism=policy.parallelism,
            max_vcpus=policy.max_vcpus,
            aws=FleetKey(**arguments["aws"]),
            poll_seconds=policy.poll_seconds,
            cluster=launch.get("cluster", ""),
            providers=providers_of(launch.get("capacity", ON_DEMAND)),
            ephemeral_gib=launch.get("ephemeral_gib", 0),
            volumes=tuple(EbsVolume.from_dict(volume) for volume in launch.get("volumes", ())),
        )

    def choose(self, names: Sequence[str] | None, of: str) -> tuple[str, ...]:
        """``names`` of the pipeline's ``shards`` or ``variants``; all without any.

        :raises SelectionError: for a name that it does not have.
        """
        known = self.shards if of == "shards" else tuple(self.variants)
        parts = (part for name in names or () for part in ([name] if name in known else name.split(",")) if part)
        chosen = tuple(dict.fromkeys(parts))
        unknown = [name for name in chosen if known and name not in known]
        if unknown:
            raise SelectionError(
                f"{of}: {', '.join(unknown)} not among {', '.join(known)}, the {of} of DAG {self.dag_id!r}."
            )
        return chosen or known


def dag_of(dag_id: str) -> Any:
    """The serialized DAG.

    :raises SelectionError: when Airflow does not know it.
    """
    from airflow.models.serialized_dag import SerializedDagModel

    dag = SerializedDagModel.get_dag(dag_id)
    if dag is None:
        raise SelectionError(f"DAG {dag_id!r} is not known to this Airflow; airflow dags list shows those that are.")
    return dag


def shard_tasks(dag: Any) -> list[tuple[Any, dict[str, Any]]]:
    """The DAG's shard tasks, each with the arguments of its trigger."""
    from ecs_feature.shards import SHARED_ARGUMENTS

    shared = (dag.default_args or {}).get(SHARED_ARGUMENTS, {})

    def arguments(task: Any) -> dict[str, Any]:
        own = _plain(task.start_trigger_args.trigger_kwargs)
        return {**shared.get(own.get("shared", ""), {}), **own}

    return [
        (task, arguments(task))
        for task in dag.task_dict.values()
        if task.task_type in _SHARDS and task.start_trigger_args
    ]


def window(dag: Any, from_date: datetime, to_date: datetime) -> tuple[datetime, datetime]:
    """The dates as a backfill reads them: for a partitioned schedule in its own time zone."""
    if not dag.timetable.partitioned:
        return from_date, to_date
    localized = dag.timetable.localize_partition_datetime
    return localized(from_date), localized(to_date)


def count_runs(dag: Any, from_date: datetime, to_date: datetime) -> int:
    """How many runs a backfill over these dates has; both are included.

    :raises SelectionError: when there are none.
    """
    if from_date > to_date:
        raise SelectionError(f"--from {from_date:%Y-%m-%d} is after --to {to_date:%Y-%m-%d}; swap them.")
    count = sum(1 for _ in dag.iter_dagrun_infos_between(from_date, to_date))
    if not count:
        raise SelectionError(
            f"DAG {dag.dag_id!r} has no run between {from_date:%Y-%m-%d} and {to_date:%Y-%m-%d}; look at its schedule, "
            "start date and end date, or leave --from and --to out for one run."
        )
    return count


def _plain(value: Any) -> Any:
    """Airflow leaves a trigger's arguments encoded in a serialized DAG."""
    from airflow.serialization.serialized_objects import BaseSerialization

    return BaseSerialization.deserialize(value) if isinstance(value, dict) and "__type" in value else value
