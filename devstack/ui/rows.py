"""The rows of one run that tasks leave in Airflow's database, gathered before they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final

from airflow.models.taskinstance import uuid7

from devstack.ui.history import ShardPast
from devstack.ui.plans import Plan
from ecs_feature.shards.records import record_text

SHARD: Final = "EcsShardOperator"


class RunRows:
    """Rows of one run."""

    def __init__(self, run: Any, plan: Plan, templates: Mapping[str, dict[str, Any]]) -> None:
        self.run = SimpleNamespace(id=run.id, run_id=run.run_id, dag_id=run.dag_id)
        self.plan = plan
        self.templates = templates
        self.instances: list[dict[str, Any]] = []
        self.xcoms: list[dict[str, Any]] = []
        self.maps: list[Any] = []
        self.deferred: list[tuple[str, int]] = []
        self.states: dict[str, str | None] = {}
        self.left: dict[str, list[Any]] = {}
        self._of_shards = next((row for row in templates.values() if row["operator"] == SHARD), None)

    def task(
        self, task_id: str, state: str, start: datetime, end: datetime | None, value: Any = None, tries: int = 1
    ) -> None:
        """A task that is not mapped."""
        self._instance(self.templates[task_id], task_id, -1, state, start, end, tries)
        self.states[task_id] = state
        if value is not None:
            self.left.setdefault(task_id, []).append(value)
            self.xcom(task_id, value)

    def shard(self, task_id: str, index: int, past: ShardPast, cells: Mapping[str, Any]) -> None:
        """A shard's task and its record."""
        template = self.templates.get(task_id, self._of_shards)
        assert template is not None
        self._instance(template, task_id, index, past.state, past.start, past.end, past.tries)
        self.states[task_id if index < 0 else f"{task_id}_{index}"] = past.state
        if past.record is not None and past.end is not None:
            text = record_text(past.record)
            self.left.setdefault(task_id, []).append(text)
            self.xcom(task_id, text, index)

    def xcom(self, task_id: str, value: Any, index: int = -1, key: str = "return_value") -> None:
        moment = self.instances[-1]["end_date"] or self.plan.start
        self.xcoms.append(
            {
                "dag_run_id": self.run.id,
                "task_id": task_id,
                "map_index": index,
                "key": key,
                "dag_result": False,
                "dag_id": self.run.dag_id,
                "run_id": self.run.run_id,
                "value": value,
                "timestamp": moment,
            }
        )

    def _instance(
        self,
        template: Mapping[str, Any],
        task_id: str,
        index: int,
        state: str | None,
        start: datetime | None,
        end: datetime | None,
        tries: int,
    ) -> None:
        shown = template["task_display_name"] if template["task_id"] == task_id else task_id
        self.instances.append(
            {
                **template,
                "id": uuid7(),
                "task_id": task_id,
                "map_index": index,
                "task_display_name": shown,
                "state": state,
                "start_date": start,
                "end_date": end,
                "duration": (end - start).total_seconds() if start and end else None,
                "try_number": tries,
                "updated_at": end or start or self.plan.start,
            }
        )


class LeftByTasks:
    """What the receipt sees of the run: a task instance as far as the operator asks one."""

    def __init__(self, dag_id: str, out: RunRows, task_id: str) -> None:
        self.dag_id, self.run_id, self.task_id, self._out = dag_id, out.run.run_id, task_id, out
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, task_ids: str | Sequence[str], key: str = "return_value", **_: Any) -> Any:
        if key != "return_value":
            return None
        if isinstance(task_ids, str):
            return next(iter(self._out.left.get(task_ids, ())), None)
        return [value for task_id in task_ids for value in self._out.left.get(task_id, ())]

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        self.pushed[key] = value

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str | None]]:
        return {self.run_id: self._out.states}
