"""Runs one shard as one ECS task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.triggers.base import StartTriggerArgs

from ecs_feature.exceptions import ShardFailedError
from ecs_feature.launch import Launch, Network, check_overrides
from ecs_feature.links.ecs import EcsTaskLink, EcsTaskLogLink, links_of_task
from ecs_feature.outcomes import Payer
from ecs_feature.resources import EcsTask
from ecs_feature.shard_run import ShardPolicy
from ecs_feature.triggers.shard import ShardTrigger, is_selected

TRIGGER = "ecs_feature.triggers.shard.ShardTrigger"
_DEFAULT_POLICY = ShardPolicy()


class EcsShardOperator(BaseOperator):  # type: ignore[misc]
    """One shard: one Airflow task, one ECS task per try.

    It starts in the triggerer and, when it succeeds, ends there: no worker is used. A shard that failed is
    resumed on a worker, which raises, so that Airflow's retries, retry policies and callbacks apply::

        EcsShardOperator(
            task_id="UA",
            shard="UA",
            cluster="features",
            task_definition="flight-features-control",
            container="features",
            network=Network(subnets=("subnet-0a",)),
            environment={"SHARD": "UA", "LOGICAL_DATE": "{{ ds }}"},
            retries=2,
        )

    :param shard: the shard's name.
    :param cluster: name or ARN of the ECS cluster.
    :param task_definition: family, family:revision or ARN.
    :param container: the container whose environment is set, whose exit code decides and whose log is copied.
    :param network: subnets and security groups, see :class:`ecs_feature.launch.Network`.
    :param environment: for the container; values are templates.
    :param command: replaces the container's command; words are templates.
    :param capacity_provider: ``FARGATE`` or ``FARGATE_SPOT``; default: launch type FARGATE.
    :param policy: timeouts, relaunches, polling, log lines, see :class:`ecs_feature.shard_run.ShardPolicy`.
    :param selected: template of a JSON list of the shards that a run is restricted to; others are skipped.
    :param tags: of the ECS task; values are templates.
    :param record: templates that go into the XCom, e.g. ``{"result_uri": ...}``.
    :param aws_conn_id: the Airflow connection; with ``region_name`` and ``verify`` as in the amazon provider.
    :param start_from_trigger: False starts on a worker, which defers to the same trigger.
    :raises ConfigurationError: when the overrides are too long for RunTask.
    """

    template_fields: Sequence[str] = ("shard", "launch", "token_id", "selected", "record")
    operator_extra_links = (EcsTaskLink(), EcsTaskLogLink())
    ui_color = "#ff9900"
    start_from_trigger = True

    def __init__(
        self,
        *,
        shard: str,
        cluster: str,
        task_definition: str,
        container: str,
        network: Network,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
        capacity_provider: str = "",
        policy: ShardPolicy = _DEFAULT_POLICY,
        selected: str = "[]",
        tags: Mapping[str, str] | None = None,
        record: Mapping[str, str] | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        start_from_trigger: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        launch = Launch(
            cluster=cluster,
            task_definition=task_definition,
            container=container,
            network=network,
            environment=dict(environment or {}),
            command=tuple(command),
            capacity_provider=capacity_provider,
            started_by="{{ dag.dag_id }}",
            tags=dict(tags or {}),
        )
        check_overrides(launch.overrides())
        self.shard = shard
        self.launch = launch.to_dict()
        self.policy = policy.to_dict()
        self.aws: dict[str, Any] = {"aws_conn_id": aws_conn_id, "region_name": region_name, "verify": verify}
        self.token_id = "{{ ti.id }}"
        self.selected = selected
        self.record = dict(record or {})
        self.start_from_trigger = start_from_trigger
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=TRIGGER, next_method="execute_complete", trigger_kwargs=self._trigger_kwargs()
        )

    def _trigger_kwargs(self) -> dict[str, Any]:
        names = ("shard", "launch", "policy", "aws", "token_id", "selected", "record")
        return {name: getattr(self, name) for name in names}

    def execute(self, context: Any) -> None:
        """Defer to the trigger; only where Airflow does not start from it (``dag.test()``, a user's choice)."""
        if not is_selected(self.shard, self.selected):
            raise AirflowSkipException(f"Shard {self.shard} is not among the shards of this run.")
        self.defer(
            trigger=ShardTrigger(**self._trigger_kwargs(), end_in_triggerer=False),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Return the record of a shard that succeeded, raise for one that did not."""
        state = event["state"]
        if state == "skipped":
            raise AirflowSkipException(f"Shard {self.shard} is not among the shards of this run.")
        record: dict[str, Any] = event["record"]
        self._push_links(context, record)
        if state == "success":
            return record
        context["ti"].xcom_push(key="return_value", value=record)
        failure = ShardFailedError(event["message"], event["kind"])
        if event["payer"] == Payer.PERMANENT:
            raise AirflowFailException(str(failure)) from failure
        raise AirflowException(str(failure)) from failure

    def _push_links(self, context: Any, record: dict[str, Any]) -> None:
        arns = [launch["task_arn"] for launch in record.get("launches", ()) if launch["task_arn"]]
        if arns:
            task = EcsTask(arns[-1], "", "", "STOPPED", "STOPPED")
            for key, url in links_of_task(task, self.launch["container"]).items():
                context["ti"].xcom_push(key=key, value=url)
