"""Runs one shard as one ECS task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.triggers.base import StartTriggerArgs

from ecs_feature.environment import filled
from ecs_feature.exceptions import MissingValueError, ShardFailedError
from ecs_feature.fleet.fleet import FleetKey
from ecs_feature.operators.partitioned import PartitionedOperator
from ecs_feature.services.run_lease import RunLease
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.shards.records import record_text
from ecs_feature.shards.selection import NAMING_SHARDS
from ecs_feature.tasks.launch import Launch, check_overrides
from ecs_feature.tasks.outcomes import Payer
from ecs_feature.triggerer.references import look_up
from ecs_feature.triggers.shard import ShardTrigger, is_selected, shards_in

TRIGGER = "ecs_feature.triggers.shard.ShardTrigger"
_DEFAULT_POLICY = ShardPolicy()


class EcsShardOperator(PartitionedOperator):
    """One shard: one Airflow task, one ECS task per try.

    It starts in the triggerer and, when it succeeds, ends there: no worker is used. A shard that failed is
    resumed on a worker, which raises, so that Airflow's retries, retry policies and callbacks apply::

        from airflow.sdk import DAG
        from ecs_feature.operators.shard import EcsShardOperator
        from ecs_feature.tasks.launch import Launch, Network

        with DAG("one_shard"):
            EcsShardOperator(
                task_id="UA",
                shard="UA",
                launch=Launch(
                    cluster="${CLUSTER}",
                    task_definition="flight-features-control",
                    container="features",
                    network=Network(subnets=("${SUBNETS}",)),
                    environment={"SHARD": "{shard}", "LOGICAL_DATE": "{{ ds }}"},
                ),
                retries=2,
            )

    ``{shard}`` in the launch and the record stands for the shard's name, after templates are rendered, and
    ``{shard_id}`` for its id, which S3 keys can have (:mod:`ecs_feature.shards.names`). Where the DAG
    has a param ``live_log_shards``, the shards that a run names there have their containers' lines in their logs while
    they run, whatever the policy says. Likewise with ``debug_shards``, those are launched with ECS Exec, and their logs
    have the command that opens a shell in them.

    :param shard: the shard's name.
    :param launch: what RunTask is asked for, see :class:`ecs_feature.tasks.launch.Launch`; its strings are templates.
    :param policy: timeouts, relaunches, polling, log lines, see :class:`ecs_feature.shards.policy.ShardPolicy`.
    :param selected: template of a JSON list of the shards that a run is restricted to; others are skipped.
    :param record: templates that go into the XCom, e.g. ``{"result_uri": ...}``.
    :param run_lease: what the run holds of services that the shards call, guarded while they run: see
        :mod:`ecs_feature.services.guard`; its strings are templates.
    :param aws_conn_id: the Airflow connection; with ``region_name`` and ``verify`` as in the amazon provider.
    :param events_queue_url: of an SQS queue that gets ECS's task state changes, instead of much polling; see
        docs/task-events.md.
    :param start_from_trigger: False starts on a worker, which defers to the same trigger. So does
        ``on_execute_callback``, which Airflow calls on workers only.
    :param params_prefix: what the name of the param ``live_log_shards`` begins with.
    :param partition: what ``ds`` and ``partition`` are in the templates, see
        :class:`ecs_feature.operators.partitioned.PartitionedOperator`.
    :param outlets: Airflow registers their events, and calls ``on_success_callback``, on workers only: a shard with one
        of the two ends on a worker.
    :param start_trigger_args: for mapped tasks, which are never constructed before their trigger starts:
        :func:`start_args`, through ``partial``.
    :raises ConfigurationError: when the overrides are too long for RunTask.
    """

    # Templates stand in the trigger's arguments, which the trigger renders, or on a worker execute(). Named here, they
    # would be in the serialized DAG a second time, which the triggerer is sent once for each shard.
    template_fields: Sequence[str] = ()
    start_from_trigger = True

    def __init__(
        self,
        *,
        shard: str,
        launch: Launch,
        policy: ShardPolicy = _DEFAULT_POLICY,
        selected: str = "[]",
        record: Mapping[str, str] | None = None,
        run_lease: RunLease | None = None,
        events_queue_url: str = "",
        start_from_trigger: bool = True,
        start_trigger_args: StartTriggerArgs | None = None,
        params_prefix: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_overrides(launch.overrides())
        aws = {**asdict(self.aws), "events_queue_url": events_queue_url}
        ends_on_worker = bool(self.on_success_callback or self.outlets)
        arguments = _trigger_kwargs(
            shard,
            launch,
            policy,
            selected,
            record,
            aws,
            run_lease=run_lease,
            ends_on_worker=ends_on_worker,
            params_prefix=params_prefix,
            partition=self.partition,
        )
        self.shard = shard
        self._arguments = arguments
        self.start_from_trigger = start_from_trigger and not self.on_execute_callback
        if start_trigger_args is not None and ends_on_worker:
            start_trigger_args = _start_trigger_args(
                {**(start_trigger_args.trigger_kwargs or {}), "end_in_triggerer": False}
            )
        self.start_trigger_args = start_trigger_args or _start_trigger_args(arguments)

    def execute(self, context: Any) -> None:
        """Defer to the trigger; only where Airflow does not start from it (``dag.test()``, a user's choice)."""
        arguments = self.rendered(context)
        prefix, padded = arguments.get("params_prefix", ""), arguments.get("padded", ())
        arguments |= {name: shards_in(context, prefix + name, padded) for name in NAMING_SHARDS}
        arguments["end_in_triggerer"] = False
        trigger = ShardTrigger(**arguments)
        self.defer(trigger=trigger, method_name="execute_complete")

    def rendered(self, context: Any) -> dict[str, Any]:
        """The trigger's arguments with their templates and references replaced; ``{shard}`` stands there still.

        :raises AirflowSkipException: the run is restricted to other shards.
        """
        known = self.with_partition(context, self.get_template_env())
        selected = self.render_template(self._arguments["selected"], known)
        if not is_selected(self.shard, selected, self._arguments.get("padded", ())):
            raise AirflowSkipException(f"Shard {self.shard} is not among the shards of this run.")
        arguments: dict[str, Any] = {**self.render_template(self._arguments, known), "shard": self.shard}
        arguments["launch"]["task_definition"] = self._task_definition(context, arguments["launch"]["task_definition"])
        return arguments

    def _task_definition(self, context: Any, named: str) -> Any:
        def pull(task_id: str) -> Any:
            return context["ti"].xcom_pull(task_ids=task_id, map_indexes=-1)

        try:
            return look_up(named, pull)
        except MissingValueError as error:
            raise AirflowException(f"Shard {self.shard}: {error}") from error

    def execute_complete(self, context: Any, event: dict[str, Any]) -> str:
        """Return the record of a shard that succeeded, as JSON text; raise for one that did not."""
        state = event["state"]
        record: dict[str, Any] = event.get("record", {})
        if state == "success":
            return record_text(record)
        if record:
            context["ti"].xcom_push(key="return_value", value=record_text(record))
        if state == "skipped":
            raise AirflowSkipException(f"Shard {self.shard} has nothing to do in this run.")
        failure = ShardFailedError(event["message"], event["kind"])
        if event["payer"] == Payer.PERMANENT:
            raise AirflowFailException(str(failure)) from failure
        raise AirflowException(str(failure)) from failure


def start_args(
    shard: str,
    launch: Launch,
    policy: ShardPolicy = _DEFAULT_POLICY,
    record: Mapping[str, str] | None = None,
    *,
    run_lease: RunLease | None = None,
    ends_on_worker: bool = False,
    params_prefix: str = "",
    partition: Mapping[str, Any] | None = None,
    **aws: Any,
) -> StartTriggerArgs:
    """``start_trigger_args`` for ``EcsShardOperator.partial``; the arguments are the operator's, those for AWS too.

    :param shard: a template or a reference, since what the task is expanded over is not known to the trigger:
        ``reference("find_shards", "{{ ti.map_index }}")``, see :mod:`ecs_feature.triggerer.references`.
    :param ends_on_worker: for tasks with ``on_success_callback`` or ``outlets``, see :class:`EcsShardOperator`.
    """
    shared = asdict(FleetKey(**aws))
    return _start_trigger_args(
        _trigger_kwargs(
            shard,
            launch,
            policy,
            "[]",
            record,
            shared,
            run_lease=run_lease,
            ends_on_worker=ends_on_worker,
            params_prefix=params_prefix,
            partition=partition,
        )
    )


def shared_start_args(shard: str, name: str, *, ends_on_worker: bool = False) -> StartTriggerArgs:
    """``start_trigger_args`` for one of many tasks whose arguments but for ``shard`` are the same.

    The triggerer is sent the whole serialized DAG for each shard; with 200 tasks that each carry their arguments that
    is 500 KB each time, with this 157 KB. A mapped task's arguments are written to the database for each of its shards.

    :param name: of the arguments in the DAG's default arguments: ``dag.default_args[SHARED_ARGUMENTS][name]`` is
        ``start_args(...).trigger_kwargs``, set after the tasks are made.
    """
    own = {"end_in_triggerer": False} if ends_on_worker else {}
    return _start_trigger_args({"shard": shard, "shared": name, **own})


def _start_trigger_args(arguments: dict[str, Any]) -> StartTriggerArgs:
    return StartTriggerArgs(trigger_cls=TRIGGER, next_method="execute_complete", trigger_kwargs=arguments)


def _trigger_kwargs(
    shard: str,
    launch: Launch,
    policy: ShardPolicy,
    selected: str,
    record: Mapping[str, str] | None,
    aws: dict[str, Any],
    *,
    run_lease: RunLease | None,
    ends_on_worker: bool,
    params_prefix: str,
    partition: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "shard": shard,
        "launch": _filled_launch(launch),
        "policy": policy.to_dict(),
        "aws": filled(aws, where="events_queue_url"),
        "token_id": "{{ ti.id }}",
        "selected": selected,
        "record": filled(dict(record or {}), where="record"),
        "since": "{{ dag_run.start_date.isoformat() if dag_run.start_date else '' }}",
        **({"end_in_triggerer": False} if ends_on_worker else {}),
        **({"run_lease": run_lease.to_dict()} if run_lease else {}),
        **({"params_prefix": params_prefix} if params_prefix else {}),
        **({} if partition is None else {"partition": dict(partition)}),
    }


def _filled_launch(launch: Launch) -> dict[str, Any]:
    """The launch without placeholders; one for several subnets or security groups becomes as many."""
    values: dict[str, Any] = filled(launch.to_dict(), where="launch")
    if network := values["network"]:
        for name in ("subnets", "security_groups"):
            ids = (each.strip() for text in network[name] for each in text.split(","))
            network[name] = [each for each in ids if each]
    return values
