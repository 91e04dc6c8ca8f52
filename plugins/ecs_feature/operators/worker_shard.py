"""Runs one shard on an Airflow worker of a scaled ECS service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from subprocess import Popen
from typing import Any

from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from ecs_feature.aws.errors import translated
from ecs_feature.aws.resources import EcsTask
from ecs_feature.exceptions import ConfigurationError, EcsFeatureError, ShardFailedError
from ecs_feature.operators.shard import EcsShardOperator
from ecs_feature.shards.names import shard_id
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.shards.records import record_text
from ecs_feature.tasks.launch import fill_shard
from ecs_feature.tasks.outcomes import Kind, Outcome, Payer, of_exit
from ecs_feature.workers.host import this_host
from ecs_feature.workers.protection import protected
from ecs_feature.workers.tries import KEY, Tries, first_try, payer_of, rows_of
from ecs_feature.workers.work import Command, call, end


class WorkerShardOperator(EcsShardOperator):
    """One shard: one Airflow task, whose work is done where it runs, on a Celery worker of the pipeline's service.

    The arguments are those of :class:`ecs_feature.operators.shard.EcsShardOperator`; the launch says what a container
    would run and with which environment. Without ``work`` the worker runs that command; with it, a function is called
    with those of ``shard``, ``variant``, ``day``, ``partition``, ``input_uri``, ``output_uri``, ``result_uri`` and
    ``environment`` that it takes, and an operator that it returns is run.

    While the shard runs, the worker's ECS task is protected from scale-in. A worker that ends in mid-shard costs none
    of ``user_retries``; Airflow's ``retries`` must be so many more.

    :param work: what to do instead of the container's command.
    :param user_retries: of failures of the user's own code.
    """

    def __init__(
        self,
        *,
        work: Callable[..., Any] | None = None,
        user_retries: int = 0,
        start_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(start_from_trigger=False, **kwargs)
        self.work = work
        self.user_retries = user_retries
        self._running: list[Popen[str]] = []

    def on_kill(self) -> None:
        """End the command: the user cleared the Airflow task or set its state."""
        for process in self._running:
            end(process)

    def execute(self, context: Any) -> Any:
        arguments = self.rendered(context)
        arguments["launch"] = fill_shard(arguments["launch"], self.shard, shard_id(self.shard))
        policy = ShardPolicy.from_dict(arguments["policy"])
        record = dict(fill_shard(arguments["record"], self.shard, shard_id(self.shard)))
        ti, store, host = context["ti"], context.get("task_state_store"), this_host()
        tries = Tries.of(store.get(KEY) if store is not None else None, first_try(ti.max_tries, self.retries or 0))
        for lost in tries.close(self._task, datetime.now(UTC)):
            self.log.warning("Shard %s, try %d: %s.", self.shard, lost.attempt, lost.reason)
        self._check_budget(tries, policy)
        tries.begin(ti.try_number, host, datetime.now(UTC))
        if store is not None:
            store.set(KEY, tries.to_list())
        self.log.info("Shard %s runs on worker %s.", self.shard, host)
        outcome = Outcome(Kind.LOST)
        try:
            with protected(policy.timeout_seconds or 0.0, self.log):
                outcome = self._run(arguments, context, policy)
        finally:
            if outcome.kind is not Kind.LOST:
                tries.end(outcome.kind, outcome.reason, datetime.now(UTC))
            if store is not None:
                with suppress(Exception):
                    store.set(KEY, tries.to_list())
        return self._ended(outcome, tries, context, record, arguments["launch"]["container"])

    def _run(self, arguments: Mapping[str, Any], context: Any, policy: ShardPolicy) -> Outcome:
        """Do the work; how it ended."""
        launch = arguments["launch"]
        try:
            if self.work is None:
                command = Command.of_container(
                    self._definition(launch["task_definition"]),
                    launch["container"],
                    launch["command"],
                    launch["environment"],
                )
                code = command.run(lambda line: self.log.info("%s", line), self._running.append)
                return of_exit(code, launch["container"], policy.codes)
            call(self.work, self._given(launch["environment"], context), context)
        except AirflowTaskTimeout:
            return Outcome(Kind.TIMED_OUT, hint="raise shard_timeout or make the shard smaller")
        except AirflowSkipException as skipped:
            return Outcome(Kind.SKIPPED, str(skipped))
        except (AirflowFailException, ConfigurationError) as error:
            return Outcome(Kind.NOT_RETRYABLE, str(error))
        except Exception as error:
            self.log.exception("Shard %s: its work failed.", self.shard)
            return Outcome(Kind.APPLICATION_FAILURE, f"{type(error).__name__}: {error}")
        return Outcome(Kind.SUCCEEDED)

    def _given(self, environment: Mapping[str, str], context: Any) -> dict[str, Any]:
        """What the user's function may take."""
        names = ("shard", "variant", "partition", "input_uri", "output_uri", "result_uri")
        given: dict[str, Any] = {name: environment.get(name.upper(), "") for name in names}
        return {
            **given,
            "day": environment.get("LOGICAL_DATE", ""),
            "environment": dict(environment),
            "context": context,
        }

    def _definition(self, task_definition: str) -> dict[str, Any]:
        with translated(f"Task definition {task_definition!r}"):
            answer = self.aws.client("ecs").describe_task_definition(taskDefinition=task_definition)
        definition: dict[str, Any] = answer["taskDefinition"]
        return definition

    def _task(self, cluster: str, arn: str) -> EcsTask | None:
        """The ECS task of a worker that is gone; None when ECS does not show it, or cannot be asked."""
        try:
            with translated(f"ECS task {arn}"):
                found = self.aws.client("ecs").describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
        except EcsFeatureError as error:
            self.log.warning("Why worker task %s ended is not known: %s", arn, error)
            return None
        return EcsTask.from_aws(found[0]) if found else None

    def _check_budget(self, tries: Tries, policy: ShardPolicy) -> None:
        """:raises AirflowFailException: earlier tries have used up the shard's retries, or its relaunches."""
        failed, lost = tries.paid_by(Payer.APPLICATION), tries.paid_by(Payer.INFRASTRUCTURE)
        if failed > self.user_retries:
            raise AirflowFailException(
                f"Shard {self.shard}: {failed} tries failed, the last one: {tries.launches[-1].reason}; retries are "
                f"{self.user_retries}."
            )
        if lost > policy.max_relaunches:
            raise AirflowFailException(
                f"Shard {self.shard}: {lost} workers ended in mid-shard, the last one: {tries.launches[-1].reason}; "
                f"max_relaunches is {policy.max_relaunches}."
            )

    def _ended(self, outcome: Outcome, tries: Tries, context: Any, record: Mapping[str, Any], container: str) -> str:
        """The record of a shard that succeeded, as JSON text; raises for one that did not."""
        text = record_text(
            {
                "shard": self.shard,
                "outcome": str(outcome.kind),
                "exit_code": outcome.exit_code,
                "container": container,
                **record,
                "launches": rows_of(tries),
            }
        )
        if outcome.succeeded:
            return text
        context["ti"].xcom_push(key="return_value", value=text)
        if outcome.kind is Kind.SKIPPED:
            raise AirflowSkipException(f"Shard {self.shard} has nothing to do in this run.")
        failure = ShardFailedError(outcome.sentence(self.shard), str(outcome.kind))
        payer = payer_of(outcome.kind)
        if payer is Payer.PERMANENT or (payer is Payer.APPLICATION and tries.paid_by(payer) > self.user_retries):
            raise AirflowFailException(str(failure)) from failure
        raise AirflowException(str(failure)) from failure
