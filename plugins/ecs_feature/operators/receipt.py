"""Writes the receipt of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from airflow.sdk import BaseOperator

from ecs_feature.exceptions import EcsFeatureError
from ecs_feature.partitions.runs import Partitioning, run_variables
from ecs_feature.results.cells import BOARD_KEY, lane_summary, summary
from ecs_feature.results.receipts import render, run_state, variant_receipt
from ecs_feature.shards.records import shard_records
from ecs_feature.shards.selection import names_in, of_this_run, params_of
from ecs_feature.tasks import prices

ARTIFACTS_KEY: Final = "artifacts"
"""The XCom in which a task of the user's, directly before the receipt, names what it has made."""


@dataclass(frozen=True)
class VariantTasks:
    """The task ids of one variant; an empty id where the variant has no such task.

    :param shards: one id a named shard, or the id of the mapped task.
    :param names: of the named shards, in the same order.
    """

    shards: Sequence[str]
    publish: str
    scale_up: str = ""
    steady: str = ""
    scale_down: str = ""
    names: Sequence[str] = ()

    def cells(
        self, states: Mapping[str, str | None], found: Sequence[str] | None
    ) -> Iterator[tuple[str, int, str | None]]:
        """Name, map index and state of the shards' tasks among those of the run.

        :param found: the shards that the run has found; None: they are named.
        """
        if found is None:
            for name, task_id in zip(self.names, self.shards, strict=False):
                if task_id in states:
                    yield name, -1, states[task_id]
            return
        for index, name in enumerate(found):
            if (key := f"{self.shards[0]}_{index}") in states:
                yield name, index, states[key]

    def shard_states(self, states: Mapping[str, str | None]) -> dict[str, str | None]:
        """The states of the shards' tasks among those of the run; a mapped task's are ``ID_0``, ``ID_1`` ..."""
        mine = re.compile("|".join(rf"{re.escape(task_id)}(_\d+)?" for task_id in self.shards))
        return {task_id: state for task_id, state in states.items() if mine.fullmatch(task_id)}


@dataclass(frozen=True)
class _Left:
    """What the tasks of one variant have left in their XComs."""

    records: Sequence[Mapping[str, Any]] = ()
    up: Any = None
    steady: Any = None
    down: Any = None
    published: Any = None

    @classmethod
    def of(cls, ti: Any, tasks: VariantTasks, params: Mapping[str, Any], found: Sequence[str] | None) -> _Left:
        def pulled(task_id: str) -> Any:
            return ti.xcom_pull(task_ids=task_id) if task_id else None

        records = of_this_run(shard_records(ti.xcom_pull(task_ids=list(tasks.shards))), params, found)
        steps = (tasks.scale_up, tasks.steady, tasks.scale_down, tasks.publish)
        return cls(records, *map(pulled, steps))

    def receipt(self, states: Mapping[str, str | None], table: prices.PriceTable) -> dict[str, Any]:
        return variant_receipt(
            states=states,
            records=self.records,
            up=self.up,
            steady=self.steady,
            down=self.down,
            published=self.published,
            prices=table,
        )

    def cells(
        self, shards: Iterable[tuple[str, int, str | None]], table: prices.PriceTable, start: datetime
    ) -> dict[str, Any]:
        return lane_summary(shards, {record["shard"]: record for record in self.records}, self.published, table, start)


_NOTHING: Final = _Left()


