"""A run of four shards that sleep, and what the tests do to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ecs_feature.tasks.outcomes import STOP_REASON_KILLED

NAMES = ("one", "two", "three", "four")
SECONDS = 120
KILL_SECONDS = 30


class Shards:
    """A run whose four shards sleep.

    :ivar arns: the ECS task of each shard's first try.
    """

    def __init__(self, stack: Any, dag_id: str, day: datetime, seconds: int = 600) -> None:
        self.stack, self.dag_id = stack, dag_id
        self.run_id = stack.run(dag_id, day, {"seconds": seconds})
        self.wait(lambda: self.ecs_tasks().keys() == set(NAMES), "The shards do not run")
        self.arns = {name: tasks[0]["taskArn"] for name, tasks in self.ecs_tasks().items()}

    def ecs_tasks(self) -> dict[str, list[dict[str, Any]]]:
        """The ECS tasks of the run that were started, by shard, oldest first."""
        arns = [
            arn
            for status in ("RUNNING", "STOPPED")
            for page in self.stack.ecs.get_paginator("list_tasks").paginate(
                cluster="features", family="flight-features-control", desiredStatus=status
            )
            for arn in page["taskArns"]
        ]
        found: dict[str, list[dict[str, Any]]] = {}
        for start in range(0, len(arns), 100):
            answer = self.stack.ecs.describe_tasks(cluster="features", tasks=arns[start : start + 100])
            for task in sorted(answer["tasks"], key=lambda task: task["createdAt"]):
                (container,) = task["overrides"]["containerOverrides"]
                values = {item["name"]: item["value"] for item in container.get("environment", ())}
                if values.get("RUN_ID") == self.run_id and "startedAt" in task:
                    found.setdefault(values["SHARD"], []).append(task)
        return found

    def wait(self, condition: Any, what: str, seconds: float = SECONDS) -> None:
        self.stack.stack.processes.wait_until(condition, what=what, timeout_seconds=seconds)

    def wait_for_kill(self, name: str) -> None:
        def killed() -> bool:
            (first, *_) = self.ecs_tasks()[name]
            return bool(first["lastStatus"] == "STOPPED")

        self.wait(killed, f"The container of {name} goes on", KILL_SECONDS)
        (first, *_) = self.ecs_tasks()[name]
        assert (first["taskArn"], first["stopCode"]) == (self.arns[name], "UserInitiated")
        assert first["stoppedReason"] == STOP_REASON_KILLED

    def set_state(self, name: str, state: str) -> None:
        path = f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{name}"
        self.stack.api.patch(path, {"new_state": state})

    def clear(self, name: str) -> None:
        body = {"dag_run_id": self.run_id, "dry_run": False, "only_failed": False, "task_ids": [name]}
        self.stack.api.post(f"/dags/{self.dag_id}/clearTaskInstances", body)

    def fail(self) -> None:
        self.stack.api.patch(f"/dags/{self.dag_id}/dagRuns/{self.run_id}", {"state": "failed"})

    def delete(self, what: str = "") -> None:
        self.stack.api.delete(f"/dags/{self.dag_id}/dagRuns/{self.run_id}{what}")
