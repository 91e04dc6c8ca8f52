"""Decides what a run computes, and refuses what cannot work, before anything is launched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.operators.branch import BaseBranchOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, DownstreamTasksSkipped

from ecs_feature.aws.errors import may_pass
from ecs_feature.environment import filled
from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.operators.partitioned import PartitionedOperator
from ecs_feature.partitions.runs import Partitioning, run_variables
from ecs_feature.services.client import EcsServices
from ecs_feature.services.kinds import check, warnings
from ecs_feature.shards.selection import check_keys, params_of, select


class FeaturePlanOperator(PartitionedOperator, BaseBranchOperator):  # type: ignore[misc]
    """The first task of a run: which shards and variants, and whether AWS is as the pipeline needs it.

    Skips the variants that the run's params leave out. Fails at once, with one sentence, for an unknown shard
    or variant, a run without a partition, a cluster or service that does not exist, a service of a kind that cannot
    be leased (:mod:`ecs_feature.services.kinds`), a capacity provider that the cluster does not have. An endpoint that
    cannot be reached, rejected credentials and denied access fail a try with one sentence: a retry may pass.

    XCom: ``{"partition", "day", "shards": [...], "variants": [...]}``; ``day`` is the partition's first one.

    :param shards: the pipeline's; none when they are found later.
    :param first_tasks: variant -> the task that the variant begins with; a pipeline without variants has one without
        a name.
    :param always: tasks directly downstream that every run needs.
    :param services: variant -> names of its services.
    :param capacity_providers: that the launches name.
    :param params_prefix: what the names of the pipeline's params begin with.
    :param skippable: shard -> its tasks, which are skipped here when the run is restricted to others, so that no worker
        has to; default: each finds out itself.
    """

    template_fields: Sequence[str] = ("cluster",)
    ui_color = "#dae8fc"

    def __init__(
        self,
        *,
        cluster: str,
        shards: Sequence[str],
        first_tasks: Mapping[str, str],
        always: Sequence[str] = (),
        services: Mapping[str, Sequence[str]] | None = None,
        capacity_providers: Sequence[str] = (),
        params_prefix: str = "",
        skippable: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cluster = filled(cluster, where="cluster")
        self.shards = list(shards)
        self.first_tasks = dict(first_tasks)
        self.always = list(always)
        self.services = {name: list(filled(each, where="services")) for name, each in (services or {}).items()}
        self.capacity_providers = list(capacity_providers)
        self.params_prefix = params_prefix
        self.skippable = {name: list(tasks) for name, tasks in (skippable or {}).items()}

    def with_partition(self, context: Any, environment: Any) -> Any:
        """Airflow's own: a run without a partition is refused in words by :meth:`execute`."""
        return context

    def execute(self, context: Any) -> dict[str, Any]:
        try:
            found = run_variables(context, Partitioning.from_dict(self.partition or {}), self.get_template_env())
            # Not the context's params: what a run was triggered with is among them, known or not.
            known = context["dag"].params if "dag" in context else context["params"]
            check_keys(context["dag_run"].conf or {}, known, self.params_prefix)
            params = params_of(context["params"], self.params_prefix)
            if not self.shards:
                params = {"variants": params["variants"]}
            selection = select(params, shards=self.shards, variants=list(self.first_tasks))
            self._check_aws(selection.variants)
        except EcsFeatureError as error:
            raise (AirflowException if may_pass(error) else AirflowFailException)(str(error)) from error
        plan = {
            "partition": found["partition"],
            "day": found["ds"],
            "shards": list(selection.shards),
            "variants": list(selection.variants),
        }
        counted = f"{len(selection.shards)} of {len(self.shards)}" if self.shards else "the"
        where = f" in {' and '.join(selection.variants)}" if any(selection.variants) else ""
        self.log.info("This run computes %s shards%s of %s.", counted, where, found["partition"])
        context["ti"].xcom_push(key="return_value", value=plan)
        left_out = [task for name in self.skippable if name not in selection.shards for task in self.skippable[name]]
        try:
            self.do_branch(context, [*self.always, *(self.first_tasks[variant] for variant in selection.variants)])
        except DownstreamTasksSkipped as skipped:
            raise DownstreamTasksSkipped(tasks=[*skipped.tasks, *left_out]) from None
        if left_out:
            raise DownstreamTasksSkipped(tasks=left_out)
        return plan

    def _check_aws(self, variants: Sequence[str]) -> None:
        services = EcsServices(self.aws.client("ecs"), self.cluster)
        services.check_cluster(self.capacity_providers)
        names = [name for variant in variants for name in self.services.get(variant, ())]
        found = services.describe(names) if names else []
        check(found)
        for warning in (said for service in found for said in warnings(service)):
            self.log.warning("%s", warning)
