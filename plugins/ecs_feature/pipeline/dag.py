"""The tasks of a FeaturePipeline, in a DAG of its own or in a task group.

plan -> ingest (-> find_shards) -> per variant: scale_up -> services_steady -> shards -> publish, scale_down; -> receipt
plan -> per variant: register -> scale_up

register, scale_up and services_steady are setups of scale_down: clearing a shard runs them all again, and
scale_down runs however the shards end. Its failure fails the run. The receipt runs always and decides nothing.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import attrs
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, Param, TaskGroup, TriggerRule
from airflow.sdk.definitions.param import ParamsDict

from ecs_feature.environment import CONTRACT_VARIABLES
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.operators.find_shards import FindShardsOperator
from ecs_feature.operators.ingest import IngestOperator
from ecs_feature.operators.plan import FeaturePlanOperator
from ecs_feature.operators.publish import FeaturePublishOperator
from ecs_feature.operators.receipt import FeatureReceiptOperator, VariantTasks
from ecs_feature.operators.service_scale import EcsServiceScaleOperator
from ecs_feature.operators.task_definition import EcsTaskDefinitionOperator
from ecs_feature.pipeline.alerts import as_list
from ecs_feature.pipeline.containers import container_of
from ecs_feature.pipeline.results import completeness
from ecs_feature.pipeline.schedules import partitioning_of
from ecs_feature.pipeline.settings import Timeouts
from ecs_feature.pipeline.shard_tasks import (
    mapped_shards,
    named_shards,
    output_prefix,
    run_lease,
    shared_arguments,
    shared_name,
    skippable_tasks,
)
from ecs_feature.pipeline.spec import PipelineSpec
from ecs_feature.pipeline.variants import Variant
from ecs_feature.sensors.service_steady import EcsServiceSteadySensor
from ecs_feature.shards import SHARED_ARGUMENTS, task_in
from ecs_feature.shards.selection import DEBUG_SHARDS, LIVE_LOG_SHARDS, params_prefix
from ecs_feature.tasks.capacity import providers_of

INFRASTRUCTURE_RETRIES = 3
ONE_RUN_A_DATE = (
    "Airflow runs a logical date once: for one that has run, a second run ends in an IntegrityError; clear its shards "
    "instead, or use airflow ecs-feature rerun. The form's logical date is now unless you change it."
)
RERUN_OF_INPUT = (
    "Clearing a shard does not bring its raw data anew. After a correction of the data: "
    "airflow ecs-feature rerun {dag_id} --run RUN --shards NAME --fresh-input (docs/rerun.md)."
)


def build_dag(pipeline: PipelineSpec) -> DAG:
    """The DAG; the pipeline must be resolved."""
    with DAG(
        dag_id=pipeline.dag_id,
        schedule=pipeline.schedule,
        start_date=pipeline.start_date,
        end_date=pipeline.end_date,
        catchup=pipeline.catchup,
        max_active_runs=pipeline.max_active_runs,
        params=dict(pipeline.params),
        tags=["ecs_feature", *pipeline.tags],
        doc_md=_about(pipeline),
        on_success_callback=as_list(pipeline.on_success) or None,
        on_failure_callback=as_list(pipeline.on_failure) or None,
        deadline=as_list(pipeline.deadline) or None,
    ) as dag:
        _build(pipeline, dag)
    return dag


def build_group(pipeline: PipelineSpec, group_id: str) -> FeatureTaskGroup:
    """The task group in the DAG of the surrounding ``with``; the pipeline must be resolved.

    :raises ConfigurationError: when there is no DAG.
    """
    try:
        group = FeatureTaskGroup(group_id, tooltip=_about(pipeline))
    except RuntimeError as error:
        raise ConfigurationError(
            "task_group: there is no DAG around it; write it inside `with DAG(...):`, or use dag()."
        ) from error
    with group:
        group.ends = _build(replace(pipeline, dag_id=group.dag.dag_id, group_id=group.group_id), group.dag)
    return group


class FeatureTaskGroup(TaskGroup):  # type: ignore[misc]
    """A pipeline's tasks in a DAG of the user's own. What is hung behind the group comes after :attr:`published`."""

    ends: Ends

    @property
    def published(self) -> Any:
        """The task after which the features are there; with several variants, those of one that succeeded at least."""
        return self.ends.published

    @property
    def done(self) -> Any:
        """The last task: it runs however the others end, when the services are back at their baseline."""
        return self.ends.done


@dataclass(frozen=True)
class Ends:
    """The tasks behind which others are hung."""

    published: Any
    done: Any


def _build(pipeline: PipelineSpec, dag: DAG) -> Ends:
    named = partitioning_of(dag, pipeline.partition, shared=pipeline.shared_partition)
    pipeline = replace(pipeline, partitioning=named)
    # Each task is made with a copy of the DAG's params, and they have the names of all shards: in the serialized DAG,
    # which the triggerer is sent once for each shard.
    params, dag.params = dag.params, ParamsDict()
    plan = _plan(pipeline)
    ready = _ingest(pipeline, plan)
    found = _found(pipeline, plan, ready)
    receipt_of: dict[str, VariantTasks] = {}
    published, ends = [], []
    for variant in pipeline.variants:
        with TaskGroup(variant.name) if variant.name else nullcontext():
            receipt_of[variant.name], publish, down = _variant(pipeline, variant, plan, ready, found, dag)
        published.append(publish)
        ends += [publish, *down]
    if len(published) > 1 and pipeline.group_id:
        joined = EmptyOperator(task_id="published", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
        published >> joined
        published = [joined]
    receipt = FeatureReceiptOperator(
        task_id="receipt",
        variants=receipt_of,
        found_by=found.task_id if found is not None else "",
        params_prefix=params_prefix(pipeline.group_id),
        group_id=pipeline.group_id,
        partition=named.to_dict(),
        **_patience(pipeline),
    )
    # A teardown without setups: it runs always, and the run's state does not depend on it.
    ends >> receipt.as_teardown()
    dag.params = ParamsDict({**params, **_params(pipeline)})
    shared = dag.default_args.setdefault(SHARED_ARGUMENTS, {})
    for variant in pipeline.variants:
        shared[shared_name(pipeline, variant)] = shared_arguments(pipeline, variant)
    return Ends(published[0], receipt)


def _about(pipeline: PipelineSpec) -> str:
    variants = f" in {len(pipeline.variants)} variants" if pipeline.variant_names() else ""
    said = [f"Features per shard{variants}, on Amazon ECS.", ONE_RUN_A_DATE]
    if pipeline.ingest is not None:
        said.append(RERUN_OF_INPUT.format(dag_id=pipeline.dag_id or "DAG"))
    bounds = [(word, date) for word, date in (("before", pipeline.start_date), ("after", pipeline.end_date)) if date]
    if bounds:
        # Airflow creates no tasks for such a run, so that none can say it.
        outside = " or ".join(f"{word} {date:%Y-%m-%d %H:%M %Z}".rstrip() for word, date in bounds)
        said.append(f"A run {outside} has no tasks: Airflow marks it success, and nothing is computed.")
    return "\n\n".join(said)


def _params(pipeline: PipelineSpec) -> dict[str, Param]:
    def choice(title: str, names: list[str], description: str) -> Param:
        known = {"examples": names} if names else {}
        # Without "items": the names are checked by plan, and Airflow validates this for each shard that it starts.
        return Param([], type=["null", "array"], **known, title=title, description=description)

    def restriction(field: str, names: list[str]) -> Param:
        description = f"Restrict the run to these {field}; nothing chosen means all {len(names) or 'found'}."
        if field == "shards":
            description += f" {ONE_RUN_A_DATE}"
        return choice(field.capitalize(), names, description)

    shards, variants = list(pipeline.named_shards()), list(pipeline.variant_names())
    live = "Copy the containers' lines of these shards to their task logs while they run."
    params = {"shards": restriction("shards", shards)}
    if variants:
        params["variants"] = restriction("variants", variants)
    params[LIVE_LOG_SHARDS] = choice("Live log shards", shards, live)
    debug = "Launch these shards with ECS Exec; their task logs have the command that opens a shell in them."
    params[DEBUG_SHARDS] = choice("Debug shards", shards, debug)
    return {pipeline.param(name): param for name, param in params.items()}


def _patience(pipeline: PipelineSpec) -> dict[str, Any]:
    """How often and when a task that is no shard is tried again."""
    return {"retries": INFRASTRUCTURE_RETRIES, "retry_delay": pipeline.retry_delay}


def _plan(pipeline: PipelineSpec) -> FeaturePlanOperator:
    always = ["ingest"] if pipeline.ingest else [] if pipeline.named_shards() else ["find_shards"]
    return FeaturePlanOperator(
        task_id="plan",
        cluster=pipeline.cluster,
        shards=pipeline.named_shards(),
        first_tasks={variant.name: task_in(pipeline.lane(variant), "register") for variant in pipeline.variants},
        always=[task_in(pipeline.group_id, name) for name in always],
        services={variant.name: [service.name for service in variant.services] for variant in pipeline.variants},
        capacity_providers=providers_of(pipeline.capacity),
        params_prefix=params_prefix(pipeline.group_id),
        partition=pipeline.partition_dict(),
        skippable=skippable_tasks(pipeline),
        **pipeline.aws(),
        **_patience(pipeline),
    )


def _ingest(pipeline: PipelineSpec, plan: FeaturePlanOperator) -> Any:
    """The ingest task; None without one."""
    if pipeline.ingest is None:
        return None
    ingested = IngestOperator(
        task_id="ingest",
        function=pipeline.ingest,
        input_uri=pipeline.input_uri,
        note=RERUN_OF_INPUT.format(dag_id=pipeline.dag_id),
        partition=pipeline.partition_dict(),
        **pipeline.aws(),
        **_patience(pipeline),
    )
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
        params_prefix=params_prefix(pipeline.group_id),
        partition=pipeline.partition_dict(),
        **pipeline.aws(),
        **_patience(pipeline),
    )
    (plan if ingested is None else ingested) >> found
    return found


def _variant(
    pipeline: PipelineSpec, variant: Variant, plan: FeaturePlanOperator, ingested: Any, found: Any, dag: DAG
) -> tuple[VariantTasks, Any, list[Any]]:
    """The variant's tasks: what the receipt reads of them, the publish, and the scale-down if there is one."""
    register = _register(pipeline, variant).as_setup()
    if found is None:
        shards, shard_ids = named_shards(pipeline, variant)
    else:
        on_worker = bool(dag.default_args.get("on_success_callback") or dag.default_args.get("outlets"))
        shards, shard_ids = mapped_shards(pipeline, variant, found, ends_on_worker=on_worker)
    publish, names = _publish(pipeline, variant, shard_ids, found, register), pipeline.named_shards()
    plan >> register
    ready = ingested if found is None else found
    shards >> publish
    if not variant.services:
        register >> shards
        if ready is not None:
            ready >> shards
        return VariantTasks(shard_ids, publish.task_id, names=names), publish, []
    up, steady, down = _services(pipeline, variant)
    register >> up >> steady >> shards >> down
    if ready is not None:
        # Not before there is something to compute: services that wait for the raw data cost money.
        ready >> up
        ready >> shards
    down.as_teardown(setups=[register, up, steady], on_failure_fail_dagrun=True)
    tasks = VariantTasks(shard_ids, publish.task_id, up.task_id, steady.task_id, down.task_id, names)
    return tasks, publish, [down]


