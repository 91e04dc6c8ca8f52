"""The tasks of a variant's shards: one for each named shard, or a mapped one for those found at run time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import reduce
from typing import Any

from airflow.sdk import TaskGroup

from ecs_feature.operators.find_shards import FindShardsOperator
from ecs_feature.operators.shard import EcsShardOperator, shared_start_args, start_args
from ecs_feature.operators.worker_shard import WorkerShardOperator
from ecs_feature.pipeline.containers import container_of
from ecs_feature.pipeline.dispatch import WORKERS
from ecs_feature.pipeline.settings import Capacity, Logs, Retries, Storage, Timeouts
from ecs_feature.pipeline.spec import PipelineSpec
from ecs_feature.pipeline.variants import Variant, WorkerService
from ecs_feature.services.run_lease import RunLease
from ecs_feature.shards import task_in
from ecs_feature.shards.names import shard_id
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.shards.priority import SHARDS_IN_TURNS
from ecs_feature.shards.selection import params_prefix
from ecs_feature.tasks.launch import Launch
from ecs_feature.triggerer.references import reference

MAX_FOUND_SHARDS = 5000
MAX_GROWTHS = 6
"""How often a shard may be launched again with more memory or ephemeral storage, for the backstop."""
QUEUE_TIME = timedelta(days=1)
"""How long a shard may wait for the launch rate and the account's vCPUs, for the backstop."""


def named_shards(pipeline: PipelineSpec, variant: Variant) -> tuple[Any, list[str]]:
    """The group of the variant's shards, and their task ids."""
    operator, more = _operator(pipeline, variant)
    arguments = {**_shard_arguments(pipeline, variant), **_retries(pipeline), **more}
    shared = shared_name(pipeline, variant)
    with TaskGroup("shards") as group:
        shards = [
            operator(
                task_id=shard_id(name),
                **_shown(name),
                shard=name,
                selected=_selected(pipeline),
                start_trigger_args=shared_start_args(name, shared),
                **arguments,
            )
            for name in pipeline.named_shards()
        ]
    return group, [shard.task_id for shard in shards]


def _operator(pipeline: PipelineSpec, variant: Variant) -> tuple[type[EcsShardOperator], dict[str, Any]]:
    """What runs the variant's shards, and its own arguments."""
    workers = _workers(pipeline, variant)
    if workers is None:
        return EcsShardOperator, {}
    retries = Retries.of(pipeline)
    return WorkerShardOperator, {
        "queue": workers.queue,
        **celery_executor(),
        "work": pipeline.work,
        "user_retries": retries.retries,
        # Airflow takes a retry for each worker that ends in mid-shard; the operator counts the user's own.
        "retries": retries.retries + retries.max_relaunches,
        "execution_timeout": Timeouts.of(pipeline).shard_timeout,
    }


def _workers(pipeline: PipelineSpec, variant: Variant) -> WorkerService | None:
    """What runs the variant's shards; None: Fargate."""
    return variant.workers if pipeline.dispatch == WORKERS else None


def skippable_tasks(pipeline: PipelineSpec) -> dict[str, list[str]]:
    """Shard -> its tasks, of shards for which a worker would have to find out that a run is restricted to others."""
    if pipeline.dispatch != WORKERS:
        return {}
    lanes = [pipeline.lane(variant) for variant in pipeline.variants]
    return {name: [task_in(lane, f"shards.{shard_id(name)}") for lane in lanes] for name in pipeline.named_shards()}


def celery_executor() -> dict[str, str]:
    """``executor=`` where Celery's is not Airflow's first one; nothing where it is, or where there is none."""
    from airflow.providers.common.compat.sdk import conf

    names = [name.strip() for name in conf.get("core", "executor", fallback="").split(",")]
    celery = next((name for name in names[1:] if "CeleryExecutor" in name), "")
    return {} if "CeleryExecutor" in names[0] or not celery else {"executor": celery.partition(":")[0]}


def _shown(name: str) -> dict[str, Any]:
    """What the Grid calls a shard whose id is not its name."""
    return {"task_display_name": name} if shard_id(name) != name else {}


def shared_name(pipeline: PipelineSpec, variant: Variant) -> str:
    """The key of :func:`shared_arguments` in the DAG's default arguments."""
    return pipeline.lane(variant) or "shards"


