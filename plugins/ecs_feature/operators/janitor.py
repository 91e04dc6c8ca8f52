"""Puts right what runs that died have left behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowException

from ecs_feature.aws.operator import AwsOperator
from ecs_feature.environment import load_environment, substitute
from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.janitor.sweep import ClusterJanitor
from ecs_feature.services.client import EcsServices
from ecs_feature.services.lease_holders import active_run_checker
from ecs_feature.tasks.prices import load_or_package


class EcsJanitorOperator(AwsOperator):
    """Returns services whose leases have ended to their baseline, and stops shard tasks past their deadline.

    It never touches what has no tag of ours: a service without ``ecs-feature:policy``, a task without
    ``ecs-feature:timeout-seconds``. A task's deadline is its creation plus that tag; five minutes more are left
    to the triggerer. A lease past its time whose run still goes on is left alone. It may run as often as one likes,
    and beside runs that acquire and release::

        from airflow.sdk import DAG
        from ecs_feature.operators.janitor import EcsJanitorOperator

        with DAG("tidy", params={"dry_run": False}):
            EcsJanitorOperator(task_id="tidy", clusters=["${CLUSTER}"], dry_run="{{ params.dry_run }}")

    XCom: ``{"dry_run", "clusters": [{"cluster", "services": [...], "tasks": [...], "seen": [...]}], "cost_usd"}``;
    ``seen`` has all services that runs have leased (:func:`ecs_feature.services.snapshot.seen`), ``services`` those to
    put right: ``name, before, after, of, expired, unreadable_leases``; a task's row has ``arn, dag, run, variant,
    shard, deadline``; both ``idle_seconds, vcpu_seconds, gb_seconds, cost_usd, done, why_not``. The cost is at
    most that of the time since the lease's time, beyond which its run may have gone on, or since the deadline, at
    Fargate's price on demand (docs/launch-options.md); None where that is not known.

    :param clusters: names; ``${NAME}`` is the environment file's value.
    :param dry_run: only report; a boolean, or a template of one.
    """

    template_fields: Sequence[str] = ("clusters", "dry_run")
    ui_color = "#e8f5e9"

    def __init__(
        self,
        *,
        clusters: Sequence[str],
        dry_run: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.clusters = list(clusters)
        self.dry_run = dry_run

    def execute(self, context: Any) -> dict[str, Any]:
        dry_run = str(self.dry_run).strip().lower() in ("true", "1", "yes")
        rows: list[dict[str, Any]] = []
        prices = load_or_package(self.log)
        errors: list[EcsFeatureError] = []
        for cluster in self._clusters():
            services = self._open_services(cluster, context["ti"])
            janitor = ClusterJanitor(services, self.log, dry_run, prices=prices)
            try:
                rows.append(janitor.sweep())
            except EcsFeatureError as error:
                errors.append(error)
            errors += janitor.errors
        report = {"dry_run": dry_run, "clusters": rows, "cost_usd": _cost(rows)}
        self._tell(report)
        if errors:
            context["ti"].xcom_push(key="return_value", value=report)
            raise AirflowException(str(errors[0])) from errors[0]
        return report

    def _clusters(self) -> list[str]:
        try:
            names: list[str] = substitute(self.clusters, load_environment(), where="clusters")
        except EcsFeatureError as error:
            raise AirflowException(str(error)) from error
        return names

    def _open_services(self, cluster: str, task_instance: Any) -> EcsServices:
        ecs, scaling = (self.aws.client(name) for name in ("ecs", "application-autoscaling"))
        return EcsServices(ecs, cluster, autoscaling=scaling, run_is_active=active_run_checker(task_instance))

    def _tell(self, report: dict[str, Any]) -> None:
        for row in report["clusters"]:
            self.log.info(
                "Cluster %s: %d services to put right, %d tasks to stop%s.",
                row["cluster"],
                len(row["services"]),
                len(row["tasks"]),
                " (dry run: nothing was changed)" if report["dry_run"] else "",
            )
        self.log.info("What was left behind had cost $%.4f.", report["cost_usd"])


def _cost(clusters: list[dict[str, Any]]) -> float:
    rows = [row for cluster in clusters for row in (*cluster["services"], *cluster["tasks"])]
    return round(sum(float(row["cost_usd"] or 0.0) for row in rows), 6)
