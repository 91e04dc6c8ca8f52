"""Runs one shard in the triggerer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from airflow.triggers.base import BaseTrigger, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from ecs_feature.aws.errors import Reaction, reaction_to
from ecs_feature.aws.resources import EcsTask
from ecs_feature.exceptions import AwsError, EcsFeatureError, MissingValueError
from ecs_feature.fleet.fleet import Fleet, FleetKey
from ecs_feature.fleet.registry import IDLE_SECONDS, joined
from ecs_feature.partitions.runs import Partitioning, run_variables
from ecs_feature.services.guard import guarded
from ecs_feature.shards import SHARED_ARGUMENTS
from ecs_feature.shards.names import shard_id
from ecs_feature.shards.policy import ShardPolicy
from ecs_feature.shards.records import RUNNING_KEY, running_record, shard_record, superseded_task
from ecs_feature.shards.run import ShardRun
from ecs_feature.shards.selection import NAMING_SHARDS, names_in
from ecs_feature.tasks.launch import Launch, fill_shard
from ecs_feature.tasks.outcomes import Kind, Payer
from ecs_feature.triggerer.end_batches import EndBatches
from ecs_feature.triggerer.references import is_reference, look_up_shared
from ecs_feature.triggerer.task_log import GatheredLog, shorten_records
from ecs_feature.triggerer.xcoms import pull_own, push
from ecs_feature.triggers.waiting import listed

KILL_SECONDS = 20.0
"""How long ``on_kill`` waits for the stop; it continues in the background, as hundreds take longer at AWS's rate."""
LINK_SECONDS = 20.0
"""A shard that runs longer stores its task's ARN in an XCom, for its links and for a later try. That request costs the
triggerer more than the shard itself; shorter shards are found by the record at their end."""
TEMPLATED = ("shard", "launch", "token_id", "selected", "record", "since", "run_lease")
"""The arguments that are rendered as templates; the operator itself has no ``template_fields``."""
COMPILED = 4096
"""How many compiled templates are kept."""
_ends = EndBatches()
_stopping: set[asyncio.Task[None]] = set()
"""The asyncio tasks that stop killed shards; an event loop holds only weak references to its tasks."""


_RERUN = (
    " It had succeeded before; this was a rerun with the raw data that is there. After a correction of the data, rerun "
    "it with airflow ecs-feature rerun --fresh-input (docs/rerun.md)."
)