def shared_arguments(pipeline: PipelineSpec, variant: Variant) -> dict[str, Any]:
    """What the triggers of a variant's shards have in common."""
    arguments = dict(start_args("", **_shard_arguments(pipeline, variant)).trigger_kwargs or {})
    del arguments["shard"]
    # Shards that are found at run time are restricted where they are found.
    if not pipeline.named_shards():
        return arguments
    padded = [name for name in pipeline.named_shards() if name != name.strip()]
    return {**arguments, "selected": _selected(pipeline), **({"padded": padded} if padded else {})}


def _selected(pipeline: PipelineSpec) -> str:
    return f"{{{{ params.{pipeline.param('shards')} | tojson }}}}"


def mapped_shards(
    pipeline: PipelineSpec, variant: Variant, found: FindShardsOperator, *, ends_on_worker: bool
) -> tuple[Any, list[str]]:
    """The mapped task of the variant's shards, and its id.

    :param ends_on_worker: whether the DAG's default arguments have a callback that only workers call.
    """
    operator, more = _operator(pipeline, variant)
    arguments = {**_shard_arguments(pipeline, variant), **_retries(pipeline), **more}
    mine = reference(found.task_id, "{{ ti.map_index }}")
    mapped = operator.partial(
        task_id="shard",
        start_trigger_args=shared_start_args(mine, shared_name(pipeline, variant), ends_on_worker=ends_on_worker),
        map_index_template="{{ task.shard }}",
        weight_rule=SHARDS_IN_TURNS,
        **arguments,
    ).expand(shard=found.output)
    return mapped, [mapped.task_id]


def _shard_arguments(pipeline: PipelineSpec, variant: Variant) -> dict[str, Any]:
    uris = _uris(pipeline, variant)
    lane = pipeline.lane(variant)
    return {
        "launch": Launch(
            cluster=pipeline.cluster,
            task_definition=reference(task_in(lane, "register")) if variant.task_definition else "",
            container=container_of(pipeline, variant) if variant.task_definition else "",
            network=pipeline.network(),
            capacity=Capacity.of(pipeline).first,
            command=_with_uris(variant.command or pipeline.command, uris),
            ephemeral_gib=Storage.of(pipeline).ephemeral_storage_gib or 0,
            volumes=tuple(pipeline.volumes),
            environment={
                **_with_uris({**pipeline.environment, **variant.environment}, uris),
                "SHARD": "{shard}",
                "LOGICAL_DATE": "{{ ds }}",
                "PARTITION": "{{ partition }}",
                **({"VARIANT": variant.name} if variant.name else {}),
                "RUN_ID": "{{ run_id }}",
                "ATTEMPT": "{{ ti.try_number }}",
                **{name.upper(): uri for name, uri in uris.items()},
            },
            tags={
                "ecs-feature:dag": "{{ dag.dag_id }}",
                "ecs-feature:run": "{{ run_id }}",
                **({"ecs-feature:variant": lane} if lane else {}),
                "ecs-feature:partition": "{{ partition }}",
                "ecs-feature:shard": "{shard}",
                "ecs-feature:try": "{{ ti.try_number }}",
            },
        ),
        "record": {
            "variant": lane,
            "partition": "{{ partition }}",
            **{
                name: uri
                for name, uri in uris.items()
                if name == ("result_uri" if _has_file(pipeline) else "output_uri")
            },
        },
        "policy": _policy(pipeline, variant),
        "events_queue_url": pipeline.task_events_queue_url,
        "run_lease": run_lease(pipeline, variant),
        "params_prefix": params_prefix(pipeline.group_id),
        "partition": pipeline.partition_dict(),
        **pipeline.aws(),
    }


def _has_file(pipeline: PipelineSpec) -> bool:
    return pipeline.result == "file"


def _uris(pipeline: PipelineSpec, variant: Variant) -> dict[str, str]:
    """The templates of INPUT_URI, OUTPUT_URI and RESULT_URI, in lower case, as far as the pipeline has them."""
    uris = {"input_uri": pipeline.input_uri} if pipeline.input_uri else {}
    if not pipeline.output_uri:
        return uris
    mine = f"{output_prefix(pipeline, variant)}/{pipeline.folder()}/shard={{shard_id}}/{{{{ ti.id }}}}"
    if not _has_file(pipeline):
        # One object of this name, or any number below it: both are found as what begins with it.
        return {**uris, "output_uri": mine}
    return {**uris, "output_uri": mine + pipeline.output_suffix, "result_uri": f"{mine}.json"}