class FeatureReceiptOperator(BaseOperator):  # type: ignore[misc]
    """Collects what the run's tasks have left and logs it as a table. It runs however the others end.

    XCom: ``{"dag_id", "run_id", "logical_date", "partition", "state", "seconds", "variants": {name:
    :func:`ecs_feature.results.receipts.variant_receipt`}}``; variants that the run left out are missing. ``artifacts``,
    ``{name: URI}``, are what tasks of the user's own between a publish and this one have left in an XCom of that key.
    And ``board``: the cells of the Shards tab, see :mod:`ecs_feature.results.cells`.

    :param variants: the tasks of each variant.
    :param found_by: the task that has found the run's shards; empty: the variants' tasks are all there are.
    :param params_prefix: what the names of the pipeline's params begin with.
    :param group_id: of the pipeline's task group; empty: it has none.
    :param partition: :meth:`ecs_feature.partitions.runs.Partitioning.to_dict`; default: days in UTC.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#f5f5f5"

    def __init__(
        self,
        *,
        variants: Mapping[str, VariantTasks],
        found_by: str = "",
        params_prefix: str = "",
        group_id: str = "",
        partition: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.partition = dict(partition or {})
        self.params_prefix = params_prefix
        self.group_id = group_id
        self.variants = dict(variants)
        self.found_by = found_by

    def execute(self, context: Any) -> dict[str, Any]:
        ti, run, asked_at = context["ti"], context["dag_run"], datetime.now(UTC)
        all_states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
        # Shards that an earlier pass of the run had, and that it no longer finds.
        states = {task_id: state for task_id, state in all_states.items() if state != "removed"}
        params = params_of(context["params"], self.params_prefix)
        found = ti.xcom_pull(task_ids=self.found_by) if self.found_by else None
        left = {
            name: _Left.of(ti, tasks, params, found)
            for name, tasks in self.variants.items()
            if not names_in(params["variants"]) or name in names_in(params["variants"])
        }
        table = prices.load_or_package(self.log)
        receipt = {
            "dag_id": ti.dag_id,
            "run_id": ti.run_id,
            **self._partition(context),
            **({"task_group": self.group_id} if self.group_id else {}),
            "state": run_state(self._before(states)),
            # dag.test() gives a run the logical date as its start.
            "seconds": round((datetime.now(UTC) - max(run.start_date, run.run_after)).total_seconds(), 1),
            "variants": {
                name: left.get(name, _NOTHING).receipt(tasks.shard_states(states), table)
                for name, tasks in self.variants.items()
                if any(state != "skipped" for state in tasks.shard_states(states).values())
            },
            **self._artifacts(ti),
        }
        for line in render(receipt).splitlines():
            self.log.info("%s", line)
        try:
            board = self._board(all_states, left, found, table, run.start_date)
            ti.xcom_push(key=BOARD_KEY, value=summary(board, receipt, asked_at))
        except Exception as error:  # the board reads the shards' own records then
            self.log.warning("The Shards tab has no summary of this run: %r", error)
        return receipt

    def _board(
        self,
        states: Mapping[str, str | None],
        left: Mapping[str, _Left],
        found: Sequence[str] | None,
        table: prices.PriceTable,
        start: datetime,
    ) -> dict[str, dict[str, Any]]:
        """The cells of each lane."""
        return {
            ".".join(filter(None, (self.group_id, name))): left.get(name, _NOTHING).cells(
                tasks.cells(states, found), table, start
            )
            for name, tasks in self.variants.items()
        }

    def _artifacts(self, ti: Any) -> dict[str, dict[str, str]]:
        """What tasks of the user's own directly before this one have made; empty when there is nothing. One call to
        Airflow for each such task, and none without."""
        mine = {name for tasks in self.variants.values() for name in (tasks.publish, tasks.scale_down)}
        found: dict[str, str] = {}
        for task_id in sorted(set(self.upstream_task_ids) - mine):
            left = ti.xcom_pull(task_ids=task_id, key=ARTIFACTS_KEY)
            if isinstance(left, Mapping):
                found |= {str(name): str(uri) for name, uri in left.items()}
        return {"artifacts": found} if found else {}

    def _partition(self, context: Any) -> dict[str, str | None]:
        """The run's partition and its first day; None for a run that has none, which its plan has refused."""
        try:
            found = run_variables(context, Partitioning.from_dict(self.partition), self.get_template_env())
        except EcsFeatureError:
            return {"logical_date": None, "partition": None}
        return {"logical_date": found["ds"] or None, "partition": found["partition"]}

    def _before(self, states: Mapping[str, str | None]) -> list[str | None]:
        """The states of the tasks that come before this one: those of the user's own behind a publish may go on."""
        mine = self.get_flat_relative_ids(upstream=True) or set(states) - {self.task_id}
        return [state for key, state in states.items() if key in mine or re.sub(r"_\d+$", "", key) in mine]
