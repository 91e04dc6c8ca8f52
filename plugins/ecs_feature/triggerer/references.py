"""References in a trigger's arguments to XComs of other tasks; one read serves all shards of a run.

A template with ``xcom_pull`` would be rendered once per shard and block the triggerer's event loop while it waits for
the API server: a thousand shards would read the same list of a thousand names, one after the other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.sdk import XCom

from ecs_feature.aws.shared_reads import SharedReads
from ecs_feature.exceptions import MissingValueError

SCHEME: Final = "xcom://"
# The shards of a run start within seconds of each other; a cleared task writes a new value.
FRESH_SECONDS: Final = 5.0
RENEW_SECONDS: Final = 1.0
"""A value of this age is read anew while it is still used: a busy supervisor takes up to two seconds to answer."""
TIMEOUT_SECONDS: Final = 60.0
"""How long to wait for a missing value: clearing a shard also clears its setup tasks and their XComs."""
RETRY_SECONDS: Final = 2.0


def reference(task_id: str, index: str = "") -> str:
    """A reference to the XCom ``return_value`` of a task of the same run.

    :param index: of one item, e.g. ``{{ ti.map_index }}``; empty: the whole value.
    """
    return f"{SCHEME}{task_id}#{index}" if index else SCHEME + task_id


def is_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith(SCHEME)


def source_of(value: str) -> str:
    """The id of the task that a reference reads from."""
    return value.removeprefix(SCHEME).partition("#")[0]


def look_up(value: str, pull: Callable[[str], Any]) -> Any:
    """The value that a reference stands for; any other value is returned unchanged.

    :param pull: task id -> its XCom.
    :raises MissingValueError: there is no such XCom.
    """
    if not is_reference(value):
        return value
    task_id, index = _parts(value)
    return _item(pull(task_id), task_id, index)


async def look_up_shared(value: str, ti: Any) -> Any:
    """:func:`look_up` for the triggerer: one read serves all shards of the run that ask within seconds.

    A value that is missing is waited for, see :data:`TIMEOUT_SECONDS`.
    """
    if not is_reference(value):
        return value
    task_id, index = _parts(value)
    shared = SharedReads(_read, FRESH_SECONDS, renew_seconds=RENEW_SECONDS)
    reads = _reads.setdefault(asyncio.get_running_loop(), shared)
    return _item(await reads.get((ti.dag_id, ti.run_id, task_id)), task_id, index)


Key = tuple[str, str, str]
"""DAG's id, run's id, task's id."""
_reads: WeakKeyDictionary[asyncio.AbstractEventLoop, SharedReads[Key, Any]] = WeakKeyDictionary()


async def _read(key: Key) -> Any:
    """Wait for the value; None after the timeout."""
    dag_id, run_id, task_id = key
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        found = await XCom.aget_one(key="return_value", dag_id=dag_id, run_id=run_id, task_id=task_id)
        if found is not None or time.monotonic() > deadline:
            return found
        await asyncio.sleep(RETRY_SECONDS)


def _parts(value: str) -> tuple[str, int | None]:
    task_id, _, index = value.removeprefix(SCHEME).partition("#")
    return task_id, int(index) if index else None


def _item(found: Any, task_id: str, index: int | None) -> Any:
    if found is None or (index is not None and not 0 <= index < len(found)):
        which = "" if index is None else f", item {index}"
        raise MissingValueError(
            f"Task {task_id} has left no value (XCom return_value{which}); clear it to run it again."
        )
    return found if index is None else found[index]