def _with_uris(value: Any, uris: Mapping[str, str]) -> Any:
    """``value`` with ``{output_uri}`` and the like in its strings replaced; an unknown name stays as it is."""
    if isinstance(value, str):
        return reduce(lambda text, name: text.replace(f"{{{name}}}", uris[name]), uris, value)
    if isinstance(value, Mapping):
        return {key: _with_uris(item, uris) for key, item in value.items()}
    return tuple(_with_uris(item, uris) for item in value)


def run_lease(pipeline: PipelineSpec, variant: Variant) -> RunLease | None:
    """What a run holds of the variant's services; None: it has none. The holder is a template."""
    if not variant.services:
        return None
    timeouts, retries = Timeouts.of(pipeline), Retries.of(pipeline)
    # All tries of a shard; a run that takes longer keeps it, and what nobody gives back ends by itself.
    lasts = 2 * timeouts.steady_timeout + (timeouts.shard_timeout + retries.retry_delay) * (retries.retries + 1)
    return RunLease(
        cluster=pipeline.cluster,
        holder=f"{{{{ dag.dag_id }}}}/{{{{ run_id }}}}/{pipeline.lane(variant)}",
        counts={service.name: service.count for service in variant.services},
        policies={service.name: service.policy() for service in variant.services},
        seconds=lasts.total_seconds(),
    )


def _policy(pipeline: PipelineSpec, variant: Variant) -> ShardPolicy:
    timeouts, retries, logs = Timeouts.of(pipeline), Retries.of(pipeline), Logs.of(pipeline)
    capacity, workers = Capacity.of(pipeline), _workers(pipeline, variant)
    return ShardPolicy(
        timeout_seconds=timeouts.shard_timeout.total_seconds(),
        start_seconds=timeouts.start_timeout.total_seconds(),
        max_relaunches=retries.max_relaunches,
        capacity_seconds=timeouts.capacity_timeout.total_seconds(),
        max_memory_mib=capacity.max_memory_mib,
        fallback_interruptions=capacity.fallback.interruptions if capacity.falls_back else 0,
        fallback_seconds=capacity.fallback.wait.total_seconds() if capacity.falls_back else None,
        poll_seconds=pipeline.poll_seconds,
        log_lines=logs.log_lines,
        # Of workers, for the estimate: they take a shard each.
        parallelism=capacity.parallelism if workers is None else workers.count,
        max_vcpus=capacity.max_vcpus,
        parallel_group=f"{pipeline.dag_id}/{pipeline.lane(variant)}",
        non_retryable_exit_codes=tuple(retries.non_retryable_exit_codes),
        skip_exit_codes=tuple(retries.skip_exit_codes),
        live_lines=logs.live_lines,
        max_ephemeral_gib=Storage.of(pipeline).max_ephemeral_storage_gib,
    )


def _retries(pipeline: PipelineSpec) -> dict[str, Any]:
    timeouts, retries = Timeouts.of(pipeline), Retries.of(pipeline)
    launches = (timeouts.start_timeout + timeouts.shard_timeout) * (retries.max_relaunches + 1 + MAX_GROWTHS)
    waves = Capacity.of(pipeline).waves(len(pipeline.named_shards()) or MAX_FOUND_SHARDS)
    return {
        # The backstop, should the triggerer not keep the deadlines: every launch may take that long, and it counts
        # from the start of the try, so the wait for a place and for AWS's launch rate is part of it.
        "execution_timeout": (launches + timeouts.capacity_timeout) * waves + QUEUE_TIME,
        "retries": retries.retries,
        "retry_delay": retries.retry_delay,
    }


def output_prefix(pipeline: PipelineSpec, variant: Variant) -> str:
    """Where the variant's shards and manifests are."""
    prefix = pipeline.output_uri.rstrip("/")
    return f"{prefix}/variant={variant.name}" if variant.name else prefix
