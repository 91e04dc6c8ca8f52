"""The DAG of a FeaturePipeline.

plan -> ingest (-> find_shards) -> per variant: shards -> publish, scale_down; -> receipt
plan -> per variant: register -> scale_up -> services_steady -> shards

register, scale_up and services_steady are setups of scale_down: clearing a shard runs them all again, and
scale_down runs however the shards end. Its failure fails the run. The receipt runs always and decides nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
from airflow.sdk import DAG, Asset, Param, TaskGroup, TriggerRule, task
from airflow.sdk.definitions.param import ParamsDict

from ecs_feature.operators.find_shards import FindShardsOperator
from ecs_feature.operators.plan import FeaturePlanOperator
from ecs_feature.operators.publish import FeaturePublishOperator
from ecs_feature.operators.receipt import FeatureReceiptOperator, VariantTasks
from ecs_feature.operators.service_scale import EcsServiceScaleOperator
from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from ecs_feature.pipeline.settings import Timeouts
from ecs_feature.pipeline.shard_tasks import mapped_shards, named_shards, output_prefix, run_lease, shared_arguments
from ecs_feature.pipeline.spec import PipelineSpec
from ecs_feature.pipeline.variants import Variant
from ecs_feature.sensors.service_steady import EcsServiceSteadySensor
from ecs_feature.shards import SHARED_ARGUMENTS
from ecs_feature.shards.selection import LIVE_LOG_SHARDS
from ecs_feature.tasks.capacity import providers_of

INFRASTRUCTURE_RETRIES = 3


def build_dag(pipeline: PipelineSpec) -> DAG:
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
            **_patience(pipeline),
        )
        # A teardown without setups: it runs always, and the run's state does not depend on it.
        ends >> receipt.as_teardown()
    # After the tasks, or each would carry a copy with the names of all shards: in the serialized DAG, which the
    # triggerer is sent once for each shard.
    dag.params = ParamsDict({**pipeline.params, **_params(pipeline)})
    shared = {variant.name: shared_arguments(pipeline, variant) for variant in pipeline.variants}
    dag.default_args = {SHARED_ARGUMENTS: shared}
    return dag


def _params(pipeline: PipelineSpec) -> dict[str, Param]:
    def choice(title: str, names: list[str], description: str) -> Param:
        known = {"examples": names} if names else {}
        # Without "items": plan checks the names, and Airflow validates this anew for each shard that it starts.
        return Param([], type=["null", "array"], **known, title=title, description=description)

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


def _patience(pipeline: PipelineSpec) -> dict[str, Any]:
    """How often and when a task that is no shard is tried again."""
    return {"retries": INFRASTRUCTURE_RETRIES, "retry_delay": pipeline.retry_delay}


def _plan(pipeline: PipelineSpec) -> FeaturePlanOperator:
    return FeaturePlanOperator(
        task_id="plan",
        cluster=pipeline.cluster,
        shards=pipeline.named_shards(),
        first_tasks={variant.name: f"{variant.name}.register" for variant in pipeline.variants},
        always=["ingest"] if pipeline.ingest else [] if pipeline.named_shards() else ["find_shards"],
        services={variant.name: [service.name for service in variant.services] for variant in pipeline.variants},
        capacity_providers=providers_of(pipeline.capacity),
        **pipeline.aws(),
        **_patience(pipeline),
    )


def _ingest(pipeline: PipelineSpec, plan: FeaturePlanOperator) -> Any:
    """The ingest task; None without one."""
    if pipeline.ingest is None:
        return None

    @task(task_id="ingest", **_patience(pipeline))
    def ingest(day: str, input_uri: str) -> Any:
        assert pipeline.ingest is not None
        return pipeline.ingest(day=day, input_uri=input_uri, **pipeline.aws())

    ingested = ingest(day="{{ ds }}", input_uri=pipeline.input_uri)
    plan >> ingested
    return ingested


def _found(pipeline: PipelineSpec, plan: FeaturePlanOperator, ingested: Any) -> FindShardsOperator | None:
    """The task that finds the shards; None when the file names them."""
    if pipeline.named_shards():
        return None
    found = FindShardsOperator(
        task_id="find_shards",
        source=pipeline.shards if isinstance(pipeline.shards, str) else "",
        function=pipeline.shards if callable(pipeline.shards) else None,
        input_uri=pipeline.input_uri,
        **pipeline.aws(),
        **_patience(pipeline),
    )
    (plan if ingested is None else ingested) >> found
    return found


def _variant(
    pipeline: PipelineSpec, variant: Variant, plan: FeaturePlanOperator, ready: Any, found: Any
) -> tuple[VariantTasks, list[Any]]:
    """The variant's task group: what the receipt reads of it, and its last tasks."""
    with TaskGroup(variant.name):
        register = EcsTaskDefinitionOperator(
            task_id="register",
            path=pipeline.taskdef_path(variant),
            container=pipeline.container,
            environment=pipeline.environment,
            **pipeline.aws(),
            **_patience(pipeline),
        ).as_setup()
        if found is None:
            shards, shard_ids = named_shards(pipeline, variant)
        else:
            shards, shard_ids = mapped_shards(pipeline, variant, found)
        publish = FeaturePublishOperator(
            task_id="publish",
            shard_task_ids=shard_ids,
            shards=pipeline.named_shards(),
            prefix=f"{output_prefix(pipeline, variant)}/ds={{{{ ds }}}}",
            about={
                "dag_id": "{{ dag.dag_id }}",
                "run_id": "{{ run_id }}",
                "logical_date": "{{ ds }}",
                "variant": variant.name,
            },
            found_by=found.task_id if found is not None else "",
            trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
            outlets=[S3Asset(f"{output_prefix(pipeline, variant)}/")],
            **pipeline.aws(),
            **_patience(pipeline),
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


def _without_last_slash(uri: str) -> str:
    return uri.rstrip("/")


@attrs.define(init=False, eq=False)
class S3Asset(Asset):  # type: ignore[misc]
    """An S3 URI that needs no normalizing but for its last slash; equal to ``Asset(uri)``.

    The converter of ``Asset`` imports nine providers to find out who normalizes S3 URIs. That takes 0.2 s of CPU in
    each process that parses the file, and the DAG processor starts one for every batch of shards that have ended.
    """

    uri: str = attrs.field(converter=_without_last_slash, kw_only=True)


def _services(pipeline: PipelineSpec, variant: Variant) -> tuple[Any, Any, Any]:
    timeouts = Timeouts.of(pipeline)
    common: dict[str, Any] = {
        "cluster": pipeline.cluster,
        "timeout_seconds": timeouts.steady_timeout.total_seconds(),
        "poll_seconds": pipeline.poll_seconds,
        **pipeline.aws(),
        **_patience(pipeline),
    }
    held = run_lease(pipeline, variant)
    assert held is not None
    lease: dict[str, Any] = {
        "services": held.counts,
        "holder": held.holder,
        "policies": held.policies,
        "lease": timedelta(seconds=held.seconds),
    }
    up = EcsServiceScaleOperator(task_id="scale_up", direction="up", **lease, **common)
    steady = EcsServiceSteadySensor(
        task_id="services_steady", services=list(held.counts), run_lease=held.to_dict(), **common
    )
    down = EcsServiceScaleOperator(task_id="scale_down", direction="down", **lease, **common)
    return up, steady, down
