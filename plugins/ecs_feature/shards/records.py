"""The record that a shard leaves in its XCom, and how to read it.

A shard that ends in the triggerer sends its record with the end event: a separate request would cost the triggerer
more than the shard itself (docs/decisions/0009-records-come-with-the-end-event.md). Airflow 3.3.2 encodes such
values twice, so ``xcom_pull`` returns JSON text. Shards that end on a worker leave text as well, so that all records
are read in the same way::

    record = shard_record(ti.xcom_pull(task_ids="control.shards.UA"))
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from ecs_feature.aws.limits import DEFAULT_EPHEMERAL_GIB
from ecs_feature.aws.resources import LINUX_X86
from ecs_feature.tasks import cost
from ecs_feature.tasks.relaunches import Ended

RUNNING_KEY: Final = "ecs_task"
"""Key of the XCom that a long-running shard writes while it runs."""


_NEWER: Final = ("platform", "kind", "instance_type", "ephemeral_gib", "metered", "waited")
"""The fields that records of older versions do not have; they are left out where they say nothing."""


@dataclass(frozen=True)
class LaunchRecord:
    """One launch and how it ended; times are ISO 8601 in UTC.

    :param task_arn: empty when RunTask started nothing.
    :param attempt: Airflow's try number, under the key that all records have had.
    :param capacity: ``FARGATE``, ``FARGATE_SPOT`` ...
    :param platform: empty: ``LINUX/X86_64``.
    :param ephemeral_gib: 0: Fargate's 20 GiB, or on instances.
    :param metered: what is billed beside vCPUs and memory, see :class:`ecs_feature.tasks.cost.Usage`.
    :param waited: what the shard has waited for before this launch (:class:`ecs_feature.fleet.waits.Wait`) -> seconds,
        as far as it was a second or more.
    :param task_definition: ``family:revision``.
    :param image_digest: of the container that does the shard's work, ``sha256:...``.
    """

    task_arn: str
    outcome: str
    reason: str
    attempt: int = 1
    cpu: int = 0
    memory_mib: int = 0
    capacity: str = ""
    created_at: str | None = None
    started_at: str | None = None
    stopped_at: str | None = None
    vcpu_seconds: float = 0.0
    gb_seconds: float = 0.0
    platform: str = ""
    kind: str = ""
    instance_type: str = ""
    ephemeral_gib: int = 0
    metered: Mapping[str, float] = field(default_factory=dict)
    waited: Mapping[str, float] = field(default_factory=dict)
    task_definition: str = ""
    image_digest: str = ""

    @classmethod
    def of(cls, ended: Ended, try_number: int, container: str = "") -> LaunchRecord:
        task, outcome = ended.task, ended.outcome
        waited = {what: round(seconds, 1) for what, seconds in ended.waited.items()}
        if task is None:
            return cls("", str(outcome.kind), outcome.reason, try_number, waited=waited)
        used = cost.of_task(task, ended.billing.volumes)
        return cls(
            task_arn=task.arn,
            outcome=str(outcome.kind),
            reason=outcome.reason,
            attempt=try_number,
            cpu=task.cpu,
            memory_mib=task.whole_memory_mib,
            capacity=task.capacity,
            created_at=_iso(task.created_at),
            started_at=_iso(task.started_at),
            stopped_at=_iso(task.stopped_at),
            vcpu_seconds=round(used.vcpu_seconds, 3),
            gb_seconds=round(used.gb_seconds, 3),
            platform="" if task.platform == LINUX_X86 else task.platform,
            kind=ended.billing.kind,
            instance_type=ended.billing.instance_type,
            ephemeral_gib=0 if task.ephemeral_gib == DEFAULT_EPHEMERAL_GIB else task.ephemeral_gib,
            waited=waited,
            metered={meter: round(seconds, 3) for meter, seconds in used.metered.items()},
            task_definition=task.task_definition_arn.rpartition("/")[2],
            image_digest=next((each.image_digest for each in task.containers if each.name == container), ""),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        values = asdict(self)
        return {name: value for name, value in values.items() if value or name not in _NEWER}


class LaunchedTask(NamedTuple):
    """An ECS task.

    :param container: the container that does the shard's work.
    """

    arn: str
    container: str


def shard_record(value: Any) -> dict[str, Any] | None:
    """The record in a shard's XCom; None when there is none.

    :returns: ``{"shard", "outcome", "exit_code", "container", "launches": [...]}`` and what the pipeline added, e.g.
        ``result_uri``; ``quota_vcpus``, where it is known: the account's vCPU quota for its capacity at its end.
    """
    record = decoded(value)
    if not isinstance(record, dict) or "shard" not in record:
        return None
    launches = record.get("launches")
    if isinstance(launches, list) and all(isinstance(launch, dict) for launch in launches):
        return record
    # A task of somebody else's with this operator's key, or a hand that has edited it.
    return {**record, "launches": [each for each in launches if isinstance(each, dict)] if launches else []}


def shard_records(values: Iterable[Any]) -> list[dict[str, Any]]:
    """The records in several XComs; shards without a record are left out."""
    return [record for record in map(shard_record, values) if record is not None]


def record_text(record: Mapping[str, Any]) -> str:
    """The text that a worker writes into a shard's XCom."""
    return json.dumps(record)


def running_record(task_arn: str, container: str, try_number: int) -> dict[str, Any]:
    """The XCom value that a long-running shard writes while it runs.

    :param try_number: Airflow's.
    """
    return {"task_arn": task_arn, "container": container, "attempt": try_number}


def launched_task(xcoms: Mapping[str, Any], try_number: int) -> LaunchedTask | None:
    """The ECS task that a try of a shard launched last, according to its XComs; None: not known.

    :param xcoms: the shard's XComs by key, as stored in the database.
    """
    record = shard_record(xcoms.get("return_value")) or {"launches": ()}
    arns = [
        launch["task_arn"] for launch in record["launches"] if launch["attempt"] == try_number and launch["task_arn"]
    ]
    if arns:
        return LaunchedTask(arns[-1], record.get("container", ""))
    running = decoded(xcoms.get(RUNNING_KEY))
    if isinstance(running, dict) and running.get("attempt") == try_number:
        return LaunchedTask(running["task_arn"], running["container"])
    return None


def superseded_task(value: Any, try_number: int) -> str | None:
    """The ARN of an earlier try's ECS task in the XCom :data:`RUNNING_KEY`; None: there is none.

    :param try_number: this try's.
    """
    running = decoded(value)
    if isinstance(running, dict) and running.get("attempt", try_number) < try_number:
        return str(running["task_arn"])
    return None


def decoded(value: Any) -> Any:
    """An XCom's value as it is in the database, JSON-encoded any number of times; None when it is not JSON.

    That is also what a backend of the user's own leaves there when it keeps its values elsewhere.
    """
    while isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None
