"""The DAG of a FeaturePipeline.

plan -> ingest (-> find_shards) -> per variant: shards -> publish, scale_down; -> receipt
plan -> per variant: register -> scale_up -> services_steady -> shards

register, scale_up and services_steady are setups of scale_down: clearing a shard runs them all again, and
scale_down runs however the shards end. Its failure fails the run. The receipt runs always and decides nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, Param, TaskGroup, TriggerRule, task
from airflow.sdk.definitions.param import ParamsDict

from ecs_feature.operators.find_shards import FindShardsOperator
from ecs_feature.operators.plan import FeaturePlanOperator
from ecs_feature.operators.publish import FeaturePublishOperator
from ecs_feature.operators.receipt import FeatureReceiptOperator, VariantTasks
from ecs_feature.operators.service_scale import EcsServiceScaleOperator
from ecs_feature.operators.shard import EcsShardOperator, shared_start_args, start_args
from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from ecs_feature.pipeline.spec import FeaturePipeline, Variant
from ecs_feature.sensors.service_steady import EcsServiceSteadySensor
from ecs_feature.shards import SHARED_ARGUMENTS
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.shards.priority import SHARDS_IN_TURNS
from ecs_feature.shards.selection import LIVE_LOG_SHARDS
from ecs_feature.tasks.capacity import SPOT, SPOT_WITH_FALLBACK, providers_of
from ecs_feature.tasks.launch import Launch
from ecs_feature.triggerer.references import reference

INFRASTRUCTURE_RETRIES = 3
_SELECTED = "{{ params.shards | tojson }}"
MOST_GROWTHS = 3
"""How often a shard may be launched again with more memory, for the backstop."""
QUEUE_TIME = timedelta(days=1)
"""How long a shard may wait for the launch rate and the account's vCPUs, for the backstop."""


def build_dag(pipeline: FeaturePipeline) -> DAG:
    """The DAG; the pipeline must be resolved."""
    with DAG(
        dag_id=pipeline.dag_id,
        schedule=pipeline.schedule,
        start_date=pipeline.start_date,
        end_date=pipeline.end_date,
        catchup=pipeline.catchup,
        max_active_runs=pipeline.max_active_runs,
        tags=["ecs_feature", *pipeline.tags],
        doc_md=f"Features per shard in {len(pipeline.variants)} variants, on Amazon ECS.",
    ) as dag:
        plan = _plan(pipeline)
        ready = _ingest(pipeline, plan)
        found = _found(pipeline, plan, ready)
        receipt_of: dict[str, VariantTasks] = {}
        ends = []
        for variant in pipeline.variants:
            receipt_of[variant.name], variant_ends = _variant(pipeline, variant, plan, found or ready, found)
            ends += variant_ends
        receipt = FeatureReceiptOperator(
            task_id="receipt",
            variants=receipt_of,
            found_by=found.task_id if found is not None else "",
            retries=INFRASTRUCTURE_RETRIES,
            retry_delay=pipeline.retry_delay,
        )
        # A teardown without setups: it runs always, and the run's state does not depend on it.
        ends >> receipt.as_teardown()
    # After the tasks, or each would carry a copy with the names of all shards: in the serialized DAG, which the
    # triggerer is sent once for each shard.
    dag.params = ParamsDict({**pipeline.params, **_params(pipeline)})
    if pipeline.named_shards():
        shared = {variant.name: _shared_arguments(pipeline, variant) for variant in pipeline.variants}
        dag.default_args = {SHARED_ARGUMENTS: shared}
    return dag


def _params(pipeline: FeaturePipeline) -> dict[str, Param]:
    def choice(title: str, names: list[str], description: str) -> Param:
        known = {"examples": names} if names else {}
        items = {"type": "string"}
        return Param([], type=["null", "array"], items=items, **known, title=title, description=description)

    def restriction(field: str, names: list[str]) -> Param:
        description = f"Restrict the run to these {field}; nothing chosen means all {len(names) or 'found'}."
        return choice(field.capitalize(), names, description)

    shards = list(pipeline.named_shards())
    live = "Copy the containers' lines of these shards to their task logs while they run."
    return {
        "shards": restriction("shards", shards),
        "variants": restriction("variants", [variant.name for variant in pipeline.variants]),
        LIVE_LOG_SHARDS: choice("Live log shards", shards, live),
    }


def _aws(pipeline: FeaturePipeline) -> dict[str, Any]:
    return {"aws_conn_id": pipeline.aws_conn_id, "region_name": pipeline.region_name}


def _plan(pipeline: FeaturePipeline) -> FeaturePlanOperator:
    return FeaturePlanOperator(
        task_id="plan",
        cluster=pipeline.cluster,
        shards=pipeline.named_shards(),
        first_tasks={variant.name: f"{variant.name}.register" for variant in pipeline.variants},
        always=["ingest"] if pipeline.ingest else [] if pipeline.named_shards() else ["find_shards"],
        services={variant.name: [service.name for service in variant.services] for variant in pipeline.variants},
        capacity_providers=providers_of(pipeline.capacity),
        retries=INFRASTRUCTURE_RETRIES,
        retry_delay=pipeline.retry_delay,
        **_aws(pipeline),
    )


