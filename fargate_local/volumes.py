"""EBS volumes that a task gets at its launch: folders here."""

from __future__ import annotations

import secrets
import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from fargate_local.shapes import JsonObject

# Of a task's last status; AmazonECS/latest/APIReference/API_Attachment (status).
_STATUSES = {"PROVISIONING": "CREATED", "PENDING": "ATTACHING", "DEPROVISIONING": "DETACHING", "STOPPED": "DELETED"}


@dataclass(frozen=True)
class LaunchVolume:
    """One volume. `configuration` is its `managedEBSVolume`, in the API's own shape."""

    name: str
    configuration: JsonObject
    id: str = field(default_factory=lambda: f"vol-{secrets.token_hex(8)}0")
    attachment_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def deleted_at_the_end(self) -> bool:
        """A standalone task's volume goes with it unless the caller says otherwise."""
        policy: JsonObject = self.configuration.get("terminationPolicy", {})
        return bool(policy.get("deleteOnTermination", True))

    def folder(self, state_dir: Path) -> Path:
        """Where its files are on this machine."""
        return state_dir / "ebs" / self.id

    def make(self, state_dir: Path) -> None:
        """Make the folder, from `state_dir/snapshots/SNAPSHOT_ID` where that is there."""
        snapshot = state_dir / "snapshots" / (Path(self.configuration.get("snapshotId", "")).name or "none")
        if snapshot.is_dir():
            shutil.copytree(snapshot, self.folder(state_dir), dirs_exist_ok=True)
        self.folder(state_dir).mkdir(parents=True, exist_ok=True)

    def remove(self, state_dir: Path) -> None:
        """The task has ended."""
        if self.deleted_at_the_end:
            shutil.rmtree(self.folder(state_dir), ignore_errors=True)

    def attachment(self, status: str) -> JsonObject:
        """As DescribeTasks shows it, for a task of that last status."""
        details = {
            "roleArn": self.configuration["roleArn"],
            "volumeName": self.name,
            "volumeId": self.id,
            "deleteOnTermination": str(self.deleted_at_the_end).lower(),
            "filesystemType": self.configuration.get("filesystemType", "xfs"),
        }
        gone = status == "STOPPED" and not self.deleted_at_the_end
        return {
            "id": self.attachment_id,
            "type": "AmazonElasticBlockStorage",
            "status": "DETACHED" if gone else _STATUSES.get(status, "ATTACHED"),
            "details": [{"name": name, "value": value} for name, value in details.items()],
        }
