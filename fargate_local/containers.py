"""A task's containers: only state, and how AWS shows it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fargate_local.shapes import JsonObject, without_none

if TYPE_CHECKING:
    from fargate_local.resources import Task


@dataclass
class Container:
    """One container of a task.

    :param started_at: its start or its last restart, in seconds since the epoch.
    :param digest: its image's, as the runtime says it.
    """

    arn: str
    name: str
    image: str
    essential: bool
    cpu: int
    memory_mib: int | None
    has_health_check: bool
    memory_reservation_mib: int | None = None
    ports: tuple[int, ...] = ()
    port_ranges: tuple[str, ...] = ()
    last_status: str = "PENDING"
    runtime_id: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    health_status: str = "UNKNOWN"
    started_at: float = 0.0
    digest: str | None = None

    @property
    def image_digest(self) -> str | None:
        """The image's, or where there is no image, its name's; None until it would have been pulled."""
        pulled = self.last_status in ("RUNNING", "STOPPED") and (self.runtime_id or self.exit_code is not None)
        return (self.digest or f"sha256:{hashlib.sha256(self.image.encode()).hexdigest()}") if pulled else None

    def to_aws(self, task: Task) -> JsonObject:
        interfaces = [{"attachmentId": task.attachment_id, "privateIpv4Address": task.private_ip}]
        on_host = self.last_status == "RUNNING" and task.network_mode in ("bridge", "host")
        bindings: list[JsonObject] = [{"containerPort": port, "hostPort": port} for port in self.ports]
        bindings += [{"containerPortRange": each, "hostPortRange": each} for each in self.port_ranges]
        return without_none(
            {
                "containerArn": self.arn,
                "taskArn": task.arn,
                "name": self.name,
                "image": self.image,
                "imageDigest": self.image_digest,
                "runtimeId": self.runtime_id,
                "lastStatus": self.last_status,
                "exitCode": self.exit_code,
                "reason": self.reason,
                "networkBindings": [
                    {"bindIP": task.private_ip, "protocol": "tcp"} | bound for bound in bindings if on_host
                ],
                "networkInterfaces": interfaces if task.has_interface else [],
                "healthStatus": self.health_status,
                "managedAgents": self._agents(task),
                "cpu": str(self.cpu),
                "memory": None if self.memory_mib is None else str(self.memory_mib),
                "memoryReservation": (
                    None if self.memory_reservation_mib is None else str(self.memory_reservation_mib)
                ),
            }
        )

    def _agents(self, task: Task) -> list[JsonObject] | None:
        """The agent of ECS Exec in the container (AmazonECS/latest/developerguide/ecs-exec)."""
        if not task.execute_command:
            return None
        agent = {"name": "ExecuteCommandAgent", "lastStatus": self.last_status, "lastStartedAt": task.started_at}
        return [without_none(agent)]