def _ingest(pipeline: FeaturePipeline, plan: FeaturePlanOperator) -> Any:
    """The ingest task; None without one."""
    if pipeline.ingest is None:
        return None

    @task(task_id="ingest", retries=INFRASTRUCTURE_RETRIES, retry_delay=pipeline.retry_delay)
    def ingest(day: str, input_uri: str) -> Any:
        assert pipeline.ingest is not None
        return pipeline.ingest(day=day, input_uri=input_uri, **_aws(pipeline))

    ingested = ingest(day="{{ ds }}", input_uri=pipeline.input_uri)
    plan >> ingested
    return ingested


def _found(pipeline: FeaturePipeline, plan: FeaturePlanOperator, ingested: Any) -> FindShardsOperator | None:
    """The task that finds the shards; None when the file names them."""
    if pipeline.named_shards():
        return None
    found = FindShardsOperator(
        task_id="find_shards",
        source=pipeline.shards if isinstance(pipeline.shards, str) else "",
        function=pipeline.shards if callable(pipeline.shards) else None,
        input_uri=pipeline.input_uri,
        retries=INFRASTRUCTURE_RETRIES,
        retry_delay=pipeline.retry_delay,
        **_aws(pipeline),
    )
    (plan if ingested is None else ingested) >> found
    return found


def _variant(
    pipeline: FeaturePipeline, variant: Variant, plan: FeaturePlanOperator, ready: Any, found: Any
) -> tuple[VariantTasks, list[Any]]:
    """The variant's task group: what the receipt reads of it, and its last tasks."""
    with TaskGroup(variant.name):
        register = EcsTaskDefinitionOperator(
            task_id="register",
            path=pipeline.taskdef_path(variant),
            container=pipeline.container,
            environment=pipeline.environment,
            retries=INFRASTRUCTURE_RETRIES,
            retry_delay=pipeline.retry_delay,
            **_aws(pipeline),
        ).as_setup()
        if found is None:
            shards, shard_ids = _named_shards(pipeline, variant)
        else:
            shards, shard_ids = _mapped_shards(pipeline, variant, found)
        publish = FeaturePublishOperator(
            task_id="publish",
            shard_task_ids=shard_ids,
            shards=pipeline.named_shards(),
            prefix=f"{_prefix(pipeline, variant)}/ds={{{{ ds }}}}",
            about={
                "dag_id": "{{ dag.dag_id }}",
                "run_id": "{{ run_id }}",
                "logical_date": "{{ ds }}",
                "variant": variant.name,
            },
            found_by=found.task_id if found is not None else "",
            trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
            outlets=[asset_of(f"{_prefix(pipeline, variant)}/")],
            retries=INFRASTRUCTURE_RETRIES,
            retry_delay=pipeline.retry_delay,
            **_aws(pipeline),
        )
        plan >> register
        if ready is not None:
            ready >> shards
        shards >> publish
        if not variant.services:
            register >> shards
            return VariantTasks(shard_ids, publish.task_id), [publish]
        up, steady, down = _services(pipeline, variant)
        register >> up >> steady >> shards >> down
        down.as_teardown(setups=[register, up, steady], on_failure_fail_dagrun=True)
    return VariantTasks(shard_ids, publish.task_id, up.task_id, steady.task_id, down.task_id), [publish, down]


def asset_of(uri: str) -> Asset:
    """``Asset(uri)`` of an S3 URI that needs no normalizing but for its last slash.

    Airflow asks the providers' handlers to normalize a URI, and imports nine providers to find them: 0.2 s in each
    process that parses the file, and the DAG processor starts one for every batch of shards that have ended. Schemes
    with ``x-`` have no handlers; the URI is put in afterwards, past attrs' converter.
    """
    asset = Asset("x-unset")
    object.__setattr__(asset, "name", uri)
    object.__setattr__(asset, "uri", uri.rstrip("/"))
    return asset


def _services(pipeline: FeaturePipeline, variant: Variant) -> tuple[Any, Any, Any]:
    counts = {service.name: service.count for service in variant.services}
    seconds = pipeline.steady_timeout.total_seconds()
    common: dict[str, Any] = {
        "cluster": pipeline.cluster,
        "timeout_seconds": seconds,
        "poll_seconds": pipeline.poll_seconds,
        "retries": INFRASTRUCTURE_RETRIES,
        "retry_delay": pipeline.retry_delay,
        **_aws(pipeline),
    }
    lease: dict[str, Any] = {
        "services": counts,
        "holder": f"{{{{ dag.dag_id }}}}/{{{{ run_id }}}}/{variant.name}",
        "policies": {service.name: service.policy() for service in variant.services},
        # All tries of a shard; a run that takes longer keeps it, and what nobody gives back ends by itself.
        "lease": 2 * pipeline.steady_timeout + (pipeline.shard_timeout + pipeline.retry_delay) * (pipeline.retries + 1),
    }
    up = EcsServiceScaleOperator(task_id="scale_up", direction="up", **lease, **common)
    steady = EcsServiceSteadySensor(task_id="services_steady", services=list(counts), **common)
    down = EcsServiceScaleOperator(task_id="scale_down", direction="down", **lease, **common)
    return up, steady, down