class ShardTrigger(BaseTrigger):  # type: ignore[misc]
    """Launches a shard's ECS task, waits for STOPPED, and ends the Airflow task here when it succeeded.

    Waits for one task to be STOPPED, launching again while infrastructure is to blame. Yields exactly one of

    * ``TaskSuccessEvent`` (``end_in_triggerer``; it carries the record as an XCom) or
      ``TriggerEvent({"state": "success", "record": {...}})``: a worker returns the record,
    * ``TaskSkippedEvent`` (``end_in_triggerer``) or ``TriggerEvent({"state": "skipped", "record": {...}})``: not
      selected (no record), or its exit code says that there is nothing to do,
    * ``TriggerEvent({"state": "failed", "message": str, "kind": str, "payer": str, "record": {...}})``: a
      worker raises, so that Airflow's retries, retry policies and callbacks apply.

    :param shared: the name of the other arguments in the DAG's default arguments, see
        :func:`ecs_feature.operators.shard.shared_start_args`; without it they are given here.
    :param shard: the shard's name, which is in every message. It and the launch's task definition may be references to
        XComs of other tasks, see :mod:`ecs_feature.triggerer.references`.
    :param launch: :meth:`ecs_feature.tasks.launch.Launch.to_dict`.
    :param policy: :meth:`ecs_feature.shards.policy.ShardPolicy.to_dict`.
    :param aws: the fields of :class:`ecs_feature.fleet.fleet.FleetKey`.
    :param token_id: the task instance's UUID, from which the client token is made.
    :param selected: JSON list of the shards that the run is restricted to; empty or null: all.
    :param live_log_shards: the shards whose logs the run is asked to follow; without it, the run's param of that name.
    :param debug_shards: likewise the shards that are launched with ECS Exec.
    :param record: what goes into the XCom beside the launches, e.g. ``result_uri``, which also decides whether the
        shard succeeded when ECS no longer shows its task.
    :param since: ISO 8601: when the run started, so that a launch of over an hour ago is looked for first.
    :param end_in_triggerer: whether Airflow may end the task without a worker.
    :param run_lease: :meth:`ecs_feature.services.run_lease.RunLease.to_dict`: the services that the run holds while its
        shards run, see :mod:`ecs_feature.services.guard`; empty: none.
    :param params_prefix: what the names of the run's params that name shards begin with.
    :param padded: the names of the pipeline that begin or end with a space, which users' own spaces are told from.
    :param partition: :meth:`ecs_feature.partitions.runs.Partitioning.to_dict`: what ``ds`` and ``partition`` are in the
        templates; None: Airflow's own ``ds``.
    """

    def __init__(
        self,
        *,
        shard: str,
        launch: dict[str, Any] | None = None,
        policy: dict[str, Any] | None = None,
        aws: dict[str, Any] | None = None,
        token_id: str = "",
        selected: str = "[]",
        live_log_shards: Sequence[str] = (),
        record: dict[str, Any] | None = None,
        since: str = "",
        end_in_triggerer: bool = True,
        shared: str = "",
        run_lease: dict[str, Any] | None = None,
        params_prefix: str = "",
        padded: Sequence[str] = (),
        debug_shards: Sequence[str] = (),
        partition: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.shard = shard
        self.shared = shared
        self.launch = launch or {}
        self.policy = policy or {}
        self.aws = aws or {}
        self.token_id = token_id
        self.selected = selected
        self.live_log_shards = list(live_log_shards)
        self.debug_shards = list(debug_shards)
        self.record = record or {}
        self.since = since
        self.end_in_triggerer = end_in_triggerer
        self.run_lease = run_lease or {}
        self.params_prefix = params_prefix
        self.padded = list(padded)
        self.partition = partition
        self._run: ShardRun | None = None
        self._showing: asyncio.Task[None] | None = None
        self._lines = GatheredLog(self.log)
        self._context: Any = {}

    def get_template_env(self, dag: Any = None) -> Any:
        """Airflow's environment for triggers, shared: all shards of a run have the same templates to compile."""
        return super().get_template_env(dag) if dag is not None else _environment()

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Also reads the run's params that name shards: templates for them would be in the DAG once per shard."""
        if self.shared:
            for name, value in context["dag"].default_args[SHARED_ARGUMENTS][self.shared].items():
                setattr(self, name, value)
        # A name is no template, whatever braces it has; a reference to one may have one in it.
        self.template_fields = TEMPLATED if is_reference(self.shard) else TEMPLATED[1:]
        known = context
        if self.partition is not None:
            jinja_env = jinja_env or self.get_template_env()
            known = {**context, **run_variables(context, Partitioning.from_dict(self.partition), jinja_env)}
        super().render_template_fields(known, jinja_env)
        for param in NAMING_SHARDS:
            if named := shards_in(context, self.params_prefix + param, self.padded):
                setattr(self, param, named)
        self._context = context

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "shard": self.shard,
            "launch": self.launch,
            "policy": self.policy,
            "aws": self.aws,
            "token_id": self.token_id,
            "selected": self.selected,
            **({"live_log_shards": self.live_log_shards} if self.live_log_shards else {}),
            **({"debug_shards": self.debug_shards} if self.debug_shards else {}),
            "record": self.record,
            "since": self.since,
            "end_in_triggerer": self.end_in_triggerer,
            **({"shared": self.shared} if self.shared else {}),
            **({"run_lease": self.run_lease} if self.run_lease else {}),
            **({"params_prefix": self.params_prefix} if self.params_prefix else {}),
            **({"padded": self.padded} if self.padded else {}),
            **({"partition": self.partition} if self.partition is not None else {}),
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        shorten_records()
        try:
            await self._resolve()
        except EcsFeatureError as error:
            yield self._refused(error)
            return
        if not is_selected(self.shard, self.selected, self.padded):
            self.log.info("Shard %s is not among the shards of this run; skipped.", self.shard)
            yield TaskSkippedEvent() if self.end_in_triggerer else TriggerEvent({"state": "skipped"})
            return
        self._forget_dag()
        with _ends.counted():
            try:
                event = await self._run_shard()
                await _ends.turn()
                await self._lines.read()
            finally:
                self._lines.flush()
        yield event

    def _forget_dag(self) -> None:
        """Release the DAG, which Airflow loads for each trigger to render templates; that is done by now.

        Airflow's runner holds the context until the trigger ends. Where each shard has its own copy of the DAG (not so
        with :mod:`ecs_feature.airflow_patches.deserialized_dags`), it is half of the memory that a waiting shard takes.
        """
        if self._context:
            self._context.clear()
            self.task_instance.task = None

    async def _resolve(self) -> None:
        """Replace references to other tasks' XComs by their values."""
        shard, definition = await asyncio.gather(
            *(look_up_shared(value, self.task_instance) for value in (self.shard, self.launch["task_definition"]))
        )
        self.shard, self.launch = str(shard), {**self.launch, "task_definition": definition}

    def _refused(self, error: EcsFeatureError) -> TriggerEvent:
        message = f"Shard {self.shard}: {error}"
        # A missing value may exist in the next try, because a retry waits for upstream tasks; AWS may answer then.
        passes = isinstance(error, MissingValueError) or (
            isinstance(error, AwsError) and reaction_to(error) is Reaction.WAIT
        )
        payer = Payer.APPLICATION if passes else Payer.PERMANENT
        return TriggerEvent(
            {"state": "failed", "message": message, "kind": "refused", "payer": str(payer), "record": {}}
        )

    async def _run_shard(self) -> TriggerEvent:
        key = FleetKey(**self.aws)
        try:
            with listed(self.task_instance) as waits:
                async with (
                    guarded(self.run_lease, key, self._lines),
                    joined(key, idle_seconds=IDLE_SECONDS, tell=waits.telling(self._lines.warning)) as fleet,
                ):
                    self._run = run = self._shard_run(fleet)
                    if superseded := await self._superseded():
                        await run.stop_superseded(superseded)
                    outcome = await run.run()
        except EcsFeatureError as error:
            return self._refused(error)
        finally:
            self._forget_task()
        record = run.record(outcome, self._extra())
        if quota := fleet.quota_vcpus(run.launch.bucket):
            record["quota_vcpus"] = quota
        earlier = await self._earlier_record()
        record["launches"] = [*earlier.get("launches", ()), *record["launches"]]
        if outcome.kind is Kind.SKIPPED:
            self._lines.info("%s", outcome.sentence(self.shard))
            return self._end(TaskSkippedEvent, "skipped", record)
        if outcome.succeeded:
            again = _RERUN if earlier.get("outcome") == Kind.SUCCEEDED and self._has_input() else ""
            self._lines.info("Shard %s succeeded after %d launch(es).%s", self.shard, len(run.history), again)
            return self._end(TaskSuccessEvent, "success", record)
        return TriggerEvent(
            {
                "state": "failed",
                "message": outcome.sentence(self.shard),
                "kind": str(outcome.kind),
                "payer": str(outcome.payer),
                "record": record,
            }
        )

    def _shard_run(self, fleet: Fleet) -> ShardRun:
        ti = self.task_instance
        return ShardRun(
            fleet=fleet,
            shard=self.shard,
            launch=Launch.from_dict(fill_shard(self.launch, self.shard, shard_id(self.shard))),
            policy=ShardPolicy.from_dict(self.policy),
            token_id=self.token_id,
            log=self._lines,
            on_launch=self._show_task,
            share=f"{ti.dag_id}/{ti.run_id}" if ti is not None else "",
            result_uri=str(self._extra().get("result_uri", "")),
            since=_earliest(self.since, self.token_id),
            try_number=ti.try_number if ti is not None else 1,
            live=self.shard in self.live_log_shards,
            debug=self.shard in self.debug_shards,
        )

    def _extra(self) -> dict[str, Any]:
        return dict(fill_shard(self.record, self.shard, shard_id(self.shard)))

    async def _superseded(self) -> str | None:
        """The ARN of the last task of an earlier try that ran for long."""
        ti = self.task_instance
        if ti is None or ti.try_number < 2:
            return None
        return superseded_task(await pull_own(ti, RUNNING_KEY, self.log), ti.try_number)

    async def _earlier_record(self) -> dict[str, Any]:
        """The record of the shard's earlier tries, from its XCom; empty where there is none."""
        if self.task_instance is None or self.task_instance.try_number < 2:
            return {}
        record = shard_record(await pull_own(self.task_instance, "return_value", self.log))
        return dict(record) if record is not None and record["shard"] == self.shard else {}

    def _has_input(self) -> bool:
        return bool(self.launch["environment"].get("INPUT_URI"))

    def _end(
        self, event: type[TaskSuccessEvent | TaskSkippedEvent], state: str, record: dict[str, Any]
    ) -> TriggerEvent:
        """End the Airflow task in the triggerer, or on a worker if it started there."""
        if not self.end_in_triggerer:
            return TriggerEvent({"state": state, "record": record})
        return event(xcoms={"return_value": record})

    async def _show_task(self, task: EcsTask) -> None:
        """Store the ARN of a long-running task in an XCom, for the links."""
        ti, container = self.task_instance, self.launch["container"]

        async def soon() -> None:
            await asyncio.sleep(LINK_SECONDS)
            await push(ti, RUNNING_KEY, running_record(task.arn, container, ti.try_number), self.log)

        self._forget_task()
        if ti is not None:
            self._showing = asyncio.create_task(soon())

    def _forget_task(self) -> None:
        if self._showing is not None:
            self._showing.cancel()

    async def on_kill(self) -> None:
        """Stop the ECS task: the user cleared the Airflow task or set its state."""
        if self._run is None:
            return
        stopping = asyncio.create_task(self._stop(self._run))
        _stopping.add(stopping)
        stopping.add_done_callback(_stopping.discard)
        await asyncio.wait({stopping}, timeout=KILL_SECONDS)
        if not stopping.done():
            self._lines.info("The ECS task of shard %s is being stopped, at the rate that AWS allows.", self.shard)
        await self._lines.written()

    async def _stop(self, run: ShardRun) -> None:
        try:
            async with joined(FleetKey(**self.aws)) as fleet:
                run.fleet = fleet
                await run.kill()
        except Exception as error:  # Airflow does not see it any more.
            self._lines.error("Shard %s: its ECS task may still run: %s", self.shard, error or type(error).__name__)


@cache
def _environment() -> Any:
    environment = BaseTrigger.get_template_env(None)
    environment.from_string = lru_cache(maxsize=COMPILED)(environment.from_string)
    return environment


def shards_in(context: Any, param: str, padded: Sequence[str] = ()) -> list[str]:
    """The shards that the run's param of that name names.

    :param padded: the names of the pipeline that begin or end with a space.
    """
    return names_in(context.get("params", {}).get(param), padded)


def is_selected(shard: str, selected: str, padded: Sequence[str] = ()) -> bool:
    """Whether a run restricted to ``selected`` (a JSON list; empty or null means all) has this shard.

    :param padded: the names of the pipeline that begin or end with a space.
    """
    names = names_in(json.loads(selected or "null"), padded)
    return not names or shard in names


def _earliest(run_started: str, token_id: str) -> datetime | None:
    """The earliest time at which this try may have launched a task; None: not known.

    :param run_started: ISO 8601, as a template renders a date and time.
    :param token_id: the try's UUID. Airflow makes one of version 7 for each try (and for mapped ones when they are
        expanded), which tells when.
    """
    try:
        moment = datetime.fromisoformat(run_started)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        token = UUID(token_id)
    except ValueError:
        return moment
    return max(moment, datetime.fromtimestamp((token.int >> 80) / 1000, UTC)) if token.version == 7 else moment