def _register(pipeline: PipelineSpec, variant: Variant) -> Any:
    """The task that registers the variant's task definition; an empty one for one that has none."""
    if not variant.task_definition:
        return EmptyOperator(task_id="register")
    return EcsTaskDefinitionOperator(
        task_id="register",
        path=pipeline.taskdef_path(variant),
        container=container_of(pipeline, variant),
        variables=sorted({*pipeline.environment, *variant.environment, *CONTRACT_VARIABLES}),
        environment=pipeline.placeholders,
        volumes=pipeline.volumes,
        **pipeline.aws(),
        **_patience(pipeline),
    )


def _publish(pipeline: PipelineSpec, variant: Variant, shard_ids: list[str], found: Any, register: Any) -> Any:
    """The task that publishes the variant; an empty one for a pipeline that publishes nothing."""
    complete = completeness(pipeline.publish)
    rule = TriggerRule.ALL_DONE_MIN_ONE_SUCCESS if complete.partial else TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
    if not pipeline.output_uri:
        return EmptyOperator(task_id="publish", trigger_rule=rule)
    prefix = output_prefix(pipeline, variant)
    return FeaturePublishOperator(
        task_id="publish",
        shard_task_ids=shard_ids,
        shards=pipeline.named_shards(),
        prefix=f"{prefix}/{pipeline.folder()}",
        partition=pipeline.partition_dict(),
        asset_partitions=pipeline.asset_partitions,
        registered_by=register.task_id,
        about={
            "dag_id": "{{ dag.dag_id }}",
            "run_id": "{{ run_id }}",
            "logical_date": "{{ ds }}",
            "partition": "{{ partition }}",
            **({"variant": variant.name} if variant.name else {}),
        },
        found_by=found.task_id if found is not None else "",
        result=pipeline.result,
        completeness=complete,
        params_prefix=params_prefix(pipeline.group_id),
        trigger_rule=rule,
        outlets=[S3Asset(f"{prefix}/")],
        **pipeline.aws(),
        **_patience(pipeline),
    )


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
        task_id="services_steady",
        services=list(held.counts),
        run_lease=held.to_dict(),
        ready={service.name: service.checks() for service in variant.services},
        **common,
    )
    down = EcsServiceScaleOperator(task_id="scale_down", direction="down", **lease, **common)
    return up, steady, down