def _named_shards(pipeline: FeaturePipeline, variant: Variant) -> tuple[Any, list[str]]:
    """The group of the variant's shards, and their task ids."""
    with TaskGroup("shards") as group:
        shards = [
            EcsShardOperator(
                task_id=name,
                shard=name,
                selected=_SELECTED,
                start_trigger_args=shared_start_args(name, variant.name),
                **_shard_arguments(pipeline, variant),
                **_shard_retries(pipeline),
            )
            for name in pipeline.named_shards()
        ]
    return group, [shard.task_id for shard in shards]


def _shared_arguments(pipeline: FeaturePipeline, variant: Variant) -> dict[str, Any]:
    """What the triggers of a variant's named shards have in common."""
    arguments = dict(start_args("", **_shard_arguments(pipeline, variant)).trigger_kwargs or {})
    del arguments["shard"]
    return {**arguments, "selected": _SELECTED}


def _mapped_shards(pipeline: FeaturePipeline, variant: Variant, found: FindShardsOperator) -> tuple[Any, list[str]]:
    """The mapped task of the variant's shards, and its id."""
    arguments = _shard_arguments(pipeline, variant)
    mine = reference(found.task_id, "{{ ti.map_index }}")
    mapped = EcsShardOperator.partial(
        task_id="shard",
        start_trigger_args=start_args(mine, **arguments),
        map_index_template="{{ task.shard }}",
        weight_rule=SHARDS_IN_TURNS,
        **arguments,
        **_shard_retries(pipeline),
    ).expand(shard=found.output)
    return mapped, [mapped.task_id]


def _shard_arguments(pipeline: FeaturePipeline, variant: Variant) -> dict[str, Any]:
    file = f"{_prefix(pipeline, variant)}/ds={{{{ ds }}}}/shard={{shard}}/{{{{ ti.id }}}}"
    return {
        "launch": Launch(
            cluster=pipeline.cluster,
            task_definition=reference(f"{variant.name}.register"),
            container=pipeline.container,
            network=pipeline.network(),
            capacity=SPOT if pipeline.capacity == SPOT_WITH_FALLBACK else pipeline.capacity,
            environment={
                **variant.environment,
                "SHARD": "{shard}",
                "LOGICAL_DATE": "{{ ds }}",
                "VARIANT": variant.name,
                "RUN_ID": "{{ run_id }}",
                "ATTEMPT": "{{ ti.try_number }}",
                "INPUT_URI": pipeline.input_uri,
                "OUTPUT_URI": f"{file}.parquet",
                "RESULT_URI": f"{file}.json",
            },
            tags={
                "ecs-feature:dag": "{{ dag.dag_id }}",
                "ecs-feature:run": "{{ run_id }}",
                "ecs-feature:variant": variant.name,
                "ecs-feature:shard": "{shard}",
                "ecs-feature:try": "{{ ti.try_number }}",
            },
        ),
        "record": {"variant": variant.name, "result_uri": f"{file}.json"},
        "policy": _policy(pipeline, variant),
        "events_queue_url": pipeline.task_events_queue_url,
        **_aws(pipeline),
    }


def _policy(pipeline: FeaturePipeline, variant: Variant) -> ShardPolicy:
    falls_back = pipeline.capacity == SPOT_WITH_FALLBACK
    return ShardPolicy(
        timeout_seconds=pipeline.shard_timeout.total_seconds(),
        start_seconds=pipeline.start_timeout.total_seconds(),
        max_relaunches=pipeline.max_relaunches,
        capacity_seconds=pipeline.capacity_timeout.total_seconds(),
        max_memory_mib=pipeline.max_memory_mib,
        fallback_interruptions=pipeline.fallback.interruptions if falls_back else 0,
        fallback_seconds=pipeline.fallback.wait.total_seconds() if falls_back else None,
        poll_seconds=pipeline.poll_seconds,
        log_lines=pipeline.log_lines,
        max_parallel=pipeline.parallelism,
        max_vcpus=pipeline.max_vcpus,
        parallel_group=f"{pipeline.dag_id}/{variant.name}",
        not_retryable_codes=tuple(pipeline.non_retryable_exit_codes),
        skip_codes=tuple(pipeline.skip_exit_codes),
        live_lines=pipeline.live_lines,
    )


def _shard_retries(pipeline: FeaturePipeline) -> dict[str, Any]:
    launches = (pipeline.start_timeout + pipeline.shard_timeout) * (pipeline.max_relaunches + 1 + MOST_GROWTHS)
    return {
        # The backstop, should the triggerer not keep the deadlines: every launch may take that long, and it counts
        # from the start of the try, so the wait for a place and for AWS's launch rate is part of it.
        "execution_timeout": (launches + pipeline.capacity_timeout) * pipeline.waves() + QUEUE_TIME,
        "retries": pipeline.retries,
        "retry_delay": pipeline.retry_delay,
    }


def _prefix(pipeline: FeaturePipeline, variant: Variant) -> str:
    return f"{pipeline.output_uri.rstrip('/')}/variant={variant.name}"
