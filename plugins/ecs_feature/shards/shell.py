"""How to open a shell in a shard's container through ECS Exec, in the shard's log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ecs_feature.aws.resources import EcsTask
from ecs_feature.tasks.launch import Launch, shell_command


@dataclass(eq=False)
class ShellHint:
    """Logs the command to type, once for each task that runs.

    :param log: the task log.
    """

    shard: str
    launch: Launch
    log: Any
    _told_of: str = ""

    def __call__(self, task: EcsTask) -> None:
        """ECS shows the task."""
        if task.arn == self._told_of or task.last_status != "RUNNING":
            return
        self._told_of = task.arn
        command = shell_command(task.arn, self.launch.cluster, self.launch.container)
        self.log.info("Shard %s runs; open a shell in it with: %s", self.shard, command)


def shell_hint(shard: str, launch: Launch, log: Any, *, asked: bool) -> ShellHint | None:
    """The hint for a shard's launches; None without ECS Exec, with a warning when the user asked for it."""
    if launch.execute_command:
        return ShellHint(shard, launch, log)
    if asked:
        log.warning(
            "Shard %s is launched without ECS Exec, which debug_shards asks for: its task definition has no "
            "taskRoleArn (AmazonECS/latest/developerguide/ecs-exec.html).",
            shard,
        )
    return None
